"""Graded answers: a score from 0 to 1 for each item reaches the tables, with its own variance."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import polars as pl
import pytest
from analysis_simulation import METHODS, simulate, true_accuracy

from seedbed.analysis.curves import curves_from
from seedbed.analysis.curves.fitting import fit_decay, grade_variance
from seedbed.analysis.decide.advise import advise
from seedbed.analysis.decide.crossovers import find_crossovers
from seedbed.analysis.report.cautions import cautions
from seedbed.analysis.settings import CompareSettings, CrossoverSettings, FitSettings
from seedbed.analysis.tables.collect import ResultError, collect
from seedbed.analysis.tables.comparisons import compare_methods
from seedbed.analysis.tables.outcomes import mean_accuracy, outcomes_by_task
from seedbed.engines import Completion
from seedbed.evaluation.evaluation import evaluate, item_requests, summarise
from seedbed.evaluation.record import Agreement, EvaluationRecord, Judged
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
        outcomes, CompareSettings(methods=tuple(GRADES), confidence=0.95), {}
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


# --- fits, crossovers and advice


GRADED = {"seeds": (32, 64), "ratios": (1, 4, 16, 64), "items": 300}
SETTINGS = FitSettings(methods=METHODS, bootstrap_samples=60)


def fitted(**study):
    record, draws = fit_decay(outcomes_by_task(*simulate(**GRADED, **study)), SETTINGS)
    (curves,) = curves_from(record, draws)
    return curves


def test_the_variance_of_right_and_wrong_is_one():
    assert grade_variance(np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])) == 1
    # A uniform grade has a variance of 1/12, and right or wrong one of 1/4.
    assert grade_variance(np.linspace(0, 1, 10_001)[None, :]) == pytest.approx(1 / 3, rel=1e-3)
    assert grade_variance(np.full((2, 5), 0.5)) == pytest.approx(1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("graded", "variance"), [(None, 1.0), (4.0, 1 / 5), (19.0, 1 / 20)])
def test_a_fit_takes_the_variance_that_grades_have(graded, variance):
    curves = fitted(graded=graded)
    record = curves.record
    assert record.grade_variance == pytest.approx(variance, rel=0.1)
    noise = curves.noise(64, 0.6)
    runs = record.noise.training_runs**2 + record.noise.draws_of_seeds**2
    items = variance * 0.24 / 300
    assert items < noise.own + noise.shared < items + 4 * runs


def crossing_is_covered(record):
    """Return whether a crossing's interval holds the true one; None if there is none in reach."""
    ratios = np.geomspace(1, 64, 2000)
    first, second = (
        np.array([true_accuracy(method, record.seeds, ratio) for ratio in ratios])
        for method in (record.reference, record.method)
    )
    changes = np.flatnonzero(np.diff(np.sign(second - first)))
    if len(changes) != 1:
        return None
    truth = ratios[changes[0]]
    turns = record.crossings or record.possible
    return any((one.low or 0) <= truth <= (one.high or np.inf) for one in turns)


@pytest.mark.slow
def test_intervals_cover_what_is_true_and_are_as_narrow_as_grades_allow():
    covered, turns, widths = [], [], {4.0: [], None: []}
    for seed in range(24):
        for graded, found in [*widths.items()][: 1 if seed else 2]:
            curves = fitted(graded=graded, seed=700 + seed, noise=0.01)
            for method, seeds, ratio in product(METHODS, (32, 64), (4.0, 16.0, 64.0)):
                _, drawn = curves.accuracy(seeds, method, np.array([ratio]))
                low, high = np.quantile(drawn[:, 0], [0.025, 0.975])
                found.append(high - low)
                if graded:
                    covered.append(low <= true_accuracy(method, seeds, ratio) <= high)
            if graded and seed < 4:
                # What stands on the fit takes it.
                records = find_crossovers([curves], CrossoverSettings(confidence=0.95)).crossovers
                turns += [crossing_is_covered(one) for one in records]
                for entry in advise(curves, 64, 64 * 16).alone:
                    covered.append(entry.low <= true_accuracy(entry.method, 64, 16) <= entry.high)
    # All of a study's accuracies share its items' luck: of some, few are covered.
    assert 0.85 <= np.mean(covered) <= 1
    known = [one for one in turns if one is not None]
    assert len(known) >= 8
    assert np.mean(known) >= 0.85
    assert np.mean(widths[4.0][:18]) < 0.75 * np.mean(widths[None])


def test_the_report_says_that_a_judge_gave_the_grades_and_how_far_it_agrees(tmp_path):
    file = written(tmp_path / "one", "new_question", ["0.2", "0.8"])
    record = EvaluationRecord.read(file)
    given = {name: getattr(record, name) for name in record.model_fields_set}
    given["counts"] = {"judge_queries": 3, "judge_unreadable": 1, "training_rows": 20, "steps": 90}
    for agreement, said in (
        (None, "no labels say how far it can be trusted"),
        (Agreement(labels=50, unreadable=0, kappa=0.71), "with 50 labels by hand is 0.71"),
    ):
        judged = Judged(judge="critic", asked_again=1, unreadable=1, agreement=agreement)
        EvaluationRecord(**given | {"judged": judged}).write(file)
        collect([file], lambda _: None).write_parquet(tmp_path / "cells.parquet")
        (line,) = cautions(tmp_path / "cells.parquet")
        assert line.startswith("Accuracies of essays are mean grades that a judge gave; 1 of its")
        assert "verdicts on 2 answers could not be read" in line
        assert said in line
