"""What all figures share: colours, panels, axes, and how a figure and its table are written."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from seedbed.analysis.curves.fits import Fit
from seedbed.analysis.settings import Titles
from seedbed.artifacts import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours of the methods in their order, told apart by colour-blind eyes (Okabe & Ito 2008)."""

MARKERS = ("o", "s", "^", "D", "v", "P")

INK = "#333333"
WIDTH_INCHES = 8.0
PANEL_HEIGHT_INCHES = 2.9
TITLE_CHARACTERS = 76
"""Of a title in bold that fit into the width."""

NOTE_CHARACTERS = 105
"""Of a note at the foot that fit into the width."""

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
    # Titles are from a study's files: a dollar sign in them is a dollar sign.
    "text.parse_math": False,
    # Text stays text: it can be searched, and the file is small.
    "svg.fonttype": "none",
    # Identifiers in SVG files depend on this alone, so the same figure has the same bytes.
    "svg.hashsalt": "seedbed",
    "savefig.dpi": 200,
}


@dataclass(frozen=True)
class Output:
    """Where a figure goes, and what is said on it and about it.

    Attributes:
        path: path of the SVG file; the others differ in their ending.
        titles: titles of methods, tasks and models.
        provenance: what the files' metadata says of the figure's making (study, code, versions).
        missing: a line on the results that are missing, to stand at the figure's foot; or "".
    """

    path: Path
    titles: Titles
    provenance: Mapping[str, Any]
    missing: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a figure under a title of its own: panels in rows.

    Attributes:
        title: the title; it is wrapped to the figure's width.
        panels: number of panels.
        columns: panels side by side, at most `COLUMNS`.
        share_y: whether its panels have one y axis.
        height: height of a panel in inches.
    """

    title: str
    panels: int
    columns: int
    share_y: bool = False
    height: float = PANEL_HEIGHT_INCHES


def colour(methods: Sequence[str], method: str) -> str:
    """Return the colour of a method."""
    return COLOURS[list(methods).index(method) % len(COLOURS)]


CONTRAST = 4.5
"""Of text with what it stands on, at the least: WCAG 2.2, 1.4.3."""


def text_colour(paint: str) -> str:
    """Return a colour for text on white that is near another one, and dark enough to be read."""
    from matplotlib.colors import to_hex, to_rgb

    parts = np.array(to_rgb(paint))
    while contrast(to_hex(parts), "white") < CONTRAST:
        parts = 0.95 * parts
    return to_hex(parts)


def text_on(paint: str) -> str:
    """Return black or white, whichever is read better on a colour."""
    return max(("white", "black"), key=lambda ink: contrast(ink, paint))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21, as WCAG defines it."""
    from matplotlib.colors import to_rgb

    def luminance(paint: str) -> float:
        parts = np.array(to_rgb(paint))
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def marker(methods: Sequence[str], method: str) -> str:
    """Return the marker of a method."""
    return MARKERS[list(methods).index(method) % len(MARKERS)]


def all_methods(fits: Iterable[Fit]) -> list[str]:
    """Return the methods of all fits, in the study's order as far as one fit shows it.

    Each fit has its own methods in that order, so those of the fit with most of them come first: a
    method then has the same colour in every figure.
    """
    ordered = sorted(fits, key=lambda fit: -len(fit.methods))
    return list(dict.fromkeys(method for fit in ordered for method in fit.methods))


def group_titles(fits: Sequence[Fit], titles: Titles) -> list[str]:
    """Return a title for each fit: its task, and coordinates in which the task's fits differ."""
    return place_titles([fit.record for fit in fits], titles)


def place_titles(
    places: Sequence[Mapping[str, Any]],
    titles: Titles,
    names: Sequence[str] = ("student", "teacher", "augmenter", "filter"),
) -> list[str]:
    """Return a title for each place: its task, and coordinates in which the task's places differ.

    Args:
        places: mappings with `task` and the coordinates.
        titles: titles of tasks and models.
        names: the coordinates.
    """
    made = []
    for place in places:
        same_task = [other for other in places if other["task"] == place["task"]]
        varied = [name for name in names if len({other[name] for other in same_task}) > 1]
        parts = [f"{name} {titles.title(str(place[name]))}" for name in varied]
        made.append(", ".join([titles.title(place["task"]), *parts]))
    return made


