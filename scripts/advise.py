"""Say which method to use for a task, so many seeds, and a budget or an accuracy, and how surely.

For each teacher, student, augmenter and filter that the task was studied with: a table of the
methods, the best expected accuracy first, and a sentence; or the cheapest way to an accuracy.
Beyond the data, intervals are wider; advice for a task without results is transferred.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from seedbed.analysis.curves import confidence_of, read_curves
from seedbed.analysis.decide.costs import PRICES, Prices
from seedbed.analysis.report.answers import Question, advice_json, ask
from seedbed.analysis.report.text import advice_text
from seedbed.analysis.settings import Titles, parse_titles
from seedbed.artifacts import whole_file, write_json
from seedbed.command_line import json_value, option, optional, run
from seedbed.provenance import provenance


@dataclass(frozen=True, kw_only=True)
class Options:
    """A question: seeds, and a budget in queries or dollars, or an accuracy to reach."""

    study: str = option(str, "name of the study")
    fits: Path = option(whole_file, "fits (JSON)")
    draws: Path = option(whole_file, "bootstrap draws (Parquet)")
    titles: Titles = option(parse_titles, 'JSON: {name: {"title": ..., "short": ...}}', "{}")
    prices: Prices = option(json_value, PRICES, "{}")
    task: str = option(str, "the task")
    seeds: int = option(int, "seed questions")
    queries: int | None = optional(int, "teacher queries, the budget; or")
    usd: float | None = optional(float, "US dollars, the budget; or")
    target: float | None = optional(float, "accuracy to reach, a fraction")
    output: Path = option(Path, "JSON file to write")


def job(args: Options) -> None:
    """Print the answer, and write it."""
    if (args.queries, args.usd, args.target).count(None) != 2:
        raise ValueError("give one of --queries, --usd and --target")
    question = Question(args.task, args.seeds, args.queries, args.usd, args.target)
    confidence = confidence_of(args.fits)
    answers = ask(read_curves(args.fits, args.draws), question, confidence, args.prices)
    sys.stdout.write(advice_text(args.study, question, answers, confidence, args.titles))
    found = advice_json(question, answers)
    write_json(args.output, {"study": args.study, **found, **provenance(__file__)})


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ValueError)


if __name__ == "__main__":
    main()
