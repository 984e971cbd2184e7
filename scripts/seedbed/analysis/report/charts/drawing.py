"""Parts of charts: scales of methods, axes, layers of marks, panels, and sheets of panels."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import polars as pl

from seedbed.analysis.report import figure_sentences
from seedbed.analysis.report.charts.theme import (
    COLOURS,
    DASHES,
    FONT_SIZE,
    PUBLISHED,
    SHAPES,
    other_looks,
)
from seedbed.analysis.settings import Titles

Row = dict[str, Any]
"""A row of a chart's table, by column."""

Look = dict[str, Any]
"""Options of a mark or of its channels, by their names in Altair."""

Layers = list[alt.Chart]
Axis = Callable[..., Any]
"""Creates the x or y channel of a column. All columns of a panel share its scale and axis."""

WIDTH = 760
"""Approximate width of a figure in pixels, unless a text needs more."""

HEIGHT = 200
"""Height of a panel in pixels."""

_LINE = 13
"""Height in pixels of a line of an axis label."""

COLUMNS = 3
"""Most panels in a row. With more, text would be too small in a column of a paper."""

CROSS = "M-1,-1L1,1M1,-1L-1,1"
"""Marker of real data and of cells without a gain."""


@dataclass(frozen=True)
class Content:
    """The content of a chart.

    Attributes:
        table: the numbers, as in the CSV file next to the figure.
        methods: the study's methods in the order of their colours.
        confidence: coverage of the intervals.
        besides: further content, outside the table, by keys that each chart defines.
    """

    table: pl.DataFrame
    methods: Sequence[str] = ()
    confidence: float = 0.95
    besides: Mapping[Any, Any] = field(default_factory=dict)

    def rows(self) -> list[Row]:
        """Return the rows of the table."""
        return self.table.to_dicts()


@dataclass(frozen=True)
class Section:
    """A titled part of a figure: panels in a grid with a number of columns."""

    title: str
    panels: Sequence[alt.LayerChart]
    columns: int


class Methods:
    """Colours and markers of a chart's methods, with a legend that can select one method.

    Args:
        methods: the methods in order.
        titles: their titles.
        drawn: the methods that the chart draws; by default, all.
    """

    def __init__(
        self, methods: Sequence[str], titles: Titles, drawn: Collection[str] | None = None
    ) -> None:
        found = [titles.title(name) for name in methods]
        # Methods with the same title must remain distinct.
        self.names = {
            name: f"{title} ({name})" if found.count(title) > 1 else title
            for name, title in zip(methods, found, strict=True)
        }
        domain = list(self.names.values())
        paints = [COLOURS[n % len(COLOURS)] for n in range(len(domain))]
        scales = [
            alt.Scale(domain=domain, range=looks)
            for looks in (paints, other_looks(SHAPES, len(domain)))
        ]
        listed = [title for name, title in self.names.items() if drawn is None or name in drawn]
        shown = legend(listed, values=listed)
        self.colour = alt.Color("Method:N", scale=scales[0], legend=shown)
        self.shape = alt.Shape("Method:N", scale=scales[1], legend=shown)
        self._shown = alt.selection_point(name="shown", fields=["Method"], bind="legend")
        self._chosen = False
        self.opacity = alt.OpacityValue(0.07, condition={"param": "shown", "value": 1})

    @property
    def look(self) -> Look:
        """Channels that show the method of a row."""
        return {"color": self.colour, "opacity": self.opacity}

    def marks(self, marks: alt.Chart) -> alt.Chart:
        """Return points with the colours and markers of their methods."""
        return marks.encode(shape=self.shape, **self.look)

    def first(self) -> Layers:
        """Return the layer without rows that creates the methods' legend; only once for a chart.

        As the first layer, its legend precedes the others, and selects what all layers show.
        """
        if self._chosen:
            return []
        self._chosen = True
        # A fixed name, because Altair's default counts the charts of the process.
        point = self.marks(layer([], "point", filled=True)).properties(name="legend")
        return [point.add_params(self._shown)]


def legend(labels: Sequence[str], **options: Any) -> alt.Legend:
    """Return a legend with as many lines as its labels need."""
    columns = len(labels) or 1
    while columns > 1 and sum(sorted(len(one) + 7 for one in labels)[-columns:]) > 105:
        columns -= 1
    return alt.Legend(title=None, columns=columns, **options)


