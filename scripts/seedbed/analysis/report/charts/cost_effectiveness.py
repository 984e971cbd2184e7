"""Chart: gain of each method over the first one, and the leading methods by budget ratio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl

from seedbed.analysis.curves import Curves, Estimate, FitsRecord, read_curves
from seedbed.analysis.decide.advise import leaders
from seedbed.analysis.decide.crossovers import Crossover, CrossoversRecord
from seedbed.analysis.report import figure_sentences
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.charts.drawing import (
    COLUMNS,
    HEIGHT,
    Axis,
    Content,
    Layers,
    Look,
    Methods,
    Row,
    Section,
    apart,
    dashes,
    interval,
    layer,
    log_limits,
    measured,
    panel,
    panel_width,
    percent,
    published,
    ratio_axis,
    sheet,
    tooltips,
    value_axis,
    words,
)
from seedbed.analysis.report.charts.places import (
    all_methods,
    by_place,
    shown_crossovers,
    with_curves,
)
from seedbed.analysis.report.charts.theme import PUBLISHED, colour, text_on
from seedbed.analysis.settings import PublishedShift, Titles, published_for
from seedbed.analysis.tables.comparisons import read_comparisons
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS

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
"""Columns of the table. `kind` is "comparison" (item-paired difference of two cells), "curve"
(difference of two curves), "crossover" (`low` and `high` are budget ratios), "leader" (the
method leads from the budget ratio `low` to `high`), or "published" (a published crossover, with its
source in the column `method`)."""

_STRIP = 16
"""Height in pixels of the strip of leading methods."""

_BAR = 0.08
"""Height of a crossover's interval, as a share of the panel's."""


def tabulate(
    fits: Path,
    draws: Path,
    comparisons: Path,
    crossovers: Path,
    published: Sequence[PublishedShift] = (),
) -> Content:
    """Return the differences to the first method, the crossovers with it, and leading methods."""
    return content(
        read_curves(fits, draws),
        read_comparisons(comparisons),
        CrossoversRecord.read(crossovers).crossovers,
        FitsRecord.read(fits).settings.confidence,
        published,
    )


def content(
    fits: Sequence[Curves],
    comparisons: pl.DataFrame,
    crossovers: Sequence[Crossover],
    confidence: float,
    published: Sequence[PublishedShift] = (),
) -> Content:
    """Return the same from objects."""
    rows: list[Row] = []
    fits = with_curves(fits)
    for fit in fits:
        for seeds in fit.seeds:
            place = asdict(fit.group) | {"seeds": seeds}
            paired = comparisons.filter(
                *(pl.col(name) == value for name, value in place.items()),
                pl.col("reference") == fit.methods[0],
            )
            found = [
                *_crossover_rows(shown_crossovers(fit, seeds, crossovers)),
                *_published_rows(published_for(published, fit.group.student, seeds)),
                *_difference_rows(fit, seeds, paired, confidence),
                *(
                    {"kind": "leader", "method": method, "low": part.low, "high": part.high}
                    for part in leaders(fit, seeds, confidence)
                    for method in part.methods
                ),
            ]
            rows += [place | {"reference": fit.methods[0]} | row for row in found]
    return Content(pl.DataFrame(rows, schema=SCHEMA), all_methods(fits), confidence)


def _crossover_rows(records: Sequence[Crossover]) -> list[Row]:
    names = ("budget_ratio", "budget", "low", "high")
    return [
        {"kind": "crossover", "method": record.method}
        | {name: getattr(found, name) for name in names}
        for record in records
        for found in record.crossings
    ]


def _published_rows(shifts: Sequence[PublishedShift]) -> list[Row]:
    return [
        {
            "kind": "published",
            "method": shift.source,
            "budget_ratio": shift.low if shift.high is None else None,
            "low": shift.low,
            "high": shift.high or shift.low,
        }
        for shift in shifts
    ]


def _difference_rows(fit: Curves, seeds: int, paired: pl.DataFrame, confidence: float) -> list[Row]:
    rows: list[Row] = []
    reference = fit.methods[0]
    for method in fit.methods[1:]:
        points = paired.filter(pl.col("method") == method).sort("budget_ratio")
        names = ("method", "budget_ratio", "difference", "low", "high")
        rows += [
            {name: row[name] for name in names}
            | {"kind": "comparison", "budget": float(row["budget"])}
            for row in points.iter_rows(named=True)
        ]
        if points.height < 2:
            continue
        ends = points["budget_ratio"]
        ratios = np.geomspace(min(ends), max(ends), 101)
        curves = [fit.accuracy(seeds, name, ratios) for name in (reference, method)]
        centre = curves[1].centre - curves[0].centre
        low, high = Estimate(centre, curves[1].draws - curves[0].draws).interval(confidence)
        rows += [
            {"kind": "curve", "method": method, "budget_ratio": ratio, "budget": ratio * seeds}
            | {"difference": value, "low": bottom, "high": top}
            for ratio, value, bottom, top in zip(ratios, centre, low, high, strict=True)
        ]
    return rows


def chart(content: Content, titles: Titles, missing: str = "") -> alt.VConcatChart:
    """Return a chart with a panel for each task (with its models and filter) and seed-set size.

    Points are item-paired differences to the first method, with their intervals. Lines are
    differences of curves, with bands. A dashed line marks a crossover of curves, the bar at its
    foot the interval. The strip above the panel shows the leading methods by the curves, several if
    they are statistically tied.
    """
    rows = content.rows()
    methods = Methods(content.methods, titles)
    sources = sorted({row["method"] for row in rows if row["kind"] == "published"})
    label = figure_sentences.first_crossover_label(content.confidence)
    sections = []
    for _, title, part in by_place(rows, titles):
        sizes = sorted({row["seeds"] for row in part})
        columns = min(COLUMNS, len(sizes))
        width = panel_width(columns, 0, 60)
        crossings = [row["seeds"] for row in part if row["kind"] == "crossover"]
        bars = max(map(crossings.count, crossings), default=0)
        known = [row for row in part if row["kind"] in ("comparison", "curve")]
        reach = [
            0.0,
            *(percent(row[end]) for row in known for end in ("low", "high", "difference")),
        ]
        over = f"gain over {titles.short(part[0]['reference'])}, points"
        panels = []
        for index, seeds in enumerate(sizes):
            of_size = [row for row in part if row["seeds"] == seeds]
            y = value_axis(reach, over, index % columns == 0, room=_BAR * bars + 0.02 * bool(bars))
            layers = _layers(of_size, content.methods, methods, titles, y, width, sources, label)
            panels.append(panel(layers, f"{seeds:,} seeds", width))
        sections.append(Section(title, panels, columns))
    return sheet(sections, [missing])


def _layers(
    rows: Sequence[Row],
    order: Sequence[str],
    methods: Methods,
    titles: Titles,
    y: Axis,
    width: int,
    sources: Sequence[str],
    label: str,
) -> Layers:
    seeds, reference = rows[0]["seeds"], rows[0]["reference"]
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row["kind"], []).append(row)
    points = kinds.get("comparison", [])
    ratios = sorted({row["budget_ratio"] for row in points}) or [
        row[end] for row in kinds.get("leader", []) for end in ("low", "high")
    ]
    if not ratios:
        (said,) = words([{"words": figure_sentences.ONE_METHOD}], halo=False)
        return [said.encode(x=alt.XValue(width / 2), y=alt.YValue(HEIGHT / 2))]
    x = ratio_axis(ratios, seeds)
    shown = [name for name in order if name != reference]
    of = [reference, *{row["method"] for row in points}]
    drawn = [
        {
            "Method": methods.names[row["method"]],
            "curve": row["kind"] == "curve",
            "ratio": row["budget_ratio"],
            "at": row["budget_ratio"]
            * (1 if row["kind"] == "curve" else apart(shown.index(row["method"]), len(shown))),
            "budget": row["budget"],
            "value": percent(row["difference"]),
            "low": percent(row["low"]),
            "high": percent(row["high"]),
            "interval": interval(percent(row["low"]), percent(row["high"]), "+.1f"),
        }
        for row in [*kinds.get("curve", []), *points]
    ]
    tips = tooltips(
        ("Method", "method", None),
        ("ratio", "budget ratio", ".3~r"),
        ("budget", "queries", ",.0f"),
        ("value", "gain, points", "+.1f"),
        ("interval", "interval", None),
    )
    limits = log_limits(ratios)
    zero = layer([{"Method": methods.names[reference], "value": 0}], "rule", strokeWidth=2)
    zero = zero.encode(y=y("value"), color=methods.colour, opacity=methods.opacity)
    layers = [*methods.first(), *_published(kinds.get("published", []), limits, x, sources), zero]
    layers += measured(drawn, methods, x, y, tips)
    layers += _crossovers(kinds.get("crossover", []), points, methods, x, label)
    return [*layers, *_strip(kinds.get("leader", []), order, of, titles, x, width, limits)]


def _published(
    rows: Sequence[Row], limits: tuple[float, float], x: Axis, sources: Sequence[str]
) -> Layers:
    """Return published crossovers as areas, cut to the panel's budget ratios."""
    areas = []
    for row in rows:
        # A single ratio becomes a narrow stripe.
        spare = 1.02 if row["low"] == row["high"] else 1.0
        low, high = max(row["low"] / spare, limits[0]), min(row["high"] * spare, limits[1])
        if low < high:
            words = interval(row["low"], row["high"], ".3g")
            source = figure_sentences.published_label(row["method"])
            areas.append({"Source": source, "at": low, "end": high, "said": words})
    if not areas:
        return []
    area = layer(areas, "rect", fillOpacity=0.35, stroke=PUBLISHED)
    said = tooltips(("Source", "published", None), ("said", "budget ratio", None))
    return [area.encode(x=x("at"), x2=alt.X2("end:Q"), fill=published(sources), tooltip=said)]


