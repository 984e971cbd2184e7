"""A simulated study, run through every script from its evaluations to its report."""

from __future__ import annotations

import polars as pl
from analysis_simulation import METHODS, shipped_contrasts, write_evaluations

import check_findings
import collect_results
import compare_methods
import find_crossovers
import fit_decay
import write_report
from plot import plot
from seedbed.analysis.report.charts.files import figure_output
from seedbed.analysis.settings import (
    AugmenterSettings,
    CompareSettings,
    CrossoverSettings,
    FitSettings,
    ModelPrice,
    PublishedShift,
    Title,
    Titles,
)

TITLES = Titles(
    {
        "answer_augmentation": Title(title="Answer augmentation", short="AA"),
        "question_rephrase": Title(title="Question rephrase", short="QR"),
        "new_question": Title(title="New question", short="NQ"),
        "mini_math": Title(title="Word <b>problems</b> & more"),
    }
)

PRICES = {
    "mini_teacher": ModelPrice(
        usd_per_million_prompt_tokens=0.5, usd_per_million_completion_tokens=2.0
    )
}

PUBLISHED = [PublishedShift(source="somewhere", seeds=24, low=5, high=9)]


def output(figure, titles=TITLES):
    """Where a figure goes."""
    return figure_output("scripts/plot.py", "fake", figure, titles)


def write_dataset(folder):
    """A dataset of rows that a model wrote, some of them long."""
    path = folder / f"datasets/task=mini_math/method={METHODS[2]}/budget=9/dataset.parquet"
    path.parent.mkdir(parents=True)
    rows = [(f"How many? <img src=x> {n}", "x" * 400 * n) for n in range(5)]
    pl.DataFrame(rows, schema=["question", "answer"], orient="row").write_parquet(path)
    return path


def run_script(script, **options):
    """Run a script as its command line does."""
    script.job(script.Options(**options))


def run_all(folder, tables, titles=TITLES):
    """Run every script in order; return the folder."""
    paths = write_evaluations(*tables, folder / "evaluations")
    cells, items = folder / "tables/cells.parquet", folder / "tables/items.parquet"
    comparisons = folder / "tables/comparisons.csv"
    fits, draws = folder / "fits/decay.json", folder / "fits/draws.parquet"
    crossovers = folder / "fits/crossovers.json"
    findings = folder / "fits/findings.json"
    figures = [folder / "figures/accuracy.svg", folder / "figures/cost_effectiveness.svg"]
    tables = {"cells": cells, "item_scores": items}
    curves = {"fits": fits, "draws": draws}
    run_script(collect_results, evaluations=paths, **tables)
    settings = FitSettings(methods=METHODS, bootstrap_samples=100)
    run_script(fit_decay, settings=settings, **tables, **curves)
    made = {"csv": comparisons, "json": comparisons.with_suffix(".json")}
    run_script(
        compare_methods, settings=CompareSettings(methods=METHODS), **tables, **curves, **made
    )
    made = {"csv": crossovers.with_suffix(".csv"), "json": crossovers}
    run_script(find_crossovers, settings=CrossoverSettings(), prices=PRICES, **curves, **made)
    asked = {"settings": AugmenterSettings(), "contrasts": shipped_contrasts(), "prices": PRICES}
    run_script(check_findings, json=findings, **tables, **curves, **asked)
    plot("accuracy", output(figures[0], titles), **curves, **tables)
    leads = {"comparisons": comparisons, "crossovers": crossovers, "published": PUBLISHED}
    plot("cost_effectiveness", output(figures[1], titles), **curves, **leads)
    run_script(
        write_report,
        study="fake",
        description="What <script>alert(1)</script> is best?",
        remarks=["The student is <small>."],
        cells=cells,
        findings=findings,
        examples=[write_dataset(folder)],
        figures=figures,
        charts=[figure.with_suffix(".vl.json") for figure in figures],
        titles=titles,
        prices=PRICES,
        summary=folder / "report/summary.txt",
        page=folder / "report/index.html",
        **curves,
        **leads,
    )
    return folder
