"""Draw what a point of accuracy costs, in teacher queries, tokens, money and hours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seedbed.analysis.decide.costs import add_prices_option
from seedbed.analysis.report.charts import costs
from seedbed.analysis.report.charts.command_line import draw, figure_parser, settings_of
from seedbed.analysis.report.charts.drawing import Output
from seedbed.analysis.settings import CompareSettings
from seedbed.analysis.tables.outcomes import read_outcomes


def plot_costs(
    output: Output,
    cells: Path,
    items: Path,
    prices: Mapping[str, Mapping[str, float | None]],
    settings: CompareSettings,
) -> None:
    """Write the figure as SVG, PNG and CSV.

    Args:
        output: where the figure goes.
        cells: table of cells.
        items: table of items.
        prices: by model, dollars per million tokens of prompts and of completions.
        settings: methods in order, and the coverage of the intervals.
    """
    costs.plot_costs(read_outcomes(cells, items), prices, settings, output)


if __name__ == "__main__":
    parser = figure_parser(__doc__, "cells", "items")
    add_prices_option(parser)
    parser.add_argument(
        "--settings",
        type=settings_of(CompareSettings),
        required=True,
        help='JSON: {"methods": [...] in order; "confidence": 0.95}',
    )
    draw(__file__, plot_costs, parser)
