"""Figure: where one method overtakes another, in queries per seed, tokens, dollars and hours."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from seedbed.analysis.curves.fits import Fit
from seedbed.analysis.report.charts.drawing import (
    INK,
    Output,
    Section,
    add_legend,
    all_methods,
    colour,
    group_titles,
    label_rows,
    marker,
    save_figure,
    sheet,
    short_count,
    with_curves,
)
from seedbed.analysis.settings import PublishedShift, Titles, published_for
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {
    "budget_ratio": "BR (queries per seed)",
    "tokens": "tokens",
    "usd": "US dollars",
    "hours": "hours of computing",
}
"""What is equal for two methods in each panel, and how it is called."""

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
"""Columns of the figure's table. `kind` is "crossover" (`at` with its bootstrap interval),
"inverted" (a stretch in which no difference is not refused), "published" (where others saw the
reference overtaken, as the source in `words` says), or "none" (nothing is drawn but `words`). An
end of an interval is null where it lies beyond the range that was looked at."""

_ROW_INCHES = 0.36
_FRAME_INCHES = 0.85
"""Of a panel, for its title and its axis."""

_PUBLISHED = "#8a7a1f"


def plot_crossovers(
    fits: Sequence[Fit],
    records: Sequence[Mapping[str, Any]],
    output: Output,
    published: Sequence[PublishedShift] = (),
) -> None:
    """Draw a block of four panels for each fit, and write the figure as SVG, PNG and CSV.

    A row is a pair of methods with one seed-set size. The pale line is the range in which both were
    measured; a marker of the method that overtakes stands where it does, on its bootstrap interval,
    which ends in an arrow where it goes beyond the range. Below it, thinner, is the interval of the
    inverted test, and above it what others published, both by BR alone.

    Args:
        fits: the fits.
        records: both the `crossovers` and the `costs` of `find_crossovers`.
        output: where the figure goes.
        published: shifts that others saw, drawn in the rows of like seeds and student.
    """
    fits = with_curves([fit for fit in fits if len(fit.methods) > 1])
    titles = output.titles
    methods = all_methods(fits)
    rows: list[dict[str, Any]] = []
    sections = [
        Section(title, len(PANELS), 2, True, _FRAME_INCHES + _ROW_INCHES * len(_pairs(fit)))
        for fit, title in zip(fits, group_titles(fits, titles), strict=True)
    ]
    nothing = "no fit has two methods"
    with sheet(sections, output.missing, nothing) as (figure, panels):
        for fit, of_fit in zip(fits, panels, strict=True):
            for (measure, name), axes in zip(PANELS.items(), of_fit, strict=True):
                rows += _draw_panel(axes, fit, measure, records, published, methods, titles)
                axes.set_title(f"at equal {name}", fontsize=10)
            _label(of_fit, fit, titles)
        if fits:
            add_legend(figure, *_legend(methods, rows, titles))
        save_figure(figure, output, pl.DataFrame(rows, schema=SCHEMA), "Where methods overtake")


def _pairs(fit: Fit) -> list[tuple[int, str, str]]:
    """Return seed-set sizes and pairs of methods, in the order of the rows."""
    return [(seeds, *pair) for seeds in fit.seeds for pair in combinations(fit.methods, 2)]


def _label(panels: Sequence[Axes], fit: Fit, titles: Titles) -> None:
    """Name the rows of a block's panels, which share their y axis."""
    labels = [
        f"{seeds:,} seeds: {titles.short(reference)}, {titles.short(method)}"
        for seeds, reference, method in _pairs(fit)
    ]
    for axes in panels:
        label_rows(axes, labels)
        # A line between the seed-set sizes.
        for index, (one, other) in enumerate(zip(_pairs(fit), _pairs(fit)[1:], strict=False)):
            if one[0] != other[0]:
                axes.axhline(index + 0.5, color="#bbbbbb", linewidth=0.8)
        axes.tick_params(axis="y", labelleft=axes.get_subplotspec().is_first_col())


