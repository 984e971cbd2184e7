"""Fit how accuracy grows with the budget, and how it decays with repeated use of the same seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seedbed.analysis.curves import fit_curves
from seedbed.analysis.settings import FitSettings
from seedbed.analysis.tables.outcomes import read_outcomes
from seedbed.artifacts import whole_file, write_parquet
from seedbed.command_line import json_of, option, run
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
    record, table = fit_curves(read_outcomes(cells, items), settings)
    made = provenance(__file__)
    write_parquet(draws, table, made)
    record.model_copy(update={"provenance": made}).write(fits)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to fit, and how."""

    cells: Path = option(whole_file, "table of cells (Parquet)")
    item_scores: Path = option(whole_file, "table of items (Parquet)")
    settings: FitSettings = option(
        json_of(FitSettings),
        'JSON: {"methods": [...] in order; "confidence": 0.95; "bootstrap_samples": 400; '
        '"starts": 12; "seed": 0}',
        "{}",
    )
    fits: Path = option(Path, "fits to write (JSON)")
    draws: Path = option(Path, "bootstrap draws to write (Parquet)")


def job(args: Options) -> None:
    """Fit the curves."""
    fit_decay(args.cells, args.item_scores, args.settings, args.fits, args.draws)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ValueError)


if __name__ == "__main__":
    main()
