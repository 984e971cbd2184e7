"""Chart: accuracy by the shares of three methods in a budget, in a triangle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.charts.drawing import (
    Content,
    Layers,
    Methods,
    Row,
    Section,
    interval,
    layer,
    panel,
    panel_width,
    percent,
    sheet,
    tooltips,
    words,
    wrapped,
)
from seedbed.analysis.report.charts.places import by_place
from seedbed.analysis.settings import ShareSettings, Titles
from seedbed.analysis.tables.mixtures import mixture_accuracies
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS, Outcomes, read_outcomes
from seedbed.streams.mixtures import triangles

SCHEMA = pl.Schema(
    {
        **GROUP_COLUMNS,
        "seeds": pl.Int64,
        "budget": pl.Int64,
        "budget_ratio": pl.Float64,
        "corners": pl.String,
        "method": pl.String,
        "shares": pl.String,
        "replicates": pl.Int64,
        "accuracy": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
)
"""Columns of the table. `corners` are three methods, and `shares` their shares of the budget in
percent, in the same order. A row is a mixture of them, or one of them alone."""

_SIDE = 230
"""Length in pixels of a side of the triangle."""

_RISE = 3**0.5 / 2
"""Height of an equilateral triangle with sides of length 1."""

_TEXT = 14
"""Height in pixels of a line of text."""

_LINES = (0.25, 0.5, 0.75)
"""Shares at which the triangle has grid lines."""


def tabulate(cells: Path, item_scores: Path, settings: ShareSettings) -> Content:
    """Return the accuracies of mixtures of the same three methods, and of these methods."""
    return content(read_outcomes(cells, item_scores), settings)


def content(outcomes: Mapping[str, Outcomes], settings: ShareSettings) -> Content:
    """Return the same from the outcomes of every task."""
    measured = mixture_accuracies(outcomes, settings)
    place = [*GROUP_COLUMNS, "seeds", "budget", "budget_ratio"]
    rows: list[Row] = []
    for at, part in measured.group_by(place, maintain_order=True):
        found = {row["method"]: row for row in part.to_dicts()}
        mixed = {name: settings.shares[name] for name in found if name in settings.shares}
        for corners, mixtures in triangles(mixed, settings.methods):
            alone = {method: {method: 1.0} for method in corners if method in found}
            for name, shares in {**alone, **{name: mixed[name] for name in mixtures}}.items():
                of = [shares.get(corner, 0.0) for corner in corners]
                rows.append(
                    dict(zip(place, at, strict=True))
                    | {
                        "corners": " ".join(corners),
                        "method": name,
                        "shares": " ".join(f"{100 * share / sum(of):.4g}" for share in of),
                        "replicates": found[name]["replicates"],
                        "accuracy": found[name]["value"],
                        "low": found[name]["low"],
                        "high": found[name]["high"],
                    }
                )
    table = pl.DataFrame(rows, schema=SCHEMA)
    named = set(table["method"]) - set(settings.methods)
    return Content(table, [*settings.methods, *sorted(named)], settings.confidence)


def chart(content: Content, titles: Titles, missing: str = "") -> alt.VConcatChart:
    """Return a triangle for each budget at which several mixtures were measured."""
    rows = content.rows()
    methods = Methods(content.methods, titles)
    width = panel_width(2, 0)
    sections = []
    for at, title, found in by_place(rows, titles, (*GROUP_COLUMNS, "seeds")):
        of_triangle: dict[tuple[int, str], list[Row]] = {}
        for row in found:
            of_triangle.setdefault((row["budget"], row["corners"]), []).append(row)
        panels = []
        for (budget, corners), part in of_triangle.items():
            plane = _Plane(corners.split(), titles, width)
            said = f"{say.queries_text(budget, at['seeds'])}: accuracy, %"
            layers = [*methods.first(), *plane.frame(), *plane.points(part, methods)]
            panels.append(panel(layers, said, width, plane.height))
        sections.append(Section(f"{title}: {at['seeds']:,} seeds", panels, 2))
    return sheet(sections, [missing], "no place has several mixtures of the same three methods")


@dataclass(frozen=True)
class _Plane:
    """The triangle of a panel: three methods, the first on the left and the last on top.

    Attributes:
        corners: the methods.
        titles: their titles.
        width: width of the panel in pixels.
    """

    corners: Sequence[str]
    titles: Titles
    width: int

    def _names(self) -> list[list[str]]:
        """Return the lines of each corner's text."""
        left, right, top = (f"100% {self.titles.short(name)}" for name in self.corners)
        half = self.width / 2 - 10
        return [wrapped(left, half), wrapped(right, half), wrapped(top, self.width)]

    @property
    def _foot(self) -> int:
        """Height in pixels below the triangle."""
        return _TEXT * max(map(len, self._names()[:2])) + 16

    @property
    def height(self) -> int:
        """Height in pixels of the panel: the triangle, and texts above and below it."""
        return round(_SIDE * _RISE) + self._foot + _TEXT * (len(self._names()[2]) + 3)

    def place(self, shares: Sequence[float]) -> dict[str, float]:
        """Return the position of shares, which add up to 1, in pixels from left and bottom."""
        _, right, top = shares
        x = (self.width - _SIDE) / 2 + _SIDE * (right + top / 2)
        return {"x": x, "y": self._foot + _SIDE * _RISE * top}

    def _at(self, marks: alt.Chart) -> alt.Chart:
        # Scales in pixels, so that all sides of the triangle have the same length.
        x = alt.X("x:Q", scale=alt.Scale(domain=[0, self.width], nice=False), axis=None)
        y = alt.Y("y:Q", scale=alt.Scale(domain=[0, self.height], nice=False), axis=None)
        return marks.encode(x=x, y=y)

    def _line(self, ends: Sequence[Sequence[float]], style: str, **look: Any) -> alt.Chart:
        rows = [self.place(end) | {"order": order} for order, end in enumerate(ends)]
        return self._at(layer(rows, "line", style=style, **look)).encode(order="order:Q")

    def frame(self) -> Layers:
        """Return the sides, lines of equal shares, and the methods at the corners."""
        sides = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0)]
        drawn = [
            self._line(ends, "grid", strokeWidth=1)
            for share in _LINES
            for rest in (1 - share,)
            for ends in (
                [(share, rest, 0), (share, 0, rest)],
                [(rest, share, 0), (0, share, rest)],
                [(rest, 0, share), (0, rest, share)],
            )
        ]
        drawn.append(self._line(sides, "ink", strokeWidth=1, strokeOpacity=0.6, fill=None))
        names = self._names()
        low = self._foot - 14
        for x, y, said, look in (
            (4, low, names[0], {"align": "left", "baseline": "top"}),
            (self.width - 4, low, names[1], {"align": "right", "baseline": "top"}),
            (self.width / 2, self.height - 2, names[2], {"align": "center", "baseline": "top"}),
        ):
            row = {"x": x, "y": y, "words": said}
            drawn += [self._at(text) for text in words([row], halo=False, **look)]
        return drawn

    def points(self, rows: Sequence[Row], methods: Methods) -> Layers:
        """Return the measured points, each with its accuracy and interval."""
        drawn = [
            {
                **self.place([float(share) / 100 for share in row["shares"].split()]),
                "Method": methods.names[row["method"]],
                "words": [f"{percent(row['accuracy']):.1f}", _ends(row)],
                "value": percent(row["accuracy"]),
                "interval": interval(percent(row["low"]), percent(row["high"])),
                "replicates": row["replicates"],
            }
            for row in rows
        ]
        tooltip = tooltips(
            ("Method", "data", None),
            ("value", "accuracy, %", ".1f"),
            ("interval", "interval", None),
            ("replicates", "replicates", ",.0f"),
        )
        marks = self._at(layer(drawn, "point", filled=True, size=90, opacity=1))
        texts = words(drawn, align="center", baseline="bottom", dy=-21, lineHeight=12)
        return [
            methods.marks(marks.encode(tooltip=tooltip)),
            *(self._at(text).encode(opacity=methods.opacity) for text in texts),
        ]


def _ends(row: Row) -> str:
    low, high = percent(row["low"]), percent(row["high"])
    return interval(low, high) or ""
