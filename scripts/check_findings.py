"""Test whether a study shows what its contrasts claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seedbed.analysis.curves import read_curves
from seedbed.analysis.decide.contrasts import check_contrasts
from seedbed.analysis.decide.costs import PRICES, Prices
from seedbed.analysis.decide.settings import NamedContrast
from seedbed.analysis.settings import AugmenterSettings, ModelPrice
from seedbed.analysis.tables.outcomes import read_outcomes
from seedbed.artifacts import whole_file
from seedbed.command_line import json_of, option, run
from seedbed.config.messages import problems
from seedbed.provenance import provenance


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to test, and how."""

    cells: Path = option(whole_file, "table of cells (Parquet)")
    item_scores: Path = option(whole_file, "table of items (Parquet)")
    fits: Path = option(whole_file, "fits (JSON)")
    draws: Path = option(whole_file, "draws (Parquet)")
    settings: AugmenterSettings = option(
        json_of(AugmenterSettings),
        'JSON: {"methods": [...]; "augmenters": [...], the strongest first; "confidence": 0.95}',
        "{}",
    )
    contrasts: Sequence[NamedContrast] = option(
        json_of(list[NamedContrast], problems),
        "JSON: a list of contrasts, each as in config/contrasts/NAME.yaml, with its name",
        "[]",
    )
    prices: Prices = option(json_of(dict[str, ModelPrice], problems), PRICES, "{}")
    json: Path = option(Path, "tests to write (JSON)")


def job(args: Options) -> None:
    """Write the tests of the study's contrasts."""
    record = check_contrasts(
        read_outcomes(args.cells, args.item_scores),
        read_curves(args.fits, args.draws),
        args.contrasts,
        args.settings.augmenters,
        args.settings.confidence,
        args.prices,
    )
    record.model_copy(update={"provenance": provenance(__file__)}).write(args.json)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ValueError)


if __name__ == "__main__":
    main()
