"""Check the answers of one shard of a stream, by the seed's answer or by the teacher's others.

Which of them become rows of a dataset is for its filter to say. Queries in SQL are run, read-only.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import polars as pl

from seedbed.artifacts import write_parquet
from seedbed.evaluation.scorers import make_scorer
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.checks import check_answers
from seedbed.tasks.items import read_items


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=Path, required=True, help="answers of the shard")
    parser.add_argument("--votes", type=Path, nargs="?", help="further answers to its questions")
    parser.add_argument("--seeds", type=Path, required=True, help="seeds.parquet of the seed set")
    parser.add_argument("--task", type=Path, required=True, help="task.json of the task")
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="kind, scorer and keeps_answer, as JSON: see config/README.md",
    )
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    args = parser.parse_args()
    report = reporter("check_answers")
    kind = args.settings["kind"]
    scorer = make_scorer(kind, args.settings["scorer"], args.task.parent)
    try:
        checks = check_answers(
            pl.read_parquet(args.answers),
            pl.read_parquet(args.votes) if args.votes else None,
            read_items(args.seeds),
            kind,
            scorer,
            args.settings["keeps_answer"],
        )
    finally:
        scorer.close()
    about = {"settings": args.settings}
    about |= provenance(__file__, [f"seedbed.evaluation.scorers.{kind}"])
    write_parquet(args.output, checks, about)
    verified, known = int(checks["verified"].sum()), checks["verified"].count()
    report(f"{checks.height} answers, {verified} of {known} verified")


if __name__ == "__main__":
    main()
