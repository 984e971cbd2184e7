"""Chart: the best method for a seed-set size and a budget, and its probability of being best."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from seedbed.analysis.curves import Curves, FitsRecord, read_curves
from seedbed.analysis.decide.advise import (
    Stretch,
    best_shares,
    leaders,
    leading_stretches,
    tied,
)
from seedbed.analysis.report import figure_sentences
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.charts.drawing import (
    Content,
    Layers,
    Look,
    Methods,
    Row,
    Section,
    budget_axis,
    count_axis,
    layer,
    legend,
    log_limits,
    panel,
    panel_width,
    sheet,
    spread,
    tooltips,
    words,
)
from seedbed.analysis.report.charts.places import all_methods, by_place, with_curves
from seedbed.analysis.settings import Titles
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS

_SHARES = (0.0, 0.5, 0.8, 0.95)
"""Probabilities from which the best method's colour has a deeper shade."""

LEVELS = (
    ("best with <50%", 0.3),
    ("50% or more", 0.45),
    ("80% or more", 0.6),
    ("95% or more", 0.75),
)
"""Label and opacity of each shade. Points of the same colour are visible even on the deepest."""

BUDGETS = 81
SIZES = 33
"""Points of a continuous map along the logarithms of budget and seed-set size. A map with fewer
sizes has bands; no study has that many sizes."""

_ROW_PIXELS = 4
"""Height of a row of a continuous map."""

_BAND, _BAND_PIXELS = math.log(1.3), 40
"""Height of a band for a single seed-set size, in the size's logarithm and in pixels."""

SCHEMA = pl.Schema(
    {
        **GROUP_COLUMNS,
        "kind": pl.String,
        "seeds": pl.Float64,
        "budget": pl.Float64,
        "budget_ratio": pl.Float64,
        "method": pl.String,
        "probability_best": pl.Float64,
        "accuracy": pl.Float64,
        "leading": pl.String,
    }
)
"""Columns of the table. `kind` is "map" (a point of the map) or "cell" (measured). `leading` names
the leading methods, several if they are statistically tied, and `method` is the best of them.
`probability_best` is computed from the curves, for cells too."""

_OR = " or "
"""Separator of the names in `leading`."""


def tabulate(fits: Path, draws: Path) -> Content:
    """Return the best method at each point of a map, and among the measured cells."""
    return content(read_curves(fits, draws), FitsRecord.read(fits).settings.confidence)


def content(fits: Sequence[Curves], confidence: float) -> Content:
    """Return the same from fits.

    Args:
        fits: the fits.
        confidence: a method is tied if it is best in more than 1 - `confidence` of the draws.
    """
    fits = [fit for fit in with_curves(fits) if len(fit.methods) > 1]
    rows = [
        asdict(fit.group) | row
        for fit in fits
        for row in (*_map(fit, confidence), *_best_cells(fit, confidence))
    ]
    table = pl.DataFrame(rows, schema=SCHEMA)
    measured = {tuple(asdict(fit.group).values()): fit.methods for fit in fits}
    return Content(table, all_methods(fits), confidence, besides=measured)


def _common_range(fit: Curves, seeds: int) -> tuple[list[str], float, float]:
    """Return the methods of a size, and the lowest and the highest ratio that they share."""
    found = {
        method: [cell.budget_ratio for cell in fit.cells(seeds, method)] for method in fit.methods
    }
    known = {method: ratios for method, ratios in found.items() if ratios}
    return list(known), max(map(min, known.values())), min(map(max, known.values()))


