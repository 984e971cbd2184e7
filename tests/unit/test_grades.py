"""Graded answers: a score from 0 to 1 for each item reaches the tables, with its own variance."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from seedbed.analysis.settings import CompareSettings
from seedbed.analysis.tables.collect import ResultError, collect
from seedbed.analysis.tables.comparisons import compare_methods
from seedbed.analysis.tables.outcomes import mean_accuracy, outcomes_by_task
from seedbed.engines import Completion
from seedbed.evaluation.evaluation import evaluate, item_requests, summarise
from seedbed.evaluation.record import EvaluationRecord
from seedbed.evaluation.scorers import Score
from seedbed.tasks.item import TaskItem

GENERATOR = np.random.default_rng(0)
GRADES = {
    method: np.clip(mean + 0.1 * GENERATOR.standard_normal(40), 0, 1)
    for method, mean in (("answer_augmentation", 0.5), ("new_question", 0.6))
}


class Grader:
    """Reads the grade that stands in an output."""

    def score(self, output, item):
        """Return it."""
        if output in ("yes", "no"):
            return Score(output == "yes", output == "yes", output, "")
        grade = float(output)
        return Score(grade >= 0.5, grade >= 0.5, output, "", grade)

    def close(self):
        """Do nothing."""


def predictions(outputs):
    items = [
        TaskItem(f"i{n:02}", "?", "", "a", "a", cluster=f"i{n:02}") for n in range(len(outputs))
    ]
    requests = item_requests(items, "{question}", 8)
    said = [Completion(str(n), text, "stop", 1, 1, 0.0) for n, text in enumerate(outputs)]
    return evaluate(items, requests, said, Grader(), "strict", lambda _: None)


def written(folder, method, outputs):
    folder.mkdir()
    table = predictions(outputs)
    table.write_parquet(folder / "predictions.parquet")
    scores = summarise(table)
    cell = {
        "task": "essays",
        "teacher": "t",
        "method": method,
        "augmenter": "none",
        "seeds": 10,
        "replicate": 0,
        "budget": 20,
        "filter": "none",
        "student": "s",
    }
    record = EvaluationRecord(
        cell=cell, code="0", **{name: getattr(scores, name) for name in scores.model_fields_set}
    )
    record.write(folder / "evaluation.json")
    return folder / "evaluation.json"


def test_right_and_wrong_stay_as_they_are():
    table = predictions(["yes", "no", "yes"])
    assert "score" not in table.columns
    assert "graded" not in summarise(table).model_fields_set
    assert summarise(table).standard_error == pytest.approx(math.sqrt(2 / 27))


def test_the_accuracy_is_the_mean_grade_with_its_own_error():
    table = predictions(["0.25", "0.75", "yes"])
    assert table["score"].to_list() == [0.25, 0.75, 1.0]
    scores = summarise(table)
    assert scores.graded
    assert (scores.items, scores.correct) == (3, 2)
    assert scores.accuracy == scores.strict.accuracy == pytest.approx(2 / 3)
    assert scores.standard_error == pytest.approx(np.std([0.25, 0.75, 1], ddof=1) / math.sqrt(3))


def test_grades_reach_the_comparisons_with_the_variance_that_they_have(tmp_path):
    files = [
        written(tmp_path / method, method, [repr(float(grade)) for grade in grades])
        for method, grades in GRADES.items()
    ]
    parts = []
    cells = collect(files, parts.append)
    assert "graded" not in cells.columns
    items = pl.concat(parts)
    outcomes = outcomes_by_task(cells, items)
    of_cells = dict(
        zip(outcomes["essays"].cells["method"], outcomes["essays"].correct, strict=True)
    )
    for method, grades in GRADES.items():
        assert of_cells[method] == pytest.approx(grades)
    (row,) = compare_methods(
        outcomes, CompareSettings(methods=tuple(GRADES), confidence=0.95)
    ).to_dicts()
    apart = GRADES["new_question"] - GRADES["answer_augmentation"]
    assert row["difference"] == pytest.approx(apart.mean())
    assert row["standard_error"] == pytest.approx(apart.std(ddof=1) / math.sqrt(40))
    measured = mean_accuracy(outcomes["essays"], [0], 0.95)
    # A binomial score of this mean would have an error five times as large.
    assert measured.standard_error < math.sqrt(0.25 / 40) / 3
    assert measured.high - measured.low < 0.1


def test_grades_that_disagree_with_the_record_are_refused(tmp_path):
    file = written(tmp_path / "one", "new_question", ["0.2", "0.4"])
    table = pl.read_parquet(tmp_path / "one/predictions.parquet")
    table.with_columns(score=pl.lit(0.3)).write_parquet(tmp_path / "one/predictions.parquet")
    collect([file], lambda _: None)
    table.with_columns(score=pl.lit(0.4)).write_parquet(tmp_path / "one/predictions.parquet")
    with pytest.raises(ResultError, match="mean score"):
        collect([file], lambda _: None)
