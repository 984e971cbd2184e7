"""Verify the answers of one shard, by the seed's answer or by what else the teacher answered.

Queries in SQL are run, read-only.
"""

from __future__ import annotations

import polars as pl

from seedbed.artifacts import whole_file, write_parquet
from seedbed.evaluation.command_line import checks_parser, scoring, scoring_modules
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.checks import verify_answers
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
    with scoring(args, by_kind=args.votes is not None) as scorer:
        verdicts = verify_answers(
            pl.read_parquet(args.answers),
            pl.read_parquet(args.votes) if args.votes else None,
            read_items(args.seeds),
            args.settings["kind"],
            scorer,
        )
    about = {"settings": args.settings} | provenance(__file__, scoring_modules(args))
    write_parquet(args.output, verdicts, about)
    report(f"{int(verdicts['verified'].sum())} of {verdicts.height} verified")


if __name__ == "__main__":
    main()
