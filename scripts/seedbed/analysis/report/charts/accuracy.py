"""Figure: accuracy against budget, for each method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from seedbed.analysis.curves.fits import Fit
from seedbed.analysis.report.charts.drawing import (
    INK,
    Output,
    add_legend,
    all_methods,
    band,
    colour,
    drawing,
    marker,
    ratio_grid,
    save_figure,
    set_ratio_axis,
    with_curves,
)
from seedbed.analysis.settings import Titles
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS, Outcomes, mean_accuracy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEED_ONLY, HUMAN = "seed_only", "human"
"""Baselines of real pairs: the seed set itself, and as many pairs as their `seeds` say."""

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
"""Columns of the figure's table. `kind` is "cell", "curve", "untrained", or "real" for baselines of
real pairs, whose `budget` is the number of pairs."""


def plot_accuracy(
    fits: Sequence[Fit], outcomes: Mapping[str, Outcomes], confidence: float, output: Output
) -> None:
    """Draw one panel for each fit and seed-set size, and write it as SVG, PNG and CSV.

    Points are cell means with intervals from the test items; lines are the fitted curves with
    bootstrap bands (where nothing could be fitted, straight lines between the points). The dashed
    line is the untrained student, the dash-dotted one the student of the seeds alone; crosses are
    students of real pairs, as many as there are teacher queries elsewhere.

    Args:
        fits: the fits.
        outcomes: the outcomes of every task, for the baselines of real pairs.
        confidence: coverage of the intervals.
        output: where the figure goes.
    """
    rows: list[dict[str, Any]] = []
    fits = with_curves(fits)
    methods = all_methods(fits)
    with drawing(fits, output.titles, output.missing) as (figure, panels):
        for fit, seeds, axes in panels:
            base = {name: fit.record[name] for name in GROUP_COLUMNS} | {"seeds": seeds}
            real = real_pairs(outcomes[fit.record["task"]], fit.record["student"], confidence)
            drawn = draw_panel(axes, fit, seeds, methods, confidence)
            set_ratio_axis(axes, fit, seeds)
            drawn += _draw_real_pairs(axes, real, seeds)
            rows += [base | row for row in drawn]
            axes.set_title(f"{seeds:,} seeds")
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel("accuracy, %")
        kinds = {row["kind"] for row in rows}
        real_methods = {row["method"] for row in rows if row["kind"] == "real"}
        add_legend(figure, *legend(methods, output.titles, "untrained" in kinds, real_methods))
        table = pl.DataFrame(rows, schema=SCHEMA)
        save_figure(figure, output, table, "Accuracy against budget")


def real_pairs(outcomes: Outcomes, student: str, confidence: float) -> list[dict[str, Any]]:
    """Return the means of a student's baselines of real pairs, over their replicates.

    Returns:
        A record for each method and number of pairs: `method`, `pairs`, `accuracy`, `low`, `high`.
    """
    cells = outcomes.cells.with_row_index("row").filter(
        pl.col("student") == student, pl.col("method").is_in([SEED_ONLY, HUMAN])
    )
    return [
        {"method": method, "pairs": pairs}
        | mean_accuracy(outcomes, part["row"].to_list(), confidence)
        for (method, pairs), part in cells.sort("method", "seeds").group_by(
            "method", "seeds", maintain_order=True
        )
    ]


def _draw_real_pairs(
    axes: Axes, real: Sequence[Mapping[str, Any]], seeds: int
) -> list[dict[str, Any]]:
    """Draw the baselines of real pairs that a panel has room for on its axis."""
    rows = []
    low, high = axes.get_xlim()
    for record in real:
        ratio = record["pairs"] / seeds
        if record["method"] == SEED_ONLY and record["pairs"] == seeds:
            axes.axhline(100 * record["accuracy"], color=INK, linestyle="-.", linewidth=1)
        elif record["method"] == HUMAN and low <= ratio <= high:
            axes.errorbar(
                ratio,
                100 * record["accuracy"],
                yerr=[
                    [100 * (record["accuracy"] - record["low"])],
                    [100 * (record["high"] - record["accuracy"])],
                ],
                fmt="X",
                color=INK,
                markersize=6,
                linewidth=1.2,
            )
        else:
            continue
        rows.append(
            {name: record[name] for name in ("method", "accuracy", "low", "high")}
            | {"kind": "real", "budget_ratio": ratio, "budget": float(record["pairs"])}
        )
    return rows


def draw_panel(
    axes: Axes, fit: Fit, seeds: int, methods: Sequence[str], confidence: float
) -> list[dict[str, Any]]:
    """Draw the cells and curves of one fit and seed-set size, and return what was drawn.

    Args:
        axes: the panel.
        fit: the fit.
        seeds: one of its seed-set sizes.
        methods: the figure's methods, by whose order colours are chosen.
        confidence: coverage of the bands.

    Returns:
        Rows of `SCHEMA` without the columns of the group and `seeds`.
    """
    rows = []
    baseline = fit.record["untrained"]
    if baseline:
        axes.axhline(100 * baseline["accuracy"], color=INK, linestyle="--", linewidth=1)
        rows.append(
            {
                "kind": "untrained",
                "accuracy": baseline["accuracy"],
                "low": baseline["low"],
                "high": baseline["high"],
            }
        )
    for position, method in enumerate(fit.methods):
        cells = fit.cells(seeds, method)
        if not cells:
            continue
        paint = colour(methods, method)
        # Methods stand slightly apart, so that their intervals do not cover each other.
        shift = 1.035 ** (position - (len(fit.methods) - 1) / 2)
        at = [cell["budget_ratio"] * shift for cell in cells]
        height = [100 * cell["accuracy"] for cell in cells]
        axes.errorbar(
            at,
            height,
            yerr=[
                [100 * (cell["accuracy"] - cell["low"]) for cell in cells],
                [100 * (cell["high"] - cell["accuracy"]) for cell in cells],
            ],
            fmt=marker(methods, method),
            color=paint,
            markersize=5,
            linewidth=1.2,
        )
        rows += [
            {name: cell[name] for name in ("method", "budget_ratio", "accuracy", "low", "high")}
            | {"kind": "cell", "budget": float(cell["budget"])}
            for cell in cells
        ]
        ratios = ratio_grid(fit, seeds, method)
        curve = fit.curve(seeds, method, ratios)
        if curve is None:
            axes.plot(at, height, color=paint, linewidth=1, linestyle=":")
            continue
        low, high = band(curve[1], confidence)
        axes.plot(ratios, 100 * curve[0], color=paint, linewidth=1.6)
        axes.fill_between(ratios, 100 * low, 100 * high, color=paint, alpha=0.15, linewidth=0)
        rows += [
            {
                "kind": "curve",
                "method": method,
                "budget_ratio": ratio,
                "budget": ratio * seeds,
                "accuracy": value,
                "low": bottom,
                "high": top,
            }
            for ratio, value, bottom, top in zip(ratios, curve[0], low, high, strict=True)
        ]
    return rows


def legend(
    methods: Sequence[str], titles: Titles, with_untrained: bool, real: Iterable[str] = ()
) -> tuple[list[Any], list[str]]:
    """Return handles and labels: of methods, the untrained student, and baselines of real pairs."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour(methods, m), marker=marker(methods, m), markersize=5)
        for m in methods
    ]
    labels = [titles.title(method) for method in methods]
    if with_untrained:
        handles.append(Line2D([], [], color=INK, linestyle="--", linewidth=1))
        labels.append("Untrained student")
    if SEED_ONLY in real:
        handles.append(Line2D([], [], color=INK, linestyle="-.", linewidth=1))
        labels.append("Seeds alone")
    if HUMAN in real:
        handles.append(Line2D([], [], color=INK, linestyle="none", marker="X", markersize=6))
        labels.append("Real pairs")
    return handles, labels
