"""Verify the answers of one shard, by the seed's answer or by what else the teacher answered.

Queries in SQL are run, read-only.
"""

from __future__ import annotations

import polars as pl

from seedbed.artifacts import whole_file
from seedbed.evaluation.command_line import (
    checks_parser,
    judging_basis,
    scoring,
    scoring_modules,
)
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.checks import VERDICTS_SCHEMA, verify_answers
from seedbed.streams.extension import Part, extend, held_until
from seedbed.tasks.items import read_items


def main() -> None:
    """Run the command line."""
    parser = checks_parser(__doc__)
    parser.add_argument(
        "--votes",
        type=whole_file,
        nargs="?",
        help="further answers, where the seed's does not apply",
    )
    args = parser.parse_args()
    report = reporter("verify_answers")
    made_by = provenance(__file__, scoring_modules(args))
    part = Part.of(args)
    answers = part.rows(args.answers)
    judged = {"answers": answers.select("query", "question", "answer", "finish_reason")}
    votes = None
    if args.votes is not None:
        if (held_until(args.votes) or part.stop) < part.stop:
            raise ValueError(
                f"{args.votes} does not hold queries {part.start} to {part.stop - 1}: start "
                "snakemake again to have it extended"
            )
        votes = pl.read_parquet(args.votes)
        judged["votes"] = votes.select("query", "sample", "answer", "finish_reason")
    basis = judging_basis(args, made_by["code"], **judged)

    with scoring(args, by_kind=votes is not None) as scorer:

        def verify(start: int, stop: int) -> pl.DataFrame:
            return verify_answers(
                answers.filter(pl.col("query").is_between(start, stop, closed="left")),
                votes,
                read_items(args.seeds),
                args.settings["kind"],
                scorer,
            )

        verdicts = extend(args.output, part, VERDICTS_SCHEMA, basis, verify, made_by)
    report(f"{int(verdicts['verified'].sum())} of {verdicts.height} verified")


if __name__ == "__main__":
    main()
