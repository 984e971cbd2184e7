"""How figures of many series of cells against the budget tell them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from seedbed.analysis.report.charts.drawing import INK, colour, marker
from seedbed.analysis.settings import Titles

_LINES = ("-", "--", ":", "-.")
"""Of seed-set sizes in their order."""


def series_style(
    series: Mapping[str, Any], methods: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return how a series of cells against the budget is drawn.

    Its colour and marker are the method's, its line is the seed-set size's; markers are hollow
    where the augmenter or the filter is not that which the method has most often in the figure.

    Args:
        series: `method`, `augmenter`, `filter` and `seeds` of the series.
        methods: the figure's methods in order.
        rows: all cells of the figure, with those names.
    """
    sizes = sorted({row["seeds"] for row in rows})
    usual = _usual(rows, series["method"])
    paint = colour(methods, series["method"])
    same = (series["augmenter"], series["filter"]) == usual
    return {
        "color": paint,
        "marker": marker(methods, series["method"]),
        "markerfacecolor": paint if same else "white",
        "linestyle": _LINES[sizes.index(series["seeds"]) % len(_LINES)],
    }


def _usual(rows: Sequence[Mapping[str, Any]], method: str) -> tuple[str, str]:
    counts = Counter((r["augmenter"], r["filter"]) for r in rows if r["method"] == method)
    return max(sorted(counts), key=lambda pair: counts[pair])


def series_legend(
    methods: Sequence[str], rows: Sequence[Mapping[str, Any]], titles: Titles
) -> tuple[list[Any], list[str]]:
    """Return handles and labels for what `series_style` tells apart."""
    from matplotlib.lines import Line2D

    used = [method for method in methods if any(row["method"] == method for row in rows)]
    handles = [
        Line2D([], [], color=colour(methods, m), marker=marker(methods, m), markersize=5)
        for m in used
    ]
    labels = [titles.title(method) for method in used]
    sizes = sorted({row["seeds"] for row in rows})
    if len(sizes) > 1:
        for size, line in zip(sizes, _LINES * len(sizes), strict=False):
            handles.append(Line2D([], [], color=INK, linestyle=line))
            labels.append(f"{size:,} seeds")
    unusual = [
        name
        for name, place in (("augmenter", 0), ("filter", 1))
        if any(row[name] != _usual(rows, row["method"])[place] for row in rows)
    ]
    if unusual:
        handles.append(
            Line2D([], [], color=INK, marker="o", markerfacecolor="white", linestyle="none")
        )
        labels.append(f"other {' or '.join(unusual)}")
    return handles, labels
