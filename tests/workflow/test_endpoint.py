"""A study whose teacher is behind an endpoint, with a key."""

from __future__ import annotations

import json
import re
import secrets
import shutil

import polars as pl
import pytest
import yaml

from endpoint import Endpoint, completion, error, running
from seedbed.engines.openai_engine import PROBE

# Not a text that stands in any file.
KEY = f"sk-{secrets.token_hex(16)}"
ANSWER = "It is 1 + 2 = 3.\n#### 3"
BUDGETS = (16, 64)
STUDY = {
    "description": "A teacher behind an endpoint.", "shard_size": 16,
    "training": {"epochs": 1, "learning_rate": 2.0e-3, "batch_size": 16, "lora_rank": 4,
     "lora_alpha": 8, "max_length": 256},
    "analysis": {"bootstrap_samples": 20, "seed": 0, "confidence": 0.95},
    "blocks": [{"name": "main", "tasks": ["mini_math"], "methods": ["answer_augmentation"], "seeds":
     [8], "budgets": list(BUDGETS), "teachers": ["hosted"], "students": ["micro_student"]}],
}  # fmt: skip


@pytest.fixture
def endpoint():
    with running(Endpoint()) as served:
        served.behave = lambda body, before: completion(ANSWER)
        yield served


@pytest.fixture
def hosted(endpoint, fresh, monkeypatch):
    """A fresh copy of the project with such a study."""
    config = fresh.folder / "config"
    (config / "studies/hosted.yaml").write_text(yaml.safe_dump(STUDY))
    model = {
        "title": "Hosted teacher",
        "api": {"name": "hosted-2026-01-31"},
        "engine": {
            "kind": "openai",
            "base_url": endpoint.url,
            "key_variable": "HOSTED_KEY",
            "concurrency": 8,
        },
    }
    (config / "models/hosted.yaml").write_text(yaml.safe_dump(model))
    monkeypatch.setenv("HOSTED_KEY", KEY)
    shutil.rmtree(fresh.folder / "results", ignore_errors=True)
    return fresh


def engine_of(clone, **engine):
    """Change keys of the hosted model's engine."""
    file = clone.folder / "config/models/hosted.yaml"
    model = yaml.safe_load(file.read_text())
    model["engine"] |= engine
    file.write_text(yaml.safe_dump(model))


def make(clone, *arguments, **config):
    return clone.snakemake("datasets", *arguments, study="hosted", **config)


def rows(clone, budget):
    (file,) = (clone.folder / "results/hosted/datasets").glob(f"**/budget={budget}/dataset.parquet")
    return pl.read_parquet(file)


def test_each_query_is_asked_once_and_the_key_is_in_no_file_and_not_shown(hosted, endpoint):
    done = make(hosted, "--printshellcmds", "--verbose")
    assert done.returncode == 0, done.stdout
    assert [rows(hosted, budget).height for budget in BUDGETS] == list(BUDGETS)
    assert set(rows(hosted, 64)["answer"]) == {ANSWER}
    assert len(endpoint.asked) == len({json.dumps(body) for body in endpoint.asked}) == max(BUDGETS)
    assert {body["model"] for body in endpoint.asked} == {"hosted-2026-01-31"}
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in done.stdout
    for file in hosted.folder.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
    # Another place to ask makes nothing stale.
    place = {"hosted": {"kind": "openai", "base_url": "http://127.0.0.1:1/v1"}}
    done = hosted.snakemake("datasets", study="hosted", engines=json.dumps(place))
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in done.stdout
    assert len(endpoint.asked) == max(BUDGETS)


def test_a_missing_key_is_named_before_anything_runs(hosted, endpoint, monkeypatch):
    monkeypatch.delenv("HOSTED_KEY")
    done = make(hosted)
    assert done.returncode != 0
    assert (
        "models/hosted.yaml: engine.key_variable: the environment variable HOSTED_KEY is not set"
        in done.stdout
    )
    assert endpoint.asked == []
    assert not (hosted.folder / "results/hosted/seeds").exists()
    # What asks nothing needs no key, and neither does a plan.
    assert make(hosted, "--dry-run").returncode == 0
    assert hosted.snakemake("--dry-run", study="hosted").returncode == 0


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "expired"), (400, "Your credit balance is too low to access the API")],
)
def test_a_run_that_is_refused_half_way_says_so_in_one_paragraph_and_goes_on_from_there(
    hosted, endpoint, status, said
):
    endpoint.behave = lambda body, before: (
        completion(ANSWER) if len(endpoint.asked) <= 30 else error(status, said)
    )
    done = make(hosted)
    assert done.returncode != 0
    assert f"refuses: HTTP {status}: {said}" in done.stdout
    assert "config/models/hosted.yaml" in done.stdout
    assert "Traceback" not in done.stdout
    asked = len(endpoint.asked)
    endpoint.behave = lambda body, before: completion(ANSWER)
    done = make(hosted)
    assert done.returncode == 0, done.stdout
    assert len(endpoint.asked) - asked == max(BUDGETS) - 30
    assert rows(hosted, 64).height == 64


