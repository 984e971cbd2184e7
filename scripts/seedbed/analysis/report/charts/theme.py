"""The look of charts: colours and markers of methods, and Vega configs of light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A5E00", "#4593BF")
"""Colours of the methods in their order, safe for colour-blind readers: the palette of Okabe & Ito
(2008). The last two are darker, because its orange and sky blue are too pale on white."""

PUBLISHED = "#A08A2C"
"""Colour of published crossovers."""

RANGE = "#8A8A8A"
"""Colour of the range of the data."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
"""Markers of the methods in their order."""

DASHES = ([1, 0], [6, 4], [2, 2], [8, 3, 2, 3])
"""Dash patterns of seed-set sizes or filters, in their order."""

FONT_SIZE = 12


def colour(methods: Sequence[str], method: str) -> str:
    """Return the colour of a method."""
    return COLOURS[list(methods).index(method) % len(COLOURS)]


def other_looks(looks: Sequence[Any], count: int) -> list[Any]:
    """Return markers or dash patterns that differ between methods of the same colour."""
    return [looks[(n + n // len(COLOURS)) % len(looks)] for n in range(count)]


def text_on(paint: str) -> str:
    """Return black or white, whichever has more contrast with a colour."""
    return max(("#ffffff", "#000000"), key=lambda ink: contrast(ink, paint))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (#rrggbb), from 1 to 21, as WCAG defines it."""

    def luminance(paint: str) -> float:
        parts = [int(paint[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def _config(ink: str, soft: str, grid: str, paper: str) -> dict[str, Any]:
    # Texts are never cut: the figure grows instead.
    text = {"labelColor": ink, "titleColor": ink, "labelLimit": 0, "titleLimit": 0}
    text |= {
        "labelFontSize": FONT_SIZE - 1,
        "titleFontSize": FONT_SIZE,
        "titleFontWeight": "normal",
    }
    return {
        "background": paper,
        # Bundled with vl-convert, and as wide as the fonts that browsers substitute for it.
        "font": "Liberation Sans, Arial, Helvetica, sans-serif",
        # The figure has a description; labels on thousands of marks would not help.
        "aria": False,
        "view": {"stroke": None},
        "axis": {
            **text,
            "gridColor": grid,
            "domainColor": soft,
            "tickColor": soft,
            "labelOverlap": False,
            "titlePadding": 8,
        },
        "legend": {
            **text,
            "orient": "top",
            "direction": "horizontal",
            "labelFontSize": FONT_SIZE,
            "columnPadding": 18,
            "rowPadding": 4,
            "symbolSize": 80,
            "symbolStrokeWidth": 2,
            "symbolBaseStrokeColor": ink,
            "symbolBaseFillColor": ink,
            "layout": {"top": {"direction": "vertical", "anchor": "start", "margin": 6}},
        },
        "title": {"color": ink, "subtitleColor": ink, "limit": 0, "fontSize": FONT_SIZE}
        | {"fontWeight": "normal", "offset": 8},
        "text": {"fontSize": FONT_SIZE - 1, "color": ink, "limit": 0},
        "style": {
            "ink": {"color": ink, "stroke": ink},
            "words": {"fill": ink},
            # Behind words, to keep them readable on lines and areas.
            "halo": {"fill": paper, "stroke": paper, "strokeWidth": 4, "strokeJoin": "round"},
            "hollow": {"fill": paper},
            "edge": {"stroke": paper, "strokeWidth": 1},
            "grid": {"color": grid, "stroke": grid},
        },
        "range": {"category": list(COLOURS)},
    }


LIGHT = _config("#333333", "#777777", "#e4e4e4", "#ffffff")
"""Vega config of the SVG and PNG files, and of a page in light colours."""

DARK = _config("#e8e8e8", "#a0a0a0", "#33373d", "#17191c")
"""Vega config of a page in dark colours. Charts themselves set only the methods' colours."""
