"""Draw where one method overtakes another, in queries per seed, tokens, money and hours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seedbed.analysis.curves.fits import read_fits
from seedbed.analysis.report.charts import crossovers as figure
from seedbed.analysis.report.charts.command_line import add_published_option, draw, figure_parser
from seedbed.analysis.report.charts.drawing import Output
from seedbed.analysis.settings import PublishedShift
from seedbed.artifacts import read_json


def plot_crossovers(
    output: Output,
    fits: Path,
    draws: Path,
    crossovers: Path,
    published: Sequence[PublishedShift] = (),
) -> None:
    """Write the figure as SVG, PNG and CSV.

    Args:
        output: where the figure goes.
        fits: fits of `fit_decay`.
        draws: bootstrap draws of `fit_decay`.
        crossovers: crossovers of `find_crossovers` (JSON).
        published: shifts that others saw.
    """
    found = read_json(crossovers)
    records = [*found["crossovers"], *found["costs"]]
    figure.plot_crossovers(read_fits(fits, draws), records, output, published)


if __name__ == "__main__":
    parser = figure_parser(__doc__, "fits", "draws", "crossovers")
    add_published_option(parser)
    draw(__file__, plot_crossovers, parser)
