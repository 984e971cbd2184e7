"""Draw what each method gains over the first one, and which method leads at which budget ratio."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seedbed.analysis.comparisons import read_comparisons
from seedbed.analysis.figures import cost_effectiveness
from seedbed.analysis.fits import confidence_of, read_fits
from seedbed.analysis.settings import Titles, parse_titles
from seedbed.artifacts import read_json
from seedbed.provenance import provenance


def plot_cost_effectiveness(
    study: str,
    fits: Path,
    draws: Path,
    comparisons: Path,
    crossovers: Path,
    titles: Titles,
    figure: Path,
) -> None:
    """Write the figure as SVG, PNG and CSV.

    Args:
        study: name of the study, for the files' metadata.
        fits: fits of `fit_decay`.
        draws: bootstrap draws of `fit_decay`.
        comparisons: table of `compare_methods` (CSV).
        crossovers: crossovers of `find_crossovers` (JSON).
        titles: titles of methods, tasks and models.
        figure: SVG file to write; the others lie beside it.
    """
    cost_effectiveness.plot_cost_effectiveness(
        read_fits(fits, draws),
        read_comparisons(comparisons),
        read_json(crossovers)["crossovers"],
        figure,
        titles,
        confidence_of(fits),
        {"study": study, **provenance(__file__)},
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--fits", type=Path, required=True, help="fits (JSON)")
    parser.add_argument("--draws", type=Path, required=True, help="bootstrap draws (Parquet)")
    parser.add_argument("--comparisons", type=Path, required=True, help="comparisons (CSV)")
    parser.add_argument("--crossovers", type=Path, required=True, help="crossovers (JSON)")
    parser.add_argument("--titles", default="{}", help='JSON: {name: {"title": ..., "short": ...}}')
    parser.add_argument(
        "--figure", type=Path, required=True, help="figure to write (.svg; .png and .csv beside it)"
    )
    arguments = parser.parse_args()
    try:
        plot_cost_effectiveness(
            arguments.study,
            arguments.fits,
            arguments.draws,
            arguments.comparisons,
            arguments.crossovers,
            parse_titles(arguments.titles),
            arguments.figure,
        )
    except ValueError as error:
        sys.exit(f"plot_cost_effectiveness: {error}")


if __name__ == "__main__":
    main()
