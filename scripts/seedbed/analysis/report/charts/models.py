"""Figure: accuracy against budget for several students or teachers, and their crossovers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from seedbed.analysis.curves.fits import Fit
from seedbed.analysis.decide.crossovers import ratio_text
from seedbed.analysis.report.charts import accuracy
from seedbed.analysis.report.charts.drawing import (
    COLUMNS,
    Output,
    Section,
    add_legend,
    all_methods,
    colour,
    label_rows,
    marker,
    place_titles,
    save_figure,
    set_ratio_axis,
    sheet,
    shown_crossovers,
    text_colour,
    wrap_title,
)
from seedbed.analysis.settings import Titles
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA = pl.Schema({**accuracy.SCHEMA, "reference": pl.String, "status": pl.String})
"""Columns of the figure's table: those of the figure of accuracy, and rows of the `kind`
"crossover", whose `low` and `high` are budget ratios (null beyond the data). Their `status` is that
of `find_crossovers`; a pair of methods without a crossover has a row without numbers."""


def plot_models(
    fits: Sequence[Fit],
    crossovers: Sequence[Mapping[str, Any]],
    role: Literal["student", "teacher"],
    confidence: float,
    output: Output,
) -> None:
    """Draw a panel for each model, and one with the crossovers of all, as SVG, PNG and CSV.

    There is a row of panels for each task and seed-set size for which two models or more were
    measured with all else equal.

    Args:
        fits: the fits.
        crossovers: records of `find_crossovers`.
        role: the part of the models that are compared.
        confidence: coverage of the intervals.
        output: where the figure goes.
    """
    parts = _parts(fits, role)
    methods = all_methods(fits)
    others = [name for name in ("student", "teacher", "augmenter", "filter") if name != role]
    titles = place_titles([part[0].record for _, part in parts], output.titles, others)
    sections = [
        Section(f"{title}: {seeds:,} seeds", len(part) + 1, min(COLUMNS, len(part) + 1))
        for title, (seeds, part) in zip(titles, parts, strict=True)
    ]
    rows: list[dict[str, Any]] = []
    nothing = f"no two {role}s have been measured with all else equal"
    with sheet(sections, output.missing, nothing) as (figure, panels):
        for section, (seeds, part), (*each, last) in zip(sections, parts, panels, strict=True):
            for fit, axes in zip(part, each, strict=True):
                place = {name: fit.record[name] for name in GROUP_COLUMNS} | {"seeds": seeds}
                drawn = accuracy.draw_panel(axes, fit, seeds, methods, confidence)
                set_ratio_axis(axes, fit, seeds)
                model = output.titles.title(fit.record[role])
                axes.set_title(wrap_title(model, section.columns))
                axes.set_ylabel("accuracy, %")
                found = shown_crossovers(fit, seeds, crossovers)
                rows += [place | row for row in (*drawn, *_crossover_rows(found))]
            _draw_crossovers(last, seeds, part, crossovers, role, methods, output.titles)
            # The models' panels are compared by height, so they have one scale.
            limits = [axes.get_ylim() for axes in each]
            for axes in each:
                axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        if parts:
            untrained = any(row["kind"] == "untrained" for row in rows)
            add_legend(figure, *accuracy.legend(methods, output.titles, untrained))
        save_figure(figure, output, pl.DataFrame(rows, schema=SCHEMA), f"By {role}")


def _parts(fits: Sequence[Fit], role: str) -> list[tuple[int, list[Fit]]]:
    """Return seed-set sizes, each with fits that have it and that differ in the role alone."""
    found: dict[tuple[Any, ...], list[Fit]] = {}
    for fit in fits:
        others = tuple(fit.record[name] for name in GROUP_COLUMNS if name != role)
        for seeds in fit.seeds:
            found.setdefault((*others, seeds), []).append(fit)
    return [(key[-1], part) for key, part in sorted(found.items()) if len(part) > 1]


def _crossover_rows(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for record in records:
        base = {name: record[name] for name in ("method", "reference", "status")}
        base |= {"kind": "crossover"}
        rows += [
            base | {name: crossing[name] for name in ("budget_ratio", "budget", "low", "high")}
            for crossing in record["crossings"]
        ] or [base]
    return rows


def _draw_crossovers(
    axes: Axes,
    seeds: int,
    fits: Sequence[Fit],
    crossovers: Sequence[Mapping[str, Any]],
    role: str,
    methods: Sequence[str],
    titles: Titles,
) -> None:
    """Draw the crossovers with the first method: a row for each model, a colour for each method."""
    ratios = [cell["budget_ratio"] for fit in fits for cell in fit.cells(seeds)]
    first, last = min(ratios), max(ratios)
    widest = max(fits, key=lambda fit: len({c["budget_ratio"] for c in fit.cells(seeds)}))
    set_ratio_axis(axes, widest, seeds)
    for number, fit in enumerate(fits):
        records = shown_crossovers(fit, seeds, crossovers)
        crossings = [(record, found) for record in records for found in record["crossings"]]
        for index, (record, found) in enumerate(crossings):
            height = number + 0.3 * (index - (len(crossings) - 1) / 2) / max(1, len(crossings) / 3)
            paint = colour(methods, record["method"])
            # Open where it reaches beyond what was measured of this model.
            low = record["range"][0] if found["low"] is None else found["low"]
            high = record["range"][1] if found["high"] is None else found["high"]
            axes.plot([low, high], [height, height], color=paint, linewidth=1.2)
            axes.plot(
                found["budget_ratio"],
                height,
                marker=marker(methods, record["method"]),
                color=paint,
                markersize=6,
            )
            axes.annotate(
                ratio_text(found["budget_ratio"]),
                (found["budget_ratio"], height),
                xytext=(0, 5),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=text_colour(paint),
            )
        if not crossings:
            middle = np.sqrt(first * last)
            axes.text(middle, number, "none", ha="center", va="center", fontsize=9)
    reference = titles.short(fits[0].methods[0])
    axes.set_title(wrap_title(f"Crossover with {reference}, at BR", COLUMNS))
    label_rows(axes, [titles.title(fit.record[role]) for fit in fits])
