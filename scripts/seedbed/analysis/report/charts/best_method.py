"""Figure: which method is best for a seed-set size and a budget, and how sure that is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from seedbed.analysis.curves.fits import Fit
from seedbed.analysis.decide.advise import best_shares, tied
from seedbed.analysis.decide.expectations import basis_of, drawn_alike, expected
from seedbed.analysis.report.charts.drawing import (
    INK,
    PANEL_HEIGHT_INCHES,
    Output,
    Section,
    add_legend,
    all_methods,
    colour,
    group_titles,
    save_figure,
    set_count_axis,
    sheet,
    with_curves,
    wrap_title,
)
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS = (0.0, 0.5, 0.8, 0.95)
"""Shares of resamples at which a deeper shade of the best method's colour begins."""

_SHADES = (0.2, 0.4, 0.65, 1.0)
"""Depth of the shade from each of `LEVELS` on."""

BUDGETS = 81
SIZES = 33
"""Points of the map in the logarithms of budget and seed-set size. A map of fewer sizes is one of
bands, as no study has so many."""

_HALF_BAND = 0.5 * np.log(1.3)
"""Half the height of a band for a single seed-set size, in its logarithm."""

SCHEMA = pl.Schema(
    {
        **GROUP_COLUMNS,
        "kind": pl.String,
        "basis": pl.String,
        "seeds": pl.Float64,
        "budget": pl.Float64,
        "budget_ratio": pl.Float64,
        "method": pl.String,
        "probability_best": pl.Float64,
        "accuracy": pl.Float64,
        "leading": pl.String,
    }
)
"""Columns of the figure's table. `kind` is "map" (a point of the map) or "cell" (measured); `basis`
is the fitted "curve", the cell "means", or "curve and means". `method` is the best one there, and
`leading` names it with those that are statistically tied with it."""

_OR = " or "
"""Between the names in `leading`."""


def plot_best_method(fits: Sequence[Fit], confidence: float, output: Output) -> None:
    """Draw one map for each fit, and write it as SVG, PNG and CSV.

    The colour is that of the method to expect most of, as in the advice, the deeper the larger its
    share of the bootstrap resamples in which it is best. Without a curve, and for a single size,
    each size has a band. Methods that are statistically tied share an area in stripes of their
    colours. Only budgets are shown that all methods of a size have in common. Points are measured:
    their colour is that of the best cell.

    Args:
        fits: the fits.
        confidence: a method is tied if it is best in more than one minus that of the draws.
        output: where the figure goes.
    """
    fits = [fit for fit in with_curves(fits) if len(fit.methods) > 1]
    methods = all_methods(fits)
    rows: list[dict[str, Any]] = []
    titles = group_titles(fits, output.titles)
    # A single band needs less room than a map.
    height = PANEL_HEIGHT_INCHES if any(len(fit.seeds) > 1 for fit in fits) else 2.0
    section = Section(
        "Best method by seeds and budget", len(fits), min(2, len(fits)), height=height
    )
    sections = [section] if fits else []
    nothing = "no two methods have been measured for the same task, models and filter"
    with sheet(sections, output.missing, nothing) as (figure, panels):
        for fit, title, axes in zip(fits, titles, panels[0] if panels else [], strict=True):
            place = {name: fit.record[name] for name in GROUP_COLUMNS}
            mapped = list(_map(fit, confidence))
            cells = list(_best_cells(fit, confidence))
            _draw_map(axes, mapped, methods)
            for cell in cells:
                axes.plot(
                    cell["budget"],
                    cell["seeds"],
                    marker="o",
                    markersize=6,
                    color=colour(methods, cell["method"]),
                    markeredgecolor=INK,
                    linestyle="none",
                )
            _label_regions(axes, mapped, output.titles.short)
            set_count_axis(axes.xaxis, sorted({cell["budget"] for cell in cells}))
            set_count_axis(axes.yaxis, fit.seeds)
            low, high = np.log([min(fit.seeds), max(fit.seeds)])
            margin = max(2 * _HALF_BAND, 0.08 * (high - low))
            axes.set_ylim(np.exp(low - margin), np.exp(high + margin))
            axes.grid(False)
            axes.set_title(wrap_title(title, section.columns))
            axes.set_xlabel("teacher queries")
            axes.set_ylabel("seeds")
            rows += [place | row for row in (*mapped, *cells)]
        if fits:
            add_legend(figure, *_legend(methods, output.titles.title))
        save_figure(figure, output, pl.DataFrame(rows, schema=SCHEMA), "Best method")


