"""Check the answers of one shard to new questions: a row may not do, whatever its filter.

The final answer must be readable, and differ from that of the seed, unless the task needs no new
answers. A query in SQL is run, read-only, and must find something.
"""

from __future__ import annotations

import polars as pl

from seedbed.artifacts import read_json, write_parquet
from seedbed.evaluation.command_line import checks_parser, scoring
from seedbed.evaluation.scorers import kind_module
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.checks import check_answers, requires_new_answer
from seedbed.tasks.items import read_items


def main() -> None:
    """Run the command line."""
    args = checks_parser(__doc__).parse_args()
    report = reporter("check_answers")
    with scoring(args, by_kind=True) as scorer:
        checks = check_answers(
            pl.read_parquet(args.answers),
            read_items(args.seeds),
            args.settings["kind"],
            scorer,
            any_form=isinstance(args.settings["scorer"], str),
            new_answer=requires_new_answer(
                args.settings.get("new_answer"), args.settings["kind"], read_json(args.task)
            ),
        )
    about = {"settings": args.settings}
    about |= provenance(__file__, [kind_module(args.settings["kind"])])
    write_parquet(args.output, checks, about)
    report(f"{checks.filter(pl.col('problem') != '').height} of {checks.height} do not do")


if __name__ == "__main__":
    main()
