"""Check the validity of one shard's answers to new questions.

Invalid rows are excluded by every filter. The final answer must be readable, and differ from the
seed's, unless the task needs no new answers. SQL queries are run, read-only, and must return rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.command_line import json_of, option, run
from seedbed.evaluation.judging import judging_basis, scoring
from seedbed.evaluation.scorers import comparing_modules
from seedbed.evaluation.scorers.settings import Checking
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.extension import extend
from seedbed.streams.options import Judging
from seedbed.streams.validity import CHECKS_SCHEMA, check_answers, requires_new_answer
from seedbed.tasks.items import read_items
from seedbed.tasks.record import TaskRecord


@dataclass(frozen=True, kw_only=True)
class Options(Judging):
    """Which answers to check, and how."""

    settings: Checking = option(
        json_of(Checking), "kind, scorer and new_answer of the task, as JSON: see config/README.md"
    )
    checks: Path = option(Path, "Parquet file to write")


def job(args: Options) -> None:
    """Check the answers of a shard."""
    report = reporter("check_answers")
    kind = args.settings.kind
    record = TaskRecord.read(args.task)
    new_answer = requires_new_answer(args.settings.new_answer, kind, record)
    # Records the decision itself, so that rows are checked again if the decision changes.
    decided = "required" if new_answer else "not_required"
    settings = args.settings.model_copy(update={"new_answer": decided})
    modules = comparing_modules(kind, settings.scorer_options, args.task_folder or "")
    made_by = provenance(__file__, modules)
    part = args.part
    answers = part.rows(args.answers)
    judged = answers.select("query", "question", "answer", "finish_reason")
    basis = judging_basis(settings, args.seeds, args.task, made_by["code"], answers=judged)

    with scoring(settings, args.task, args.task_folder, by_kind=True) as scorer:

        def check(queries: Sequence[int], again: bool) -> pl.DataFrame:
            return check_answers(
                answers.filter(pl.col("query").is_in([*queries])),
                read_items(args.seeds),
                kind,
                scorer,
                any_form=isinstance(settings.scorer, str),
                new_answer=new_answer,
            )

        checks = extend(args.checks, part, CHECKS_SCHEMA, basis, check, made_by)
    report(f"{checks.filter(pl.col('problem') != '').height} of {checks.height} cannot be used")


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
