"""The findings of a study, fit by fit, as text for the terminal and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from seedbed.analysis.curves import Curves
from seedbed.analysis.decide.advise import advise
from seedbed.analysis.decide.contrasts import ContrastRecord
from seedbed.analysis.decide.crossovers import AMOUNTS, Crossover
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.charts.places import group_titles
from seedbed.analysis.settings import PublishedShift, Titles, published_for
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS
from seedbed.config.words import NONE

COMPARED = {"budget_ratio": "queries", **AMOUNTS}
"""Measures at which two methods are compared when equal: queries, or one of the costs."""


@dataclass(frozen=True)
class Row:
    """A method's row in the table of accuracies.

    Attributes:
        title: title of the method.
        short: its short title.
        cells: accuracies as text, "" where none was measured.
        best: for each cell, whether it is the best of its column or statistically tied with it.
    """

    title: str
    short: str
    cells: tuple[str, ...]
    best: tuple[bool, ...]

    @property
    def name(self) -> str:
        """Title and short title."""
        return self.title if self.short in ("", self.title) else f"{self.title} ({self.short})"


@dataclass(frozen=True)
class Crossovers:
    """A row of the page's table of crossovers: two methods at one seed-set size.

    Attributes:
        pair: short titles of the two methods.
        cells: clauses for each measure in `COMPARED`.
        published: published crossovers from the first method.
    """

    pair: str
    cells: tuple[tuple[str, ...], ...]
    published: tuple[str, ...]


@dataclass(frozen=True)
class SizeSummary:
    """The summary of one seed-set size.

    Attributes:
        seeds: seed-set size.
        columns: heads of the table's columns, one for each budget.
        rows: rows of the table.
        differences: sentences on the paired differences at the lowest and the highest budget.
        crossovers: sentences on the crossovers with the first method.
        pairs: crossovers of every two methods.
        advice: which method to use, as one paragraph.
    """

    seeds: int
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    differences: tuple[str, ...]
    crossovers: tuple[str, ...]
    pairs: tuple[Crossovers, ...]
    advice: str


@dataclass(frozen=True)
class FitSummary:
    """The summary of one fit: a task with its models and filter.

    Attributes:
        title: the task, and the coordinates that distinguish this fit from the study's others.
        setting: student, teacher, augmenter, filter and number of test items, as one line.
        base: accuracy of the base model as text, or "".
        model: sentences on the noise, on cells far below their curve, and on intervals.
        sizes: one summary for each seed-set size.
    """

    title: str
    setting: str
    base: str
    model: str
    sizes: tuple[SizeSummary, ...]


@dataclass(frozen=True)
class Finding:
    """A contrast and its tests in this study.

    Attributes:
        number: number of the contrast.
        text: subject of the contrast.
        tests: one sentence for each test.
    """

    number: int
    text: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """The report of a study.

    Attributes:
        study: name of the study, or of the table.
        description: question of the study, or "".
        remarks: remarks for the reader.
        missing: a line on missing results, or "".
        intervals: sentences on what the intervals cover.
        fits: summaries of the fits.
        findings: the contrasts that were tested.
        cautions: warnings about the trainings.
        kind: whether `study` names a study or a table.
    """

    study: str
    description: str
    remarks: tuple[str, ...]
    missing: str
    intervals: str
    fits: tuple[FitSummary, ...]
    findings: tuple[Finding, ...]
    cautions: tuple[str, ...] = ()
    kind: Literal["study", "table"] = "study"


def summarise(
    fits: Sequence[Curves],
    comparisons: pl.DataFrame,
    crossovers: Sequence[Crossover],
    titles: Titles,
    confidence: float,
    published: Sequence[PublishedShift] = (),
) -> tuple[FitSummary, ...]:
    """Return the summaries of all fits.

    Args:
        fits: the fits.
        comparisons: table of `compare_methods`.
        crossovers: records of `find_crossovers`, by queries and by cost.
        titles: titles of methods, tasks and models.
        confidence: coverage of the intervals.
        published: published crossovers.
    """
    return tuple(
        _fit(fit, title, comparisons, crossovers, titles, confidence, published)
        for fit, title in zip(fits, group_titles(fits, titles), strict=True)
    )


def findings_of(records: Sequence[ContrastRecord], titles: Titles) -> tuple[Finding, ...]:
    """Return the contrasts that were tested, from the records of `check_findings`."""
    return tuple(
        Finding(
            record.finding,
            record.text,
            tuple(
                f"{titles.title(test.task)}, {titles.title(test.student)}: "
                f"{say.contrast_text(test)}"
                for test in record.tests
            ),
        )
        for record in records
        if record.tests
    )


def _fit(
    fit: Curves,
    title: str,
    comparisons: pl.DataFrame,
    crossovers: Sequence[Crossover],
    titles: Titles,
    confidence: float,
    published: Sequence[PublishedShift],
) -> FitSummary:
    record = fit.record
    base = record.untrained
    setting = [
        f"student {titles.title(record.student)}",
        f"teacher {titles.title(record.teacher)}",
        f"augmenter {titles.title(record.augmenter)}",
    ]
    if record.student == NONE:
        # A table of runs names no models.
        setting = ["models not named"]
    setting += [f"filter {record.filter}", f"{record.items:,} test items"]
    if record.clusters != record.items:
        setting.append(f"{record.clusters:,} clusters")
    paired = comparisons.filter(
        *(pl.col(name) == getattr(record.group, name) for name in GROUP_COLUMNS)
    )
    found = [one for one in crossovers if one.fit == record.fit]
    model = say.model_text(record)
    if paired.height:
        model += f" Intervals of differences cover the noise of {paired['noise'][0]}."
    return FitSummary(
        title=title,
        setting=", ".join(setting),
        base=say.accuracy_text(base) if base else "",
        model=model,
        sizes=tuple(
            _size(
                fit,
                seeds,
                paired.filter(pl.col("seeds") == seeds),
                [one for one in found if one.seeds == seeds],
                titles,
                confidence,
                published,
            )
            for seeds in fit.seeds
        ),
    )


def _size(
    fit: Curves,
    seeds: int,
    paired: pl.DataFrame,
    crossovers: Sequence[Crossover],
    titles: Titles,
    confidence: float,
    published: Sequence[PublishedShift],
) -> SizeSummary:
    budgets = sorted({cell.budget for cell in fit.cells(seeds)})
    first = paired.filter(pl.col("reference") == fit.methods[0])
    ends = first.filter(
        pl.col("budget").is_in([first["budget"].min(), first["budget"].max()])
    ).sort("budget", maintain_order=True)
    return SizeSummary(
        seeds=seeds,
        columns=tuple(f"BR {budget / seeds:.3g}" for budget in budgets),
        rows=_rows(fit, seeds, budgets, paired, titles, confidence),
        differences=tuple(
            say.difference_text(row, titles.short) for row in ends.iter_rows(named=True)
        ),
        crossovers=tuple(
            say.crossover_text(one, titles.short)
            for one in _worth_saying(fit.methods[0], crossovers)
        ),
        pairs=_pairs(fit, seeds, crossovers, titles, published),
        advice=_advice(fit, seeds, budgets, titles, confidence),
    )


def _rows(
    fit: Curves,
    seeds: int,
    budgets: Sequence[int],
    paired: pl.DataFrame,
    titles: Titles,
    confidence: float,
) -> tuple[Row, ...]:
    accuracy = {(cell.method, cell.budget): cell.accuracy for cell in fit.cells(seeds)}
    apart = {
        (budget, frozenset(pair))
        for budget, p, *pair in paired.select("budget", "p_holm", "reference", "method").rows()
        if p is not None and p < 1 - confidence
    }
    leading = {}
    for budget in budgets:
        values = {method: value for (method, at), value in accuracy.items() if at == budget}
        best = max(values, key=lambda method: values[method])
        tied = {one for one in values if (budget, frozenset((best, one))) not in apart}
        # If all methods are tied, or only one was measured, none is marked as the best.
        leading[budget] = tied if len(tied) < len(values) else set()
    return tuple(
        Row(
            titles.title(method),
            titles.short(method),
            tuple("" if value is None else say.percent(value) for value in values),
            tuple(method in leading[budget] for budget in budgets),
        )
        for method in fit.methods
        for values in [[accuracy.get((method, budget)) for budget in budgets]]
    )


def _worth_saying(reference: str, records: Sequence[Crossover]) -> list[Crossover]:
    """Return the crossovers with a method, except by costs where nothing can be compared."""
    found = [record for record in records if record.reference == reference]
    apart = {
        record.method
        for record in found
        if (record.measure, record.status) == ("budget_ratio", "too_few_budgets")
    }
    return [
        record
        for record in found
        if record.measure == "budget_ratio"
        or record.method not in apart
        or record.status not in ("too_few_budgets", "unknown")
    ]


def _pairs(
    fit: Curves,
    seeds: int,
    records: Sequence[Crossover],
    titles: Titles,
    published: Sequence[PublishedShift],
) -> tuple[Crossovers, ...]:
    pairs: dict[tuple[str, str], dict[str, Crossover]] = {}
    for record in records:
        pair = (record.reference, record.method)
        pairs.setdefault(pair, {})[record.measure] = record
    others = published_for(published, fit.record.student, seeds)
    return tuple(
        Crossovers(
            f"{titles.short(reference)} and {titles.short(method)}",
            tuple(
                tuple(say.crossover_clauses(found[measure], titles.short))
                if measure in found
                else (say.NONE,)
                for measure in COMPARED
            ),
            # Published crossovers name only the first method.
            tuple(map(say.published_text, others if reference == fit.methods[0] else ())),
        )
        for (reference, method), found in pairs.items()
    )


def _advice(
    fit: Curves, seeds: int, budgets: Sequence[int], titles: Titles, confidence: float
) -> str:
    """Return which methods lead where, with advice at the lowest and the highest budget.

    Only budgets at which all methods were measured count. At others, a method could be the best
    only because the rest was not measured.
    """
    measured = {(cell.method, cell.budget) for cell in fit.cells(seeds)}
    shared = [b for b in budgets if all((method, b) in measured for method in fit.methods)]
    if not shared:
        return f"{seeds:,} seeds: {say.NOTHING_IN_COMMON}."
    leading = say.leaders_text(fit, seeds, titles.short, confidence)
    if not leading and len(shared) > 1:
        leading = say.NO_LEADER
    parts = [leading] if leading else []
    for budget in dict.fromkeys([shared[0], shared[-1]]):
        advice = advise(fit, seeds, budget, confidence, look_further=False)
        asked = say.queries_text(budget, seeds)
        buy, sure, _ = say.advice_sentences(advice, asked, titles.short)
        notes = say.advice_notes(replace(advice, cheaper=None, failed=()), titles.short)
        text = " ".join([buy, sure, *notes]).removesuffix(".")
        best = advice.best
        # An unmeasured mixture lacks the rows that its methods lack.
        parts_of = {best.method: 1.0} if best.measured else best.shares
        missing = sum(
            share * (cell.missing_rows or 0.0)
            for method, share in parts_of.items()
            for cell in fit.cells(seeds, method)
            if cell.budget == budget
        )
        if missing:
            text += f"; {say.missing_rows_text(missing)}"
        parts.append(text)
    first, *others = parts
    return " ".join([f"{seeds:,} seeds: {first}.", *(f"{say.capital(one)}." for one in others)])