def dashes(name: str, labels: Sequence[str], first: int = 0) -> alt.StrokeDash:
    """Return the dash patterns of a column's values, in their order, with a legend.

    Args:
        name: the column.
        labels: its values.
        first: index of the first value's dash pattern.
    """
    looks = (list(DASHES) * (len(labels) + first))[: len(labels) + first]
    return alt.StrokeDash(
        f"{name}:N",
        scale=alt.Scale(domain=list(labels), range=looks[first:]),
        legend=legend(labels, symbolType="stroke", symbolSize=300, symbolStrokeWidth=1.5),
    )


def strokes(name: str, labels: Sequence[str], paints: Sequence[str]) -> alt.Stroke:
    """Return colours of lines that belong to no method, with a legend; the last colour repeats."""
    paints = [*paints, *[*paints[-1:]] * len(labels)][: len(labels)]
    return alt.Stroke(
        f"{name}:N",
        scale=alt.Scale(domain=list(labels), range=list(paints)),
        legend=legend(labels, symbolType="stroke", symbolSize=300, symbolStrokeWidth=3),
    )


def published(sources: Sequence[str]) -> alt.Fill:
    """Return the fill of published crossovers by source, with a legend."""
    labels = [figure_sentences.published_label(source) for source in sources]
    return alt.Fill(
        "Source:N",
        scale=alt.Scale(domain=labels, range=[PUBLISHED] * len(labels)),
        legend=legend(labels, symbolType="square", symbolSize=160, symbolStrokeWidth=0),
    )


def layer(rows: Iterable[Mapping[str, object]], mark: str, **options: Any) -> alt.Chart:
    """Return marks of one kind for rows, with numbers rounded to six digits.

    The chart contains the rows as JSON text, because Altair would copy objects repeatedly.
    """
    values = [
        {
            name: float(f"{value:.6g}") if isinstance(value, float) else value
            for name, value in row.items()
            if value is not None
        }
        for row in rows
    ]
    data = alt.InlineData(values=json.dumps(values), format=alt.DataFormat(type="json"))
    return getattr(alt.Chart(data), f"mark_{mark}")(**options)


def words(rows: Iterable[Mapping[str, object]], halo: bool = True, **options: Any) -> Layers:
    """Return the texts in the column `words`, each on a halo of the background's colour."""
    rows = list(rows)
    looks = ("halo", "words") if halo else ("words",)
    return [
        layer(rows, "text", **{"style": look, "baseline": "middle"} | options).encode(
            text=alt.Text("words:N")
        )
        for look in looks
        if rows
    ]


def log_limits(values: Iterable[float]) -> tuple[float, float]:
    """Return the ends of a logarithmic axis, a little beyond the (positive) values."""
    known = list(values)
    low, high = min(known), max(known)
    beyond = (high / low if high > low else 2.0) ** 0.06
    return low / beyond, high * beyond


_COUNT = (
    "({0} >= 1e7 ? format({0} / 1e6, ',.3~r') + 'M' : {0} >= 1e4 ? format({0} / 1e3, ',.3~r') + 'k'"
    " : {0} >= 1e3 ? format({0}, ',.0f') : format({0}, '.3~r'))"
)
"""Vega expression for a count as a short text, with "k" from 10,000 and "M" from 10 million on."""


def count_axis(
    values: Sequence[float],
    title: str | Sequence[str],
    scale: float | None = None,
    sign: str = "",
    grid: bool = False,
) -> alt.Axis:
    """Return an axis with short labels at given values.

    Args:
        values: positions of the labels.
        title: title of the axis; several texts for several lines.
        scale: factor for a second line of labels; None for a single line.
        sign: prefix of each number.
        grid: whether to draw a grid line at each label.
    """
    label = f"'{sign}' + " * bool(sign) + _COUNT.format("datum.value")
    if scale is not None:
        label = f"[{label}, {_COUNT.format(f'(datum.value * {scale})')}]"
    title = title if isinstance(title, str) else list(title)
    return alt.Axis(values=list(values), labelExpr=label, title=title or None, grid=grid)


def ratio_axis(ratios: Iterable[float], seeds: int, places: Iterable[float] = ()) -> Axis:
    """Return a logarithmic x axis of budget ratios, with the teacher queries below them.

    Args:
        ratios: ratios to label.
        seeds: seed-set size: the teacher queries of a ratio of 1.
        places: further values that the axis must include.
    """
    known = sorted(set(ratios))
    title = ("budget ratio (queries per seed)", "and teacher queries")
    return log_axis([*known, *places], count_axis(spread(known), title, scale=seeds))


