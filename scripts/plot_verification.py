"""Draw accuracy with all answers and with verified ones alone, against the budget."""

from __future__ import annotations

from pathlib import Path

from seedbed.analysis.report.charts import verification
from seedbed.analysis.report.charts.command_line import draw, figure_parser, settings_of
from seedbed.analysis.report.charts.drawing import Output
from seedbed.analysis.settings import CompareSettings
from seedbed.analysis.tables.outcomes import read_outcomes


def plot_verification(output: Output, cells: Path, items: Path, settings: CompareSettings) -> None:
    """Write the figure as SVG, PNG and CSV.

    Args:
        output: where the figure goes.
        cells: table of cells.
        items: table of items.
        settings: methods in order, and the coverage of the intervals.
    """
    verification.plot_verification(read_outcomes(cells, items), settings, output)


if __name__ == "__main__":
    parser = figure_parser(__doc__, "cells", "items")
    parser.add_argument(
        "--settings",
        type=settings_of(CompareSettings),
        required=True,
        help='JSON: {"methods": [...] in order; "confidence": 0.95}',
    )
    draw(__file__, plot_verification, parser)
