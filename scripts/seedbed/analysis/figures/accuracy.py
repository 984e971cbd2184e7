"""Figure: accuracy against budget, for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from seedbed.analysis.figures.drawing import (
    INK,
    add_legend,
    all_methods,
    band,
    colour,
    drawing,
    marker,
    ratio_grid,
    save_figure,
    set_ratio_axis,
)
from seedbed.analysis.fits import Fit
from seedbed.analysis.outcomes import GROUP_COLUMNS
from seedbed.analysis.settings import Titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
"""Columns of the figure's table; `kind` is "cell", "curve" or "untrained"."""


def plot_accuracy(
    fits: Sequence[Fit],
    path: str | Path,
    titles: Titles,
    confidence: float,
    provenance: Mapping[str, Any],
) -> None:
    """Draw one panel for each fit and seed-set size, and write it as SVG, PNG and CSV.

    Points are cell means with intervals from the test items; lines are the fitted curves with
    bootstrap bands (where nothing could be fitted, straight lines between the points); the dashed
    line is the untrained student.
    """
    rows: list[dict[str, Any]] = []
    methods = all_methods(fits)
    with drawing(fits, titles) as (figure, panels):
        for fit, seeds, axes in panels:
            base = {name: fit.record[name] for name in GROUP_COLUMNS} | {"seeds": seeds}
            rows += [base | row for row in _draw_panel(axes, fit, seeds, methods, confidence)]
            axes.set_title(f"{seeds:,} seeds")
            set_ratio_axis(axes, fit, seeds)
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel("accuracy, %")
        handles, labels = _legend(methods, titles, any(f.record["untrained"] for f in fits))
        add_legend(figure, handles, labels)
        table = pl.DataFrame(rows, schema=SCHEMA)
        save_figure(figure, path, table, "Accuracy against budget", provenance)


def _draw_panel(
    axes: Axes, fit: Fit, seeds: int, methods: Sequence[str], confidence: float
) -> list[dict[str, Any]]:
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


def _legend(
    methods: Sequence[str], titles: Titles, with_untrained: bool
) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour(methods, m), marker=marker(methods, m), markersize=5)
        for m in methods
    ]
    labels = [titles.title(method) for method in methods]
    if with_untrained:
        handles.append(Line2D([], [], color=INK, linestyle="--", linewidth=1))
        labels.append("Untrained student")
    return handles, labels
