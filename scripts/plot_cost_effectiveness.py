"""Draw what each method gains over the first one, and which method leads at which budget ratio."""

from __future__ import annotations

from pathlib import Path

from seedbed.analysis.comparisons import read_comparisons
from seedbed.analysis.figures import cost_effectiveness
from seedbed.analysis.figures.command_line import draw, figure_parser
from seedbed.analysis.figures.drawing import Output
from seedbed.analysis.fits import confidence_of, read_fits
from seedbed.artifacts import read_json


def plot_cost_effectiveness(
    output: Output, fits: Path, draws: Path, comparisons: Path, crossovers: Path
) -> None:
    """Write the figure as SVG, PNG and CSV.

    Args:
        output: where the figure goes.
        fits: fits of `fit_decay`.
        draws: bootstrap draws of `fit_decay`.
        comparisons: table of `compare_methods` (CSV).
        crossovers: crossovers of `find_crossovers` (JSON).
    """
    cost_effectiveness.plot_cost_effectiveness(
        read_fits(fits, draws),
        read_comparisons(comparisons),
        read_json(crossovers)["crossovers"],
        confidence_of(fits),
        output,
    )


if __name__ == "__main__":
    parser = figure_parser(__doc__, "fits", "draws", "comparisons", "crossovers")
    draw(__file__, plot_cost_effectiveness, parser)