def _draw_panel(
    axes: Axes,
    fit: Fit,
    measure: str,
    records: Sequence[Mapping[str, Any]],
    published: Sequence[PublishedShift],
    methods: Sequence[str],
    titles: Titles,
) -> list[dict[str, Any]]:
    """Draw one measure for all rows of a fit, and return what its table has of them."""
    shown = {
        (record["seeds"], record["reference"], record["method"]): record
        for record in records
        if record["fit"] == fit.record["fit"]
        and record["measure"] == measure
        and record["basis"] == ("curve" if fit.models else "means")
    }
    ranges = [record["range"] for record in shown.values() if record["range"]]
    rows: list[dict[str, Any]] = []
    limits = (min(r[0] for r in ranges), max(r[1] for r in ranges)) if ranges else (1.0, 10.0)
    _set_axis(axes, measure, limits, bool(ranges))
    for height, place in enumerate(_pairs(fit)):
        seeds, reference, method = place
        base = {name: fit.record[name] for name in GROUP_COLUMNS}
        base |= {"seeds": seeds, "reference": reference, "method": method, "measure": measure}
        record = shown.get(place)
        span = record["range"] if record else None
        base |= {"range_low": span[0], "range_high": span[1]} if span else {}
        if span:
            axes.plot(span, [height] * 2, color="#dddddd", linewidth=5, solid_capstyle="butt")
        drawn = [] if record is None else _draw_record(axes, record, height, methods)
        if measure == "budget_ratio" and reference == fit.methods[0]:
            shifts = published_for(published, fit.record["student"], seeds)
            drawn += _draw_published(axes, shifts, height, limits)
        words = _words(record)
        if words:
            if ranges:
                _write(axes, words, height, span, limits)
            drawn.append({"kind": "none", "words": words})
        rows += [base | one for one in drawn]
    if not ranges:
        _say_why(axes, shown.values(), titles)
    return rows


def _say_why(axes: Axes, records: Iterable[Mapping[str, Any]], titles: Titles) -> None:
    """Let a panel say once why none of its rows is known."""
    reasons = dict.fromkeys(
        reason for one in records for reason in (one.get("reason") or "").split("; ") if reason
    )
    known = [
        f"price of {titles.title(reason.removeprefix('price of '))}"
        if reason.startswith("price of ")
        else reason
        for reason in reasons
    ]
    text = f"not known ({', '.join(known)})" if known else "not measured at two budgets"
    axes.text(
        0.5,
        0.5,
        textwrap.fill(text, 34, max_lines=5, placeholder="…"),
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=9,
        bbox={"facecolor": "white", "edgecolor": "none"},
    )


def _set_axis(axes: Axes, measure: str, limits: tuple[float, float], known: bool) -> None:
    """Make the x axis logarithmic with at most four labels that have room."""
    from matplotlib.ticker import NullLocator

    low, high = limits
    margin = (high / low) ** 0.06
    axes.set_xscale("log")
    axes.set_xlim(low / margin, high * margin)
    axes.xaxis.set_minor_locator(NullLocator())
    if not known:
        axes.set_xticks([])
        return
    ticks = _round_ticks(low, high)
    sign = "$" if measure == "usd" else ""
    axes.set_xticks(ticks, [sign + _tick(tick) for tick in ticks])
    axes.set_xlabel("")