def _map(fit: Curves, confidence: float) -> Iterator[Row]:
    """Yield the points of a fit's map, row by row of equal `seeds`, by ascending budget."""
    sizes = [size for size in fit.seeds if len(_common_range(fit, size)[0]) > 1]
    if not sizes:
        return
    ranges = [_common_range(fit, size) for size in sizes]
    shared = [method for method in fit.methods if all(method in known for known, _, _ in ranges)]
    if len(sizes) == 1 or len(shared) < 2:
        for size, (known, low, high) in zip(sizes, ranges, strict=True):
            if low <= high:
                yield from _points(fit, size, known, low * size, high * size, confidence)
        return
    # Between sizes, the edges of the measured range are interpolated in the logarithms.
    known_sizes = np.log(sizes)
    lowest = np.log([low * size for size, (_, low, _) in zip(sizes, ranges, strict=True)])
    highest = np.log([high * size for size, (_, _, high) in zip(sizes, ranges, strict=True)])
    for at in np.linspace(known_sizes[0], known_sizes[-1], SIZES):
        low, high = np.interp(at, known_sizes, lowest), np.interp(at, known_sizes, highest)
        if low <= high:
            yield from _points(
                fit, float(np.exp(at)), shared, np.exp(low), np.exp(high), confidence
            )


def _points(
    fit: Curves,
    seeds: float,
    methods: Sequence[str],
    low: float,
    high: float,
    confidence: float,
) -> Iterator[Row]:
    ratios = np.geomspace(low, high, BUDGETS if high > low else 1) / seeds
    found = [fit.accuracy(seeds, method, ratios) for method in methods]
    centres = np.stack([centre for centre, _ in found])
    draws = np.stack([drawn for _, drawn in found])
    stretches = leading_stretches(ratios, methods, centres, draws, confidence)
    for index, ratio in enumerate(ratios):
        leading = _leading_at(stretches, ratio)
        yield _best("map", seeds, ratio, methods, leading, centres[:, index], draws[:, :, index])


def _leading_at(stretches: Sequence[Stretch], ratio: float) -> tuple[str, ...]:
    """Return the methods that lead at a budget ratio; empty if it is in no stretch."""
    found = (part.methods for part in stretches if part.low <= ratio <= part.high * (1 + 1e-9))
    return next(found, ())


def _best_cells(fit: Curves, confidence: float) -> Iterator[Row]:
    """Yield the best cell of each seed-set size and budget with cells of several methods.

    Methods that lead by the curves count as tied with the method of the best cell.
    """
    for seeds in fit.seeds:
        stretches = leaders(fit, seeds, confidence)
        for budget in sorted({cell.budget for cell in fit.cells(seeds)}):
            cells = [cell for cell in fit.cells(seeds) if cell.budget == budget]
            if len(cells) < 2:
                continue
            methods = [cell.method for cell in cells]
            centres = np.array([cell.accuracy for cell in cells])
            ratio = budget / seeds
            found = [fit.accuracy(seeds, method, np.array([ratio])) for method in methods]
            draws = np.stack([drawn[:, 0] for _, drawn in found])
            tie = tied(centres[:, None], draws[:, :, None], confidence)[:, 0]
            leading = {methods[int(np.argmax(centres))]}
            leading |= {*_leading_at(stretches, ratio)} or {*np.array(methods)[tie].tolist()}
            yield _best("cell", seeds, ratio, methods, leading, centres, draws)


def _best(
    kind: str,
    seeds: float,
    ratio: float,
    methods: Sequence[str],
    leading: Collection[str],
    centres: np.ndarray,
    draws: np.ndarray,
) -> Row:
    there = [place for place, method in enumerate(methods) if method in leading]
    first = max(there, key=lambda place: centres[place])
    return {
        "kind": kind,
        "seeds": float(seeds),
        "budget": float(ratio * seeds),
        "budget_ratio": float(ratio),
        "method": methods[first],
        "probability_best": float(best_shares(draws)[first]),
        "accuracy": float(centres[first]),
        "leading": _OR.join(methods[place] for place in there),
    }


def chart(content: Content, titles: Titles, missing: str = "") -> alt.VConcatChart:
    """Return a map for each task (with its models and filter).

    The colour is that of the method with the highest expected accuracy, as in the advice. It is
    deeper the larger the method's probability of being best. A single size is shown as a band.
    Statistically tied methods share an area in stripes of their colours. The map covers only
    budgets that all methods of a size share. Points are measured: they have the colour of the best
    cell, or none if it is statistically tied with another.
    """
    rows = content.rows()
    methods = Methods(content.methods, titles)
    places = by_place(rows, titles)
    columns = min(2, len(places))
    panels = []
    for place, title, part in places:
        width = panel_width(columns, 60)
        of = content.besides[tuple(place.values())]
        layers, height = _layers(part, methods, of, titles, width)
        panels.append(panel(layers, title, width, height))
    sections = [Section("Best method by seeds and budget", panels, columns)] if panels else []
    nothing = "no two methods have been measured for the same task, models and filter"
    return sheet(sections, [*([figure_sentences.MAP] if panels else []), missing], nothing)


