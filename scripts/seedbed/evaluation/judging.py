"""What the scripts that judge a teacher's answers have in common."""

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
    """Yield a task's scorer, which is closed at the end of the block.

    Args:
        settings: kind and scorer of the task.
        task: record of the task.
        task_folder: folder of the task's own function, if it has one.
        by_kind: whether to take the scorer of the task's kind even if the task has a function of
            its own, which knows the answers to its items alone, unless it brings a comparison.
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
    """Return the code that reads and scores answers, for the provenance of what was judged."""
    kind, options = settings.kind, settings.scorer_options
    return [kind_module(kind), *scorer_modules(kind, options, task_folder or "")]


def judging_basis(
    settings: Scoring, seeds: Path, task: Path, code: str, **rows: pl.DataFrame
) -> Basis:
    """Return what determines how answers are judged.

    Args:
        settings: kind and scorer of the task.
        seeds: the seed set.
        task: record of the task.
        code: digest of the code that judges them.
        rows: by name, what is judged, query by query.
    """
    identity = {
        "settings": settings.content(),
        "seeds": rows_digest(pl.read_parquet(seeds)),
        "databases": TaskRecord.read(task).databases,
    }
    return Basis(identity, rows, code)