def _round_ticks(low: float, high: float) -> list[float]:
    """Return two to four round numbers from one positive number to another."""
    for digits, most in (((1,), 3), ((1, 3), 2), ((1, 2, 5), 0)):
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        found = [d * 10.0**e for e in decades for d in digits]
        found = [tick for tick in found if low * 0.999 <= tick <= high * 1.001]
        if len(found) >= most and len(found) >= 2:
            step = -(-len(found) // 4)
            return found[::step]
    return [low, high] if high > low * 1.2 else [low]


def _tick(value: float) -> str:
    return short_count(value) if value >= 1000 else f"{value:.3g}"


def _draw_record(
    axes: Axes, record: Mapping[str, Any], height: int, methods: Sequence[str]
) -> list[dict[str, Any]]:
    """Draw the crossings of a pair, and the stretches that its inverted test does not refuse."""
    rows: list[dict[str, Any]] = []
    by_ratio = record["measure"] == "budget_ratio"
    for crossing in record["crossings"]:
        at = crossing["budget_ratio" if by_ratio else "amount"]
        name = crossing["overtaken_by"]
        paint = colour(methods, name)
        _draw_interval(axes, crossing, record["range"], height, paint, 1.8)
        axes.plot(
            at,
            height,
            marker=marker(methods, name),
            markersize=7,
            color=paint,
            markeredgecolor="white",
            zorder=4,
        )
        rows.append(
            {"kind": "crossover", "overtaken_by": name, "at": at}
            | {"low": crossing["low"], "high": crossing["high"]}
        )
    if by_ratio and record["crossings"]:
        for stretch in record["inverted"] or []:
            _draw_interval(axes, stretch, record["range"], height + 0.27, INK, 0.8)
            rows.append({"kind": "inverted", **stretch})
    return rows


def _draw_interval(
    axes: Axes,
    interval: Mapping[str, Any],
    limits: Sequence[float],
    height: float,
    paint: str,
    width: float,
) -> None:
    """Draw an interval as a line, with an arrow at each end that lies beyond the range."""
    ends = []
    for end, limit, sign in (("low", limits[0], "<"), ("high", limits[1], ">")):
        value = interval[end]
        ends.append(limit if value is None else value)
        if value is None:
            size = 3 + 2 * width
            axes.plot(limit, height, marker=sign, markersize=size, color=paint, zorder=3)
    axes.plot(ends, [height] * 2, color=paint, linewidth=width, zorder=3)


def _draw_published(
    axes: Axes,
    shifts: Sequence[PublishedShift],
    height: float,
    limits: tuple[float, float],
) -> list[dict[str, Any]]:
    """Draw where others saw the first method overtaken, as far as the panel goes."""
    rows = []
    for shift in shifts:
        high = shift.high or shift.low
        rows.append({"kind": "published", "low": shift.low, "high": high, "words": shift.source})
        if high < limits[0] or shift.low > limits[1]:
            continue
        shown = np.clip([shift.low, high], *limits)
        axes.plot(
            shown,
            [height - 0.27] * 2,
            color=_PUBLISHED,
            linewidth=2.2,
            marker="|",
            markersize=7,
            markeredgewidth=2,
            zorder=3,
        )
    return rows


def _words(record: Mapping[str, Any] | None) -> str:
    """Return what a row says in words; "" where one crossing says it all."""
    if record is None or record["status"] in ("too_few_budgets", "no_fit"):
        return "not measured at two budgets"
    if record["status"] == "unknown":
        return "not known"
    said = {"none": "none in the range", "equal": "no difference", "several": "several"}
    return said.get(record["status"], "")


def _write(
    axes: Axes,
    words: str,
    height: float,
    span: Sequence[float] | None,
    limits: Sequence[float],
) -> None:
    """Write words in a row: along its range, and above it where several crossings stand on it."""
    several = words == "several"
    axes.annotate(
        words,
        ((span or limits)[1 if several else 0], height),
        xytext=(-2, 8) if several else (3, 0),
        textcoords="offset points",
        ha="right" if several else "left",
        va="center",
        fontsize=9,
        zorder=5,
    )


def _legend(
    methods: Sequence[str], rows: Sequence[Mapping[str, Any]], titles: Titles
) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    handles: list[Any] = []
    labels = []
    kinds = {row["kind"] for row in rows}
    for method in methods:
        if any(row.get("overtaken_by") == method for row in rows):
            style = {"marker": marker(methods, method), "color": colour(methods, method)}
            handles.append(Line2D([], [], markersize=7, linewidth=1.8, **style))
            labels.append(f"{titles.title(method)} overtakes")
    if "inverted" in kinds:
        handles.append(Line2D([], [], color=INK, linewidth=0.8))
        labels.append("Interval by the inverted test")
    for source in sorted({row["words"] for row in rows if row["kind"] == "published"}):
        handles.append(Line2D([], [], color=_PUBLISHED, linewidth=2.2, marker="|", markersize=7))
        labels.append(f"Shift in {source}")
    handles.append(Line2D([], [], color="#dddddd", linewidth=5))
    labels.append("Range of the data")
    return handles, labels