def _crossovers(
    rows: Sequence[Row], points: Sequence[Row], methods: Methods, x: Axis, label: str
) -> Layers:
    """Return a line at each crossover, and its interval as a separate bar near the axis."""
    layers: Layers = []
    drawn = []
    for row in rows:
        known = [one["budget_ratio"] for one in points if one["method"] == row["method"]]
        # An interval is cut at the ends of the measured range.
        low = min(known) if row["low"] is None else row["low"]
        high = max(known) if row["high"] is None else row["high"]
        drawn.append(
            {
                "Method": methods.names[row["method"]],
                "line": label,
                "at": row["budget_ratio"],
                "from": low,
                "end": high,
                "words": say.amount("budget_ratio", row["budget_ratio"]),
                "interval": say.ends_text(
                    "budget_ratio", row["low"], row["high"], (min(known), max(known))
                ),
            }
        )
        first, last = min(known), max(known)
        # The label is on the side of the interval with more room, or inside it.
        left, right = math.log(low / first), math.log(last / high)
        if max(left, right) < 0.25 * math.log(last / first):
            drawn[-1] |= {"place": math.sqrt(low * high), "align": "center"}
        elif right > left:
            drawn[-1] |= {"place": high, "align": "left"}
        else:
            drawn[-1] |= {"place": low, "align": "right"}
    if not drawn:
        return []
    said = tooltips(
        ("Method", "crossover to", None),
        ("at", "budget ratio", ".2~r"),
        ("interval", "interval", None),
    )
    look = methods.look | {"tooltip": said}
    rule = layer(drawn, "rule", strokeWidth=1.5)
    layers.append(rule.encode(x=x("at"), strokeDash=dashes("line", [label], 1), **look))
    for number, row in enumerate(drawn):
        top = HEIGHT * (1 - 0.02 - _BAR * (number + 1))
        area = layer([row], "rect", fillOpacity=0.35)
        for bar in (area, layer([row], "rect", filled=False)):
            layers.append(
                bar.encode(
                    x=x("from"),
                    x2=alt.X2("end:Q"),
                    y=alt.YValue(top),
                    y2=alt.Y2Value(top + 0.7 * _BAR * HEIGHT),
                    **look,
                )
            )
        shift = {"left": 5, "right": -5}.get(row["align"], 0)
        for text in words([row], align=row["align"], dx=shift, fontWeight="bold"):
            layers.append(text.encode(x=x("place"), y=alt.YValue(top + 0.35 * _BAR * HEIGHT)))
    return layers


