"""The two charts that the page's controls update, as Vega-Lite. The page's script sets the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seedbed.analysis.report.charts.theme import SHAPES, other_looks
from seedbed.config.values import JsonObject

if TYPE_CHECKING:
    import altair as alt

    from seedbed.analysis.report.charts.drawing import Look

# Dashes distinguish methods for readers who cannot tell colours apart.
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [4, 4], [10, 3])

_LEGEND: Look = {
    "title": None,
    "orient": "bottom",
    # In one column, even long titles fit a phone.
    "direction": "vertical",
    "columns": 1,
    # Otherwise symbols would be as faint as the bands.
    "symbolOpacity": 1,
}

STRIPES = 6
"""Stripes of a row of the map. Two or three tied methods get equally many."""

HERE = "here"
"""Name of the dataset with the current position of the controls."""


def plots(colours: Mapping[str, str], money: bool) -> JsonObject:
    """Return the specifications of the charts "curves" and "map", by name.

    Each chart uses the dataset of its name and the dataset `HERE`, with the columns of `explorer`.

    Args:
        colours: colours by title of a method.
        money: whether budgets are in dollars instead of queries per seed.
    """
    import altair as alt

    names = list(colours)
    x = (
        alt.X("at:Q")
        .scale(type="log", nice=False)
        .axis(format="$,.2~r" if money else ",.3~r", tickCount=6, labelOverlap=True)
        .title("budget, US dollars" if money else "budget ratio, teacher queries per seed")
    )
    colour = alt.Color("method:N").scale(domain=names, range=list(colours.values()))
    colour = colour.legend(**_LEGEND)
    charts = {"curves": _curves(names, x, colour), "map": _map(x, colour)}
    return {
        name: {**chart.properties(width="container").to_dict(), "description": name}
        for name, chart in charts.items()
    }


def _scaled(values: Sequence[Any], names: Sequence[str]) -> Look:
    return {"domain": names, "range": other_looks(values, len(names))}


def _curves(names: Sequence[str], x: alt.X, colour: alt.Color) -> alt.LayerChart | alt.FacetChart:
    import altair as alt

    y = alt.Y("accuracy:Q").scale(zero=False).title("accuracy, %")
    dash = alt.StrokeDash("method:N").scale(**_scaled(_DASHES, names)).legend(**_LEGEND)
    shape = alt.Shape("method:N").scale(**_scaled(SHAPES, names)).legend(**_LEGEND)
    shown = alt.selection_point(name="shown", fields=["method"], bind="legend")
    data = alt.Chart(alt.NamedData("curves"))
    curve = data.transform_filter("datum.kind === 'curve'").encode(x=x, color=colour)
    band = curve.mark_area().encode(
        y=alt.Y("low:Q").scale(zero=False).title("accuracy, %"),
        y2="high:Q",
        opacity=alt.when(shown).then(alt.value(0.18)).otherwise(alt.value(0.03)),
    )
    line = curve.mark_line(strokeWidth=2.5).encode(
        y=y,
        strokeDash=dash,
        opacity=alt.when(shown).then(alt.value(1)).otherwise(alt.value(0.15)),
    )
    # Points of curves are invisible: they carry the tooltips.
    points = data.mark_point(filled=True, size=60).encode(
        x=x,
        y=y,
        color=colour,
        shape=shape,
        opacity=alt.when("datum.kind === 'cell'").then(alt.value(1)).otherwise(alt.value(0)),
        tooltip=[alt.Tooltip("method:N"), alt.Tooltip("budget:N"), alt.Tooltip("expected:N")],
    )
    here = (
        alt.Chart(alt.NamedData(HERE))
        .mark_rule(style="ink", strokeDash=[4, 3], strokeWidth=2)
        .encode(x=x)
    )
    return alt.layer(band, line.add_params(shown), points, here).properties(height=260)


def _map(x: alt.X, colour: alt.Color) -> alt.LayerChart | alt.FacetChart:
    import altair as alt

    y = alt.Y("seeds:N").sort(None).scale(paddingInner=0.2, paddingOuter=0.1).title("seeds")
    tiles = (
        alt.Chart(alt.NamedData("map"))
        .mark_rect(opacity=1)
        .encode(
            x=x,
            x2="to:Q",
            y=y,
            yOffset=alt.YOffset("stripe:N").scale(domain=[*range(STRIPES)], padding=0),
            color=colour,
            tooltip=[alt.Tooltip("seeds:N"), alt.Tooltip("from:N"), alt.Tooltip("leading:N")],
        )
    )
    here = (
        alt.Chart(alt.NamedData(HERE))
        .mark_point(style="ink", size=130, strokeWidth=3)
        .encode(x=x, y=y)
    )
    # The height of one row: the page's script multiplies it by the number of rows.
    return alt.layer(tiles, here).properties(height=28)
