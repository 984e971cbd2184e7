"""Chart: the gain of mixtures of methods over the best single method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt

from seedbed.analysis.report.charts.drawing import (
    Axis,
    Content,
    Layers,
    Methods,
    Row,
    Section,
    apart,
    interval,
    layer,
    panel,
    panel_width,
    percent,
    ratio_axis,
    says,
    sheet,
    tooltips,
    value_axis,
)
from seedbed.analysis.report.charts.measured import read_measured
from seedbed.analysis.report.charts.places import by_place
from seedbed.analysis.settings import CompareSettings, Titles
from seedbed.analysis.tables.mixtures import mixture_table
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS, Group, Outcomes
from seedbed.analysis.tables.replicates import RunNoise


def tabulate(
    fits: Path, draws: Path, cells: Path, item_scores: Path, settings: CompareSettings
) -> Content:
    """Return accuracies of mixtures and methods, and gains of mixtures over the best method."""
    outcomes, runs = read_measured(fits, draws, cells, item_scores)
    return content(outcomes, settings, runs)


def content(
    outcomes: Mapping[str, Outcomes], settings: CompareSettings, runs: Mapping[Group, RunNoise]
) -> Content:
    """Return the same from the outcomes of every task and the noise between training runs."""
    table = mixture_table(outcomes, settings, runs)
    found = set(table["method"]) - set(settings.methods)
    shown = [*settings.methods, *sorted(found)]
    return Content(table, shown, settings.confidence)


def chart(content: Content, titles: Titles, missing: str = "") -> alt.VConcatChart:
    """Return a chart of accuracies and gains by budget ratio, for each group and seed-set size."""
    rows = content.rows()
    methods = Methods(content.methods, titles, {row["method"] for row in rows})
    width = panel_width(2, 45)
    sections = []
    for at, title, part in by_place(rows, titles, (*GROUP_COLUMNS, "seeds")):
        of_kind = {
            kind: [row for row in part if row["kind"] == kind] for kind in ("accuracy", "gain")
        }
        panels = [
            panel(_accuracies(of_kind["accuracy"], methods, at["seeds"]), "Accuracy", width),
            panel(
                _gains(of_kind["gain"], methods, titles, at["seeds"])
                or says("no method was measured with the same budget", width),
                "Gain over the best single method",
                width,
            ),
        ]
        sections.append(Section(f"{title}: {at['seeds']:,} seeds", panels, 2))
    return sheet(sections, [missing], "no mixture has been measured yet")


def _accuracies(rows: Sequence[Row], methods: Methods, seeds: int) -> Layers:
    ends = [percent(row[end]) for row in rows for end in ("value", "low", "high")]
    said = (("value", "accuracy, %", ".1f"), ("interval", "interval", None))
    y = value_axis(ends, "accuracy, %")
    return [*methods.first(), *_series(rows, methods, seeds, y, said)]


def _gains(rows: Sequence[Row], methods: Methods, titles: Titles, seeds: int) -> Layers:
    if not rows:
        return []
    ends = [percent(row[end]) for row in rows for end in ("value", "low", "high")]
    y = value_axis([0.0, *ends], "points")
    zero = layer([{"zero": 0}], "rule", style="ink", strokeDash=[5, 3])
    named = [row | {"best": titles.title(row["reference"])} for row in rows]
    said = (
        ("value", "gain, points", "+.1f"),
        ("interval", "interval", None),
        ("best", "best single method", None),
    )
    return [zero.encode(y=y("zero")), *_series(named, methods, seeds, y, said)]


def _series(
    rows: Sequence[Row],
    methods: Methods,
    seeds: int,
    y: Axis,
    said: Sequence[tuple[str, str, str | None]],
) -> Layers:
    """Return a line with intervals for each method and mixture, in percent."""
    shown = [name for name in methods.names if any(row["method"] == name for row in rows)]
    drawn = [
        {
            "Method": methods.names[row["method"]],
            "at": row["budget_ratio"] * apart(shown.index(row["method"]), len(shown)),
            "budget": row["budget"],
            "replicates": row["replicates"],
            "best": row.get("best"),
            "value": percent(row["value"]),
            "low": percent(row["low"]),
            "high": percent(row["high"]),
            "interval": interval(percent(row["low"]), percent(row["high"])),
        }
        for row in rows
    ]
    x = ratio_axis((row["budget_ratio"] for row in rows), seeds, (row["at"] for row in drawn))
    tooltip = tooltips(
        ("Method", "method", None),
        ("budget", "queries", ",.0f"),
        ("replicates", "replicates", ",.0f"),
        *said,
    )
    line = layer(drawn, "line", strokeWidth=1.5).encode(x=x("at"), y=y("value"), **methods.look)
    point = layer(drawn, "point", filled=True, size=55, opacity=1)
    bars = [row for row in drawn if row["low"] is not None]
    bar = layer(bars, "rule", strokeWidth=1.5).encode(
        x=x("at"), y=y("low"), y2=alt.Y2("high:Q"), **methods.look
    )
    marks = methods.marks(point.encode(x=x("at"), y=y("value"), tooltip=tooltip))
    return [line, *([bar] if bars else []), marks]
