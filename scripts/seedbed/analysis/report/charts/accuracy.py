"""Chart: accuracy against budget, for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl

from seedbed.analysis.curves import Curves, FitsRecord, read_curves
from seedbed.analysis.report import figure_sentences
from seedbed.analysis.report.charts.drawing import (
    COLUMNS,
    CROSS,
    Axis,
    Content,
    Layers,
    Methods,
    Row,
    Section,
    apart,
    dashes,
    interval,
    layer,
    log_limits,
    measured,
    panel,
    panel_width,
    percent,
    ratio_axis,
    sheet,
    tooltips,
    value_axis,
)
from seedbed.analysis.report.charts.places import all_methods, by_place, with_curves
from seedbed.analysis.settings import Titles
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS, Outcomes, mean_accuracy, read_outcomes

SEED_ONLY, HUMAN = "seed_only", "human"
"""Baselines of real data: the seed set itself, and as many pairs as `seeds` of their cells."""

SCHEMA = pl.Schema(
    {
        **GROUP_COLUMNS,
        "seeds": pl.Int64,
        "kind": pl.String,
        "method": pl.String,
        "budget_ratio": pl.Float64,
        "budget": pl.Float64,
        "accuracy": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
)
"""Columns of the table. `kind` is "cell", "curve", "untrained", or "real" for baselines of real
pairs, whose `budget` is the number of pairs."""

_OF_CELL = ("method", "budget_ratio", "accuracy", "low", "high")

_LINES = {"untrained": "Base model", SEED_ONLY: "Seeds alone"}
"""Labels of the horizontal lines of a panel."""


def tabulate(fits: Path, draws: Path, cells: Path, item_scores: Path) -> Content:
    """Return the accuracies of cells, curves and baselines."""
    outcomes = read_outcomes(cells, item_scores)
    return content(read_curves(fits, draws), outcomes, FitsRecord.read(fits).settings.confidence)


def content(fits: Sequence[Curves], outcomes: Mapping[str, Outcomes], confidence: float) -> Content:
    """Return the accuracies of cells and curves, and of the baselines of each task's outcomes."""
    fits = with_curves(fits)
    rows: list[Row] = []
    for fit in fits:
        real = _real_pairs(outcomes[fit.group.task], fit.group.student, confidence)
        for seeds in fit.seeds:
            place = asdict(fit.group) | {"seeds": seeds}
            found = [*accuracies(fit, seeds, confidence), *_real_rows(real, fit, seeds)]
            rows += [place | row for row in found]
    return Content(pl.DataFrame(rows, schema=SCHEMA), all_methods(fits), confidence)


def accuracies(fit: Curves, seeds: int, confidence: float) -> list[Row]:
    """Return rows of the cells and curves of a seed-set size, without the columns of the place."""
    rows: list[Row] = []
    if baseline := fit.record.untrained:
        rows.append(
            {"kind": "untrained"} | {n: getattr(baseline, n) for n in ("accuracy", "low", "high")}
        )
    for method in fit.methods:
        cells = fit.cells(seeds, method)
        if not cells:
            continue
        rows += [
            {name: getattr(cell, name) for name in _OF_CELL}
            | {"kind": "cell", "budget": float(cell.budget)}
            for cell in cells
        ]
        known = [cell.budget_ratio for cell in cells]
        ratios = np.geomspace(min(known), max(known), 101)
        curve = fit.accuracy(seeds, method, ratios)
        low, high = curve.interval(confidence)
        rows += [
            {"kind": "curve", "method": method, "budget_ratio": ratio, "budget": ratio * seeds}
            | {"accuracy": value, "low": bottom, "high": top}
            for ratio, value, bottom, top in zip(ratios, curve.centre, low, high, strict=True)
        ]
    return rows


def _real_pairs(outcomes: Outcomes, student: str, confidence: float) -> list[Row]:
    """Return a student's baselines of real data, as means over replicates."""
    cells = outcomes.cells.with_row_index("row").filter(
        pl.col("student") == student, pl.col("method").is_in([SEED_ONLY, HUMAN])
    )
    return [
        {"method": method, "pairs": pairs}
        | dict(mean_accuracy(outcomes, part["row"].to_list(), confidence))
        for (method, pairs), part in cells.sort("method", "seeds").group_by(
            "method", "seeds", maintain_order=True
        )
    ]


