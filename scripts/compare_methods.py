"""Compare every pair of methods, paired by test item, with all other coordinates equal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seedbed.analysis.curves import noise_between_runs, read_curves
from seedbed.analysis.settings import CompareSettings
from seedbed.analysis.tables import comparisons
from seedbed.analysis.tables.outcomes import read_outcomes
from seedbed.artifacts import replacing, whole_file, write_json
from seedbed.command_line import json_of, option, run
from seedbed.provenance import provenance


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to compare, and how."""

    cells: Path = option(whole_file, "table of cells (Parquet)")
    item_scores: Path = option(whole_file, "table of items (Parquet)")
    fits: Path = option(whole_file, "fits (JSON)")
    draws: Path = option(whole_file, "draws (Parquet)")
    settings: CompareSettings = option(
        json_of(CompareSettings),
        'JSON: {"methods": [...] in order, the reference first; "confidence": 0.95}',
        "{}",
    )
    csv: Path = option(Path, "table to write (CSV)")
    json: Path = option(Path, "the same to write (JSON)")


def job(args: Options) -> None:
    """Write all comparisons as CSV, and as JSON with the settings and the statistical method."""
    runs = noise_between_runs(read_curves(args.fits, args.draws))
    table = comparisons.compare_methods(
        read_outcomes(args.cells, args.item_scores), args.settings, runs
    )
    with replacing(args.csv) as temporary:
        table.write_csv(temporary)
    write_json(
        args.json,
        {
            "about": comparisons.ABOUT,
            "settings": args.settings.model_dump(mode="json"),
            "comparisons": table.to_dicts(),
            "provenance": provenance(__file__),
        },
    )


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ValueError)


if __name__ == "__main__":
    main()
