"""Draw what each method gains over the first one, and which method leads at which budget ratio."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seedbed.analysis.curves.fits import confidence_of, read_fits
from seedbed.analysis.report.charts import cost_effectiveness
from seedbed.analysis.report.charts.command_line import add_published_option, draw, figure_parser
from seedbed.analysis.report.charts.drawing import Output
from seedbed.analysis.settings import PublishedShift
from seedbed.analysis.tables.comparisons import read_comparisons
from seedbed.artifacts import read_json


def plot_cost_effectiveness(
    output: Output,
    fits: Path,
    draws: Path,
    comparisons: Path,
    crossovers: Path,
    published: Sequence[PublishedShift] = (),
) -> None:
    """Write the figure as SVG, PNG and CSV.

    Args:
        output: where the figure goes.
        fits: fits of `fit_decay`.
        draws: bootstrap draws of `fit_decay`.
        comparisons: table of `compare_methods` (CSV).
        crossovers: crossovers of `find_crossovers` (JSON).
        published: shifts that others saw.
    """
    cost_effectiveness.plot_cost_effectiveness(
        read_fits(fits, draws),
        read_comparisons(comparisons),
        read_json(crossovers)["crossovers"],
        confidence_of(fits),
        output,
        published,
    )


if __name__ == "__main__":
    parser = figure_parser(__doc__, "fits", "draws", "comparisons", "crossovers")
    add_published_option(parser)
    draw(__file__, plot_cost_effectiveness, parser)
