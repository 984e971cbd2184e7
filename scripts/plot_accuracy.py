"""Draw accuracy against budget for each method, with intervals and fitted curves."""

from __future__ import annotations

from pathlib import Path

from seedbed.analysis.curves.fits import confidence_of, read_fits
from seedbed.analysis.report.charts import accuracy
from seedbed.analysis.report.charts.command_line import draw, figure_parser
from seedbed.analysis.report.charts.drawing import Output
from seedbed.analysis.tables.outcomes import read_outcomes


def plot_accuracy(output: Output, fits: Path, draws: Path, cells: Path, items: Path) -> None:
    """Write the figure as SVG, PNG and CSV.

    Args:
        output: where the figure goes.
        fits: fits of `fit_decay`.
        draws: bootstrap draws of `fit_decay`.
        cells: table of cells, for baselines of real pairs.
        items: table of items, for the same.
    """
    found = read_fits(fits, draws)
    accuracy.plot_accuracy(found, read_outcomes(cells, items), confidence_of(fits), output)


if __name__ == "__main__":
    parser = figure_parser(__doc__, "fits", "draws", "cells", "items")
    draw(__file__, plot_accuracy, parser)
