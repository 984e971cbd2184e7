"""Draw accuracy against budget for each teacher, and where the best method changes for each."""

from __future__ import annotations

from pathlib import Path

from seedbed.analysis.curves.fits import confidence_of, read_fits
from seedbed.analysis.report.charts import models
from seedbed.analysis.report.charts.command_line import draw, figure_parser
from seedbed.analysis.report.charts.drawing import Output
from seedbed.artifacts import read_json


def plot_teachers(output: Output, fits: Path, draws: Path, crossovers: Path) -> None:
    """Write the figure as SVG, PNG and CSV.

    Args:
        output: where the figure goes.
        fits: fits of `fit_decay`.
        draws: bootstrap draws of `fit_decay`.
        crossovers: crossovers of `find_crossovers` (JSON).
    """
    found = read_json(crossovers)["crossovers"]
    models.plot_models(read_fits(fits, draws), found, "teacher", confidence_of(fits), output)


if __name__ == "__main__":
    draw(__file__, plot_teachers, figure_parser(__doc__, "fits", "draws", "crossovers"))
