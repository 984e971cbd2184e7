"""What all figures share: colours, panels, axes, and how a figure and its table are written."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from seedbed.analysis.fits import Fit
from seedbed.analysis.settings import Titles
from seedbed.artifacts import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours of the methods in their order, told apart by colour-blind eyes (Okabe & Ito 2008)."""

MARKERS = ("o", "s", "^", "D", "v", "P")

INK = "#333333"
WIDTH_INCHES = 8.0
PANEL_HEIGHT_INCHES = 2.9
TITLE_CHARACTERS = 76
"""Of a title in bold that fit into the width."""

COLUMNS = 3
"""Most panels side by side: with more, text is too small at 800 pixels."""

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    # Text stays text: it can be searched, and the file is small.
    "svg.fonttype": "none",
    # Identifiers in SVG files depend on this alone, so the same figure has the same bytes.
    "svg.hashsalt": "seedbed",
    "savefig.dpi": 200,
}


def colour(methods: Sequence[str], method: str) -> str:
    """Return the colour of a method."""
    return COLOURS[list(methods).index(method) % len(COLOURS)]


def marker(methods: Sequence[str], method: str) -> str:
    """Return the marker of a method."""
    return MARKERS[list(methods).index(method) % len(MARKERS)]


def all_methods(fits: Iterable[Fit]) -> list[str]:
    """Return the methods of all fits, in the order in which they come."""
    return list(dict.fromkeys(method for fit in fits for method in fit.methods))


def group_titles(fits: Sequence[Fit], titles: Titles) -> list[str]:
    """Return a title for each fit: its task, and the coordinates in which the fits differ."""
    varied = [
        name
        for name in ("student", "teacher", "augmenter", "filter")
        if len({fit.record[name] for fit in fits}) > 1
    ]
    return [
        ", ".join(
            [
                titles.title(fit.record["task"]),
                *(f"{name} {titles.title(fit.record[name])}" for name in varied),
            ]
        )
        for fit in fits
    ]


@contextmanager
def drawing(
    fits: Sequence[Fit], titles: Titles
) -> Iterator[tuple[Figure, list[tuple[Fit, int, Axes]]]]:
    """Yield a figure and its panels: one for each fit and seed-set size, a fit's on its rows.

    The figure is closed at the end of the block.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    columns = min(COLUMNS, max((len(fit.seeds) for fit in fits), default=1))
    rows = [-(-len(fit.seeds) // columns) for fit in fits]
    wrapped = [textwrap.fill(title, TITLE_CHARACTERS) for title in group_titles(fits, titles)]
    heights = [
        (PANEL_HEIGHT_INCHES + 0.25) * count + 0.2 * title.count("\n")
        for count, title in zip(rows, wrapped, strict=True)
    ]
    with mpl.rc_context(_STYLE):
        figure = plt.figure(
            figsize=(WIDTH_INCHES, max(PANEL_HEIGHT_INCHES, sum(heights)) + 0.6),
            layout="constrained",
        )
        try:
            parts = figure.subfigures(len(fits), 1, squeeze=False, height_ratios=heights)[:, 0]
            panels = []
            for fit, title, part, count in zip(fits, wrapped, parts, rows, strict=True):
                part.suptitle(title, fontsize=11, fontweight="bold")
                grid = part.subplots(count, columns, squeeze=False, sharey=True).ravel()
                for seeds, axes in zip(fit.seeds, grid, strict=False):
                    panels.append((fit, seeds, axes))
                for axes in grid[len(fit.seeds) :]:
                    axes.set_visible(False)
            yield figure, panels
        finally:
            plt.close(figure)


def add_legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Add a legend above all panels, on as many lines as its labels need."""
    columns = len(labels)
    # About 96 characters, with 6 for the sign before each label, fit into the figure's width.
    while columns > 1 and sum(sorted(len(label) + 6 for label in labels)[-columns:]) > 96:
        columns -= 1
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=columns,
        handlelength=1.6,
        columnspacing=1.4,
    )


def set_ratio_axis(axes: Axes, fit: Fit, seeds: int) -> None:
    """Make the x axis logarithmic in BR, with the budgets of the cells below their ratios."""
    from matplotlib.ticker import NullLocator

    cells = fit.cells(seeds)
    ratios = sorted({cell["budget_ratio"] for cell in cells})
    span = np.log(ratios[-1] / ratios[0]) if len(ratios) > 1 else 1.0
    shown = [ratios[0]]
    for ratio in ratios[1:]:
        # Four labels fit into the narrowest panel. The last ratio has its label in any case.
        if np.log(ratio / shown[-1]) >= 0.28 * span and (
            ratio == ratios[-1] or np.log(ratios[-1] / ratio) >= 0.28 * span
        ):
            shown.append(ratio)
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(shown, [f"{ratio:.3g}\n{_short_count(ratio * seeds)}" for ratio in shown])
    margin = np.exp(0.06 * span)
    axes.set_xlim(ratios[0] / margin, ratios[-1] * margin)
    axes.set_xlabel("BR (queries per seed),\nteacher queries")


def _short_count(count: float) -> str:
    return f"{count / 1000:.3g}k" if count >= 10_000 else f"{count:,.0f}"


def ratio_grid(fit: Fit, seeds: int, method: str) -> np.ndarray:
    """Return budget ratios for drawing a method's curve, from its lowest cell to its highest."""
    ratios = [cell["budget_ratio"] for cell in fit.cells(seeds, method)]
    return np.geomspace(min(ratios), max(ratios), 101)


def band(draws: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile interval of draws of shape (samples, n)."""
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def save_figure(
    figure: Figure,
    path: str | Path,
    table: pl.DataFrame,
    title: str,
    provenance: Mapping[str, Any],
) -> None:
    """Write a figure as SVG, PNG and CSV (the table behind it), each whole or not at all.

    Args:
        figure: the figure.
        path: path of the SVG file; the others differ in their ending.
        table: the numbers that the figure shows.
        title: title in the files' metadata.
        provenance: what the metadata says of the figure's making (study, code, versions).

    Raises:
        ValueError: if the path does not end in .svg.
    """
    path = Path(path)
    if path.suffix != ".svg":
        raise ValueError(f"a figure's path must end in .svg, not {path}")
    description = json.dumps(dict(provenance), sort_keys=True)
    with replacing(path.with_suffix(".csv")) as temporary:
        table.write_csv(temporary)
    with replacing(path.with_suffix(".png")) as temporary:
        figure.savefig(temporary, metadata={"Title": title, "Description": description})
    with replacing(path) as temporary:
        # No date: the same results give the same bytes.
        metadata = {"Title": title, "Description": description, "Date": None}
        figure.savefig(temporary, metadata=metadata)
