"""What the command lines that judge a teacher's answers have in common."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seedbed.evaluation.scorers import Scorer, make_scorer


def checks_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that say which answers to judge, and by what.

    Args:
        description: what the script does.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--answers", type=Path, required=True, help="answers of the shard")
    parser.add_argument("--seeds", type=Path, required=True, help="seeds.parquet of the seed set")
    parser.add_argument("--task", type=Path, required=True, help="task.json of the task")
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="kind and scorer of the task, as JSON: see config/README.md",
    )
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    return parser


@contextmanager
def scoring(args: argparse.Namespace) -> Iterator[tuple[str, Scorer]]:
    """Yield the kind of a task and its scorer, which is closed at the end of the block."""
    kind = args.settings["kind"]
    scorer = make_scorer(kind, args.settings["scorer"], args.task.parent)
    try:
        yield kind, scorer
    finally:
        scorer.close()