def with_curves(fits: Sequence[Fit]) -> list[Fit]:
    """Return the fits in which at least two methods were measured at two budgets or more.

    The others are of ablations at a single budget, which have figures of their own. Of a task that
    has no such fit, all are returned.
    """
    curved = {
        fit.record["fit"]: any(
            sum(len(fit.cells(seeds, method)) > 1 for method in fit.methods) > 1
            for seeds in fit.seeds
        )
        for fit in fits
    }
    tasks = {fit.record["task"] for fit in fits if curved[fit.record["fit"]]}
    return [fit for fit in fits if curved[fit.record["fit"]] or fit.record["task"] not in tasks]


def shown_crossovers(
    fit: Fit, seeds: int, crossovers: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the crossovers with the first method that figures show: by the curve, if there is one.

    Args:
        fit: the fit.
        seeds: seed-set size.
        crossovers: records of `find_crossovers`.
    """
    return [
        record
        for record in crossovers
        if record["fit"] == fit.record["fit"]
        and record["seeds"] == seeds
        and record["reference"] == fit.methods[0]
        and record["basis"] == ("means" if not fit.models else "curve")
    ]


@contextmanager
def sheet(
    sections: Sequence[Section], notes: str = "", nothing: str = "there are no results yet"
) -> Iterator[tuple[Figure, list[list[Axes]]]]:
    """Yield a figure and, for each section, its panels in reading order.

    The figure is closed at the end of the block.

    Args:
        sections: the sections, one below the other.
        notes: lines for the figure's foot, or "".
        nothing: what the figure says if it has no sections.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    wrapped = [textwrap.fill(section.title, TITLE_CHARACTERS) for section in sections]
    heights = [
        (section.height + 0.25) * -(-section.panels // section.columns) + 0.2 * title.count("\n")
        for section, title in zip(sections, wrapped, strict=True)
    ]
    note = "\n".join(textwrap.fill(line, NOTE_CHARACTERS) for line in notes.splitlines())
    height = max(PANEL_HEIGHT_INCHES, sum(heights)) if sections else 1.2
    height += 0.6 + 0.17 * len(note.splitlines())
    with mpl.rc_context(_STYLE):
        figure = plt.figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        try:
            if note:
                figure.supxlabel(note, x=0.01, ha="left", fontsize=9)
            if not sections:
                text = textwrap.fill(f"Nothing to draw: {nothing}.", TITLE_CHARACTERS)
                figure.text(0.5, 0.6, text, ha="center", va="center", fontsize=11)
                yield figure, []
                return
            parts = figure.subfigures(len(sections), 1, squeeze=False, height_ratios=heights)[:, 0]
            panels = []
            for section, title, part in zip(sections, wrapped, parts, strict=True):
                part.suptitle(title, fontsize=11, fontweight="bold")
                rows = -(-section.panels // section.columns)
                grid = part.subplots(rows, section.columns, squeeze=False, sharey=section.share_y)
                for axes in grid.ravel()[section.panels :]:
                    axes.set_visible(False)
                panels.append(list(grid.ravel()[: section.panels]))
            yield figure, panels
        finally:
            plt.close(figure)


@contextmanager
def drawing(
    fits: Sequence[Fit], titles: Titles, missing: str = ""
) -> Iterator[tuple[Figure, list[tuple[Fit, int, Axes]]]]:
    """Yield a figure and its panels: one for each fit and seed-set size, a fit's on its rows.

    The figure is closed at the end of the block.
    """
    columns = min(COLUMNS, max((len(fit.seeds) for fit in fits), default=1))
    sections = [
        Section(title, len(fit.seeds), columns, share_y=True)
        for fit, title in zip(fits, group_titles(fits, titles), strict=True)
    ]
    with sheet(sections, missing) as (figure, panels):
        yield (
            figure,
            [
                (fit, seeds, axes)
                for fit, row in zip(fits, panels, strict=True)
                for seeds, axes in zip(fit.seeds, row, strict=True)
            ],
        )


def wrap_title(title: str, columns: int = 2) -> str:
    """Return a panel's title on at most three lines, for a number of panels side by side."""
    return textwrap.fill(title, 78 // columns, max_lines=3, placeholder="…")


def add_legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Add a legend above all panels, on as many lines as its labels need."""
    if not labels:
        return
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
    shown = spread(ratios)
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(shown, [f"{ratio:.3g}\n{short_count(ratio * seeds)}" for ratio in shown])
    margin = np.exp(0.06 * span)
    axes.set_xlim(ratios[0] / margin, ratios[-1] * margin)
    axes.set_xlabel("BR (queries per seed),\nteacher queries")


def set_count_axis(axis: Axis, counts: Sequence[float]) -> None:
    """Make an axis logarithmic, with labels at those of the given counts that have room."""
    from matplotlib.ticker import NullLocator

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_minor_locator(NullLocator())
    shown = spread(counts)
    axis.set_ticks(shown, [short_count(count) for count in shown])


def spread(values: Sequence[float]) -> list[float]:
    """Return those of ascending positive values that have room for labels on a logarithmic axis.

    Four labels fit into the narrowest panel. The first and the last value are always among them.
    """
    if len(values) < 2:
        return list(values)
    span = np.log(values[-1] / values[0])
    shown = [values[0]]
    for value in values[1:]:
        if np.log(value / shown[-1]) >= 0.28 * span and (
            value == values[-1] or np.log(values[-1] / value) >= 0.28 * span
        ):
            shown.append(value)
    return shown


def short_count(count: float) -> str:
    """Return a count as a short text: in thousands from 10,000 on, in millions from 10 of them."""
    if count >= 10_000_000:
        return f"{count / 1_000_000:,.3g}M"
    return f"{count / 1000:.3g}k" if count >= 10_000 else f"{count:,.0f}"


def say(axes: Axes, text: str) -> None:
    """Let a panel say in words why it shows nothing."""
    axes.text(
        0.5,
        0.5,
        textwrap.fill(text, 28),
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=9,
    )
    axes.set(xticks=[], yticks=[])


def interval_bar(
    axes: Axes,
    row: Mapping[str, Any],
    value: str,
    height: float,
    paint: str,
    sign: str,
) -> None:
    """Draw a share or a difference of shares in points, with its interval, along the x axis.

    Args:
        axes: the panel.
        row: has the value, and `low` and `high`, which are None where they are not known.
        value: name of the value in the row.
        height: where on the y axis.
        paint: the colour.
        sign: the marker.
    """
    known = row["low"] is not None
    axes.errorbar(
        100 * row[value],
        height,
        xerr=[[100 * (row[value] - row["low"])], [100 * (row["high"] - row[value])]]
        if known
        else None,
        fmt=sign,
        color=paint,
        markersize=5,
        linewidth=1.2,
    )


def label_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Make the y axis one of named rows, the first on top, with lines along them."""
    wrapped = [textwrap.fill(label, 22, max_lines=3, placeholder="…") for label in labels]
    axes.set_yticks(range(len(labels)), wrapped)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.grid(True, axis="x")


def ratio_grid(fit: Fit, seeds: int, method: str) -> np.ndarray:
    """Return budget ratios for drawing a method's curve, from its lowest cell to its highest."""
    ratios = [cell["budget_ratio"] for cell in fit.cells(seeds, method)]
    return np.geomspace(min(ratios), max(ratios), 101)


def band(draws: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile interval of draws of shape (samples, n)."""
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def save_figure(figure: Figure, output: Output, table: pl.DataFrame, title: str) -> None:
    """Write a figure as SVG, PNG and CSV (the table behind it), each whole or not at all.

    Args:
        figure: the figure.
        output: where it goes, and what its metadata says.
        table: the numbers that the figure shows.
        title: title in the files' metadata.

    Raises:
        ValueError: if the path does not end in .svg.
    """
    path = output.path
    if path.suffix != ".svg":
        raise ValueError(f"a figure's path must end in .svg, not {path}")
    description = json.dumps(dict(output.provenance), sort_keys=True)
    with replacing(path.with_suffix(".csv")) as temporary:
        table.write_csv(temporary)
    with replacing(path.with_suffix(".png")) as temporary:
        figure.savefig(temporary, metadata={"Title": title, "Description": description})
    with replacing(path) as temporary:
        # No date: the same results give the same bytes.
        metadata = {"Title": title, "Description": description, "Date": None}
        figure.savefig(temporary, metadata=metadata)
