"""Advise what to buy for a task, given a number of seeds, and a budget or an accuracy to reach.

For each teacher, student, augmenter and filter in the task's results, prints three sentences and a
table of the choices, the best first; or the cheapest way to reach the accuracy. Intervals are wider
beyond the data. Advice for a task without results uses those of other tasks, or published ones. A
table of your own runs can replace the fits of a study.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seedbed.analysis.curves import Curves, confidence_of, read_curves
from seedbed.analysis.decide.costs import PRICES, Prices
from seedbed.analysis.decide.priors import QueryPrices
from seedbed.analysis.report.answers import Answer, Question, advice_json, ask
from seedbed.analysis.report.own_results import fit_own_results
from seedbed.analysis.report.sentences import unmeasured_text
from seedbed.analysis.report.text import advice_text, wrapped
from seedbed.analysis.settings import TITLES, FitSettings, MethodKind, ModelPrice, Titles
from seedbed.analysis.tables.own_results import notes_on, read_own_results
from seedbed.artifacts import whole_file, write_json
from seedbed.command_line import json_of, option, optional, run
from seedbed.config.messages import problems
from seedbed.provenance import provenance

Kinds = Mapping[str, MethodKind]


@dataclass(frozen=True, kw_only=True)
class Options:
    """A question: seeds, and a budget in queries or dollars, or an accuracy to reach."""

    study: str = option(str, "name of the study")
    fits: Path | None = optional(whole_file, "fits (JSON), with --draws; or")
    draws: Path | None = optional(whole_file, "draws (Parquet)")
    results: Path | None = optional(Path, "table of runs (CSV); without fits or table, priors only")
    kinds: Kinds = option(
        json_of(dict[str, MethodKind]),
        'JSON: {method: "answers", "rephrased", "new" or "other"}, for priors',
        "{}",
    )
    assumed: QueryPrices = option(
        json_of(QueryPrices),
        "JSON: dollars per query by method, for priors: see QueryPrices",
        "{}",
    )
    titles: Titles = option(json_of(Titles, problems), TITLES, "{}")
    prices: Prices = option(json_of(dict[str, ModelPrice], problems), PRICES, "{}")
    task: str = option(str, "the task; with --results, '' for the table's first task", "")
    seeds: int = option(int, "seed questions")
    queries: int | None = optional(int, "teacher queries, the budget; or")
    usd: float | None = optional(float, "US dollars, the budget; or")
    target: float | None = optional(float, "accuracy to reach, a fraction")
    untrained: float | None = optional(float, "accuracy of the base model, for priors")
    cells: int = option(int, "number of cells of the task in the study", 0)
    output: Path = option(Path, "JSON file to write")


def job(args: Options) -> None:
    """Print and write the answer."""
    if (args.queries, args.usd, args.target).count(None) != 2:
        raise ValueError("give one of --queries, --usd and --target")
    if args.results is not None:
        advise_from_table(args, args.results)
    elif (args.fits is None) != (args.draws is None):
        raise ValueError("give --fits with --draws")
    else:
        question = Question(
            args.task, args.seeds, args.queries, args.usd, args.target, args.untrained
        )
        curves: list[Curves] = []
        confidence = FitSettings().confidence
        if args.fits is not None and args.draws is not None:
            curves, confidence = read_curves(args.fits, args.draws), confidence_of(args.fits)
        answers = ask(curves, question, confidence, args.prices, args.kinds, args.assumed)
        tell(args, "study", args.study, question, answers, confidence)


def tell(
    args: Options,
    kind: str,
    name: str,
    question: Question,
    answers: list[Answer],
    confidence: float,
) -> None:
    """Print and write the answers from a study or a table."""
    source = f"{kind} {name}"
    sys.stdout.write(advice_text(source, question, answers, confidence, args.titles))
    if args.cells and all(answer.by_priors for answer in answers):
        sys.stdout.write("\n".join([*wrapped(unmeasured_text(name, args.cells), "  "), ""]))
    found = advice_json(question, answers)
    write_json(args.output, {"study": name, **found, **provenance(__file__)})


def advise_from_table(args: Options, table: Path) -> None:
    """Print and write the answer from a table of runs, and write the report of the table."""
    runs = read_own_results(table)
    folder, settings = args.output.parent.parent, FitSettings()
    fits = fit_own_results(table.name, runs, settings, args.titles, folder)
    task = args.task or runs[0].task
    question = Question(task, args.seeds, args.queries, args.usd, args.target)
    answers = ask(fits, question, settings.confidence)
    tell(args, "table", table.name, question, answers, settings.confidence)
    lines = [line for note in notes_on(runs) for line in wrapped(note)]
    sys.stdout.write("\n".join([*lines, f"Open {folder}/report/index.html"]) + "\n")


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ValueError)


if __name__ == "__main__":
    main()
