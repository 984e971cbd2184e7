"""Chart: the cost of a point of accuracy, in queries, tokens, money and hours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt
import polars as pl

from seedbed.analysis.decide.costs import MEASURES, CellUse, Prices, cell_costs
from seedbed.analysis.report import figure_sentences
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.charts.drawing import (
    CROSS,
    HEIGHT,
    Content,
    Layers,
    Methods,
    Row,
    Section,
    budget_axis,
    count_axis,
    interval,
    layer,
    panel,
    panel_width,
    percent,
    says,
    sheet,
    tooltips,
)
from seedbed.analysis.report.charts.measured import read_measured
from seedbed.analysis.report.charts.places import by_place
from seedbed.analysis.report.charts.series import SERIES, Series
from seedbed.analysis.settings import CompareSettings, Titles
from seedbed.analysis.tables.comparisons import paired_difference
from seedbed.analysis.tables.outcomes import (
    ON_A_CURVE,
    UNTRAINED,
    Group,
    Outcomes,
    order_methods,
)
from seedbed.analysis.tables.replicates import RunNoise, noise_of

PLACE = ("task", "student", "teacher")

SCHEMA = pl.Schema(
    {
        **dict.fromkeys((*PLACE, "method", "augmenter", "filter"), pl.String),
        "seeds": pl.Int64,
        "budget": pl.Int64,
        "replicates": pl.Int64,
        "gain": pl.Float64,
        "gain_low": pl.Float64,
        "gain_high": pl.Float64,
        "noise": pl.String,
        **dict.fromkeys(MEASURES, pl.Float64),
        **{f"{name}_per_point": pl.Float64 for name in MEASURES},
        "unknown": pl.String,
    }
)
"""Columns of the table: one row per cell, means over replicates. `gain` is the accuracy above the
base model's, paired by test item, a fraction. `noise` names the noise that its interval covers. A
cost per point is null if there is no gain or if a part of the cost is unknown; `unknown` names
that part."""


def tabulate(
    fits: Path,
    draws: Path,
    cells: Path,
    item_scores: Path,
    prices: Prices,
    settings: CompareSettings,
) -> Content:
    """Return the cost and the gain of each cell."""
    outcomes, runs = read_measured(fits, draws, cells, item_scores)
    return content(outcomes, prices, settings, runs)


def content(
    outcomes: Mapping[str, Outcomes],
    prices: Prices,
    settings: CompareSettings,
    runs: Mapping[Group, RunNoise],
) -> Content:
    """Return the same from the outcomes of every task and the noise between training runs.

    A cell is charged the full cost of its dataset, as if no other cell shared it. Tokens are the
    prompts and completions of teacher, augmenter and verification. Hours are those of generating
    the data and of training.
    """
    rows: list[Row] = []
    methods: list[str] = []
    for found in outcomes.values():
        ordered = order_methods(found.cells, settings.methods)
        methods += [method for method in ordered if method not in methods]
        rows += _rows(found, ordered, prices, settings.confidence, runs)
    return Content(pl.DataFrame(rows, schema=SCHEMA), methods, settings.confidence)


def _rows(
    outcomes: Outcomes,
    methods: Sequence[str],
    prices: Prices,
    confidence: float,
    runs: Mapping[Group, RunNoise],
) -> list[Row]:
    indexed = outcomes.cells.with_row_index("row")
    untrained = dict(indexed.filter(pl.col("method") == UNTRAINED).select("student", "row").rows())
    rank = {method: index for index, method in enumerate(methods)}
    trained = indexed.filter(ON_A_CURVE).sort(
        *PLACE, pl.col("method").replace_strict(rank), *SERIES[1:], "budget"
    )
    noises = {place: noise_of(outcomes, part, runs) for place, part in trained.group_by(*PLACE)}
    rows = []
    for key, part in trained.group_by(*PLACE, *SERIES, "budget", maintain_order=True):
        base = dict(zip((*PLACE, *SERIES, "budget"), key, strict=True))
        noise = noises[key[: len(PLACE)]]
        gain = None
        if base["student"] in untrained:
            correct = outcomes.correct[part["row"].to_list()]
            reference = outcomes.correct[[untrained[base["student"]]] * part.height]
            gain = paired_difference(
                reference,
                correct,
                outcomes.clusters,
                confidence,
                runs=noise.of_a_student(base["seeds"]),
                trained=1,
            )
        costs, unknown = _mean_costs(part, prices)
        if gain is None:
            unknown = ["accuracy of the base model", *unknown]
        per_point = {
            f"{name}_per_point": cost / (100 * gain.difference)
            for name, cost in costs.items()
            if gain is not None and gain.difference > 0 and cost is not None
        }
        rows.append(
            base
            | {"replicates": part.height, "unknown": "; ".join(unknown)}
            | {"gain": gain and gain.difference}
            | {"gain_low": gain and gain.low, "gain_high": gain and gain.high}
            | {"noise": gain and noise.covers}
            | costs
            | per_point
        )
    return rows


def _mean_costs(cells: pl.DataFrame, prices: Prices) -> tuple[dict[str, float | None], list[str]]:
    """Return the mean costs of replicates, None if unknown, and the names of unknown parts."""
    found = [cell_costs(CellUse.of(row), prices) for row in cells.iter_rows(named=True)]
    means: dict[str, float | None] = {}
    for name in MEASURES:
        values = [costs[name] for costs, _ in found]
        known = [value for value in values if value is not None]
        means[name] = sum(known) / len(known) if len(known) == len(values) else None
    return means, list(dict.fromkeys(text for _, unknown in found for text in unknown))


def chart(content: Content, titles: Titles, missing: str = "") -> alt.VConcatChart:
    """Return a chart of four costs per point against the budget, for each task and models.

    A bar spans the interval of the gain. Crosses at the upper edge are cells without a gain.
    """
    rows = content.rows()
    methods = Methods(content.methods, titles)
    series = Series(rows, methods)
    shown = [name for name in MEASURES if any(_known(row, name) for row in rows)] or list(MEASURES)
    notes = [
        figure_sentences.per_point_note(noun, _why_unknown(rows, name, titles))
        for name, noun in MEASURES.items()
        if rows and name not in shown
    ]
    if any(row["gain"] is not None and row["gain"] <= 0 for row in rows):
        notes.append(figure_sentences.NO_GAIN)
    columns = 3 if len(shown) == 3 else min(2, len(shown))
    width = panel_width(columns, 60)
    sections = []
    for _, title, part in by_place(rows, titles, PLACE):
        panels = [
            panel(
                _layers(part, name, content.methods, methods, series, titles, width),
                f"{MEASURES[name]} per point",
                width,
            )
            for name in shown
        ]
        sections.append(Section(title, panels, columns))
    return sheet(sections, [*series.notes, *notes, missing])


def _known(row: Row, name: str) -> bool:
    return row[name] is not None and row["gain"] is not None


def _layers(
    part: Sequence[Row],
    name: str,
    order: Sequence[str],
    methods: Methods,
    series: Series,
    titles: Titles,
    width: int,
) -> Layers:
    known = [row for row in part if _known(row, name)]
    if not known:
        return says(_why_unknown(part, name, titles), width)
    x = budget_axis(row["budget"] for row in known)
    gained = [
        row
        | {"value": row[f"{name}_per_point"], "at": row["budget"]}
        | {"points": interval(percent(row["gain_low"]), percent(row["gain_high"]))}
        for row in known
        if row[f"{name}_per_point"] is not None
    ]
    without = [
        # Crosses at one budget are stacked, so that they do not hide each other.
        {
            "Method": methods.names[row["method"]],
            "at": row["budget"],
            "place": 6 + 13 * order.index(row["method"]),
            "gain": 100 * row["gain"],
        }
        for row in known
        if row[f"{name}_per_point"] is None
    ]
    said = tooltips(
        ("Method", "method", None),
        ("augmenter", "augmenter", None),
        ("filter", "filter", None),
        ("seeds", "seeds", ",.0f"),
        ("budget", "queries", ",.0f"),
        ("value", f"{MEASURES[name]} per point", ",.3~r"),
        ("points", "gain, points", None),
    )
    layers = [*methods.first(), *([] if gained else says("no cell gained accuracy", width))]
    if gained:
        low = min(row["value"] for row in gained) / 3
        high = max(row["value"] for row in gained) * 6
        logarithmic = low > 0
        scale = (
            alt.Scale(type="log", domain=[low, high], nice=False)
            if logarithmic
            else alt.Scale(domain=[0, high or 1.0])
        )
        ticks = _decades(low, high) if logarithmic else [0.0]
        axis = count_axis(ticks, "", sign="$" if name == "usd" else "", grid=True)

        def y(column: str) -> alt.Y:
            return alt.Y(f"{column}:Q", scale=scale, axis=axis)

        bars = [
            {
                "Method": methods.names[row["method"]],
                "at": row["budget"],
                "low": row[name] / (100 * row["gain_high"]),
                # If the gain may be 0, the cost has no upper end.
                "high": min(high, row[name] / (100 * row["gain_low"]))
                if row["gain_low"] > 0
                else high,
            }
            for row in gained
            if row["gain_low"] is not None
        ]
        layers += series.layers(gained, x, y, said, joined=False)
        if bars:
            bar = layer(bars, "rule", strokeWidth=1)
            layers.append(bar.encode(x=x("at"), y=y("low"), y2=alt.Y2("high:Q"), **methods.look))
    for place in sorted({row["place"] for row in without}):
        crosses = [row for row in without if row["place"] == place]
        mark = layer(crosses, "point", shape=CROSS, size=70, strokeWidth=1.8)
        said = tooltips(
            ("Method", "method", None), ("at", "queries", ",.0f"), ("gain", "gain, points", "+.1f")
        )
        layers.append(
            mark.encode(x=x("at"), y=alt.YValue(min(place, HEIGHT)), tooltip=said, **methods.look)
        )
    return layers


def _decades(low: float, high: float) -> list[float]:
    """Return round numbers within a positive range: decades, or finer steps if those are few."""
    for digits in ((1,), (1, 3), (1, 2, 5)):
        exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [digit * 10.0**e for e in exponents for digit in digits]
        found = [value for value in found if low <= value <= high]
        if len(found) > 2:
            return found[:: -(-len(found) // 6)]
    return found


def _why_unknown(rows: Sequence[Row], name: str, titles: Titles) -> str:
    """Return why a measure is unknown for all cells, in words."""
    if all(row["gain"] is None for row in rows):
        return figure_sentences.NO_BASE_MODEL
    kinds = {"usd": ("price", "tokens"), "hours": ("seconds",), "tokens": ("tokens",)}
    said = [
        text
        for text in dict.fromkeys(text for row in rows for text in row["unknown"].split("; "))
        if text.startswith(kinds.get(name, ("teacher queries",)))
    ]
    return say.unknown_text("; ".join(titled(text, titles) for text in said))


def titled(reason: str, titles: Titles) -> str:
    """Return a reason with a model's name replaced by its title."""
    model = reason.removeprefix("price of ")
    return reason if model == reason else f"price of {titles.title(model)}"
