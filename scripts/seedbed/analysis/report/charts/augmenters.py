"""Chart: the effect of a weaker augmenter, for each method that has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt
import polars as pl

from seedbed.analysis.report import figure_sentences
from seedbed.analysis.report.charts.drawing import (
    Axis,
    Content,
    Layers,
    Methods,
    Row,
    Section,
    interval,
    layer,
    panel,
    panel_width,
    percent,
    row_axis,
    rows_height,
    sheet,
    tooltips,
    value_axis,
)
from seedbed.analysis.report.charts.measured import read_measured
from seedbed.analysis.report.charts.places import by_place
from seedbed.analysis.settings import AugmenterSettings, Titles
from seedbed.analysis.tables.comparisons import paired_difference
from seedbed.analysis.tables.outcomes import (
    NO_AUGMENTER,
    ON_A_CURVE,
    Group,
    Outcomes,
    mean_accuracy,
    order_methods,
)
from seedbed.analysis.tables.replicates import ITEMS, Noise, RunNoise, noise_of

PLACE = ("task", "student", "teacher", "filter", "seeds", "budget")
"""Columns that are equal for all cells of a section."""

_MODELS = PLACE[:4]
"""Columns that are equal for all cells that share an estimate of training noise."""

SCHEMA = pl.Schema(
    {
        **{
            name: pl.Int64 if name in ("seeds", "budget") else pl.String
            for name in (*PLACE, "kind", "method", "augmenter", "reference")
        },
        "replicates": pl.Int64,
        "accuracy": pl.Float64,
        "difference": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "noise": pl.String,
    }
)
"""Columns of the table. `kind` is "accuracy", or "difference" to the `reference`, the method's
strongest augmenter in that place, paired by test item. `noise` names the noise that the interval
covers."""


def tabulate(
    fits: Path, draws: Path, cells: Path, item_scores: Path, settings: AugmenterSettings
) -> Content:
    """Return accuracies by augmenter, and differences to the strongest augmenter."""
    outcomes, runs = read_measured(fits, draws, cells, item_scores)
    return content(outcomes, settings, runs)


def content(
    outcomes: Mapping[str, Outcomes], settings: AugmenterSettings, runs: Mapping[Group, RunNoise]
) -> Content:
    """Return the same from the outcomes of every task and the noise between training runs."""
    rows: list[Row] = []
    methods: list[str] = []
    for found in outcomes.values():
        rows += _rows(found, settings, runs)
        ordered = order_methods(found.cells, settings.methods)
        methods += [method for method in ordered if method not in methods]
    return Content(pl.DataFrame(rows, schema=SCHEMA), methods, settings.confidence)


def _rows(
    outcomes: Outcomes, settings: AugmenterSettings, runs: Mapping[Group, RunNoise]
) -> list[Row]:
    """Return the rows of one task."""
    methods = order_methods(outcomes.cells, settings.methods)
    rows: list[Row] = []
    cells = outcomes.cells.with_row_index("row").filter(ON_A_CURVE)
    noises = {models: noise_of(outcomes, part, runs) for models, part in cells.group_by(*_MODELS)}
    for place, part in cells.sort(*PLACE).group_by(*PLACE, maintain_order=True):
        base = dict(zip(PLACE, place, strict=True))
        noise = noises[place[: len(_MODELS)]]
        drawn: list[Row] = []
        varied = False
        for method in methods:
            of_method = part.filter(pl.col("method") == method)
            found = {
                augmenter: dict(group.select("replicate", "row").rows())
                for (augmenter,), group in of_method.group_by("augmenter")
            }
            names = _ordered(found, settings.augmenters)
            varied |= len(names) > 1
            if len(names) > 1 or NO_AUGMENTER in names:
                of = base | {"method": method}
                drawn += _of_method(outcomes, found, names, settings, of, noise)
        rows += drawn if varied else []
    return rows


def _ordered(found: Mapping[str, object], order: Sequence[str]) -> list[str]:
    """Return augmenters in the study's order, followed by those that it does not name."""
    rank = {name: index for index, name in enumerate(order)}
    return sorted(found, key=lambda name: (rank.get(name, len(rank)), name))


