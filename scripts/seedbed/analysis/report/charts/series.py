"""The looks that distinguish many series of cells in a chart against the budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import altair as alt

from seedbed.analysis.report import figure_sentences
from seedbed.analysis.report.charts.drawing import Axis, Layers, Look, Methods, Row, dashes, layer

SERIES = ("method", "augmenter", "filter", "seeds")
"""Columns that distinguish the series of a panel."""


class Series:
    """The look of series: colour and marker by method, dashes by seed-set size.

    Markers are hollow if the augmenter or the filter is not the method's most frequent one.

    Args:
        rows: all cells of the chart, with the columns `SERIES`.
        methods: the methods' look.
    """

    def __init__(self, rows: Sequence[Row], methods: Methods) -> None:
        self._methods = methods
        self._sizes = [f"{seeds:,} seeds" for seeds in sorted({row["seeds"] for row in rows})]
        found = {row["method"] for row in rows}
        self._usual = {method: _usual(rows, method) for method in found}
        others = [
            name
            for place, name in enumerate(("augmenter", "filter"))
            if any(row[name] != self._usual[row["method"]][place] for row in rows)
        ]
        self.notes = [figure_sentences.hollow_note(others)] if others else []

    def layers(
        self, rows: Sequence[Row], x: Axis, y: Axis, tooltip: Sequence[Any], joined: bool = True
    ) -> Layers:
        """Return the layers of a panel's rows, by their columns `at` and `value`.

        Args:
            rows: the rows.
            x: the x axis.
            y: the y axis.
            tooltip: content of a cell's tooltip.
            joined: whether lines also join the hollow markers of a series.
        """
        drawn = [
            {name: row[name] for name in (*SERIES[1:], "budget", "at", "value")}
            | {name: row[name] for name in ("points",) if name in row}
            | {
                "Method": self._methods.names[row["method"]],
                "size": f"{row['seeds']:,} seeds",
                "series": "/".join(str(row[name]) for name in SERIES),
                "usual": (row["augmenter"], row["filter"]) == self._usual[row["method"]],
            }
            for row in rows
        ]
        lines = [row for row in drawn if joined or row["usual"]]
        line = layer(lines, "line", strokeWidth=1.5).encode(
            x=x("at"),
            y=y("value"),
            color=self._methods.colour,
            opacity=self._methods.opacity,
            detail=alt.Detail("series:N"),
        )
        if len(self._sizes) > 1:
            line = line.encode(strokeDash=dashes("size", self._sizes))
        found = [*self._methods.first(), *([line] if lines else [])]
        for usual in (True, False):
            part = [row for row in drawn if row["usual"] == usual]
            look: Look = {"filled": True} if usual else {"style": "hollow", "strokeWidth": 1.8}
            point = layer(part, "point", size=50, opacity=1, **look)
            point = point.encode(x=x("at"), y=y("value"), tooltip=list(tooltip))
            found += [self._methods.marks(point)] if part else []
        return found


def _usual(rows: Sequence[Row], method: str) -> tuple[str, str]:
    counts = Counter((r["augmenter"], r["filter"]) for r in rows if r["method"] == method)
    return max(sorted(counts), key=lambda pair: counts[pair])