def _layers(
    rows: Sequence[Row], methods: Methods, of: Sequence[str], titles: Titles, width: int
) -> tuple[Layers, int]:
    """Return the layers of a map, and its height in pixels."""
    mapped = [row for row in rows if row["kind"] == "map"]
    cells = [row for row in rows if row["kind"] == "cell"]
    by_size = [list(row) for _, row in groupby(mapped, key=lambda point: point["seeds"])]
    continuous = len(by_size) == SIZES
    sizes = sorted({row["seeds"] for row in cells} | {row[0]["seeds"] for row in by_size})
    low, high = math.log(sizes[0]), math.log(sizes[-1])
    # Rows are whole pixels high, so that their edges are sharp and show no seams.
    step = (high - low) / (SIZES - 1) if continuous else _BAND / _BAND_PIXELS
    pixels = _ROW_PIXELS if continuous else 1
    margin = 30 if continuous else _BAND_PIXELS
    height = round((high - low) / step) * pixels + pixels + 2 * margin
    edge = step / 2 + margin * step / pixels
    scale = alt.Scale(type="log", domain=[math.exp(low - edge), math.exp(high + edge)], nice=False)
    ticks = spread(sorted({row["seeds"] for row in cells}) or [sizes[0], sizes[-1]])
    axis = count_axis(ticks, "seeds")

    def y(name: str) -> alt.Y:
        return alt.Y(f"{name}:Q", scale=scale, axis=axis)

    half = step / 2 if continuous else _BAND / 2
    areas = [
        area
        for number, row in enumerate(by_size)
        for area in _areas(row, number, half, continuous, methods, of)
    ]
    x = budget_axis([row["budget"] for row in (cells or mapped)])
    names = [text for text, _ in LEVELS]
    depth = alt.Opacity(
        "depth:N",
        # Without a type, Vega spreads opacities evenly between the first two.
        scale=alt.Scale(type="ordinal", domain=names, range=[shade for _, shade in LEVELS]),
        legend=legend(names, symbolType="square", symbolSize=160, symbolStrokeWidth=0),
    )
    area = layer(areas, "rect", strokeWidth=0)
    said = tooltips(
        ("leading", "best", None),
        ("share", "probability of being best", None),
        ("seeds", "seeds", ",.0f"),
        ("queries", "queries", None),
    )
    area = area.encode(
        x=x("from"),
        x2=alt.X2("end:Q"),
        y=y("bottom"),
        y2=alt.Y2("top:Q"),
        opacity=depth,
        tooltip=said,
    )
    layers = [*methods.first()]
    if areas:
        look: Look = {"color": methods.colour, "fillOpacity": methods.opacity}
        layers.append(area.encode(**look))
    points = [
        {
            "Method": methods.names[row["method"]],
            "leading": _names(row["leading"], of, methods.names.__getitem__),
            "at": row["budget"],
            "seeds": row["seeds"],
            "accuracy": 100 * row["accuracy"],
            "share": f"{row['probability_best']:.0%}",
        }
        for row in cells
    ]
    said = tooltips(
        ("leading", "best cell", None),
        ("accuracy", "accuracy, %", ".1f"),
        ("share", "probability of being best", None),
        ("at", "queries", ",.0f"),
        ("seeds", "seeds", ",.0f"),
    )
    tie = [_OR in row["leading"] for row in cells]
    if alone := [point for point, several in zip(points, tie, strict=True) if not several]:
        point = layer(alone, "point", filled=True, size=80, opacity=1, style="edge")
        layers.append(methods.marks(point.encode(x=x("at"), y=y("seeds"), tooltip=said)))
    if shared := [point for point, several in zip(points, tie, strict=True) if several]:
        point = layer(shared, "point", size=60, opacity=1, style=["ink", "hollow"])
        layers.append(point.encode(x=x("at"), y=y("seeds"), tooltip=said))
    span = log_limits([row["budget"] for row in (cells or mapped)])
    for text in words(
        _labels(by_size, of, titles, width / math.log(span[1] / span[0])), fontWeight="bold"
    ):
        # In a band, points are in the middle: the label is below them.
        shown = text if continuous else text.encode(yOffset=alt.YOffsetValue(13))
        layers.append(shown.encode(x=x("at"), y=y("seeds")))
    return layers, height


