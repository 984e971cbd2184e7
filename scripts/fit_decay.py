"""Fit how accuracy grows with the budget, and how it decays with repeated use of the same seeds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seedbed.analysis.curves import fitting
from seedbed.analysis.settings import FitSettings, parse_settings
from seedbed.analysis.tables.outcomes import read_outcomes
from seedbed.artifacts import whole_file, write_parquet
from seedbed.provenance import provenance


def fit_decay(cells: Path, items: Path, settings: FitSettings, fits: Path, draws: Path) -> None:
    """Fit all models to every group of cells, choose one for each, and write it with its draws.

    Args:
        cells: table of cells.
        items: table of items.
        settings: settings.
        fits: JSON file to write: models, parameters, cell means.
        draws: Parquet file to write: bootstrap draws of parameters and cell means.
    """
    record, table = fitting.fit_decay(read_outcomes(cells, items), settings)
    made = provenance(__file__)
    write_parquet(draws, table, made)
    record.model_copy(update={"provenance": made}).write(fits)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=whole_file, required=True, help="table of cells (Parquet)")
    parser.add_argument("--items", type=whole_file, required=True, help="table of items (Parquet)")
    parser.add_argument(
        "--settings",
        default="{}",
        help='JSON: {"methods": [...] in order; "confidence": 0.95; "bootstrap_samples": 400; '
        '"starts": 12; "seed": 0}',
    )
    parser.add_argument("--fits", type=Path, required=True, help="fits to write (JSON)")
    parser.add_argument(
        "--draws", type=Path, required=True, help="bootstrap draws to write (Parquet)"
    )
    arguments = parser.parse_args()
    try:
        settings = parse_settings(FitSettings, arguments.settings)
        fit_decay(arguments.cells, arguments.items, settings, arguments.fits, arguments.draws)
    except ValueError as error:
        sys.exit(f"fit_decay: {error}")


if __name__ == "__main__":
    main()
