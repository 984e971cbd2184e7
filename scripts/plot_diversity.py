"""Draw how many different questions and words datasets have, and how near they are to others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seedbed.analysis.report.charts import diversity
from seedbed.analysis.report.charts.command_line import draw, figure_parser, settings_of
from seedbed.analysis.report.charts.drawing import Output
from seedbed.analysis.settings import CompareSettings
from seedbed.artifacts import listed_files
from seedbed.streams.record import DatasetRecord


def coordinates_of(path: Path) -> dict[str, str | int]:
    """Return the coordinates of a dataset, which its path has as `name=value/name=value/...`."""
    found = dict(part.split("=", 1) for part in path.parts if "=" in part)
    return {name: int(value) if value.isdecimal() else value for name, value in found.items()}


def plot_diversity(output: Output, datasets: Sequence[Path], settings: CompareSettings) -> None:
    """Write the figure as SVG, PNG and CSV.

    Args:
        output: where the figure goes.
        datasets: `dataset.json` files.
        settings: methods in order.
    """
    found = [
        {"dataset": coordinates_of(path), **DatasetRecord.read(path).model_dump(exclude_unset=True)}
        for path in datasets
    ]
    diversity.plot_diversity(found, settings.methods, output)


if __name__ == "__main__":
    parser = figure_parser(__doc__)
    parser.add_argument(
        "--datasets-list",
        dest="datasets",
        type=listed_files,
        default=[],
        metavar="FILE",
        help="file that lists dataset.json files, one a line",
    )
    parser.add_argument(
        "--settings",
        type=settings_of(CompareSettings),
        required=True,
        help='JSON: {"methods": [...] in order; "confidence": 0.95}',
    )
    draw(__file__, plot_diversity, parser)
