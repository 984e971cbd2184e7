"""`snakemake spend` from the first job to the last, with runs that are killed in between."""

from __future__ import annotations

import json
from collections import Counter

import polars as pl
import pytest

from seedbed.analysis.report.spend.outcome import BLIND
from seedbed.streams.response_cache import read_completions

ASKED = {"study": "micro_spend", "task": "mini_math", "seeds": "16", "queries": "160"}
METHODS = ("answer_augmentation", "new_question", "question_rephrase")


def killed_at(clone, *patterns):
    """Start a spend, and kill it with all its jobs as soon as there are some files."""
    clone.killed_when(
        lambda said: all(any(clone.folder.glob(one)) for one in patterns), "spend", **ASKED
    )


@pytest.fixture(scope="module")
def spent(finished, tmp_path_factory):
    """A copy of the project with a spend that was killed twice, and what its last run said."""
    clone = finished.copy(tmp_path_factory.mktemp("spend") / "project")
    results = "results/micro_spend-mini_math-16"
    killed_at(clone, f"{results}/answers/**/answers.parquet")
    assert not any(clone.folder.glob(f"{results}/spend/round=2"))
    killed_at(clone, f"{results}/spend/round=2/purchase.json", f"{results}/answers/**/shard=1")
    assert not any(clone.folder.glob(f"{results}/bought/index.html"))
    done = clone.snakemake("spend", **ASKED)
    assert done.returncode == 0, done.stdout
    return clone, clone.folder / results


def purchase(results, number):
    return json.loads((results / f"spend/round={number}/purchase.json").read_text())["purchase"]


def asked(results):
    """Return what was answered, once for each time that it was."""
    return sorted(
        digest
        for file in results.glob("state/answers/**/*.jsonl")
        for digest, _ in read_completions(file)
    )


def test_the_budget_is_spent_exactly_and_nothing_twice(spent):
    _, results = spent
    pilot, final = purchase(results, 1), purchase(results, 2)
    assert pilot["queries"] == dict.fromkeys(METHODS, 32)
    assert final["kind"] == "final" and sum(final["queries"].values()) == 160
    assert all(final["queries"][name] >= 32 for name in METHODS)
    slots = Counter()
    for path in results.glob("answers/**/answers.parquet"):
        method = next(part for part in path.parts if part.startswith("method="))
        slots[method.removeprefix("method=")] += pl.read_parquet(path).height
    assert slots == final["queries"]
    (record,) = results.glob("datasets/**/method=mix_all_bought/**/dataset.json")
    counts = json.loads(record.read_text())["counts"]
    answers = asked(results)
    assert len(answers) == len(set(answers)) == counts["teacher_queries"]
    assert counts["teacher_queries"] + counts["empty_slots"] == counts["queries"] == 160


def test_the_data_set_has_all_that_was_bought_with_the_method_of_each_row(spent):
    _, results = spent
    data = results / "bought/dataset/data"
    rows = pl.read_parquet(data / "train.parquet")
    (record,) = results.glob("datasets/**/method=mix_all_bought/**/dataset.json")
    about = json.loads(record.read_text())
    assert rows.height == about["counts"]["rows"]
    used = {part["method"]: part["used"] for part in about["parts"]}
    assert dict(rows["method"].value_counts().iter_rows()) == used
    lines = [json.loads(line) for line in (data / "train.jsonl").read_text().splitlines()]
    assert lines == rows.to_dicts()
    assert (results / "bought/adapter/adapter_model.safetensors").stat().st_size > 1000
    assert json.loads((results / "bought/dataset/spending.json").read_text())["lines"]
    page = (results / "bought/index.html").read_text()
    assert "Decision 1: a round of the pilot" in page and "Decision 2: the rest" in page


def test_a_finished_spend_has_nothing_to_do(spent):
    clone, _ = spent
    for target in ("spend", "all"):
        done = clone.snakemake(target, "-n", **ASKED)
        assert done.returncode == 0 and "Nothing to be done" in done.stdout, done.stdout


def test_its_status_is_that_of_a_study(spent):
    clone, _ = spent
    said = clone.status(study="micro_spend-mini_math-16")
    assert "Study micro_spend-mini_math-16: finished" in said and "5 of 5" in said


def test_publishing_lays_the_data_and_the_adapter_where_the_hub_has_them(spent, tmp_path):
    clone, results = spent
    hub = tmp_path / "hub"
    for _ in range(2):
        (hub / "datasets/me/data").mkdir(parents=True, exist_ok=True)
        (hub / "datasets/me/data/old.txt").touch()
        done = clone.snakemake("publish", **ASKED, repo="me/data", hub_folder=str(hub))
        assert done.returncode == 0, done.stdout
    for place, name in (("datasets/me/data", "dataset"), ("me/data", "adapter")):
        laid = {
            path.relative_to(hub / place): path.read_bytes()
            for path in (hub / place).rglob("*")
            if path.is_file()
        }
        bought = results / "bought" / name
        assert laid == {
            path.relative_to(bought): path.read_bytes()
            for path in bought.rglob("*")
            if path.is_file()
        }
    refused = clone.snakemake("publish", **ASKED)
    assert refused.returncode != 0
    assert "repo: is missing: publish needs it, as in --config repo=OWNER/NAME" in refused.stdout


def test_without_a_student_what_was_bought_stays_and_says_what_that_is_worth(spent, tmp_path):
    clone = spent[0].copy(tmp_path / "project")
    results = clone.folder / "results/micro_spend-mini_math-16"
    before = asked(results)
    done = clone.snakemake("spend", **ASKED, student="none")
    assert done.returncode == 0, done.stdout
    assert purchase(results, 1)["kind"] == "final"
    assert asked(results) == before
    assert not (results / "bought/adapter").exists()
    card = (results / "bought/dataset/README.md").read_text()
    assert BLIND in card and "points to the best division" in card
