"""Draw a map of which method is best for a seed-set size and a budget, and how sure that is."""

from __future__ import annotations

from pathlib import Path

from seedbed.analysis.curves.fits import confidence_of, read_fits
from seedbed.analysis.report.charts import best_method
from seedbed.analysis.report.charts.command_line import draw, figure_parser
from seedbed.analysis.report.charts.drawing import Output


def plot_best_method(output: Output, fits: Path, draws: Path) -> None:
    """Write the figure as SVG, PNG and CSV.

    Args:
        output: where the figure goes.
        fits: fits of `fit_decay`.
        draws: bootstrap draws of `fit_decay`.
    """
    best_method.plot_best_method(read_fits(fits, draws), confidence_of(fits), output)


if __name__ == "__main__":
    draw(__file__, plot_best_method, figure_parser(__doc__, "fits", "draws"))