def _strip(
    rows: Sequence[Row],
    order: Sequence[str],
    of: Sequence[str],
    titles: Titles,
    x: Axis,
    width: int,
    limits: tuple[float, float],
) -> Layers:
    """Return the strip of leading methods. Statistically tied methods share its height."""
    layers: Layers = []
    scale = width / math.log(limits[1] / limits[0])
    for (low, high), stretch in groupby(rows, key=lambda row: (row["low"], row["high"])):
        leading = [row["method"] for row in stretch]
        text = say.either(leading, of, titles.short)
        row = {"at": low, "end": high, "middle": math.sqrt(low * high), "words": text}
        row["said"] = say.ends_text("budget_ratio", low, high, (low, high))
        height = _STRIP / len(leading)
        said = tooltips(("words", "leads", None), ("said", "at budget ratios", None))
        for number, method in enumerate(leading):
            top = -_STRIP - 4 + number * height
            bar = layer([row], "rect", color=colour(order, method))
            layers.append(
                bar.encode(
                    x=x("at"),
                    x2=alt.X2("end:Q"),
                    y=alt.YValue(top),
                    y2=alt.Y2Value(top + height),
                    tooltip=said,
                )
            )
        if math.log(high / low) * scale > 7.5 * len(text) + 6:
            middle = x("middle")
            alone = len(leading) == 1
            look: Look = (
                {"color": text_on(colour(order, leading[0])), "style": "text"} if alone else {}
            )
            for one in words([row], halo=not alone, fontWeight="bold", **look):
                layers.append(one.encode(x=middle, y=alt.YValue(-4 - _STRIP / 2)))
    return layers