def _common_range(fit: Fit, seeds: int) -> tuple[list[str], float, float]:
    """Return the methods that a size has, and the lowest and highest ratio that they share."""
    found = {method: fit.means(seeds, method) for method in fit.methods}
    known = {method: means.ratios for method, means in found.items() if means is not None}
    low = max(ratios.min() for ratios in known.values())
    high = min(ratios.max() for ratios in known.values())
    return list(known), float(low), float(high)


def _map(fit: Fit, confidence: float) -> Iterator[dict[str, Any]]:
    """Yield the points of a fit's map, row by row of equal `seeds`, by ascending budget."""
    sizes = [size for size in fit.seeds if len(_common_range(fit, size)[0]) > 1]
    if not sizes:
        return
    ranges = [_common_range(fit, size) for size in sizes]
    shared = [method for method in fit.methods if all(method in known for known, _, _ in ranges)]
    if not fit.models or len(sizes) == 1 or len(shared) < 2:
        for size, (known, low, high) in zip(sizes, ranges, strict=True):
            if low <= high:
                yield from _points(fit, size, known, low * size, high * size, confidence)
        return
    # Between sizes, the edges of what was measured are straight in the logarithms.
    known = np.log(sizes)
    lowest = np.log([low * size for size, (_, low, _) in zip(sizes, ranges, strict=True)])
    highest = np.log([high * size for size, (_, _, high) in zip(sizes, ranges, strict=True)])
    for at in np.linspace(known[0], known[-1], SIZES):
        low, high = np.interp(at, known, lowest), np.interp(at, known, highest)
        if low <= high:
            yield from _points(
                fit, float(np.exp(at)), shared, np.exp(low), np.exp(high), confidence
            )


def _points(
    fit: Fit,
    seeds: float,
    methods: Sequence[str],
    low: float,
    high: float,
    confidence: float,
) -> Iterator[dict[str, Any]]:
    ratios = np.geomspace(low, high, BUDGETS if high > low else 1) / seeds
    found = [expected(fit, seeds, method, ratios) for method in methods]
    centres = np.stack([centre for centre, _ in found])
    draws = drawn_alike([drawn for _, drawn in found])
    basis = basis_of(fit, seeds, methods)
    for index, ratio in enumerate(ratios):
        at = (seeds, ratio, methods, centres[:, index], draws[:, :, index])
        yield _best("map", basis, *at, confidence)


def _best_cells(fit: Fit, confidence: float) -> Iterator[dict[str, Any]]:
    """Yield the best cell of each seed-set size and budget that more than one method has."""
    for seeds in fit.seeds:
        for budget in sorted({cell["budget"] for cell in fit.cells(seeds)}):
            cells = [cell for cell in fit.cells(seeds) if cell["budget"] == budget]
            if len(cells) < 2:
                continue
            methods = [cell["method"] for cell in cells]
            centres = np.array([cell["accuracy"] for cell in cells])
            draws = np.stack([fit.cell_draws[method, seeds, budget] for method in methods])
            ratio = budget / seeds
            yield _best("cell", "means", seeds, ratio, methods, centres, draws, confidence)


def _best(
    kind: str,
    basis: str,
    seeds: float,
    ratio: float,
    methods: Sequence[str],
    centres: np.ndarray,
    draws: np.ndarray,
    confidence: float,
) -> dict[str, Any]:
    first = int(np.argmax(centres))
    leading = tied(centres[:, None], draws[:, :, None], confidence)[:, 0]
    return {
        "kind": kind,
        "basis": basis,
        "seeds": float(seeds),
        "budget": float(ratio * seeds),
        "budget_ratio": float(ratio),
        "method": methods[first],
        "probability_best": float(best_shares(draws)[first]),
        "accuracy": float(centres[first]),
        "leading": _OR.join(methods[place] for place in np.flatnonzero(leading)),
    }


def _level(share: float) -> int:
    """Return the place in `LEVELS` of the level that a share reaches."""
    return int(np.searchsorted(LEVELS, share, side="right")) - 1


def _shade(paint: str, level: int) -> tuple[float, ...]:
    """Return a colour mixed with white, by a place in `LEVELS`."""
    from matplotlib.colors import to_rgb

    depth = _SHADES[level]
    return tuple(1 - depth * (1 - part) for part in to_rgb(paint))


