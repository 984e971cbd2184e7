"""Figure: what each method gains over the first one, and which leads at which budget ratio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from seedbed.analysis.curves.fits import Fit
from seedbed.analysis.decide.advise import leaders
from seedbed.analysis.decide.crossovers import ratio_text
from seedbed.analysis.report.charts.drawing import (
    INK,
    Output,
    add_legend,
    all_methods,
    band,
    colour,
    drawing,
    marker,
    save_figure,
    set_ratio_axis,
    shown_crossovers,
    text_colour,
    text_on,
    with_curves,
)
from seedbed.analysis.settings import PublishedShift, Titles, published_for
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA = pl.Schema(
    {
        **GROUP_COLUMNS,
        "seeds": pl.Int64,
        "kind": pl.String,
        "reference": pl.String,
        "method": pl.String,
        "budget_ratio": pl.Float64,
        "budget": pl.Float64,
        "difference": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
)
"""Columns of the figure's table. `kind` is "comparison" (item-paired difference of two cells),
"curve" (difference of two fitted curves), "crossover" (`low` and `high` are budget ratios), or
"leader" (the method leads from the budget ratio `low` to `high`), or "published" (where others saw
the reference overtaken, as the source says that stands in place of a method)."""


def plot_cost_effectiveness(
    fits: Sequence[Fit],
    comparisons: pl.DataFrame,
    crossovers: Sequence[Mapping[str, Any]],
    confidence: float,
    output: Output,
    published: Sequence[PublishedShift] = (),
) -> None:
    """Draw one panel for each fit and seed-set size, and write it as SVG, PNG and CSV.

    Points are item-paired differences to the first method with intervals from the test items;
    lines are differences of the fitted curves with bootstrap bands. A vertical line marks where the
    curves cross, its shade the interval. The strip above says which methods lead where,
    by the curves and the cells; several where they are statistically tied.

    Args:
        fits: the fits.
        comparisons: table of `compare_methods`.
        crossovers: records of `find_crossovers`.
        confidence: coverage of the bands.
        output: where the figure goes.
        published: shifts that others saw, drawn in the panels of like seeds and student.
    """
    rows: list[dict[str, Any]] = []
    fits = with_curves(fits)
    titles = output.titles
    methods = all_methods(fits)
    crossings_in: dict[str, int] = {}
    panel_of: dict[str, Axes] = {}
    sources: set[str] = set()
    with drawing(fits, titles, output.missing) as (figure, panels):
        for fit, seeds, axes in panels:
            place = {name: fit.record[name] for name in GROUP_COLUMNS} | {"seeds": seeds}
            paired = comparisons.filter(
                *(pl.col(name) == value for name, value in place.items()),
                pl.col("reference") == fit.methods[0],
            )
            crossing = shown_crossovers(fit, seeds, crossovers)
            axes.axhline(0, color=colour(methods, fit.methods[0]), linewidth=1.6)
            drawn = _draw_crossovers(axes, crossing, methods)
            shifts = published_for(published, fit.record["student"], seeds)
            drawn += _draw_published(axes, fit, seeds, shifts)
            sources.update(shift.source for shift in shifts)
            drawn += _draw_differences(axes, fit, seeds, paired, methods, confidence)
            drawn += _draw_leaders(axes, fit, seeds, methods, titles, confidence)
            key = fit.record["fit"]
            count = sum(len(record["crossings"]) for record in crossing)
            crossings_in[key] = max(count, crossings_in.get(key, 0))
            panel_of[key] = axes
            rows += [place | {"reference": fit.methods[0]} | row for row in drawn]
            axes.set_title(f"{seeds:,} seeds", pad=20)
            set_ratio_axis(axes, fit, seeds)
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel(f"gain over {titles.short(fit.methods[0])}, points")
            if len(fit.methods) == 1:
                axes.text(0.5, 0.6, "one method only", transform=axes.transAxes, ha="center")
        # Panels of one fit share their y axis: only once all are drawn is its range known.
        for key, axes in panel_of.items():
            if crossings_in[key]:
                _make_room(axes, crossings_in[key])
        if fits:
            add_legend(figure, *_legend(methods, titles, confidence, sorted(sources)))
        table = pl.DataFrame(rows, schema=SCHEMA)
        save_figure(figure, output, table, "Which method leads at which budget")


def _draw_differences(
    axes: Axes,
    fit: Fit,
    seeds: int,
    paired: pl.DataFrame,
    methods: Sequence[str],
    confidence: float,
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    reference = fit.methods[0]
    for position, method in enumerate(fit.methods[1:]):
        paint = colour(methods, method)
        points = paired.filter(pl.col("method") == method).sort("budget_ratio")
        # Methods stand slightly apart, so that their intervals do not cover each other.
        shift = 1.035 ** (position - (len(fit.methods) - 2) / 2)
        for row in points.iter_rows(named=True):
            low, high = row["low"], row["high"]
            error = None if low is None else 100 * (high - low) / 2
            axes.errorbar(
                row["budget_ratio"] * shift,
                100 * row["difference"],
                yerr=error,
                fmt=marker(methods, method),
                color=paint,
                markersize=5,
                linewidth=1.2,
            )
            rows.append(
                {name: row[name] for name in ("method", "budget_ratio", "difference")}
                | {"kind": "comparison", "budget": float(row["budget"]), "low": low, "high": high}
            )
        if points.height < 2:
            continue
        ends = points["budget_ratio"]
        ratios = np.geomspace(ends.min(), ends.max(), 101)
        curves = [fit.curve(seeds, name, ratios) for name in (reference, method)]
        if curves[0] is None or curves[1] is None:
            axes.plot(
                points["budget_ratio"] * shift,
                100 * points["difference"],
                color=paint,
                linewidth=1,
                linestyle=":",
            )
            continue
        difference = curves[1][0] - curves[0][0]
        low, high = band(curves[1][1] - curves[0][1], confidence)
        axes.plot(ratios, 100 * difference, color=paint, linewidth=1.6)
        axes.fill_between(ratios, 100 * low, 100 * high, color=paint, alpha=0.15, linewidth=0)
        rows += [
            {
                "kind": "curve",
                "method": method,
                "budget_ratio": ratio,
                "budget": ratio * seeds,
                "difference": value,
                "low": bottom,
                "high": top,
            }
            for ratio, value, bottom, top in zip(ratios, difference, low, high, strict=True)
        ]
    return rows


def _draw_crossovers(
    axes: Axes, crossovers: Sequence[Mapping[str, Any]], methods: Sequence[str]
) -> list[dict[str, Any]]:
    """Mark each crossing with a line, and its interval on a line of its own near the axis."""
    from matplotlib.patches import Rectangle

    rows = []
    for record in crossovers:
        paint = colour(methods, record["method"])
        for crossing in record["crossings"]:
            at = crossing["budget_ratio"]
            first, last = record["range"]
            low = first if crossing["low_beyond_range"] else crossing["low"]
            high = last if crossing["high_beyond_range"] else crossing["high"]
            height = 0.03 + _INTERVAL_HEIGHT * len(rows)
            axes.axvline(at, color=paint, linewidth=1.2, linestyle="--")
            axes.add_patch(
                Rectangle(
                    (low, height),
                    high - low,
                    0.7 * _INTERVAL_HEIGHT,
                    transform=axes.get_xaxis_transform(),
                    facecolor=paint,
                    alpha=0.3,
                    linewidth=0,
                )
            )
            # The label stands on the side of the interval that has more room, or inside it.
            room_left, room_right = np.log(low / first), np.log(last / high)
            if max(room_left, room_right) < 0.25 * np.log(last / first):
                place, align, shift = np.sqrt(low * high), "center", 0
            elif room_right > room_left:
                place, align, shift = high, "left", 4
            else:
                place, align, shift = low, "right", -4
            axes.annotate(
                f"BR {ratio_text(at)}",
                (place, height + 0.35 * _INTERVAL_HEIGHT),
                xycoords=axes.get_xaxis_transform(),
                xytext=(shift, 0),
                textcoords="offset points",
                ha=align,
                va="center_baseline",
                fontsize=9,
                color=text_colour(paint),
                fontweight="bold",
                # Another crossing's line may pass behind the label.
                bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5},
            )
            rows.append(
                {
                    "kind": "crossover",
                    "method": record["method"],
                    "budget_ratio": at,
                    "budget": crossing["budget"],
                    "low": crossing["low"],
                    "high": crossing["high"],
                }
            )
    return rows


def _draw_published(
    axes: Axes, fit: Fit, seeds: int, shifts: Sequence[PublishedShift]
) -> list[dict[str, Any]]:
    """Shade where others saw the first method overtaken, as far as the panel's ratios go."""
    rows = []
    known = [cell["budget_ratio"] for cell in fit.cells(seeds)]
    for shift in shifts:
        high = shift.high or shift.low
        rows.append(
            {
                "kind": "published",
                "method": shift.source,
                "budget_ratio": shift.low if shift.high is None else None,
                "low": shift.low,
                "high": high,
            }
        )
        # A ratio alone is a narrow stripe.
        left, right = (
            (shift.low / 1.02, shift.low * 1.02) if high == shift.low else (shift.low, high)
        )
        if right < min(known) or left > max(known):
            continue
        axes.axvspan(left, right, facecolor=_PUBLISHED, alpha=0.35, linewidth=0, zorder=0)
    return rows