def budget_axis(budgets: Iterable[float]) -> Axis:
    """Return a logarithmic x axis of numbers of teacher queries."""
    known = sorted(set(budgets))
    return log_axis(known, count_axis(spread(known), "teacher queries"))


def log_axis(values: Iterable[float], axis: alt.Axis) -> Axis:
    """Return a function that creates the logarithmic x channel of a column."""
    scale = alt.Scale(type="log", domain=list(log_limits(values)), nice=False)
    return lambda name: alt.X(f"{name}:Q", scale=scale, axis=axis)


def value_axis(
    values: Iterable[float | None],
    title: str,
    labels: bool = True,
    zero: bool = False,
    room: float = 0,
    channel: str = "y",
) -> Axis:
    """Return a function that creates the x or y channel of a column, over the range of values.

    Args:
        values: values that the axis must include.
        title: title of the axis, or "".
        labels: whether the axis has labels and a title, or only grid lines.
        zero: whether the axis starts at 0.
        room: share of the axis to leave free below the lowest value.
        channel: "x" or "y".
    """
    known = [value for value in values if value is not None and math.isfinite(value)] or [0.0]
    low, high = (0.0 if zero else min(known)), max(known)
    beyond = 0.06 * (high - low) or 1.0
    low, high = (low if zero else low - beyond), high + beyond
    low = high - (high - low) / (1 - room)
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    blank: dict[str, Any] = {} if labels else {"labels": False, "ticks": False, "domain": False}
    lines: Any = wrapped(title, HEIGHT) if channel == "y" else title
    axis = alt.Axis(title=(lines if labels and title else None), tickCount=5, **blank)
    kind = alt.X if channel == "x" else alt.Y
    return lambda name: kind(f"{name}:Q", scale=scale, axis=axis)


