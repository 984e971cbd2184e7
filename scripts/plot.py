"""Draw a chart of a study as SVG, PNG and Vega-Lite, with the table behind it as CSV."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import Any

from seedbed.analysis.report.charts.files import Output, figure_output, write_figure
from seedbed.analysis.report.charts.inputs import add_common_options, add_options_of, described

CHARTS = (
    "accuracy",
    "cost_effectiveness",
    "crossovers",
    "best_method",
    "augmenters",
    "verification",
    "models",
    "costs",
    "diversity",
)


def module_of(chart: str) -> ModuleType:
    """Return the module of a chart."""
    return import_module(f"seedbed.analysis.report.charts.{chart}")


def plot(chart: str, output: Output, **options: Any) -> None:
    """Write a chart and its table.

    Args:
        chart: one of `CHARTS`.
        output: where the figure goes.
        options: what the chart's `tabulate` takes.
    """
    module = module_of(chart)
    content = module.tabulate(**options)
    drawn = module.chart(content, output.titles, output.missing)
    write_figure(drawn, content.table, output, content.title or module.TITLE, module.ABOUT)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chart", choices=CHARTS)
    add_common_options(parser)
    # The chart comes first: other options are its own.
    known = sys.argv[1] if sys.argv[1:] and sys.argv[1] in CHARTS else None
    if known:
        add_options_of(parser, module_of(known).tabulate)
    given = vars(parser.parse_args())
    common = [given.pop(name) for name in ("study", "figure", "titles", "missing")]
    name = given.pop("chart")
    try:
        made = figure_output(__file__, *common)
        plot(name, replace(made, provenance={**made.provenance, **described(given)}), **given)
    except ValueError as error:
        sys.exit(f"plot: {name}: {error}")