def test_other_budgets_ask_for_the_difference_alone(hosted, endpoint):
    def budgets(*some):
        block = STUDY["blocks"][0] | {"budgets": list(some)}
        study = yaml.safe_dump(STUDY | {"blocks": [block]})
        (hosted.folder / "config/studies/hosted.yaml").write_text(study)

    # The last shard begins at 32, and could hold 64.
    budgets(16, 40)
    assert make(hosted).returncode == 0
    assert len(endpoint.asked) == 40
    results = hosted.folder / "results/hosted"
    made = {path: path.read_bytes() for path in (results / "datasets").rglob("dataset.*")}
    shutil.rmtree(results / "state/answers")
    budgets(16, 40, 50)
    endpoint.behave = lambda body, before: (
        completion(ANSWER) if len(endpoint.asked) <= 44 else error(401, "expired")
    )
    assert make(hosted).returncode != 0
    asked = len(endpoint.asked)
    endpoint.behave = lambda body, before: completion(ANSWER)
    done = make(hosted)
    assert done.returncode == 0, done.stdout
    assert len(endpoint.asked) - asked == 50 - 44
    assert rows(hosted, 50).height == 50
    # A budget between, and fewer budgets, ask nothing, whatever the shards hold.
    budgets(16, 40, 45)
    assert make(hosted).returncode == 0
    assert rows(hosted, 45).equals(rows(hosted, 50)[:45])
    assert len(endpoint.asked) - asked == 50 - 44
    budgets(16)
    assert "Nothing to be done" in make(hosted).stdout
    assert {path: path.read_bytes() for path in made} == made


def test_a_run_stops_at_the_cap_and_goes_on_when_it_is_raised(hosted, endpoint):
    done = make(hosted, max_teacher_queries="41")
    assert done.returncode != 0
    assert len(endpoint.asked) == 41
    assert "the cap is reached: max_teacher_queries is 41, and 41 were asked" in done.stdout
    left = int(re.search(r"and (\d+) queries of this job are left to ask", done.stdout)[1])
    # One of several jobs, as they run together.
    assert 0 < left <= max(BUDGETS) - 41
    kept = sum(
        file.read_bytes().count(b"\n")
        for file in (hosted.folder / "results/hosted/state/answers").rglob("*.jsonl")
    )
    assert kept == 41
    # What was asked before counts: this is no 41 more.
    done = make(hosted, max_teacher_queries="50")
    assert done.returncode != 0
    assert len(endpoint.asked) == 50
    # Nothing is stale by another cap, or none.
    done = make(hosted)
    assert done.returncode == 0, done.stdout
    assert len(endpoint.asked) == max(BUDGETS)
    assert rows(hosted, 64).height == 64
    assert make(hosted, max_teacher_queries="1").returncode == 0
    assert len(endpoint.asked) == max(BUDGETS)


