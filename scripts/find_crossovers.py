"""Find the budget ratios and the costs at which methods cross over, with intervals."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seedbed.analysis.curves import read_curves
from seedbed.analysis.decide import crossovers
from seedbed.analysis.decide.costs import Prices, add_prices_option
from seedbed.analysis.settings import CrossoverSettings, parse_settings
from seedbed.artifacts import replacing, whole_file
from seedbed.provenance import provenance


def find_crossovers(
    fits: Path,
    draws: Path,
    settings: CrossoverSettings,
    prices: Prices,
    output: Path,
    csv: Path,
) -> None:
    """Write the crossovers of all pairs of methods, as JSON and as a CSV table.

    Args:
        fits: fits of `fit_decay`.
        draws: bootstrap draws of `fit_decay`.
        settings: settings.
        prices: by model, what its tokens cost.
        output: JSON file to write.
        csv: file to write.
    """
    found = crossovers.find_crossovers(read_curves(fits, draws), settings, prices)
    with replacing(csv) as temporary:
        crossovers.crossover_table(found).write_csv(temporary)
    found.model_copy(update={"provenance": provenance(__file__)}).write(output)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=whole_file, required=True, help="fits (JSON)")
    parser.add_argument("--draws", type=whole_file, required=True, help="bootstrap draws (Parquet)")
    parser.add_argument("--settings", default="{}", help='JSON: {"confidence": 0.95}')
    add_prices_option(parser)
    parser.add_argument("--json", type=Path, required=True, help="crossovers to write (JSON)")
    parser.add_argument("--csv", type=Path, required=True, help="the same to write (CSV)")
    arguments = parser.parse_args()
    try:
        settings = parse_settings(CrossoverSettings, arguments.settings)
        find_crossovers(
            arguments.fits,
            arguments.draws,
            settings,
            arguments.prices,
            arguments.json,
            arguments.csv,
        )
    except ValueError as error:
        sys.exit(f"find_crossovers: {error}")


if __name__ == "__main__":
    main()
