"""Draw a chart of a study as SVG, PNG and Vega-Lite, with the table behind it as CSV."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from seedbed.analysis.decide.costs import PRICES, Prices
from seedbed.analysis.report.captions import caption_of
from seedbed.analysis.report.charts.files import Output, figure_output, made_from, write_figure
from seedbed.analysis.settings import (
    TITLES,
    AugmenterSettings,
    CompareSettings,
    ModelPrice,
    PublishedShift,
    ShareSettings,
    Titles,
    parse_settings,
)
from seedbed.artifacts import whole_file
from seedbed.command_line import json_of, json_value, option, optional, run, several
from seedbed.config.messages import problems
from seedbed.config.values import JsonObject

_CURVES = ("fits", "draws")
_SCORES = ("cells", "item_scores")
CHARTS = {
    "accuracy": (*_CURVES, *_SCORES),
    "cost_effectiveness": (*_CURVES, "comparisons", "crossovers", "published"),
    "crossovers": (*_CURVES, "crossovers", "published"),
    "best_method": _CURVES,
    "mixtures": (*_CURVES, *_SCORES, "settings"),
    "shares": (*_SCORES, "settings"),
    "augmenters": (*_CURVES, *_SCORES, "settings"),
    "verification": (*_CURVES, *_SCORES, "settings"),
    "models": (*_CURVES, "crossovers", "role"),
    "costs": (*_CURVES, *_SCORES, "prices", "settings"),
    "diversity": ("datasets", "settings"),
}
"""By chart, the arguments of its `tabulate`. They are not read from its signature: with code that
inspects code, any edit of a module that charts import would redraw all charts."""
SETTINGS: dict[str, type[CompareSettings]] = {
    "augmenters": AugmenterSettings,
    "shares": ShareSettings,
}
"""By chart, the class of its settings if it is not `CompareSettings`."""


def module_of(chart: str) -> ModuleType:
    """Return the module of a chart.

    Raises:
        ValueError: if there is no chart of that name.
    """
    if chart not in CHARTS:
        raise ValueError(f"there is no chart {chart!r}; there are {', '.join(CHARTS)}")
    return import_module(f"seedbed.analysis.report.charts.{chart}")


def plot(chart: str, output: Output, **options: Any) -> None:
    """Write a chart and its table.

    Args:
        chart: one of `CHARTS`.
        output: the files to write.
        options: arguments of the chart's `tabulate`.
    """
    module = module_of(chart)
    content = module.tabulate(**options)
    drawn = module.chart(content, output.titles, output.missing)
    write_figure(drawn, content.table, output, *caption_of(output.path.stem))


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to draw, and from which results; each chart needs some of these options."""

    chart: str = option(str, f"one of {', '.join(CHARTS)}")
    role: str | None = optional(str, "for models: student or teacher")
    study: str = option(str, "name of the study")
    fits: Path | None = optional(whole_file, "fits (JSON)")
    draws: Path | None = optional(whole_file, "draws (Parquet)")
    comparisons: Path | None = optional(whole_file, "comparisons (CSV)")
    crossovers: Path | None = optional(whole_file, "crossovers (JSON)")
    cells: Path | None = optional(whole_file, "table of cells (Parquet)")
    item_scores: Path | None = optional(whole_file, "table of items (Parquet)")
    datasets: tuple[Path, ...] = several("dataset.json files")
    settings: JsonObject | None = optional(
        json_value,
        'JSON: {"methods": [...] in order; "confidence": 0.95}, for augmenters with '
        '"augmenters": [...], the strongest first, for shares with "shares": {mixture: {method: '
        "0.5, ...}}",
    )
    prices: Prices = option(json_of(dict[str, ModelPrice], problems), PRICES, "{}")
    published: tuple[PublishedShift, ...] = option(
        json_of(tuple[PublishedShift, ...], problems),
        'JSON: [{"source": "...", "seeds": 100 or null, "student": null, "low": 27, '
        '"high": 51 or null}, ...]',
        "[]",
    )
    titles: Titles = option(json_of(Titles, problems), TITLES, "{}")
    missing: str | None = optional(str, "a line on missing results for the figure's footer")
    svg: Path = option(Path, "figure to write (.svg; also .png, .vl.json and .csv)")


def job(args: Options) -> None:
    """Draw the chart from the options that it needs."""
    module_of(args.chart)
    given = {name: getattr(args, name) for name in CHARTS[args.chart]}
    if lacking := [name for name, value in given.items() if value is None]:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in lacking)
        raise ValueError(f"the chart {args.chart} needs {options}")
    if "settings" in given:
        kind = SETTINGS.get(args.chart, CompareSettings)
        given["settings"] = parse_settings(kind, json.dumps(given["settings"]))
    output = figure_output(__file__, args.study, args.svg, args.titles, args.missing or "")
    about = {**output.provenance, **made_from(given)}
    plot(args.chart, replace(output, provenance=about), **given)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ValueError)


if __name__ == "__main__":
    main()