def _of_method(
    outcomes: Outcomes,
    found: Mapping[str, Mapping[int, int]],
    names: Sequence[str],
    settings: AugmenterSettings,
    base: Mapping[str, object],
    noise: Noise,
) -> list[Row]:
    rows = []
    strongest = names[0]
    for name in names:
        mean = mean_accuracy(outcomes, list(found[name].values()), settings.confidence)
        entry = {**base, "augmenter": name, "replicates": len(found[name])}
        rows.append(entry | {"kind": "accuracy", "noise": ITEMS, **dict(mean)})
        shared = sorted(found[strongest].keys() & found[name].keys())
        if name == strongest or not shared:
            continue
        difference = paired_difference(
            outcomes.correct[[found[strongest][replicate] for replicate in shared]],
            outcomes.correct[[found[name][replicate] for replicate in shared]],
            outcomes.clusters,
            settings.confidence,
            runs=noise.runs,
        )
        rows.append(
            entry
            | {"kind": "difference", "reference": strongest, "replicates": len(shared)}
            | {"noise": noise.covers}
            | {key: getattr(difference, key) for key in ("difference", "low", "high")}
        )
    return [{name: row.get(name) for name in SCHEMA} for row in rows]


def chart(content: Content, titles: Titles, missing: str = "") -> alt.VConcatChart:
    """Return a chart of accuracy by augmenter, next to the differences to the strongest.

    Each section is a task (with its models and filter) at a seed-set size and a budget at which
    some method was measured with more than one augmenter. Dashed lines are methods without an
    augmenter.
    """
    rows = content.rows()
    methods = Methods(content.methods, titles)
    sections = []
    for place, title, part in by_place(rows, titles, PLACE):
        augmenters = [row["augmenter"] for row in part if row["augmenter"] != NO_AUGMENTER]
        labels = list(dict.fromkeys(map(titles.title, augmenters)))
        shown = [m for m in methods.names if any(_writes(row, m) for row in part)]
        height = max(60, rows_height(labels, 16 + 16 * len(shown)))
        width = panel_width(2, 0, 130)
        panels = [
            panel(
                _layers(part, kind, shown, methods, titles, row_axis(labels, kind == "accuracy")),
                "Accuracy" if kind == "accuracy" else "Difference to the strongest augmenter",
                width,
                height,
            )
            for kind in ("accuracy", "difference")
        ]
        title += f": {place['seeds']:,} seeds, {place['budget']:,} queries"
        sections.append(Section(title, panels, 2))
    alone = {row["augmenter"] for row in rows if row["kind"] == "accuracy"}
    notes = [figure_sentences.DASHED] if NO_AUGMENTER in alone else []
    nothing = "no method has been measured with more than one augmenter at the same budget"
    return sheet(sections, [*notes, missing], nothing)


def _writes(row: Row, method: str) -> bool:
    return row["method"] == method and row["augmenter"] != NO_AUGMENTER


def _layers(
    part: Sequence[Row],
    kind: str,
    shown: Sequence[str],
    methods: Methods,
    titles: Titles,
    y: Axis,
) -> Layers:
    drawn = [
        {
            "Method": methods.names[row["method"]],
            "row": titles.title(row["augmenter"]),
            "alone": row["augmenter"] == NO_AUGMENTER,
            "apart": 16 * (shown.index(row["method"]) - (len(shown) - 1) / 2)
            if row["method"] in shown
            else 0,
            "at": percent(row[kind]),
            "low": percent(row["low"]),
            "high": percent(row["high"]),
            "interval": interval(percent(row["low"]), percent(row["high"])),
            "replicates": row["replicates"],
        }
        for row in part
        if row["kind"] == kind
    ]
    title = "accuracy, %" if kind == "accuracy" else "points"
    known = [row[end] for row in drawn for end in ("at", "low", "high")]
    x = value_axis([*known, *([0.0] if kind == "difference" else [])], title, channel="x")
    said = tooltips(
        ("Method", "method", None),
        ("row", "augmenter", None),
        ("at", title, ".1f"),
        ("interval", "interval", None),
        ("replicates", "replicates", ",.0f"),
    )
    layers = methods.first()
    if kind == "difference":
        layers.append(layer([{"at": 0}], "rule", style="ink").encode(x=x("at")))
    alone = [row for row in drawn if row["alone"]]
    if alone:
        rule = layer(alone, "rule", strokeWidth=1.5, strokeDash=[5, 3])
        layers.append(rule.encode(x=x("at"), tooltip=said, **methods.look))
    for shift in sorted({row["apart"] for row in drawn}):
        of_method = [row for row in drawn if row["apart"] == shift and not row["alone"]]
        bars = [row for row in of_method if row["low"] is not None]
        if bars:
            bar = layer(bars, "rule", strokeWidth=1.5, yOffset=shift)
            layers.append(bar.encode(x=x("low"), x2=alt.X2("high:Q"), y=y(), **methods.look))
        if of_method:
            point = layer(of_method, "point", filled=True, size=55, opacity=1, yOffset=shift)
            layers.append(methods.marks(point.encode(x=x("at"), y=y(), tooltip=said)))
    return layers
