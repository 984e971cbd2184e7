"""Figure: what it brings to train on verified answers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from seedbed.analysis.report.charts.drawing import (
    COLUMNS,
    INK,
    Output,
    Section,
    add_legend,
    colour,
    marker,
    place_titles,
    save_figure,
    say,
    set_count_axis,
    sheet,
    wrap_title,
)
from seedbed.analysis.settings import CompareSettings, Titles
from seedbed.analysis.tables.comparisons import paired_difference
from seedbed.analysis.tables.outcomes import (
    NO_AUGMENTER,
    Outcomes,
    groups,
    in_group,
    mean_accuracy,
    order_methods,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ALL, VERIFIED, MATCHED = FILTERS = ("none", "verified", "verified_matched")
_LABELS = ("all answers", "verified answers", "verified, as many rows")
_LINES = ("-", "--", ":")

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
    }
)
"""Columns of the figure's table. `kind` is "accuracy"; "difference" of the method without a filter
to the `reference`, the first method with verified answers, paired by test item; or "kept", the
rows that are trained on for each teacher query."""


def plot_verification(
    outcomes: Mapping[str, Outcomes], settings: CompareSettings, output: Output
) -> None:
    """Draw accuracy by filter against the budget, for each method, as SVG, PNG and CSV.

    There are such panels for each task, models and seed-set size with more than one filter. Beside
    them: what the other methods without a filter gain over the first method with verified answers,
    at the same number of teacher queries; and how many rows a query leaves.

    Args:
        outcomes: the outcomes of every task.
        settings: the methods in order, and the coverage of the intervals.
        output: where the figure goes.
    """
    parts: list[list[dict[str, Any]]] = []
    methods: list[str] = []
    for found in outcomes.values():
        ordered = order_methods(found.cells, settings.methods)
        methods += [method for method in ordered if method not in methods]
        parts += _parts(found, ordered, settings.confidence)
    places = [part[0] for part in parts]
    names = ("student", "teacher", "augmenter")
    sections = [
        Section(
            f"{title}: {part[0]['seeds']:,} seeds",
            len(_methods_of(part)) + 2,
            min(COLUMNS, len(_methods_of(part)) + 2),
        )
        for part, title in zip(parts, place_titles(places, output.titles, names), strict=True)
    ]
    nothing = "no method has been measured with more than one filter of its answers"
    notes = [_short_of_rows(found.cells, output.titles) for found in outcomes.values()]
    foot = "\n".join(filter(None, [*notes, output.missing]))
    with sheet(sections, foot, nothing) as (figure, panels):
        for part, (*each, difference, kept) in zip(parts, panels, strict=True):
            of_methods = _methods_of(part)
            for method, axes in zip(of_methods, each, strict=True):
                rows = [r for r in part if r["method"] == method and r["kind"] == "accuracy"]
                _draw_lines(axes, rows, methods)
                axes.set_title(wrap_title(output.titles.title(method), COLUMNS))
                axes.set_ylabel("accuracy, %")
            limits = [axes.get_ylim() for axes in each]
            for axes in each:
                axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
            _draw_lines(kept, [row for row in part if row["kind"] == "kept"], methods)
            kept.set_title("Rows kept")
            kept.set_ylabel("rows per 100 queries")
            _draw_differences(difference, part, methods, output.titles)
        if parts:
            used = {row["filter"] for part in parts for row in part}
            add_legend(figure, *_legend(methods, used, output.titles))
        table = pl.DataFrame([row for part in parts for row in part], schema=SCHEMA)
        save_figure(figure, output, table, "Verified answers")


def _methods_of(part: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["method"] for row in part if row["kind"] == "accuracy"))


def _parts(
    outcomes: Outcomes, methods: Sequence[str], confidence: float
) -> list[list[dict[str, Any]]]:
    """Return the rows of a task for each group and seed-set size with more than one filter.

    A method without an augmenter belongs to the groups of all augmenters. Where it alone has
    several filters, only the group with most cells is shown.
    """
    indexed = outcomes.cells.with_row_index("row")
    names = sorted(set(indexed["filter"]), key=_rank)
    found: dict[tuple[Any, ...], list[tuple[bool, int, list[dict[str, Any]]]]] = {}
    for group in dict.fromkeys(replace(group, filter="") for group in groups(outcomes.cells)):
        cells = pl.concat(indexed.filter(in_group(replace(group, filter=name))) for name in names)
        for seeds in cells["seeds"].unique().sort():
            part = cells.filter(pl.col("seeds") == seeds)
            filters = part.group_by("method", "augmenter").agg(pl.col("filter").n_unique())
            several = filters.filter(pl.col("filter") > 1)["augmenter"].to_list()
            if not several:
                continue
            base = {name: getattr(group, name) for name in PLACE[:-1]} | {"seeds": seeds}
            place = (group.student, group.teacher, seeds)
            rows = _rows(outcomes, part, methods, confidence, base)
            # The group without an augmenter is a part of each of the others.
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
    base: Mapping[str, Any],
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
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
            rows.append(entry | mean | {"kind": "accuracy", "value": mean["accuracy"]})
            if kept := _kept(part):
                rows.append(entry | {"kind": "kept", "value": kept})
    first = methods[0]
    for (method, name, budget), plain in replicates.items():
        verified = replicates.get((first, VERIFIED, budget), {})
        shared = sorted(plain.keys() & verified.keys())
        if method == first or name != ALL or not shared:
            continue
        found = paired_difference(
            outcomes.correct[[verified[replicate] for replicate in shared]],
            outcomes.correct[[plain[replicate] for replicate in shared]],
            outcomes.clusters,
            confidence,
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
                "value": found["difference"],
                "low": found["low"],
                "high": found["high"],
            }
        )
    return [{name: row.get(name) for name in SCHEMA} for row in rows]


def _kept(cells: pl.DataFrame) -> float | None:
    """Return the rows for each teacher query, or None where they were not counted.

    The queries that verify answers are among them.
    """
    if "rows" not in cells.columns or "teacher_queries" not in cells.columns:
        return None
    counted = cells.drop_nulls(["rows", "teacher_queries"])
    asked = counted["teacher_queries"].sum()
    if "verification_queries" in counted.columns:
        asked += counted["verification_queries"].sum()
    return counted["rows"].sum() / asked if asked else None


def _short_of_rows(cells: pl.DataFrame, titles: Titles) -> str:
    """Return a line on the cells that have fewer rows than without a filter, or ""."""
    if "missing_rows" not in cells.columns:
        return ""
    short = cells.filter((pl.col("filter") == MATCHED) & (pl.col("missing_rows") > 0))
    parts = [
        f"{titles.short(row['method'])}, {titles.title(row['task'])}, {row['budget']:,} queries: "
        f"{row['missing_rows']:,} missing"
        for row in short.sort("task", "method", "budget").iter_rows(named=True)
    ]
    if not parts:
        return ""
    return f"Not as many rows, as the stream was not followed further: {'; '.join(parts)}."


def _fill(name: str) -> str:
    return "left" if name == MATCHED else "full"


def _style(name: str) -> str:
    return _LINES[min(_rank(name)[0], len(_LINES) - 1)]


def _draw_lines(axes: Axes, rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> None:
    """Draw a line for each method and filter among the rows, in percent."""
    if not rows:
        say(axes, "not counted")
        return
    filters = sorted({row["filter"] for row in rows}, key=_rank)
    for method, name in sorted({(r["method"], r["filter"]) for r in rows}):
        line = [row for row in rows if (row["method"], row["filter"]) == (method, name)]
        shift = 1.035 ** (filters.index(name) - (len(filters) - 1) / 2)
        known = line[0]["low"] is not None
        axes.errorbar(
            [row["budget"] * shift for row in line],
            [100 * row["value"] for row in line],
            yerr=np.transpose(
                [
                    [100 * (row["value"] - row["low"]), 100 * (row["high"] - row["value"])]
                    for row in line
                ]
            )
            if known
            else None,
            fmt=marker(methods, method),
            linestyle=_style(name),
            color=colour(methods, method),
            markerfacecolor=colour(methods, method) if name != VERIFIED else "white",
            markerfacecoloralt="white",
            fillstyle=_fill(name),
            markersize=6,
            linewidth=1.2,
        )
    set_count_axis(axes.xaxis, sorted({row["budget"] for row in rows}))
    axes.set_xlabel("budget, teacher queries")


def _draw_differences(
    axes: Axes,
    part: Sequence[Mapping[str, Any]],
    methods: Sequence[str],
    titles: Titles,
) -> None:
    rows = [row for row in part if row["kind"] == "difference"]
    if not rows:
        axes.set_title("Against verified answers")
        say(axes, "no budget in common")
        return
    axes.axhline(0, color=colour(methods, rows[0]["reference"]), linewidth=1.2, linestyle="--")
    _draw_lines(axes, rows, methods)
    reference = titles.short(rows[0]["reference"])
    axes.set_title(wrap_title(f"Gain over {reference} verified", COLUMNS))
    axes.set_ylabel("points")


def _legend(methods: Sequence[str], used: set[str], titles: Titles) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour(methods, m), marker=marker(methods, m), markersize=5)
        for m in methods
    ]
    labels = [titles.title(method) for method in methods]
    for name in sorted(used, key=_rank):
        look = {"color": INK, "linestyle": _style(name), "marker": "o", "markersize": 6}
        paint = "white" if name == VERIFIED else INK
        look |= {"markerfacecolor": paint, "markerfacecoloralt": "white"}
        handles.append(Line2D([], [], fillstyle=_fill(name), **look))
        labels.append(dict(zip(FILTERS, _LABELS, strict=True)).get(name, name.replace("_", " ")))
    return handles, labels
