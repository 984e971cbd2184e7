"""A study whose answers a judge behind an endpoint grades: scores, reruns, kills, and the bill."""

from __future__ import annotations

import json
import re
import shutil

import polars as pl
import pytest
import yaml

from endpoint import Endpoint, completion, running
from project import ROOT
from seedbed.engines.spending import SpendingRecord, sentence

TASK = re.findall(r"```yaml\n(title: Replies.*?)```", (ROOT / "docs/scoring.md").read_text(), re.S)[
    0
]
ITEMS, LABELS, CELLS = 12, 6, 2
PRICE = {
    "usd_per_million_prompt_tokens": 100, "usd_per_million_completion_tokens": 1000,
    "date": "2026-01-31",
}  # fmt: skip
EACH = 0.0035
"""Dollars of a verdict: the endpoint counts 5 tokens read and 3 written."""
STUDY = {
    "description": "Replies that a judge grades.", "shard_size": 16,
    "training": {"epochs": 1, "learning_rate": 2.0e-3, "batch_size": 4, "lora_rank": 4,
     "lora_alpha": 8, "max_length": 256},
    "analysis": {"bootstrap_samples": 20, "seed": 0, "confidence": 0.95},
    "blocks": [{"name": "main", "tasks": ["replies"], "methods": ["seed_only"], "seeds": [4],
     "students": ["micro_student"]}],
}  # fmt: skip


def grade(body, before):
    """Return the verdict of a judge that counts words; it forgets the form for one question."""
    prompt = body["messages"][-1]["content"]
    mark = re.findall(r"^VERDICT ([0-9a-f]{8}): N", prompt, re.MULTILINE)[-1]
    first = body["messages"][0]["content"]
    answer = first.split("answer to grade:\n", 1)[1]
    if "Question 3?" in first and len(body["messages"]) == 1:
        return completion("I like it.")
    return completion(f"I count.\nVERDICT {mark}: {1 + len(answer) % 5}")


@pytest.fixture(scope="module")
def endpoint():
    with running(Endpoint()) as served:
        served.behave = grade
        yield served


