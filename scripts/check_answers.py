"""Check the answers of one shard to new questions: a row may not do, whatever its filter.

The final answer must be readable, and differ from that of the seed, unless the task needs no new
answers. A query in SQL is run, read-only, and must find something.
"""

from __future__ import annotations

import polars as pl

from seedbed.evaluation.command_line import checks_parser, judging_basis, scoring
from seedbed.evaluation.scorers import kind_module
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.checks import CHECKS_SCHEMA, check_answers, requires_new_answer
from seedbed.streams.extension import Part, extend
from seedbed.tasks.items import read_items
from seedbed.tasks.record import TaskRecord


def main() -> None:
    """Run the command line."""
    args = checks_parser(__doc__).parse_args()
    report = reporter("check_answers")
    new_answer = requires_new_answer(
        args.settings.get("new_answer"), args.settings["kind"], TaskRecord.read(args.task)
    )
    # As it was decided, so that what was checked by the other rule is checked again.
    args.settings["new_answer"] = "required" if new_answer else "not_required"
    made_by = provenance(__file__, [kind_module(args.settings["kind"])])
    part = Part.of(args)
    answers = part.rows(args.answers)
    judged = answers.select("query", "question", "answer", "finish_reason")
    basis = judging_basis(args, made_by["code"], answers=judged)

    with scoring(args, by_kind=True) as scorer:

        def check(start: int, stop: int) -> pl.DataFrame:
            return check_answers(
                answers.filter(pl.col("query").is_between(start, stop, closed="left")),
                read_items(args.seeds),
                args.settings["kind"],
                scorer,
                any_form=isinstance(args.settings["scorer"], str),
                new_answer=new_answer,
            )

        checks = extend(args.output, part, CHECKS_SCHEMA, basis, check, made_by)
    report(f"{checks.filter(pl.col('problem') != '').height} of {checks.height} do not do")


if __name__ == "__main__":
    main()
