"""Advice from a table of runs of any generator, with the files and the page of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from seedbed.analysis.curves import Curves, curves_from, fit_curves, noise_between_runs
from seedbed.analysis.decide import crossovers
from seedbed.analysis.report.page import FILES, filling
from seedbed.analysis.report.page.explorer import explorer_data
from seedbed.analysis.report.sentences import INTERVALS_UNPAIRED
from seedbed.analysis.report.summary import Report, summarise
from seedbed.analysis.settings import CrossoverSettings, FitSettings, Titles
from seedbed.analysis.tables.comparisons import compare_methods
from seedbed.analysis.tables.own_results import Run, notes_on, outcomes_of
from seedbed.artifacts import replacing, write_text
from seedbed.provenance import provenance


def fit_own_results(
    name: str, runs: Sequence[Run], settings: FitSettings, titles: Titles, folder: Path
) -> list[Curves]:
    """Fit the curves of a table of runs, and write the tables, the fits and the page.

    Args:
        name: name of the table on the page.
        runs: its rows.
        settings: settings of the fit.
        titles: titles of methods.
        folder: folder to write `tables/`, `fits/` and `report/index.html` to, as for a study.

    Returns:
        The fits, one per task.
    """
    outcomes = outcomes_of(runs)
    record, draws = fit_curves(outcomes, settings)
    fits = curves_from(record, draws)
    compared = compare_methods(outcomes, settings, noise_between_runs(fits))
    crossed = crossovers.find_crossovers(
        fits, CrossoverSettings(confidence=settings.confidence), {}
    )
    report = Report(
        study=name,
        description="",
        remarks=(),
        missing="",
        intervals=INTERVALS_UNPAIRED.format(coverage=100 * settings.confidence),
        fits=summarise(
            fits,
            compared,
            [*crossed.crossovers, *crossed.costs],
            titles,
            settings.confidence,
            (),
        ),
        findings=(),
        cautions=tuple(notes_on(runs)),
        kind="table",
    )
    made = provenance(__file__, FILES)
    explorer = explorer_data(fits, titles, settings.confidence, {})
    text = filling.page(report, explorer, [], [], settings.confidence, made, tables=_TABLES)
    cells = [outcomes[task].cells for task in outcomes]
    for place, table in (
        ("tables/cells.csv", pl.concat(cells)),
        ("tables/comparisons.csv", compared),
        ("fits/crossovers.csv", crossovers.crossover_table(crossed)),
    ):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder / place) as temporary:
            table.write_csv(temporary)
    record.model_copy(update={"provenance": made}).write(folder / "fits/decay.json")
    write_text(folder / "report/index.html", text)
    return fits


_TABLES = {path: about for path, about in filling.TABLES.items() if "findings" not in path}
