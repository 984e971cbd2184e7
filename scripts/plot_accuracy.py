"""Draw accuracy against budget for each method, with intervals and fitted curves."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seedbed.analysis.figures import accuracy
from seedbed.analysis.fits import confidence_of, read_fits
from seedbed.analysis.settings import Titles, parse_titles
from seedbed.provenance import provenance


def plot_accuracy(study: str, fits: Path, draws: Path, titles: Titles, figure: Path) -> None:
    """Write the figure as SVG, PNG and CSV.

    Args:
        study: name of the study, for the files' metadata.
        fits: fits of `fit_decay`.
        draws: bootstrap draws of `fit_decay`.
        titles: titles of methods, tasks and models.
        figure: SVG file to write; the others lie beside it.
    """
    made = {"study": study, **provenance(__file__)}
    accuracy.plot_accuracy(read_fits(fits, draws), figure, titles, confidence_of(fits), made)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--fits", type=Path, required=True, help="fits (JSON)")
    parser.add_argument("--draws", type=Path, required=True, help="bootstrap draws (Parquet)")
    parser.add_argument("--titles", default="{}", help='JSON: {name: {"title": ..., "short": ...}}')
    parser.add_argument(
        "--figure", type=Path, required=True, help="figure to write (.svg; .png and .csv beside it)"
    )
    arguments = parser.parse_args()
    try:
        plot_accuracy(
            arguments.study,
            arguments.fits,
            arguments.draws,
            parse_titles(arguments.titles),
            arguments.figure,
        )
    except ValueError as error:
        sys.exit(f"plot_accuracy: {error}")


if __name__ == "__main__":
    main()
