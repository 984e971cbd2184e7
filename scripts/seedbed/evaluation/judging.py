"""Code that the scripts share that judge a teacher's answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from seedbed.evaluation.scorers import (
    Scorer,
    brings_comparison,
    kind_module,
    make_scorer,
    scorer_modules,
)
from seedbed.evaluation.scorers.settings import Scoring
from seedbed.streams.extension import Basis, rows_digest
from seedbed.tasks.record import TaskRecord


@contextmanager
def scoring(
    settings: Scoring, task: Path, task_folder: Path | None, by_kind: bool
) -> Iterator[Scorer]:
    """Yield a task's scorer, and close it at the end of the block.

    Args:
        settings: the task's kind and scorer.
        task: the task's record.
        task_folder: folder of the task's own function, if it has one.
        by_kind: whether to replace the task's own function by the scorer of the task's kind, unless
            the function's file also compares two answers. The function knows only the answers to
            the task's items.
    """
    options = settings.scorer_options
    if by_kind and isinstance(options, str) and not brings_comparison(options, task_folder or ""):
        options = {}
    scorer = make_scorer(settings.kind, options, task.parent, task_folder)
    try:
        yield scorer
    finally:
        scorer.close()


def scoring_modules(settings: Scoring, task_folder: Path | None) -> list[str | Path]:
    """Return the modules that read and score answers, for the provenance of judged answers."""
    kind, options = settings.kind, settings.scorer_options
    return [kind_module(kind), *scorer_modules(kind, options, task_folder or "")]


def judging_basis(
    settings: Scoring, seeds: Path, task: Path, code: str, **rows: pl.DataFrame
) -> Basis:
    """Return the basis of the judgements: everything that determines them.

    Args:
        settings: the task's kind and scorer.
        seeds: the seed set.
        task: the task's record.
        code: digest of the code that judges the answers.
        rows: tables of judged rows by name, one row per query.
    """
    identity = {
        "settings": settings.content(),
        "seeds": rows_digest(pl.read_parquet(seeds)),
        "databases": TaskRecord.read(task).databases,
    }
    return Basis(identity, rows, code)
