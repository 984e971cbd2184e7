"""What the command lines that judge a teacher's answers have in common."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from seedbed.artifacts import whole_file
from seedbed.evaluation.scorers import Scorer, kind_module, make_scorer, scorer_modules
from seedbed.streams.extension import Basis, Part, rows_digest
from seedbed.tasks.record import TaskRecord


def checks_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that say which answers to judge, and by what.

    Args:
        description: what the script does.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--answers", type=whole_file, required=True, help="answers of the shard")
    parser.add_argument(
        "--seeds", type=whole_file, required=True, help="seeds.parquet of the seed set"
    )
    parser.add_argument("--task", type=whole_file, required=True, help="task.json of the task")
    Part.add_options(parser)
    parser.add_argument("--task-folder", type=Path, help="folder of the task's own function")
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="kind and scorer of the task, as JSON: see config/README.md",
    )
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    return parser


@contextmanager
def scoring(args: argparse.Namespace, by_kind: bool) -> Iterator[Scorer]:
    """Yield a task's scorer, which is closed at the end of the block.

    Args:
        args: what a `checks_parser` read.
        by_kind: whether to take the scorer of the task's kind even if the task has a function of
            its own, which knows the answers to its items alone.
    """
    options = args.settings["scorer"]
    if by_kind and isinstance(options, str):
        options = {}
    scorer = make_scorer(args.settings["kind"], options, args.task.parent, args.task_folder)
    try:
        yield scorer
    finally:
        scorer.close()


def scoring_modules(args: argparse.Namespace) -> list[str | Path]:
    """Return the code that reads and scores answers, for the provenance of what was judged."""
    kind, options = args.settings["kind"], args.settings["scorer"]
    return [kind_module(kind), *scorer_modules(kind, options, args.task_folder or "")]


def judging_basis(args: argparse.Namespace, code: str, **rows: pl.DataFrame) -> Basis:
    """Return what determines how answers are judged.

    Args:
        args: what a `checks_parser` read.
        code: digest of the code that judges them.
        rows: by name, what is judged, query by query.
    """
    identity = {
        "settings": args.settings,
        "seeds": rows_digest(pl.read_parquet(args.seeds)),
        "databases": TaskRecord.read(args.task).databases,
    }
    return Basis(identity, rows, code)