def test_what_endpoints_of_today_send_becomes_rows(hosted, endpoint, monkeypatch):
    """An end by another name, thinking in the text, one item that is flagged; the key in .env."""
    monkeypatch.delenv("HOSTED_KEY")
    (hosted.folder / ".env").write_text(f"HOSTED_KEY={KEY}\n")
    flagged = []

    def behave(body, before):
        flagged[:] = flagged or [body["seed"]]
        if body["seed"] == flagged[0]:
            return error(403, "Forbidden")
        thought = f"<think>1 and 2, {body['seed']}</think>\n{ANSWER}"
        return completion(thought, "eos") | {"model": "hosted-2026-01-31"}

    endpoint.behave = behave
    done = make(hosted)
    assert done.returncode == 0, done.stdout
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert rows(hosted, 64).height == 63
    assert set(rows(hosted, 64)["answer"]) == {ANSWER}
    shards = sorted((hosted.folder / "results/hosted/answers").rglob("*.parquet"))
    answers = pl.concat([pl.read_parquet(shard) for shard in shards], how="diagonal")
    assert answers["finish_reason"].value_counts().sort("count").rows() == [
        ("rejected", 1),
        ("stop", 63),
    ]
    assert answers["teacher_thinking_tokens"].sum() > 0
    assert len(endpoint.asked) <= max(BUDGETS) + 1
    # Asked in another way, they are other answers.
    file = hosted.folder / "config/models/hosted.yaml"
    model = yaml.safe_load(file.read_text())
    model["engine"] |= {"temperature_field": None, "body": {"reasoning_effort": "low"}}
    file.write_text(yaml.safe_dump(model))
    endpoint.asked.clear()
    endpoint.behave = lambda body, before: completion(ANSWER)
    done = make(hosted)
    assert done.returncode == 0, done.stdout
    assert len(endpoint.asked) == max(BUDGETS)
    assert "temperature" not in endpoint.asked[0]
    assert endpoint.asked[0]["reasoning_effort"] == "low"


def test_a_dataset_without_rows_ends_the_run_and_says_why(hosted, endpoint):
    endpoint.behave = lambda body, before: completion(None, "length", reasoning_content="Hm")
    done = make(hosted, "--keep-going")
    assert done.returncode != 0
    assert "none of 16 queries became a row" in done.stdout
    assert "16 truncated" in done.stdout
    # At the end of the run and in its status: what was paid, and what to change.
    lost = "lost: 64 truncated."
    assert f"Of 64 queries in 1 stream, 0 became rows, and 64 wait for their dataset; {lost}" in (
        done.stdout
    )
    assert "64 of 64 queries (100%) became no rows: 64 truncated (cut off: raise max_tokens" in (
        done.stdout
    )
    assert lost in hosted.status(study="hosted")
    assert len(endpoint.asked) == max(BUDGETS)


def test_what_failed_in_all_tries_is_counted_and_asked_again_at_the_next_start(hosted, endpoint):
    failing = []

    def behave(body, before):
        if body["messages"][0]["content"] == PROBE:
            return completion("yes")
        failing[:] = failing or [body["seed"]]
        return error(500, "overloaded") if body["seed"] == failing[0] else completion(ANSWER)

    endpoint.behave = behave
    engine_of(hosted, attempts=2)
    done = make(hosted)
    assert done.returncode == 0, done.stdout
    assert rows(hosted, 64).height == 63
    said = "1 query failed in all tries: start again, and only these are asked again."
    assert said in done.stdout
    assert said in hosted.status(study="hosted")
    asked = [body["seed"] for body in endpoint.asked if body["messages"][0]["content"] != PROBE]
    assert (asked.count(failing[0]), len(asked)) == (4, 63 + 4)
    planned = hosted.snakemake("explain", "datasets", study="hosted").stdout
    assert "answer_questions, 1 job: 1 of its queries failed in all tries" in planned
    # The endpoint is well again: one request, and its row.
    endpoint.behave = lambda body, before: completion(ANSWER)
    endpoint.asked.clear()
    done = make(hosted)
    assert done.returncode == 0, done.stdout
    assert [body["seed"] for body in endpoint.asked] == failing
    assert rows(hosted, 64).height == 64
    assert "failed in all tries" not in done.stdout
    done = make(hosted)
    assert "Nothing to be done" in done.stdout
    assert len(endpoint.asked) == 1


PRICE = {"usd_per_million_prompt_tokens": 100, "usd_per_million_completion_tokens": 1000}


def priced(clone, **engine):
    """Give the hosted model a price: an answer of the endpoint costs 0.0035 dollars."""
    engine_of(clone, **engine)
    file = clone.folder / "config/models/hosted.yaml"
    model = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(model | {"price": PRICE | {"date": "2026-01-31"}}))


def spending(clone):
    return json.loads((clone.folder / "results/hosted/spending.json").read_text())


