"""A simulated study, run through every script from its evaluations to its report."""

from __future__ import annotations

import polars as pl
from analysis_simulation import METHODS, shipped_contrasts, write_evaluations

from check_findings import check_findings
from collect_results import collect_results
from compare_methods import compare_methods
from find_crossovers import find_crossovers
from fit_decay import fit_decay
from plot import plot
from seedbed.analysis.report.charts.files import figure_output
from seedbed.analysis.settings import (
    AugmenterSettings,
    CompareSettings,
    CrossoverSettings,
    FitSettings,
    PublishedShift,
    Title,
    Titles,
)
from write_report import write_report

TITLES = Titles(
    {
        "answer_augmentation": Title(title="Answer augmentation", short="AA"),
        "question_rephrase": Title(title="Question rephrase", short="QR"),
        "new_question": Title(title="New question", short="NQ"),
        "mini_math": Title(title="Word <b>problems</b> & more"),
    }
)

PRICES = {
    "mini_teacher": {
        "usd_per_million_prompt_tokens": 0.5,
        "usd_per_million_completion_tokens": 2.0,
    }
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


def run_all(folder, tables, titles=TITLES):
    """Run every script in order; return the folder."""
    paths = write_evaluations(*tables, folder / "evaluations")
    cells, items = folder / "tables/cells.parquet", folder / "tables/items.parquet"
    comparisons = folder / "tables/comparisons.csv"
    fits, draws = folder / "fits/decay.json", folder / "fits/draws.parquet"
    crossovers = folder / "fits/crossovers.json"
    figures = [folder / "figures/accuracy.svg", folder / "figures/cost_effectiveness.svg"]
    collect_results(paths, cells, items)
    settings = FitSettings(methods=METHODS, bootstrap_samples=100)
    fit_decay(cells, items, settings, fits, draws)
    compare_methods(
        cells,
        items,
        fits,
        draws,
        CompareSettings(methods=METHODS),
        comparisons,
        comparisons.with_suffix(".json"),
    )
    settings, csv = CrossoverSettings(), crossovers.with_suffix(".csv")
    find_crossovers(fits, draws, settings, PRICES, crossovers, csv)
    findings = folder / "fits/findings.json"
    contrasts = shipped_contrasts()
    check_findings(cells, items, fits, draws, AugmenterSettings(), contrasts, PRICES, findings)
    curves = {"fits": fits, "draws": draws}
    plot("accuracy", output(figures[0], titles), **curves, cells=cells, item_scores=items)
    leads = {"comparisons": comparisons, "crossovers": crossovers, "published": PUBLISHED}
    plot("cost_effectiveness", output(figures[1], titles), **curves, **leads)
    write_report(
        "fake",
        "What <script>alert(1)</script> is best?",
        ["The student is <small>."],
        "",
        cells,
        fits,
        draws,
        comparisons,
        crossovers,
        findings,
        [write_dataset(folder)],
        figures,
        [figure.with_suffix(".vl.json") for figure in figures],
        titles,
        PRICES,
        PUBLISHED,
        folder / "report/summary.txt",
        folder / "report/index.html",
    )
    return folder