def row_axis(labels: Sequence[str], shown: bool = True, width: int = 170) -> Axis:
    """Return a function that creates the y channel of named rows, by position in a row's band."""
    lines = {label: wrapped(label, width) for label in labels}
    most = max(map(len, lines.values()), default=1)
    # Vega positions the first line of a label. Padding gives all labels equally many lines, so that
    # one offset centres them all.
    names = {
        label: "\n".join([*[""] * ((most - len(own)) // 2), *own]) for label, own in lines.items()
    }
    axis = alt.Axis(
        title=None,
        labelLineHeight=_LINE,
        labelOffset=-_LINE * (most - 1) / 2,
        labelExpr=f"split({_lookup(names)}, '\\n')" if shown else "''",
        ticks=False,
        grid=False,
        domain=False,
    )
    scale = alt.Scale(domain=list(labels), paddingInner=0, paddingOuter=0)

    def made(band: float = 0.5) -> alt.Y:
        return alt.Y("row:N", sort=None, scale=scale, axis=axis, bandPosition=band)

    return made


def rows_height(labels: Sequence[str], row: float, width: int = 170) -> float:
    """Return the total height of named rows, each with room for its label and a least height."""
    lines = max((len(wrapped(label, width)) for label in labels), default=1)
    return len(labels) * max(row, _LINE * lines + 6)


def _lookup(names: Mapping[str, str]) -> str:
    return f"{json.dumps(dict(names))}[datum.label]"


def apart(index: int, count: int) -> float:
    """Return the factor that shifts a series sideways, so that intervals do not overlap."""
    return 1.035 ** (index - (count - 1) / 2)


def measured(
    rows: Sequence[Row], methods: Methods, x: Axis, y: Axis, tooltip: Sequence[Any]
) -> Layers:
    """Return the layers of cells with intervals, and of curves with bands.

    Args:
        rows: rows with `Method`, `at`, `value`, `low`, `high`, and `curve`: whether the row is a
            point of a curve.
        methods: the methods' look.
        x: x axis, for `at`.
        y: y axis, for `value`, `low` and `high`.
        tooltip: content of a cell's tooltip.
    """
    needed = ("Method", "at", "value", "low", "high")
    curves = [
        {name: row[name] for name in needed}
        for method in methods.names.values()
        # Every second point gives a smooth curve and halves the data.
        for row in [row for row in rows if row["curve"] and row["Method"] == method][::2]
    ]
    cells = [row for row in rows if not row["curve"]]
    fitted = {row["Method"] for row in curves}
    bare = [row for row in cells if row["Method"] not in fitted]
    bars = [row for row in cells if row["low"] is not None]
    band = layer(curves, "area", fillOpacity=0.15).encode(y=y("low"), y2=alt.Y2("high:Q"))
    line = layer(curves, "line", strokeWidth=2).encode(y=y("value"))
    # Straight lines if no curve could be fitted.
    dotted = layer(bare, "line", strokeWidth=1, strokeDash=[2, 2]).encode(y=y("value"))
    bar = layer(bars, "rule", strokeWidth=1.5).encode(y=y("low"), y2=alt.Y2("high:Q"))
    point = layer(cells, "point", filled=True, size=55, opacity=1)
    point = point.encode(x=x("at"), y=y("value"), tooltip=list(tooltip))
    of_lines = [(band, curves), (line, curves), (dotted, bare), (bar, bars)]
    lines = [one.encode(x=x("at"), **methods.look) for one, there in of_lines if there]
    return [*methods.first(), *lines, *([methods.marks(point)] if cells else [])]


def tooltips(*named: tuple[str, str, str | None]) -> list[alt.Tooltip]:
    """Return tooltips of columns, each with its title and number format."""
    return [
        alt.Tooltip(f"{name}:Q", title=title, format=style)
        if style
        else alt.Tooltip(f"{name}:N", title=title)
        for name, title, style in named
    ]


def interval(low: float | None, high: float | None, style: str = ".1f") -> str | None:
    """Return an interval as text, or None if it is unknown."""
    return None if low is None or high is None else f"{low:{style}} to {high:{style}}"


def says(text: str, width: float, height: float = HEIGHT) -> Layers:
    """Return the layer of an empty panel, with a text that says why it is empty."""
    texts = words([{"words": wrapped(text, width - 30)}])
    return [one.encode(x=alt.XValue(width / 2), y=alt.YValue(height / 2)) for one in texts]


def panel(layers: Sequence[alt.Chart], title: str, width: float, height: float = HEIGHT) -> Any:
    """Return a panel of layers under its title, which is wrapped to its width."""
    text: Any = alt.TitleParams(wrapped(title, width), frame="group")
    return alt.layer(*layers).properties(width=width, height=height, title=text)


def panel_width(columns: int, labels: int, first: int = 0) -> int:
    """Return the width of panels side by side.

    Args:
        columns: number of panels.
        labels: width in pixels of the y axis labels of each panel.
        first: additional width in pixels of the y axis labels of the first panel.
    """
    return int((WIDTH - first - (labels + 16) * columns) / columns)


def wrapped(text: str, width: float, size: int = FONT_SIZE) -> list[str]:
    """Return the lines of a text, each at most about `width` pixels wide."""
    return textwrap.wrap(text, max(8, int(width / (0.52 * size)))) or [""]


def sheet(
    sections: Sequence[Section], notes: Iterable[str], nothing: str = "there are no results yet"
) -> alt.VConcatChart:
    """Return a figure of sections, one below the other.

    Args:
        sections: the sections.
        notes: lines for the figure's foot; empty ones are omitted.
        nothing: text of the figure if it has no sections.
    """
    parts: list[Any] = []
    for section in sections:
        text = alt.TitleParams(
            wrapped(section.title, WIDTH, FONT_SIZE + 2),
            anchor="start",
            fontSize=FONT_SIZE + 1,
            fontWeight="bold",
        )
        grid = alt.concat(*section.panels, columns=section.columns, spacing=16)
        parts.append(grid.properties(title=text))
    if not parts:
        (said,) = says(f"Nothing to draw: {nothing}.", WIDTH - 30, 40)[-1:]
        parts = [said.properties(width=WIDTH, height=40)]
    whole = alt.vconcat(*parts, spacing=24)
    foot = [line for note in notes if note for line in wrapped(note, WIDTH, FONT_SIZE - 1)]
    if foot:
        look: Look = {
            "orient": "bottom",
            "anchor": "start",
            "fontSize": FONT_SIZE - 1,
            "offset": 14,
        }
        whole = whole.properties(title=alt.TitleParams(foot, **look))
    return whole


def spread(values: Sequence[float]) -> list[float]:
    """Return the ascending positive values that have room for labels on a logarithmic axis.

    At most four labels fit into the narrowest panel. The first and the last value always have one.
    """
    if len(values) < 2:
        return list(values)
    span = math.log(values[-1] / values[0])
    shown = [values[0]]
    for value in values[1:]:
        if math.log(value / shown[-1]) >= 0.28 * span and (
            value == values[-1] or math.log(values[-1] / value) >= 0.28 * span
        ):
            shown.append(value)
    return shown


def percent(value: float | None) -> float | None:
    """Return a share in percent."""
    return None if value is None else 100 * value
