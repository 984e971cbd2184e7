"""Test whether a study shows what its contrasts claim."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from seedbed.analysis.curves import read_curves
from seedbed.analysis.decide.contrasts import check_contrasts
from seedbed.analysis.decide.settings import NamedContrast, parse_contrasts
from seedbed.analysis.settings import AugmenterSettings, parse_settings
from seedbed.analysis.tables.outcomes import read_outcomes
from seedbed.artifacts import whole_file
from seedbed.provenance import provenance


def check_findings(
    cells: Path,
    items: Path,
    fits: Path,
    draws: Path,
    settings: AugmenterSettings,
    contrasts: Sequence[NamedContrast],
    output: Path,
) -> None:
    """Write the tests of the study's contrasts.

    Args:
        cells: table of cells.
        items: table of items.
        fits: fits of `fit_decay`.
        draws: bootstrap draws of `fit_decay`.
        settings: the augmenters in order, and the coverage of the intervals.
        contrasts: what to test.
        output: JSON file to write.
    """
    record = check_contrasts(
        read_outcomes(cells, items),
        read_curves(fits, draws),
        contrasts,
        settings.augmenters,
        settings.confidence,
    )
    record.model_copy(update={"provenance": provenance(__file__)}).write(output)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=whole_file, required=True, help="table of cells (Parquet)")
    parser.add_argument("--items", type=whole_file, required=True, help="table of items (Parquet)")
    parser.add_argument("--fits", type=whole_file, required=True, help="fits (JSON)")
    parser.add_argument("--draws", type=whole_file, required=True, help="bootstrap draws (Parquet)")
    parser.add_argument(
        "--settings",
        default="{}",
        help='JSON: {"methods": [...]; "augmenters": [...], the strongest first; '
        '"confidence": 0.95}',
    )
    parser.add_argument(
        "--contrasts",
        default="[]",
        help="JSON: a list of contrasts, each as in config/contrasts/NAME.yaml, with its name",
    )
    parser.add_argument("--output", type=Path, required=True, help="tests to write (JSON)")
    arguments = parser.parse_args()
    try:
        check_findings(
            arguments.cells,
            arguments.items,
            arguments.fits,
            arguments.draws,
            parse_settings(AugmenterSettings, arguments.settings),
            parse_contrasts(arguments.contrasts),
            arguments.output,
        )
    except ValueError as error:
        sys.exit(f"check_findings: {error}")


if __name__ == "__main__":
    main()
