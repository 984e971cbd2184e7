"""Decide what to buy next from a budget of teacher queries: another round of a pilot, or the rest.

An existing decision stays if the request is the same and some of its queries have been bought.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seedbed.analysis.decide.purchases import (
    Known,
    PurchaseRecord,
    Request,
    decide,
    holds,
    read_scores,
    without_rows,
)
from seedbed.command_line import json_of, option, run, several
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.record import DatasetRecord


@dataclass(frozen=True, kw_only=True)
class Options:
    """The request, the known facts, and the file for the decision."""

    request: Request = option(json_of(Request), "the request, as JSON: see Request")
    known: Known = option(json_of(Known), "prices and earlier purchases, as JSON: see Known")
    round: int = option(int, "number of the decision, from 1")
    before: tuple[Path, ...] = several("the decisions before it")
    evaluations: tuple[Path, ...] = several("evaluation.json of the students so far")
    predictions: tuple[Path, ...] = several("predictions.parquet of each of them")
    datasets: tuple[Path, ...] = several("dataset.json of the data sets that were bought so far")
    purchase: Path = option(Path, "JSON file to write; an existing decision may stay")


def job(args: Options) -> None:
    """Decide what to buy."""
    report = reporter("decide_purchase")
    before = [PurchaseRecord.read(path) for path in args.before]
    bought = before[-1].purchase.queries if before else {}
    if args.purchase.is_file():
        kept = PurchaseRecord.read(args.purchase)
        if holds(kept, args.request, args.known, bought):
            report("this was bought already, and stays as it is")
            args.purchase.touch()
            return
    left_out = without_rows(map(DatasetRecord.read, args.datasets))
    scores = read_scores(args.evaluations, args.request.task)
    found = decide(args.request, args.known, before, scores, left_out)
    PurchaseRecord(
        request=args.request,
        round=args.round,
        budget=found.budget,
        known=args.known,
        measured=found.measured,
        purchase=found.purchase,
        **provenance(__file__),
    ).write(args.purchase)
    for name, why in found.purchase.left_out.items():
        report(f"{name} is left out: {why}")
    report(found.purchase.reason)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ValueError)


if __name__ == "__main__":
    main()