def _real_rows(real: Sequence[Row], fit: Curves, seeds: int) -> list[Row]:
    """Return the baselines of real data within the budget ratios of a seed-set size."""
    low, high = log_limits(cell.budget_ratio for cell in fit.cells(seeds))
    return [
        {name: record[name] for name in ("method", "accuracy", "low", "high")}
        | {"kind": "real", "budget_ratio": ratio, "budget": float(record["pairs"])}
        for record in real
        for ratio in [record["pairs"] / seeds]
        if (record["method"] == SEED_ONLY and ratio == 1)
        or (record["method"] == HUMAN and low <= ratio <= high)
    ]


def chart(content: Content, titles: Titles, missing: str = "") -> alt.VConcatChart:
    """Return a chart with a panel for each task (with its models and filter) and seed-set size.

    Points are cell means with intervals for the noise of test items. Lines are curves with bands.
    Horizontal lines are students without synthetic data. Crosses are students trained on as many
    real pairs as there are teacher queries.
    """
    rows = content.rows()
    methods = Methods(content.methods, titles)
    kinds = [_line(row) for row in rows]
    labels = [label for kind, label in _LINES.items() if kind in kinds]
    sections = []
    for _, title, part in by_place(rows, titles):
        sizes = sorted({row["seeds"] for row in part})
        columns = min(COLUMNS, len(sizes))
        width = panel_width(columns, 0, 60)
        reach = [percent(row[end]) for row in part for end in ("low", "high", "accuracy")]
        panels = []
        for index, seeds in enumerate(sizes):
            of_size = [row for row in part if row["seeds"] == seeds]
            y = value_axis(reach, "accuracy, %", labels=index % columns == 0)
            layers = accuracy_layers(of_size, methods, y, labels)
            panels.append(panel(layers, f"{seeds:,} seeds", width))
        sections.append(Section(title, panels, columns))
    notes = [figure_sentences.REAL_DATA] if any(row["method"] == HUMAN for row in rows) else []
    return sheet(sections, [*notes, missing])


def _line(row: Row) -> str | None:
    return row["kind"] if row["kind"] == "untrained" else row["method"]


def accuracy_layers(
    rows: Sequence[Row], methods: Methods, y: Axis, labels: Sequence[str]
) -> Layers:
    """Return the layers of a panel: horizontal lines, cells and curves, and real data."""
    seeds = rows[0]["seeds"]
    order = [name for name in methods.names if any(row["method"] == name for row in rows)]
    drawn = [
        {
            "Method": methods.names.get(row["method"], "Real data"),
            "curve": row["kind"] == "curve",
            "ratio": row["budget_ratio"],
            "at": row["budget_ratio"] * apart(order.index(row["method"]), len(order))
            if row["kind"] == "cell"
            else row["budget_ratio"],
            "budget": row["budget"],
            "value": percent(row["accuracy"]),
            "low": percent(row["low"]),
            "high": percent(row["high"]),
            "interval": interval(percent(row["low"]), percent(row["high"])),
            "line": _LINES.get(_line(row) or "") if row["kind"] in ("untrained", "real") else None,
        }
        for row in rows
    ]
    cells = [one for row, one in zip(rows, drawn, strict=True) if row["kind"] == "cell"]
    x = ratio_axis((row["ratio"] for row in cells), seeds, (row["at"] for row in cells))
    shown = tooltips(
        ("Method", "method", None),
        ("ratio", "budget ratio", ".3~r"),
        ("budget", "queries", ",.0f"),
        ("value", "accuracy, %", ".1f"),
        ("interval", "interval", None),
    )
    across = [row for row in drawn if row["line"]]
    crosses = [row for row in drawn if row["Method"] == "Real data" and not row["line"]]
    series = [row for row in drawn if row["Method"] in methods.names.values()]
    layers = measured(series, methods, x, y, shown)
    if across:
        rule = layer(across, "rule", style="ink", strokeWidth=1.2)
        said = tooltips(("line", "line", None), ("value", "accuracy, %", ".1f"))
        layers.append(rule.encode(y=y("value"), strokeDash=dashes("line", labels, 1), tooltip=said))
    if crosses:
        bar = layer(crosses, "rule", style="ink", strokeWidth=1.2)
        layers.append(bar.encode(x=x("at"), y=y("low"), y2=alt.Y2("high:Q")))
        point = layer(crosses, "point", style="ink", shape=CROSS, size=80, strokeWidth=2)
        layers.append(point.encode(x=x("at"), y=y("value"), tooltip=shown))
    return layers
