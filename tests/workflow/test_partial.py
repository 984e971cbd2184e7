"""A run that ended half-way: what there is is drawn, and each figure says what is missing."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import polars as pl
import pytest

NOTE = "3 of 13 cells are missing: question_rephrase at BR 8 (2), new_question at BR 1 (1)."
GONE = (
    "method=question_rephrase/*/*/*/*/*/budget=64/*/",
    "method=question_rephrase/*/*/*/*/*/budget=128/*/",
    "method=new_question/*/*/*/*/*/budget=16/*/",
)


@pytest.fixture(scope="module")
def stopped(finished, tmp_path_factory):
    """A copy of the finished study without three of its evaluations."""
    clone = finished.copy(tmp_path_factory.mktemp("stopped") / "project")
    return clone.without(*(f"evaluations/*/{pattern}evaluation.json" for pattern in GONE))


def words(path):
    return " ".join(" ".join(ElementTree.parse(path).getroot().itertext()).split())


def test_all_that_is_there_is_drawn_and_the_rest_is_named(stopped):
    done = stopped.snakemake("all", partial="true")
    assert done.returncode == 0, done.stdout
    figures = stopped.results("figures/*.svg")
    assert len(figures) == 8
    for path in figures:
        assert NOTE in words(path), path
    assert NOTE in stopped.results("report/summary.txt")[0].read_text()
    assert NOTE in stopped.results("report/index.html")[0].read_text()
    assert pl.read_parquet(stopped.results("tables/cells.parquet")[0]).height == 10
    drawn = pl.read_csv(stopped.results("figures/accuracy.csv")[0])
    cells = drawn.filter(pl.col("kind") == "cell")
    assert set(cells.filter(pl.col("method") == "question_rephrase")["budget"]) == {16.0}
    # The same again has nothing to do; and without it, the three and all that they change are made.
    assert "Nothing to be done" in stopped.snakemake("all", partial="true").stdout
    plan = stopped.plan()
    assert plan["evaluate_student"] == 3 and plan["collect_results"] == 1
    assert {name: plan[name] for name in plan if name.startswith(("plot_", "write_r"))} == {
        "write_report": 1,
        **{f"plot_{path.stem}": 1 for path in figures},
    }


def test_what_changed_upstream_does_not_matter_to_a_partial_run(stopped):
    edit = "learning_rate: 2.0e-3", "learning_rate: 1.0e-3"
    with stopped.edited("config/studies/micro.yaml", *edit):
        assert "Nothing to be done" in stopped.snakemake("all", partial="true").stdout


def test_a_study_without_any_result_has_figures_that_say_so(stopped):
    done = stopped.snakemake("all", partial="true", study="demo")
    assert done.returncode == 0, done.stdout
    figures = sorted((stopped.folder / "results/demo/figures").glob("*.svg"))
    assert len(figures) == 7
    for path in figures:
        assert "Nothing to draw" in words(path)
        assert "27 of 27 cells are missing" in words(path)
        assert path.with_suffix(".csv").read_text().count("\n") == 1
    summary = (stopped.folder / "results/demo/report/summary.txt").read_text()
    assert re.search(r"27 of 27 cells are\s+missing", summary)


def test_a_figure_that_the_study_cannot_fill_says_so(stopped):
    target = "results/micro/figures/teachers.svg"
    done = stopped.snakemake(target, partial="true")
    assert done.returncode == 0, done.stdout
    assert "no two teachers have been measured" in words(stopped.folder / target)
