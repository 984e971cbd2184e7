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


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to fit, and how."""

    cells: Path = option(whole_file, "table of cells (Parquet)")
    item_scores: Path = option(whole_file, "table of items (Parquet)")
    settings: FitSettings = option(
        json_of(FitSettings),
        'JSON: {"methods": [...] in order; "confidence": 0.95; "bootstrap_samples": 400; '
        '"seed": 0; "kinds": {method: "answers", "rephrased", "new" or "other"}}',
        "{}",
    )
    fits: Path = option(Path, "fits to write (JSON)")
    draws: Path = option(Path, "draws to write (Parquet)")


def job(args: Options) -> None:
    """Fit every group of cells, and write the fits with their draws."""
    record, table = fit_curves(read_outcomes(args.cells, args.item_scores), args.settings)
    made = provenance(__file__)
    write_parquet(args.draws, table, made)
    record.model_copy(update={"provenance": made}).write(args.fits)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ValueError)


if __name__ == "__main__":
    main()
