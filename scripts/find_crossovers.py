"""Find the budget ratios and costs at which one method passes another, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seedbed.analysis.curves import read_curves
from seedbed.analysis.decide import crossovers
from seedbed.analysis.decide.costs import PRICES, Prices
from seedbed.analysis.settings import CrossoverSettings, ModelPrice
from seedbed.artifacts import replacing, whole_file
from seedbed.command_line import json_of, option, run
from seedbed.config.messages import problems
from seedbed.provenance import provenance


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where to look for crossovers, and how."""

    fits: Path = option(whole_file, "fits (JSON)")
    draws: Path = option(whole_file, "draws (Parquet)")
    settings: CrossoverSettings = option(
        json_of(CrossoverSettings), 'JSON: {"confidence": 0.95}', "{}"
    )
    prices: Prices = option(json_of(dict[str, ModelPrice], problems), PRICES, "{}")
    json: Path = option(Path, "crossovers to write (JSON)")
    csv: Path = option(Path, "the same to write (CSV)")


def job(args: Options) -> None:
    """Write the crossovers of all pairs of methods, as JSON and as a CSV table."""
    found = crossovers.find_crossovers(
        read_curves(args.fits, args.draws), args.settings, args.prices
    )
    with replacing(args.csv) as temporary:
        crossovers.crossover_table(found).write_csv(temporary)
    found.model_copy(update={"provenance": provenance(__file__)}).write(args.json)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ValueError)


if __name__ == "__main__":
    main()