_PUBLISHED = "#b9a44c"

_INTERVAL_HEIGHT = 0.08
"""Height of a crossover's interval with its label, as a share of the panel's."""


def _make_room(axes: Axes, lines: int) -> None:
    """Lower the bottom of a panel, so that crossovers' intervals lie below the data."""
    low, high = axes.get_ylim()
    share = _INTERVAL_HEIGHT * lines + 0.05
    axes.set_ylim(high - (high - low) / (1 - share), high)


def _draw_leaders(
    axes: Axes,
    fit: Fit,
    seeds: int,
    methods: Sequence[str],
    titles: Titles,
    confidence: float,
) -> list[dict[str, Any]]:
    """Draw the strip of leading methods; those that are statistically tied share its height."""
    from matplotlib.patches import Rectangle

    rows = []
    parts = leaders(fit, seeds, confidence)
    span = np.log(parts[-1].high / parts[0].low) if parts else 1.0
    for part in parts:
        height = _STRIP_HEIGHT / len(part.methods)
        for place, method in enumerate(part.methods):
            axes.add_patch(
                Rectangle(
                    (part.low, 1.02 + height * (len(part.methods) - 1 - place)),
                    part.high - part.low,
                    height,
                    transform=axes.get_xaxis_transform(),
                    facecolor=colour(methods, method),
                    clip_on=False,
                    linewidth=0,
                )
            )
            row = {"kind": "leader", "method": method, "low": part.low, "high": part.high}
            rows.append(row)
        text = " or ".join(map(titles.short, part.methods))
        if np.log(part.high / part.low) / span > 0.03 + 0.035 * len(text):
            alone = len(part.methods) == 1
            paint = text_on(colour(methods, part.methods[0])) if alone else INK
            axes.text(
                np.sqrt(part.low * part.high),
                1.02 + _STRIP_HEIGHT / 2,
                text,
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="center_baseline" if alone else "center",
                fontsize=9,
                fontweight="bold",
                color=paint,
                # Over several colours, no single one has contrast.
                bbox=None
                if alone
                else {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1},
            )
    return rows


_STRIP_HEIGHT = 0.08
"""Height of the strip of leading methods, as a share of the panel's."""


def _legend(
    methods: Sequence[str], titles: Titles, confidence: float, sources: Sequence[str]
) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    labels = []
    for index, method in enumerate(methods):
        symbol = None if index == 0 else marker(methods, method)
        handles.append(Line2D([], [], color=colour(methods, method), marker=symbol, markersize=5))
        labels.append(titles.title(method))
    handles.append(Patch(facecolor=INK, alpha=0.3, linewidth=0))
    labels.append(f"Crossover, {100 * confidence:g}% interval")
    for source in sources:
        handles.append(Patch(facecolor=_PUBLISHED, alpha=0.35, linewidth=0))
        labels.append(f"Shift in {source}")
    return handles, labels
