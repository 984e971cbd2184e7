"""Chart: crossovers between methods, by queries, tokens, money and hours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import altair as alt
import polars as pl

from seedbed.analysis.curves import Curves, read_curves
from seedbed.analysis.decide.crossovers import Crossover, CrossoversRecord
from seedbed.analysis.report import figure_sentences
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.charts.costs import titled
from seedbed.analysis.report.charts.drawing import (
    Axis,
    Content,
    Layers,
    Look,
    Methods,
    Row,
    Section,
    count_axis,
    layer,
    log_axis,
    log_limits,
    panel,
    panel_width,
    row_axis,
    rows_height,
    says,
    sheet,
    strokes,
    tooltips,
    words,
)
from seedbed.analysis.report.charts.places import all_methods, by_place, with_curves
from seedbed.analysis.report.charts.theme import PUBLISHED, RANGE
from seedbed.analysis.settings import PublishedShift, Titles, published_for
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS

PANELS = {
    "budget_ratio": "budget ratio (queries per seed)",
    "tokens": "tokens",
    "usd": "US dollars",
    "hours": "hours of computing",
}
"""The measure that is equal for two methods in each panel, with its name in the figure."""

SCHEMA = pl.Schema(
    {
        **GROUP_COLUMNS,
        "seeds": pl.Int64,
        "reference": pl.String,
        "method": pl.String,
        "measure": pl.String,
        "kind": pl.String,
        "overtaken_by": pl.String,
        "at": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "range_low": pl.Float64,
        "range_high": pl.Float64,
        "words": pl.String,
    }
)
"""Columns of the table. `kind` is "crossover" (`at` with its interval), "published" (a published
crossover; `words` is its source), or "none" (only `words` are drawn). An end of an interval is null
if it lies beyond the range that was searched."""

_ROW = 38
"""Height in pixels of a row."""

_RANGE = "Range of the data"


def tabulate(
    fits: Path, draws: Path, crossovers: Path, published: Sequence[PublishedShift] = ()
) -> Content:
    """Return the crossovers of all pairs of methods, by every measure."""
    found = CrossoversRecord.read(crossovers)
    records = [*found.crossovers, *found.costs]
    return content(read_curves(fits, draws), records, published)


def content(
    fits: Sequence[Curves],
    records: Sequence[Crossover],
    published: Sequence[PublishedShift] = (),
) -> Content:
    """Return the same from objects.

    Args:
        fits: the fits.
        records: both the `crossovers` and the `costs` of `find_crossovers`.
        published: published crossovers, for the rows with a matching seed-set size and student.
    """
    fits = with_curves([fit for fit in fits if len(fit.methods) > 1])
    rows: list[Row] = []
    reasons: dict[tuple[str, ...], list[str]] = {}
    for fit in fits:
        group = asdict(fit.group)
        shown = {
            (record.measure, record.seeds, record.reference, record.method): record
            for record in records
            if record.fit == fit.key
        }
        for measure in PANELS:
            for seeds in fit.seeds:
                for reference, method in combinations(fit.methods, 2):
                    record = shown.get((measure, seeds, reference, method))
                    base = {"seeds": seeds, "reference": reference, "method": method}
                    base |= group | {"measure": measure}
                    if record and record.range:
                        base |= dict(zip(("range_low", "range_high"), record.range, strict=True))
                    found = _rows(record, measure)
                    if measure == "budget_ratio" and reference == fit.methods[0]:
                        found += _published(published_for(published, group["student"], seeds))
                    rows += [base | row for row in found]
                    if record and record.reason:
                        key = (*group.values(), measure)
                        reasons.setdefault(key, []).extend(record.reason.split("; "))
    said = {key: "; ".join(dict.fromkeys(found)) for key, found in reasons.items()}
    table = pl.DataFrame(rows, schema=SCHEMA)
    return Content(table, all_methods(fits), besides=said)


def _rows(record: Crossover | None, measure: str) -> list[Row]:
    rows: list[Row] = []
    if record:
        at = "budget_ratio" if measure == "budget_ratio" else "amount"
        rows += [
            {"kind": "crossover", "overtaken_by": one.overtaken_by, "at": getattr(one, at)}
            | {"low": one.low, "high": one.high}
            for one in record.crossings
        ]
    if said := figure_sentences.crossover_note(record):
        rows.append({"kind": "none", "words": said})
    return rows


def _published(shifts: Sequence[PublishedShift]) -> list[Row]:
    return [
        {"kind": "published", "low": one.low, "high": one.high or one.low, "words": one.source}
        for one in shifts
    ]


def chart(content: Content, titles: Titles, missing: str = "") -> alt.VConcatChart:
    """Return a chart of four panels for each task (with its models and filter).

    A row is a pair of methods with one seed-set size. A thin line is the range in which both were
    measured. A marker of the overtaking method is at the crossover, on its interval; an arrow marks
    an end of the interval beyond the range. Published crossovers are above it, in the panel of
    budget ratios only.
    """
    rows = content.rows()
    methods = Methods(content.methods, titles)
    sources = sorted({row["words"] for row in rows if row["kind"] == "published"})
    kinds = [_RANGE, *map(figure_sentences.published_label, sources)]
    sections = []
    for place, title, found in by_place(rows, titles):
        part = [row | {"row": _label(row, titles)} for row in found]
        labels = list(dict.fromkeys(row["row"] for row in part))
        height = rows_height(labels, _ROW)
        width = panel_width(2, 0, 130)
        panels = []
        for number, (measure, noun) in enumerate(PANELS.items()):
            shown = [row for row in part if row["measure"] == measure]
            reason = content.besides.get((*place.values(), measure), "")
            y = row_axis(labels, number % 2 == 0)
            layers = _layers(shown, measure, methods, y, kinds, width, height, reason, titles)
            panels.append(panel(layers, f"at equal {noun}", width, height))
        sections.append(Section(title, panels, 2))
    return sheet(sections, [missing], "no fit has two methods")


def _label(row: Row, titles: Titles) -> str:
    pair = f"{titles.short(row['reference'])}, {titles.short(row['method'])}"
    return f"{row['seeds']:,} seeds: {pair}"


def _layers(
    rows: Sequence[Row],
    measure: str,
    methods: Methods,
    y: Axis,
    kinds: Sequence[str],
    width: int,
    height: float,
    reason: str,
    titles: Titles,
) -> Layers:
    spans = {row["row"]: row for row in rows if row["range_low"] is not None}
    # Lines separate the seed-set sizes.
    sizes = {row["seeds"]: {"row": row["row"]} for row in rows if row["kind"] != "published"}
    between = layer(list(sizes.values())[:-1], "rule", style="grid").encode(y=y(1))
    if not spans:
        said = "; ".join(titled(text, titles) for text in reason.split("; ") if text)
        text = say.unknown_text(said) if said else say.too_few_text(measure)
        return [*methods.first(), between, *says(text, width, height)]
    ends = [span[end] for span in spans.values() for end in ("range_low", "range_high")]
    sign = "$" if measure == "usd" else ""
    x = log_axis(ends, count_axis(round_ticks(min(ends), max(ends)), "", sign=sign, grid=True))
    limits = log_limits(ends)
    drawn: dict[str, list[Row]] = {"crossover": [], "published": []}
    for row in rows:
        span = spans.get(row["row"])
        if row["kind"] == "none" or span is None:
            continue
        beyond = limits if row["kind"] == "published" else (span["range_low"], span["range_high"])
        known = row["low"] is not None, row["high"] is not None
        low, high = (
            (row["low"] if known[0] else beyond[0]),
            (row["high"] if known[1] else beyond[1]),
        )
        if row["kind"] == "published" and (high < limits[0] or low > limits[1]):
            continue
        said = say.ends_text(measure, row["low"], row["high"], beyond)
        look: Look = {
            "row": row["row"],
            "from": max(low, limits[0]),
            "end": min(high, limits[1]),
        }
        look |= {"open": "".join(s for s, there in zip("<>", known, strict=True) if not there)}
        look |= {"interval": said}
        if row["kind"] == "crossover":
            look |= {"Method": methods.names[row["overtaken_by"]], "at": row["at"]}
        else:
            look["line"] = figure_sentences.published_label(row["words"])
        drawn[row["kind"]].append(look)
    ranges = [
        {"row": label, "from": span["range_low"], "end": span["range_high"], "line": _RANGE}
        for label, span in spans.items()
    ]
    by_line: Look = {"stroke": strokes("line", kinds, (RANGE, PUBLISHED))}
    by_method = methods.look
    layers: Layers = [
        *methods.first(),
        between,
        *_lines(ranges, x, y, 1.2, by_line),
        *_lines(drawn["published"], x, y, 2.5, by_line, -10),
        *_lines(drawn["crossover"], x, y, 3.5, by_method),
    ]
    point = layer(drawn["crossover"], "point", filled=True, size=80, opacity=1, style="edge")
    shown = tooltips(
        ("row", "pair", None),
        ("Method", "crossover to", None),
        ("at", f"at {PANELS[measure]}", ",.3~r"),
        ("interval", "interval", None),
    )
    if drawn["crossover"]:
        layers.append(methods.marks(point.encode(x=x("at"), y=y(), tooltip=shown)))
    texts = [
        {"row": row["row"], "words": row["words"], "at": spans[row["row"]]["range_low"]}
        | {"several": spans[row["row"]]["range_high"]}
        for row in rows
        if row["kind"] == "none" and row["row"] in spans
    ]
    several = [text for text in texts if text["words"] == figure_sentences.SEVERAL_CROSSOVERS]
    for label in words([one for one in texts if one not in several], align="left", dy=11):
        layers.append(label.encode(x=x("at"), y=y()))
    for label in words(several, align="right", dy=-10):
        layers.append(label.encode(x=x("several"), y=y()))
    return layers


def _lines(
    rows: Sequence[Row], x: Axis, y: Axis, width: float, look: Look, below: int = 0
) -> Layers:
    """Return intervals as lines, with an arrow at each end beyond the range."""
    if not rows:
        return []
    said = tooltips(("interval", "interval", None)) if "interval" in rows[0] else []
    line = layer(rows, "rule", strokeWidth=width, yOffset=below)
    layers = [line.encode(x=x("from"), x2=alt.X2("end:Q"), y=y(), tooltip=said, **look)]
    for sign, shape, place in (("<", "triangle-left", "from"), (">", "triangle-right", "end")):
        ends = [row for row in rows if sign in row.get("open", "")]
        look_of = {"shape": shape, "size": 20 + 15 * width, "yOffset": below, "opacity": 1}
        point = layer(ends, "point", filled="color" in look, **look_of)
        layers += [point.encode(x=x(place), y=y(), **look)] if ends else []
    return layers


def round_ticks(low: float, high: float) -> list[float]:
    """Return two to four round numbers between two positive numbers, or the ends."""
    for digits, most in (((1,), 3), ((1, 3), 2), ((1, 2, 5), 0)):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [d * 10.0**e for e in decades for d in digits]
        found = [tick for tick in found if low * 0.999 <= tick <= high * 1.001]
        if len(found) >= max(most, 2):
            return found[:: -(-len(found) // 4)]
    return [low, high] if high > low * 1.2 else [low]
