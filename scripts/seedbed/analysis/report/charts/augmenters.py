"""Figure: what a weaker augmenter costs, for each method that has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from seedbed.analysis.report.charts.drawing import (
    Output,
    Section,
    add_legend,
    colour,
    interval_bar,
    label_rows,
    marker,
    place_titles,
    save_figure,
    sheet,
)
from seedbed.analysis.settings import AugmenterSettings, Titles
from seedbed.analysis.tables.comparisons import paired_difference
from seedbed.analysis.tables.outcomes import (
    NO_AUGMENTER,
    ON_A_CURVE,
    Outcomes,
    mean_accuracy,
    order_methods,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLACE = ("task", "student", "teacher", "filter", "seeds", "budget")
"""What is equal for all cells of one part of the figure."""

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
    }
)
"""Columns of the figure's table. `kind` is "accuracy", or "difference": to the `reference`, the
strongest augmenter that the method has there, paired by test item."""


def plot_augmenters(
    outcomes: Mapping[str, Outcomes], settings: AugmenterSettings, output: Output
) -> None:
    """Draw accuracy by augmenter beside the differences to the strongest, as SVG, PNG and CSV.

    Each part of the figure is a task (with its models and filter) at a size of the seed set and a
    budget at which some method was measured with more than one augmenter. Vertical lines are
    methods that need no augmenter.

    Args:
        outcomes: the outcomes of every task.
        settings: the methods and the augmenters in order, and the coverage of the intervals.
        output: where the figure goes.
    """
    rows: list[dict[str, Any]] = []
    methods: list[str] = []
    for found in outcomes.values():
        rows += _rows(found, settings)
        ordered = order_methods(found.cells, settings.methods)
        methods += [method for method in ordered if method not in methods]
    places = list(dict.fromkeys(tuple(row[name] for name in PLACE) for row in rows))
    named = [dict(zip(PLACE, place, strict=True)) for place in places]
    titles = place_titles(named, output.titles, ("student", "teacher", "filter"))
    parts = [_of_place(rows, place) for place in named]
    sections = [
        Section(
            f"{title}: {place['seeds']:,} seeds, {place['budget']:,} queries",
            panels=2,
            columns=2,
            height=0.9 + 0.16 * len([row for row in part if row["kind"] == "accuracy"]) + 0.3,
        )
        for place, title, part in zip(named, titles, parts, strict=True)
    ]
    nothing = "no method has been measured with more than one augmenter at the same budget"
    with sheet(sections, output.missing, nothing) as (figure, panels):
        for part, (left, right) in zip(parts, panels, strict=True):
            _draw(left, right, part, methods, output.titles)
        if parts:
            used = [method for method in methods if any(row["method"] == method for row in rows)]
            add_legend(figure, *_legend(methods, used, rows, output.titles))
        save_figure(figure, output, pl.DataFrame(rows, schema=SCHEMA), "Augmenters")


def _of_place(rows: Sequence[dict[str, Any]], place: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [row for row in rows if all(row[name] == value for name, value in place.items())]


def _rows(outcomes: Outcomes, settings: AugmenterSettings) -> list[dict[str, Any]]:
    """Return the figure's rows for one task."""
    methods = order_methods(outcomes.cells, settings.methods)
    rows: list[dict[str, Any]] = []
    cells = outcomes.cells.with_row_index("row").filter(ON_A_CURVE)
    for place, part in cells.sort(*PLACE).group_by(*PLACE, maintain_order=True):
        base = dict(zip(PLACE, place, strict=True))
        drawn: list[dict[str, Any]] = []
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
                drawn += _of_method(outcomes, found, names, settings, base | {"method": method})
        rows += drawn if varied else []
    return rows


def _ordered(found: Mapping[str, Any], order: Sequence[str]) -> list[str]:
    """Return augmenters in the study's order, those that it does not name at the end."""
    rank = {name: index for index, name in enumerate(order)}
    return sorted(found, key=lambda name: (rank.get(name, len(rank)), name))


def _of_method(
    outcomes: Outcomes,
    found: Mapping[str, Mapping[int, int]],
    names: Sequence[str],
    settings: AugmenterSettings,
    base: Mapping[str, Any],
) -> list[dict[str, Any]]:
    rows = []
    strongest = names[0]
    for name in names:
        mean = mean_accuracy(outcomes, list(found[name].values()), settings.confidence)
        entry = {**base, "augmenter": name, "replicates": len(found[name])}
        rows.append(entry | {"kind": "accuracy", **mean})
        shared = sorted(found[strongest].keys() & found[name].keys())
        if name == strongest or not shared:
            continue
        difference = paired_difference(
            outcomes.correct[[found[strongest][replicate] for replicate in shared]],
            outcomes.correct[[found[name][replicate] for replicate in shared]],
            outcomes.clusters,
            settings.confidence,
        )
        rows.append(
            entry
            | {"kind": "difference", "reference": strongest, "replicates": len(shared)}
            | {key: difference[key] for key in ("difference", "low", "high")}
        )
    return [{name: row.get(name) for name in SCHEMA} for row in rows]


def _draw(
    left: Axes,
    right: Axes,
    part: Sequence[Mapping[str, Any]],
    methods: Sequence[str],
    titles: Titles,
) -> None:
    augmenters = list(
        dict.fromkeys(row["augmenter"] for row in part if row["augmenter"] != NO_AUGMENTER)
    )
    drawn = [
        method
        for method in methods
        if any(row["method"] == method and row["augmenter"] != NO_AUGMENTER for row in part)
    ]
    right.axvline(0, color=colour(methods, drawn[0]) if len(drawn) == 1 else "#999999", linewidth=1)
    for row in part:
        paint, sign = colour(methods, row["method"]), marker(methods, row["method"])
        if row["augmenter"] == NO_AUGMENTER:
            left.axvline(100 * row["accuracy"], color=paint, linewidth=1.2, linestyle="--")
            continue
        shift = 0.22 * (drawn.index(row["method"]) - (len(drawn) - 1) / 2)
        height = augmenters.index(row["augmenter"]) + shift
        axes = left if row["kind"] == "accuracy" else right
        interval_bar(axes, row, row["kind"], height, paint, sign)
    label_rows(left, [titles.title(name) for name in augmenters])
    label_rows(right, [""] * len(augmenters))
    left.set_xlabel("accuracy, %")
    right.set_xlabel("difference to the strongest, points")


def _legend(
    methods: Sequence[str], used: Sequence[str], rows: Sequence[Mapping[str, Any]], titles: Titles
) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    handles, labels = [], []
    for method in used:
        alone = all(row["augmenter"] == NO_AUGMENTER for row in rows if row["method"] == method)
        handles.append(
            Line2D(
                [],
                [],
                color=colour(methods, method),
                linestyle="--" if alone else "-",
                marker=None if alone else marker(methods, method),
                markersize=5,
            )
        )
        labels.append(titles.title(method) + (" (no augmenter)" if alone else ""))
    return handles, labels
