"""Compare every pair of methods, paired by test item, at equal everything else."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seedbed.analysis.settings import CompareSettings, parse_settings
from seedbed.analysis.tables import comparisons
from seedbed.analysis.tables.outcomes import read_outcomes
from seedbed.artifacts import replacing, whole_file, write_json
from seedbed.provenance import provenance


def compare_methods(
    cells: Path, items: Path, settings: CompareSettings, csv: Path, json: Path
) -> None:
    """Write all comparisons as CSV, and as JSON with the settings and the method behind them.

    Args:
        cells: table of cells.
        items: table of items.
        settings: settings.
        csv: file to write.
        json: file to write.
    """
    table = comparisons.compare_methods(read_outcomes(cells, items), settings)
    with replacing(csv) as temporary:
        table.write_csv(temporary)
    write_json(
        json,
        {
            "about": comparisons.ABOUT,
            "settings": settings.model_dump(mode="json"),
            "comparisons": table.to_dicts(),
            "provenance": provenance(__file__),
        },
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=whole_file, required=True, help="table of cells (Parquet)")
    parser.add_argument("--items", type=whole_file, required=True, help="table of items (Parquet)")
    parser.add_argument(
        "--settings",
        default="{}",
        help='JSON: {"methods": [...] in order, the reference first; "confidence": 0.95}',
    )
    parser.add_argument("--csv", type=Path, required=True, help="table to write (CSV)")
    parser.add_argument("--json", type=Path, required=True, help="the same to write (JSON)")
    arguments = parser.parse_args()
    try:
        settings = parse_settings(CompareSettings, arguments.settings)
        compare_methods(arguments.cells, arguments.items, settings, arguments.csv, arguments.json)
    except ValueError as error:
        sys.exit(f"compare_methods: {error}")


if __name__ == "__main__":
    main()