@pytest.fixture(scope="module")
def judged(endpoint, fresh):
    """A fresh copy of the project with such a study; its student is trained from scratch once."""
    config = fresh.folder / "config"
    (config / "studies/judged.yaml").write_text(yaml.safe_dump(STUDY))
    critic = {
        "title": "Critic",
        "api": {"name": "critic-1"},
        "price": PRICE,
        "engine": {"kind": "openai", "base_url": endpoint.url, "concurrency": 4},
    }
    (config / "models/critic.yaml").write_text(yaml.safe_dump(critic))
    fresh.edit("config/models/micro_student.yaml", "worlds: {", "worlds: {replies: mini_math, ")
    folder = config / "tasks/replies"
    folder.mkdir()
    (folder / "task.yaml").write_text(TASK)
    for split in ("train", "test"):
        rows = [
            {"question": f"{split}: Question {n}?", "reply": f"Kind {n}."} for n in range(ITEMS)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [f"q{n},{'kind ' * n},r,{1 + n % 5}" for n in range(1, LABELS + 1)]
    (folder / "labels.csv").write_text("\n".join(["question,answer,reference,grade", *rows]) + "\n")
    return fresh


def make(clone, *arguments, **config):
    return clone.snakemake("evaluations", *arguments, study="judged", **config)


def evaluations(clone):
    return sorted((clone.folder / "results/judged/evaluations").rglob("evaluation.json"))


def spending(clone):
    found = json.loads((clone.folder / "results/judged/spending.json").read_text())
    return {(line["stage"], line["model"]): line for line in found["lines"]}


ALL = CELLS * (ITEMS + 1) + LABELS
"""All requests: for one question, the judge is asked again in each cell."""


def test_it_stops_at_the_cap_and_a_killed_run_pays_nothing_twice(judged, endpoint):
    # What it will cost is foreseen.
    done = judged.snakemake("quote", "--quiet", "all", study="judged")
    assert done.returncode == 0, done.stdout
    (line,) = [line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["judging"]]
    assert line[:3] == ["judging", "critic", str(CELLS * ITEMS + LABELS)]
    assert endpoint.asked == []
    done = make(judged, max_usd=str(4 * EACH))
    assert done.returncode != 0
    assert "the cap is reached: max_usd is $0.01" in done.stdout
    assert len(endpoint.asked) <= 4
    asked = len(endpoint.asked)
    endpoint.latency = 0.1
    judged.killed_when(lambda said: len(endpoint.asked) >= asked + 9, "evaluations", study="judged")
    endpoint.latency = 0.0
    done = make(judged)
    assert done.returncode == 0, done.stdout
    distinct = {json.dumps(body["messages"]) for body in endpoint.asked}
    # Those alone were asked twice that were under way at the kill: four of each of two jobs.
    assert len(distinct) <= ALL
    assert len(endpoint.asked) <= ALL + 8
    line = spending(judged)["judging", "critic"]
    assert line["requests"] + line["doubts"] >= ALL
    assert line["usd"] == pytest.approx(line["requests"] * EACH)
    # The end of the run and its status say the same, the judge's part included.
    found = SpendingRecord.read(judged.folder / "results/judged/spending.json")
    assert found.usd == pytest.approx(line["usd"])
    assert f"This study has cost {sentence(found)}." in done.stdout
    assert f"Cost so far: {sentence(found)}." in judged.status(study="judged")


def test_grades_reach_the_tables_with_the_judges_words_beside_them(judged):
    files = evaluations(judged)
    assert len(files) == CELLS
    for file in files:
        found = json.loads(file.read_text())
        assert found["graded"]
        assert found["judged"]["judge"] == "critic"
        assert (found["judged"]["asked_again"], found["judged"]["unreadable"]) == (1, 0)
        assert found["judged"]["agreement"]["labels"] == LABELS
        predictions = pl.read_parquet(file.with_name("predictions.parquet"))
        assert predictions["score"].mean() == pytest.approx(found["accuracy"])
        assert predictions.height == found["items"] == ITEMS
        verdicts = pl.read_parquet(file.with_name("verdicts.parquet"))
        assert verdicts.height == ITEMS + 1
        assert verdicts.filter(pl.col("attempt") == 1)["words"].str.contains("I (count|like)").all()
        for item, score in predictions.select("item_id", "score").iter_rows():
            last = verdicts.filter(pl.col("key") == item).tail(1)
            assert last["grade"].to_list() == [score]
    done = judged.snakemake("results/judged/tables/items.parquet", study="judged")
    assert done.returncode == 0, done.stdout
    items = pl.read_parquet(judged.folder / "results/judged/tables/items.parquet")
    assert items["score"].n_unique() > 1
    cells = pl.read_parquet(judged.folder / "results/judged/tables/cells.parquet")
    assert cells["judge_queries"].to_list() == [ITEMS + 1] * CELLS
    assert cells["judge_labels"].to_list() == [LABELS] * CELLS
    assert cells["judge_kappa"].null_count() == 0


def test_a_rerun_pays_nothing_and_another_rubric_pays_the_judge_alone(judged, endpoint):
    assert judged.plan("evaluations", study="judged") == {}
    asked = len(endpoint.asked)
    results = judged.folder / "results/judged"
    shutil.rmtree(results / "evaluations")
    assert judged.plan("evaluations", study="judged") == {"judge_student": 2, "evaluations": 1}
    assert make(judged).returncode == 0
    assert len(endpoint.asked) == asked
    kept = {path: path.read_bytes() for path in results.glob("adapters/**/*.safetensors")}
    kept |= {path: path.read_bytes() for path in results.glob("outputs/**/*.parquet")}
    assert len(kept) == 1 + CELLS
    judged.edit("config/tasks/replies/task.yaml", "is polite", "is very polite")
    assert judged.plan("evaluations", study="judged") == {"judge_student": 2, "evaluations": 1}
    assert make(judged).returncode == 0
    assert len(endpoint.asked) - asked == ALL
    assert {path: path.read_bytes() for path in kept} == kept
    # Labels alone, and of these the new one.
    asked = len(endpoint.asked)
    with (judged.folder / "config/tasks/replies/labels.csv").open("a") as file:
        file.write("new,thanks,r,5\n")
    assert judged.plan("evaluations", study="judged") == {"judge_student": 2, "evaluations": 1}
    assert make(judged).returncode == 0
    assert len(endpoint.asked) - asked == 1


def test_verdicts_that_cannot_be_read_end_the_job_and_are_shown(judged, endpoint):
    judged.edit("config/tasks/replies/task.yaml", "is very polite", "is kind")
    endpoint.behave = lambda body, before: completion("Four of five.")
    done = make(judged)
    assert done.returncode != 0
    assert f"{ITEMS} answers have no verdict that can be read" in done.stdout
    assert "(stop): 'Four of five.'" in done.stdout
    assert "Traceback" not in done.stdout
    asked = len(endpoint.asked)
    judged.edit("config/tasks/replies/task.yaml", "judge: critic", "judge: critic\n  unreadable: 0")
    done = make(judged)
    assert done.returncode == 0, done.stdout
    found = [json.loads(file.read_text()) for file in evaluations(judged)]
    assert [(one["accuracy"], one["judged"]["unreadable"]) for one in found] == [(0, ITEMS)] * 2
    assert all(one["judged"]["agreement"]["unreadable"] == LABELS + 1 for one in found)
    # Of the cell whose job did not run before; the other's words were kept.
    assert len(endpoint.asked) - asked in (0, 2 * ITEMS)
    endpoint.behave = grade
