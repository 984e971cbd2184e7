"""Figure: what a point of accuracy costs, in teacher queries, tokens, money and hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from seedbed.analysis.decide.costs import MEASURES, Prices, cell_costs
from seedbed.analysis.report.charts.drawing import (
    INK,
    Output,
    Section,
    add_legend,
    colour,
    place_titles,
    save_figure,
    say,
    set_count_axis,
    sheet,
)
from seedbed.analysis.report.charts.series import series_legend, series_style
from seedbed.analysis.settings import CompareSettings, Titles
from seedbed.analysis.tables.comparisons import paired_difference
from seedbed.analysis.tables.outcomes import ON_A_CURVE, UNTRAINED, Outcomes, order_methods

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLACE = ("task", "student", "teacher")
SERIES = ("method", "augmenter", "filter", "seeds")

SCHEMA = pl.Schema(
    {
        **dict.fromkeys((*PLACE, "method", "augmenter", "filter"), pl.String),
        "seeds": pl.Int64,
        "budget": pl.Int64,
        "replicates": pl.Int64,
        "gain": pl.Float64,
        "gain_low": pl.Float64,
        "gain_high": pl.Float64,
        **dict.fromkeys(MEASURES, pl.Float64),
        **{f"{name}_per_point": pl.Float64 for name in MEASURES},
        "unknown": pl.String,
    }
)
"""Columns of the figure's table: one row a cell, means over replicates. `gain` is the accuracy
above the untrained student's, paired by test item, a fraction; a cost per point is null where there
is no gain or where a part of the cost is not known, and `unknown` says what is not."""


def plot_costs(
    outcomes: Mapping[str, Outcomes],
    prices: Prices,
    settings: CompareSettings,
    output: Output,
) -> None:
    """Draw what each cell's points of accuracy cost, in four measures, as SVG, PNG and CSV.

    A cell is charged for all that its dataset took, as if no other cell shared it: tokens are those
    of prompts and completions of teacher, augmenter and verification, and hours those of making the
    data and of training. A bar spans the interval of the gain. Crosses at the upper edge are cells
    that gained nothing.

    Args:
        outcomes: the outcomes of every task.
        prices: by model, what its tokens cost.
        settings: the methods in order, and the coverage of the intervals.
        output: where the figure goes.
    """
    rows: list[dict[str, Any]] = []
    methods: list[str] = []
    for found in outcomes.values():
        ordered = order_methods(found.cells, settings.methods)
        methods += [method for method in ordered if method not in methods]
        rows += _rows(found, ordered, prices, settings.confidence)
    places = list(dict.fromkeys(tuple(row[name] for name in PLACE) for row in rows))
    named = [dict(zip(PLACE, place, strict=True)) for place in places]
    titles = place_titles(named, output.titles, PLACE[1:])
    known = [
        n for n in MEASURES if any(row[n] is not None and row["gain"] is not None for row in rows)
    ]
    shown = known or list(MEASURES)
    notes = [
        f"{noun[0].upper()}{noun[1:]} per point: {_why_unknown(rows, name, output.titles)}."
        for name, noun in MEASURES.items()
        if rows and name not in shown
    ]
    columns = min(2, len(shown))
    sections = [Section(title, len(shown), columns, height=2.4) for title in titles]
    with sheet(sections, "\n".join(filter(None, [*notes, output.missing]))) as (figure, panels):
        for place, of_place in zip(places, panels, strict=True):
            part = [row for row in rows if tuple(row[name] for name in PLACE) == place]
            for name, axes in zip(shown, of_place, strict=True):
                _draw(axes, part, name, methods, rows, output.titles)
                axes.set_title(f"{MEASURES[name]} per point")
        if rows:
            add_legend(figure, *_legend(methods, rows, output.titles))
        save_figure(figure, output, pl.DataFrame(rows, schema=SCHEMA), "Costs")


def _rows(
    outcomes: Outcomes,
    methods: Sequence[str],
    prices: Prices,
    confidence: float,
) -> list[dict[str, Any]]:
    indexed = outcomes.cells.with_row_index("row")
    untrained = dict(indexed.filter(pl.col("method") == UNTRAINED).select("student", "row").rows())
    rank = {method: index for index, method in enumerate(methods)}
    trained = indexed.filter(ON_A_CURVE).sort(
        *PLACE, pl.col("method").replace_strict(rank), *SERIES[1:], "budget"
    )
    rows = []
    for key, part in trained.group_by(*PLACE, *SERIES, "budget", maintain_order=True):
        base = dict(zip((*PLACE, *SERIES, "budget"), key, strict=True))
        gain: dict[str, Any] = dict.fromkeys(("difference", "low", "high"))
        if base["student"] in untrained:
            correct = outcomes.correct[part["row"].to_list()]
            reference = outcomes.correct[[untrained[base["student"]]] * part.height]
            gain = paired_difference(reference, correct, outcomes.clusters, confidence)
        costs, unknown = _mean_costs(part, prices)
        if gain["difference"] is None:
            unknown = ["accuracy of the untrained student", *unknown]
        gained = gain["difference"] is not None and gain["difference"] > 0
        rows.append(
            base
            | {"replicates": part.height, "unknown": "; ".join(unknown)}
            | {"gain": gain["difference"], "gain_low": gain["low"], "gain_high": gain["high"]}
            | costs
            | {
                f"{name}_per_point": cost / (100 * gain["difference"])
                if gained and cost is not None
                else None
                for name, cost in costs.items()
            }
        )
    return rows


def _mean_costs(cells: pl.DataFrame, prices: Prices) -> tuple[dict[str, float | None], list[str]]:
    """Return the mean costs of replicates, None where unknown, and what is not known."""
    found = [cell_costs(row, prices) for row in cells.iter_rows(named=True)]
    means: dict[str, float | None] = {}
    for name in MEASURES:
        values = [costs[name] for costs, _ in found]
        known = [value for value in values if value is not None]
        means[name] = sum(known) / len(known) if len(known) == len(values) else None
    return means, list(dict.fromkeys(text for _, unknown in found for text in unknown))


def _draw(
    axes: Axes,
    part: Sequence[Mapping[str, Any]],
    name: str,
    methods: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    titles: Titles,
) -> None:
    """Draw one measure of the cells of a part; `rows` are the figure's, which styles are of."""
    from matplotlib.ticker import NullFormatter

    known = [row for row in part if row[name] is not None and row["gain"] is not None]
    if not known:
        say(axes, _why_unknown(part, name, titles))
        return
    gained = [row for row in known if row[f"{name}_per_point"] is not None]
    budgets = sorted({row["budget"] for row in known})
    set_count_axis(axes.xaxis, budgets)
    axes.set_xlabel("budget, teacher queries")
    for row in known:
        if row not in gained:
            axes.plot(
                row["budget"],
                # Below each other: at one budget they would hide each other.
                0.97 - 0.06 * methods.index(row["method"]),
                transform=axes.get_xaxis_transform(),
                marker="x",
                color=colour(methods, row["method"]),
                linestyle="none",
            )
    if not gained:
        say(axes, "no cell gained accuracy")
        return
    values = [row[f"{name}_per_point"] for row in gained]
    if min(values) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(min(values) / 3, max(values) * 6)
    for series in dict.fromkeys(tuple(row[key] for key in SERIES) for row in gained):
        line = [row for row in gained if tuple(row[key] for key in SERIES) == series]
        style = series_style(dict(zip(SERIES, series, strict=True)), methods, rows)
        if style["markerfacecolor"] == "white":
            # Lines of all ablations would hide each other.
            style["linestyle"] = "none"
        axes.plot(
            [row["budget"] for row in line],
            [row[f"{name}_per_point"] for row in line],
            markersize=5,
            linewidth=1.2,
            **style,
        )
        for row in line:
            if row["gain_low"] is None:
                continue
            # Where the gain may be nothing, the cost has no upper end.
            top = axes.get_ylim()[1]
            ends = [
                row[name] / (100 * gain) if gain > 0 else top
                for gain in (row["gain_high"], row["gain_low"])
            ]
            axes.plot([row["budget"]] * 2, ends, color=style["color"], linewidth=0.8, alpha=0.6)


def _why_unknown(rows: Sequence[Mapping[str, Any]], name: str, titles: Titles) -> str:
    """Return why a measure is known of no cell, in words."""
    if all(row["gain"] is None for row in rows):
        return "unknown, as the untrained student has not been evaluated"
    kinds = {"usd": ("price", "tokens"), "hours": ("seconds",), "tokens": ("tokens",)}
    said = [
        text
        for text in dict.fromkeys(text for row in rows for text in row["unknown"].split("; "))
        if text.startswith(kinds.get(name, ("teacher queries",)))
    ]
    for index, text in enumerate(said):
        if text.startswith("price of "):
            said[index] = f"price of {titles.title(text.removeprefix('price of '))}"
    return f"unknown ({', '.join(said)})"


def _legend(
    methods: Sequence[str], rows: Sequence[Mapping[str, Any]], titles: Titles
) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    handles, labels = series_legend(methods, rows, titles)
    if any(row["gain"] is not None and row["gain"] <= 0 for row in rows):
        handles.append(Line2D([], [], color=INK, marker="x", linestyle="none"))
        labels.append("no gain")
    return handles, labels
