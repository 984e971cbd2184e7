"""A spend with methods that yield no row: they are left out, and the other one goes on."""

from __future__ import annotations

import json
from shutil import rmtree

import polars as pl
import pytest
from test_spend_runs import ASKED, asked, killed_at, purchase

REASON = "none of 32 queries became a row: 32 empty_slots (without a usable question"


@pytest.fixture(scope="module")
def spent(finished, tmp_path_factory):
    """A spend whose augmenter cannot end a question, killed once, and what was said."""
    clone = finished.copy(tmp_path_factory.mktemp("spend") / "project")
    clone.edit("config/tasks/mini_math/task.yaml", "{question: 40,", "{question: 1,")
    results = "results/micro_spend-mini_math-16"
    killed_at(clone, f"{results}/datasets/**/method=new_question/**/dataset.json")
    done = clone.snakemake("spend", **ASKED)
    assert done.returncode == 0, done.stdout
    return clone, clone.folder / results, done.stdout


def test_the_methods_are_left_out_and_named_with_the_reason(spent):
    _, results, said = spent
    decided = purchase(results, 2)
    assert decided["left_out"].keys() == {"new_question", "question_rephrase"}
    assert all(why.startswith(REASON) for why in decided["left_out"].values())
    for name, title in (
        ("new_question", "New question"),
        ("question_rephrase", "Question rephrase"),
    ):
        assert f"{name} is left out: {REASON}" in said
        line = f"{title} is left out, and its 32 queries are paid for: {REASON}"
        for file in ("index.html", "dataset/README.md", "adapter/README.md"):
            assert line in (results / "bought" / file).read_text(), file
        assert line in said


def test_the_other_method_gets_the_rest_and_all_queries_are_in_the_bill(spent):
    _, results, _ = spent
    queries = purchase(results, 2)["queries"]
    others = {"new_question": 32, "question_rephrase": 32}
    assert queries == {"answer_augmentation": 96, **others}
    (record,) = results.glob("datasets/**/method=mix_all_bought/**/dataset.json")
    about = json.loads(record.read_text())
    assert {part["method"]: part["budget"] for part in about["parts"]} == queries
    assert about["counts"]["queries"] == 160
    rows = pl.read_parquet(results / "bought/dataset/data/train.parquet")
    assert set(rows["method"]) == {"answer_augmentation"}
    answers = asked(results)
    assert len(answers) == len(set(answers)) == about["counts"]["teacher_queries"] > 0
    bill = json.loads((results / "bought/dataset/spending.json").read_text())
    written = [line["requests"] for line in bill["lines"] if line["stage"] == "questions"]
    assert sum(written) >= 64


def test_it_has_nothing_to_do_afterwards(spent):
    clone, *_ = spent
    done = clone.snakemake("spend", "-n", **ASKED)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout, done.stdout


def test_without_a_student_the_other_makes_the_data(spent, tmp_path):
    clone = spent[0].copy(tmp_path / "project")
    done = clone.snakemake("spend", **ASKED, student="none")
    assert done.returncode == 0, done.stdout
    assert "New question is left out" in done.stdout


def test_no_row_at_all_is_an_error_that_says_why(spent, tmp_path):
    clone = spent[0].copy(tmp_path / "project")
    methods = "methods: [answer_augmentation, question_rephrase, new_question]"
    clone.edit("config/studies/micro_spend.yaml", methods, "methods: [new_question]")
    # What the spend before found of the method stays, so that nothing more is asked.
    done = clone.snakemake("spend", **ASKED)
    assert done.returncode != 0
    assert f"no method yields a row to train on: new_question: {REASON}" in done.stdout
    rmtree(clone.folder / "results/micro_spend-mini_math-16/spend")
    done = clone.snakemake("spend", **ASKED)
    assert done.returncode != 0
    assert "there is nothing to train on: none of 160 queries became a row" in done.stdout