def test_the_bill_is_known_in_every_run_and_after_a_kill(hosted, endpoint):
    priced(hosted, concurrency=4)
    endpoint.latency = 0.05
    hosted.killed_when(lambda said: len(endpoint.asked) >= 20, "datasets", study="hosted")
    done = make(hosted)
    assert done.returncode == 0, done.stdout
    found = spending(hosted)
    (line,) = [line for line in found["lines"] if line["stage"] == "answers"]
    # Of two jobs, each had 4 requests under way at most.
    assert max(BUDGETS) <= line["requests"] <= len(endpoint.asked)
    assert len(endpoint.asked) <= line["requests"] + line["doubts"]
    assert 0 <= line["doubts"] <= 8
    assert found["usd"] == pytest.approx(line["requests"] * 0.0035)
    bill = len(endpoint.asked) * 0.0035
    assert found["usd"] <= bill <= found["usd"] + found["doubts_usd"] + 1e-9
    said = f"${found['usd']:.2f} for {line['requests']} requests"
    assert f"This study has cost {said}" in done.stdout
    status = hosted.status(study="hosted")
    assert f"Cost so far: {said}" in status
    # Answers that are there cost nothing again, and neither does a copy of them.
    for made in ("answers", "datasets"):
        shutil.rmtree(hosted.folder / "results/hosted" / made)
    asked = len(endpoint.asked)
    assert make(hosted).returncode == 0
    assert len(endpoint.asked) == asked
    assert spending(hosted) == found
    # Without the response cache, the answers themselves say what they took.
    shutil.rmtree(hosted.folder / "results/hosted/state")
    shutil.rmtree(hosted.folder / "results/hosted/datasets")
    assert make(hosted).returncode == 0
    (line,) = [line for line in spending(hosted)["lines"] if line["stage"] == "answers"]
    assert line["usd"] == pytest.approx(max(BUDGETS) * 0.0035)
    assert len(endpoint.asked) == asked


def test_a_cap_in_dollars_needs_prices(hosted, endpoint):
    done = make(hosted, max_usd="1")
    assert done.returncode != 0
    assert "models/hosted.yaml: price: is missing: with max_usd" in done.stdout
    assert endpoint.asked == []
    file = hosted.folder / "config/models/hosted.yaml"
    model = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(model | {"price": {"date": "2026-01-31"}}))
    done = make(hosted, max_usd="0.001")
    assert done.returncode != 0
    assert "models/hosted.yaml: price: is missing: with max_usd" in done.stdout
    assert endpoint.asked == []
    priced(hosted)
    done = make(hosted, max_usd="0.1")
    assert done.returncode != 0
    assert "max_usd is $0.10, and $0.0" in done.stdout
    assert 0 < len(endpoint.asked) * 0.0035 <= 0.1
    done = make(hosted, max_usd="100")
    assert done.returncode == 0, done.stdout
    assert len(endpoint.asked) == max(BUDGETS)


def test_kept_thinking_is_trained_and_asks_nothing_again(hosted, endpoint):
    endpoint.behave = lambda body, before: completion(
        ANSWER, reasoning_content=f"1 and 2, {body['seed']}"
    )
    block = STUDY["blocks"][0] | {"budgets": [16]}
    file = hosted.folder / "config/studies/hosted.yaml"
    file.write_text(yaml.safe_dump(STUDY | {"blocks": [block]}))
    assert make(hosted).returncode == 0
    assert rows(hosted, 16)["messages"][0].to_list()[-1] == {
        "role": "assistant",
        "content": ANSWER,
    }
    kept = yaml.safe_dump(STUDY | {"blocks": [block], "thinking": "keep"})
    file.write_text(kept)
    done = make(hosted)
    assert done.returncode != 0
    assert "models/micro_student.yaml: engine.thinking_tokens: is missing" in done.stdout
    student = hosted.folder / "config/models/micro_student.yaml"
    student.write_text(student.read_text() + "engine: {thinking_tokens: 32}\n")
    done = hosted.snakemake("adapters", study="hosted")
    assert done.returncode == 0, done.stdout
    assert len(endpoint.asked) == 16
    for row in rows(hosted, 16).iter_rows(named=True):
        assert row["messages"][-1]["content"] == ANSWER
        assert row["messages"][-1]["reasoning_content"].startswith("1 and 2, ")
        assert row["thinking_tokens"] > 0
    (trained,) = (hosted.folder / "results/hosted/adapters").rglob("training.json")
    counts = json.loads(trained.read_text())["counts"]
    assert counts["training_rows"] == 16
    # More than the answers alone have: the thinking is part of them.
    assert counts["training_tokens"] > 16 * 60