def _names(leading: str, of: Sequence[str], name: say.Name) -> str:
    return say.either(leading.split(_OR), of, name)


def _areas(
    row: Sequence[Row],
    number: int,
    half: float,
    continuous: bool,
    methods: Methods,
    of: Sequence[str],
) -> Iterator[Row]:
    """Yield the areas of a row of the map: one for each stretch with the same methods and shade.

    Tied methods share the height of a band. In a continuous map, their colours alternate by row.
    """
    place = [math.log(point["budget"]) for point in row]
    # A single budget needs a visible width.
    step = place[1] - place[0] if len(place) > 1 else 0.1
    at = math.log(row[0]["seeds"])
    index = 0
    for (leading, depth), stretch in groupby(row, key=lambda one: (one["leading"], _depth(one))):
        points = list(stretch)
        low, high = place[index] - step / 2, place[index + len(points) - 1] + step / 2
        index += len(points)
        leads = leading.split(_OR)
        shown = [leads[number % len(leads)]] if continuous else leads
        shares = [point["probability_best"] for point in points]
        for turn, name in enumerate(shown):
            top = at + half - 2 * half * turn / len(shown)
            yield {
                "Method": methods.names[name],
                "depth": depth,
                "from": math.exp(low),
                "end": math.exp(high),
                "top": math.exp(top),
                "bottom": math.exp(top - 2 * half / len(shown)),
                "leading": _names(leading, of, methods.names.__getitem__),
                "share": f"{min(shares):.0%} to {max(shares):.0%}",
                "seeds": row[0]["seeds"],
                "queries": f"{points[0]['budget']:,.0f} to {points[-1]['budget']:,.0f}",
            }


def _depth(point: Row) -> str:
    """Return the label of a point's shade, the same for all points with tied methods.

    Among tied methods, noise decides which one is best, and so its probability.
    """
    if _OR in point["leading"]:
        return LEVELS[1][0]
    return LEVELS[int(np.searchsorted(_SHARES, point["probability_best"], side="right")) - 1][0]


def _labels(
    by_size: Sequence[Sequence[Row]], of: Sequence[str], titles: Titles, scale: float
) -> list[Row]:
    """Return labels with short titles at the middle of the areas that have room for them.

    In a continuous map, the label is in the middle row, away from the points, or if there is no
    room, in the row with the longest stretch. In a map of bands, each band has its own labels.

    Args:
        by_size: the points of the map by size.
        of: the methods that are compared.
        titles: titles of methods.
        scale: pixels per unit of a budget's logarithm.
    """
    bands = len(by_size) < SIZES
    found: dict[Any, tuple[float, Row]] = {}
    for number, row in enumerate(by_size):
        for leading, stretch in groupby(row, key=lambda point: point["leading"]):
            points = list(stretch)
            ends = math.log(points[0]["budget"]), math.log(points[-1]["budget"])
            text = _names(leading, of, titles.short)
            key = (leading, number if bands else None)
            room = scale * (ends[1] - ends[0])
            rank = room + 10_000 * (not bands and number == len(by_size) // 2)
            if room > 7.5 * len(text) + 6 and rank > found.get(key, (0.0, {}))[0]:
                place = {"at": math.exp(sum(ends) / 2), "seeds": row[0]["seeds"]}
                found[key] = (rank, {**place, "words": text})
    return [label for _, label in found.values()]
