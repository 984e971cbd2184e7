"""Chart: the effect of training on verified answers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from seedbed.analysis.report import figure_sentences
from seedbed.analysis.report.charts.drawing import (
    COLUMNS,
    Axis,
    Content,
    Layers,
    Methods,
    Row,
    Section,
    apart,
    budget_axis,
    dashes,
    interval,
    layer,
    panel,
    panel_width,
    percent,
    says,
    sheet,
    tooltips,
    value_axis,
)
from seedbed.analysis.report.charts.measured import read_measured
from seedbed.analysis.report.charts.places import by_place
from seedbed.analysis.settings import CompareSettings, Titles
from seedbed.analysis.tables.comparisons import paired_difference
from seedbed.analysis.tables.outcomes import (
    NO_AUGMENTER,
    Group,
    Outcomes,
    groups,
    in_group,
    mean_accuracy,
    order_methods,
)
from seedbed.analysis.tables.replicates import ITEMS, Noise, RunNoise, noise_of
from seedbed.config.words import FILTERS, MATCHED, NONE, VERIFIED

_LABELS = {NONE: "all answers", VERIFIED: "verified answers", MATCHED: "verified, as many rows"}
_KINDS = ("accuracy", "difference", "kept")

PLACE = ("task", "student", "teacher", "augmenter", "seeds")

SCHEMA = pl.Schema(
    {
        **{name: pl.Int64 if name == "seeds" else pl.String for name in PLACE},
        "kind": pl.String,
        "method": pl.String,
        "filter": pl.String,
        "reference": pl.String,
        "budget": pl.Int64,
        "budget_ratio": pl.Float64,
        "replicates": pl.Int64,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "noise": pl.String,
    }
)
"""Columns of the table. `kind` is "accuracy"; "difference", of the method without a filter to the
`reference`, the first method with verified answers, paired by test item; or "kept", the training
rows per teacher query. `noise` names the noise that the interval covers."""


def tabulate(
    fits: Path, draws: Path, cells: Path, item_scores: Path, settings: CompareSettings
) -> Content:
    """Return accuracies by filter, differences between methods, and shares of rows kept."""
    outcomes, runs = read_measured(fits, draws, cells, item_scores)
    return content(outcomes, settings, runs)


def content(
    outcomes: Mapping[str, Outcomes], settings: CompareSettings, runs: Mapping[Group, RunNoise]
) -> Content:
    """Return the same from the outcomes of every task and the noise between training runs."""
    rows: list[Row] = []
    methods: list[str] = []
    for found in outcomes.values():
        ordered = order_methods(found.cells, settings.methods)
        methods += [method for method in ordered if method not in methods]
        parts = _parts(found, ordered, settings.confidence, runs)
        rows += [row for part in parts for row in part]
    table = pl.DataFrame(rows, schema=SCHEMA)
    lacking = {task: _short_of_rows(found.cells) for task, found in outcomes.items()}
    return Content(table, methods, settings.confidence, lacking)


def _short_of_rows(cells: pl.DataFrame) -> list[Row]:
    """Return the cells with fewer rows than without a filter."""
    if "missing_rows" not in cells.columns:
        return []
    short = cells.filter((pl.col("filter") == MATCHED) & (pl.col("missing_rows") > 0))
    columns = short.sort("task", "method", "budget").select(
        "task", "method", "budget", "missing_rows"
    )
    return columns.to_dicts()


def _parts(
    outcomes: Outcomes,
    methods: Sequence[str],
    confidence: float,
    runs: Mapping[Group, RunNoise],
) -> list[list[Row]]:
    """Return the rows of a task for each group and seed-set size with more than one filter.

    A method without an augmenter belongs to the groups of all augmenters. If only such methods have
    several filters, only the group with most cells is shown.
    """
    indexed = outcomes.cells.with_row_index("row")
    names = sorted(set(indexed["filter"]), key=_rank)
    found: dict[tuple[Any, ...], list[tuple[bool, int, list[Row]]]] = {}
    for group in dict.fromkeys(replace(group, filter="") for group in groups(outcomes.cells)):
        cells = pl.concat(indexed.filter(in_group(replace(group, filter=name))) for name in names)
        noise = noise_of(outcomes, cells, runs)
        for seeds in cells["seeds"].unique().sort():
            part = cells.filter(pl.col("seeds") == seeds)
            filters = part.group_by("method", "augmenter").agg(pl.col("filter").n_unique())
            several = filters.filter(pl.col("filter") > 1)["augmenter"].to_list()
            if not several:
                continue
            base = {name: getattr(group, name) for name in PLACE[:-1]} | {"seeds": seeds}
            place = (group.student, group.teacher, seeds)
            rows = _rows(outcomes, part, methods, confidence, base, noise)
            # Every group contains the cells without an augmenter.
            own = group.augmenter in several and group.augmenter != NO_AUGMENTER
            found.setdefault(place, []).append((own, part.height, rows))
    parts = []
    for of_place in found.values():
        shown = [rows for own, _, rows in of_place if own]
        parts += shown or [max(of_place, key=lambda entry: entry[1])[2]]
    return parts


def _rank(name: str) -> tuple[int, str]:
    return (FILTERS.index(name) if name in FILTERS else len(FILTERS), name)


def _rows(
    outcomes: Outcomes,
    cells: pl.DataFrame,
    methods: Sequence[str],
    confidence: float,
    base: Row,
    noise: Noise,
) -> list[Row]:
    rows: list[Row] = []
    replicates: dict[tuple[str, str, int], dict[int, int]] = {}
    for method in methods:
        of_method = cells.filter(pl.col("method") == method)
        for (name, budget), part in of_method.sort("budget", maintain_order=True).group_by(
            "filter", "budget", maintain_order=True
        ):
            replicates[method, name, budget] = dict(part.select("replicate", "row").rows())
            entry = {
                **base,
                "method": method,
                "filter": name,
                "budget": budget,
                "budget_ratio": budget / base["seeds"],
                "replicates": part.height,
            }
            mean = mean_accuracy(outcomes, part["row"].to_list(), confidence)
            said = {"kind": "accuracy", "value": mean.accuracy, "noise": ITEMS}
            rows.append(entry | dict(mean) | said)
            if kept := _kept(part):
                rows.append(entry | {"kind": "kept", "value": kept})
    first = methods[0]
    for (method, name, budget), plain in replicates.items():
        verified = replicates.get((first, VERIFIED, budget), {})
        shared = sorted(plain.keys() & verified.keys())
        if method == first or name != NONE or not shared:
            continue
        found = paired_difference(
            outcomes.correct[[verified[replicate] for replicate in shared]],
            outcomes.correct[[plain[replicate] for replicate in shared]],
            outcomes.clusters,
            confidence,
            runs=noise.runs,
        )
        rows.append(
            {
                **base,
                "kind": "difference",
                "method": method,
                "filter": name,
                "reference": first,
                "budget": budget,
                "budget_ratio": budget / base["seeds"],
                "replicates": len(shared),
                "value": found.difference,
                "low": found.low,
                "high": found.high,
                "noise": noise.covers,
            }
        )
    return [{name: row.get(name) for name in SCHEMA} for row in rows]


def _kept(cells: pl.DataFrame) -> float | None:
    """Return the rows per teacher query, or None if they were not counted.

    The queries count those that verify answers.
    """
    if "rows" not in cells.columns or "teacher_queries" not in cells.columns:
        return None
    counted = cells.drop_nulls(["rows", "teacher_queries"])
    asked = int(counted["teacher_queries"].sum())
    if "verification_queries" in counted.columns:
        asked += int(counted["verification_queries"].sum())
    return int(counted["rows"].sum()) / asked if asked else None


def chart(content: Content, titles: Titles, missing: str = "") -> alt.VConcatChart:
    """Return a chart of accuracy by filter against the budget, for each method.

    There is a section for each task, models and seed-set size with more than one filter. Two
    further panels show the gain of the other methods without a filter over the first method with
    verified answers, at the same number of teacher queries, and the rows per query.
    """
    rows = content.rows()
    methods = Methods(content.methods, titles)
    filters = sorted({row["filter"] for row in rows}, key=_rank)
    sections = []
    for place, title, part in by_place(rows, titles, PLACE):
        of_kind = {kind: [row for row in part if row["kind"] == kind] for kind in _KINDS}
        shown = list(dict.fromkeys(row["method"] for row in of_kind["accuracy"]))
        columns = min(COLUMNS, len(shown) + 2)
        width = panel_width(columns, 45)
        reach = [percent(r[end]) for r in of_kind["accuracy"] for end in ("value", "low", "high")]
        panels = []
        for method in shown:
            of_method = [row for row in of_kind["accuracy"] if row["method"] == method]
            y = value_axis(reach, "accuracy, %")
            layers = _lines(of_method, methods, filters, y)
            panels.append(panel(layers, titles.title(method), width))
        found = of_kind["difference"]
        name, layers = "Against verified answers", says("no budget in common", width)
        if found:
            name = f"Gain over {titles.short(found[0]['reference'])} verified"
            ends = [percent(row[end]) for row in found for end in ("value", "low", "high")]
            y = value_axis([0.0, *ends], "points")
            zero = layer([{"zero": 0}], "rule", style="ink", strokeDash=[5, 3])
            layers = [zero.encode(y=y("zero")), *_lines(found, methods, filters, y)]
        panels.append(panel(layers, name, width))
        kept = of_kind["kept"]
        y = value_axis((percent(row["value"]) for row in kept), "rows per 100 queries", zero=True)
        layers = _lines(kept, methods, filters, y) if kept else says("not counted", width)
        panels.append(panel(layers, "Rows kept", width))
        sections.append(Section(f"{title}: {place['seeds']:,} seeds", panels, columns))
    nothing = "no method has been measured with more than one filter of its answers"
    lacking = [_lacking(rows, titles) for rows in content.besides.values()]
    return sheet(sections, [*lacking, missing], nothing)


def _lacking(rows: Sequence[Row], titles: Titles) -> str:
    """Return a line on cells with fewer rows than without a filter, or ""."""
    return figure_sentences.missing_rows_note(
        (titles.short(row["method"]), titles.title(row["task"]), row["budget"], row["missing_rows"])
        for row in rows
    )


def _lines(rows: Sequence[Row], methods: Methods, filters: Sequence[str], y: Axis) -> Layers:
    """Return a line for each method and filter among the rows, in percent.

    Markers are hollow for the filter `verified`, and small for `verified_matched`.
    """
    present = [name for name in filters if any(row["filter"] == name for row in rows)]
    drawn = [
        {
            "Method": methods.names[row["method"]],
            "answers": _label(row["filter"]),
            "name": row["filter"],
            "at": row["budget"] * apart(present.index(row["filter"]), len(present)),
            "budget": row["budget"],
            "value": percent(row["value"]),
            "low": percent(row["low"]),
            "high": percent(row["high"]),
            "interval": interval(percent(row["low"]), percent(row["high"])),
        }
        for row in rows
    ]
    x = budget_axis(row["budget"] for row in rows)
    said = tooltips(
        ("Method", "method", None),
        ("answers", "answers", None),
        ("budget", "queries", ",.0f"),
        ("value", "value", ".1f"),
        ("interval", "interval", None),
    )
    line = layer(drawn, "line", strokeWidth=1.5).encode(x=x("at"), y=y("value"), **methods.look)
    layers = [
        *methods.first(),
        line.encode(strokeDash=dashes("answers", [_label(name) for name in filters])),
    ]
    if bars := [row for row in drawn if row["low"] is not None]:
        bar = layer(bars, "rule", strokeWidth=1.5)
        layers.append(bar.encode(x=x("at"), y=y("low"), y2=alt.Y2("high:Q"), **methods.look))
    for name in present:
        marked = {"style": "hollow", "strokeWidth": 1.8} if name == VERIFIED else {"filled": True}
        size = 22 if name == MATCHED else 55
        points = [row for row in drawn if row["name"] == name]
        point = layer(points, "point", size=size, opacity=1, **marked)
        layers.append(methods.marks(point.encode(x=x("at"), y=y("value"), tooltip=said)))
    return layers


def _label(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " "))
