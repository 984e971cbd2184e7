"""Say which method to use for a task, so many seeds, and a budget or an accuracy, and how surely.

For each teacher, student, augmenter and filter that the task was studied with: a table of the
methods, the best expected accuracy first, and a sentence; or the cheapest way to an accuracy. What
lies beyond the data is said to, and is less sure; a task without results borrows from the others.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seedbed.analysis.curves.fits import confidence_of, read_fits
from seedbed.analysis.decide.costs import add_prices_option
from seedbed.analysis.report.answers import Question, advice_json, advice_text, ask
from seedbed.analysis.settings import parse_titles
from seedbed.artifacts import whole_file, write_json
from seedbed.provenance import provenance


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--fits", type=whole_file, required=True, help="fits (JSON)")
    parser.add_argument("--draws", type=whole_file, required=True, help="bootstrap draws (Parquet)")
    parser.add_argument("--titles", default="{}", help='JSON: {name: {"title": ..., "short": ...}}')
    add_prices_option(parser)
    parser.add_argument("--task", required=True, help="the task")
    parser.add_argument("--seeds", type=int, required=True, help="seed questions")
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument("--queries", type=int, help="teacher queries, the budget")
    goal.add_argument("--usd", type=float, help="US dollars, the budget")
    goal.add_argument("--target", type=float, help="accuracy to reach, a fraction")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    question = Question(args.task, args.seeds, args.queries, args.usd, args.target)
    confidence = confidence_of(args.fits)
    try:
        answers = ask(read_fits(args.fits, args.draws), question, confidence, args.prices)
    except ValueError as error:
        sys.exit(f"advise: {error}")
    titles = parse_titles(args.titles)
    sys.stdout.write(advice_text(args.study, question, answers, confidence, titles))
    found = advice_json(question, answers)
    write_json(args.output, {"study": args.study, **found, **provenance(__file__)})


if __name__ == "__main__":
    main()
