"""Draw accuracy by augmenter, and the paired differences to the strongest one."""

from __future__ import annotations

from pathlib import Path

from seedbed.analysis.report.charts import augmenters
from seedbed.analysis.report.charts.command_line import draw, figure_parser, settings_of
from seedbed.analysis.report.charts.drawing import Output
from seedbed.analysis.settings import AugmenterSettings
from seedbed.analysis.tables.outcomes import read_outcomes


def plot_augmenters(output: Output, cells: Path, items: Path, settings: AugmenterSettings) -> None:
    """Write the figure as SVG, PNG and CSV.

    Args:
        output: where the figure goes.
        cells: table of cells.
        items: table of items.
        settings: methods and augmenters in order, and the coverage of the intervals.
    """
    augmenters.plot_augmenters(read_outcomes(cells, items), settings, output)


if __name__ == "__main__":
    parser = figure_parser(__doc__, "cells", "items")
    parser.add_argument(
        "--settings",
        type=settings_of(AugmenterSettings),
        required=True,
        help='JSON: {"methods": [...] in order; "augmenters": [...], the strongest first; '
        '"confidence": 0.95}',
    )
    draw(__file__, plot_augmenters, parser)