def _draw_map(axes: Axes, mapped: Sequence[dict[str, Any]], methods: Sequence[str]) -> None:
    """Draw each row of the map as bars, one for each stretch of the same methods and shade.

    Methods that are tied share the height of a band; in a continuous map, rows take turns.
    """
    by_size = _rows(mapped)
    sizes = np.log([row[0]["seeds"] for row in by_size])
    continuous = len(by_size) == SIZES
    for number, (at, row) in enumerate(zip(sizes, by_size, strict=True)):
        half = (sizes[-1] - sizes[0]) / (len(sizes) - 1) / 2 if continuous else _HALF_BAND
        place = np.log([point["budget"] for point in row])
        # A single budget still has a width to be seen by.
        step = place[1] - place[0] if len(place) > 1 else 0.1
        looks = [(point["leading"], _depth(point)) for point in row]
        index = 0
        for (leading, level), stretch in groupby(looks):
            count = len(list(stretch))
            low, high = place[index] - step / 2, place[index + count - 1] + step / 2
            names = leading.split(_OR)
            if continuous:
                names = [names[number % len(names)]]
            edges = np.exp(np.linspace(at + half, at - half, len(names) + 1))
            for name, top, bottom in zip(names, edges, edges[1:], strict=False):
                axes.broken_barh(
                    [(np.exp(low), np.exp(high) - np.exp(low))],
                    (bottom, top - bottom),
                    facecolor=_shade(colour(methods, name), level),
                    linewidth=0,
                    # Without it, white seams show between neighbours.
                    antialiased=False,
                )
            index += count


def _depth(point: Mapping[str, Any]) -> int:
    """Return the place in `LEVELS` of a point's shade, which is one for all that is tied.

    The share of the best of tied methods alone would show where noise has them change places.
    """
    return 1 if _OR in point["leading"] else _level(point["probability_best"])


def _rows(mapped: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the points of a map by size."""
    return [list(row) for _, row in groupby(mapped, key=lambda point: point["seeds"])]


def _label_regions(axes: Axes, mapped: Sequence[dict[str, Any]], short: Any) -> None:
    """Write the short titles of methods at the middle of what they lead, where there is room."""
    by_size = _rows(mapped)
    if not by_size:
        return
    bands = len(by_size) < SIZES
    # In a continuous map, the middle row carries the label, away from the points, or else the
    # longest stretch of all rows; of bands, each has labels of its own.
    candidates: dict[Any, tuple[float, float, float]] = {}
    for number, row in enumerate(by_size):
        place = np.log([point["budget"] for point in row])
        index = 0
        for leading, stretch in groupby(row, key=lambda point: point["leading"]):
            count = len(list(stretch))
            ends = place[index], place[index + count - 1]
            key = (leading, number if bands else None)
            width = ends[1] - ends[0]
            rank = width + 100 * (not bands and number == len(by_size) // 2)
            needed = 0.02 + 0.03 * len(_region_text(leading, short))
            room = width > needed * (place[-1] - place[0])
            if room and rank > candidates.get(key, (0, 0, 0))[0]:
                candidates[key] = (rank, np.exp(sum(ends) / 2), row[0]["seeds"])
            index += count
    for (leading, number), (_, budget, seeds) in candidates.items():
        # In a band, points stand in the middle: the label goes below them.
        height = seeds * (np.exp(-0.65 * _HALF_BAND) if number is not None else 1)
        axes.text(
            budget,
            height,
            _region_text(leading, short),
            ha="center",
            va="center",
            fontsize=9,
            fontweight="bold",
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
        )


def _region_text(leading: str, short: Any) -> str:
    names = [textwrap.shorten(short(name), 14, placeholder="…") for name in leading.split(_OR)]
    return _OR.join(names)


def _legend(methods: Sequence[str], title: Any) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(facecolor=colour(methods, method)) for method in methods]
    labels = [title(method) for method in methods]
    handles += [Patch(facecolor=_shade(INK, level)) for level in range(len(LEVELS))]
    texts = [f"best in <{100 * LEVELS[1]:.0f}% of resamples"]
    texts += [f"{100 * level:.0f}% or more" for level in LEVELS[1:]]
    handles.append(Line2D([], [], color="white", marker="o", markeredgecolor=INK, linestyle="none"))
    stripes = Patch(facecolor="white", edgecolor=_shade(INK, 1), hatch="---", linewidth=0)
    return [*handles, stripes], [*labels, *texts, "measured: best cell", "statistically tied"]
