"""The record of a training, `training.json`, in the folder of its adapter."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from seedbed.records import MadeRecord, Part, Settings

TRAINING_RECORD = "training.json"


class TrainingCounts(Part):
    """Counts of a student's training.

    Attributes:
        training_rows: rows that were trained on.
        training_tokens: tokens of these rows.
        too_long_rows: rows left out because they exceed `max_length`.
        steps: optimiser steps.
        warmup_steps: optimiser steps in which the learning rate rises.
        epochs: passes over the rows, possibly a fraction; None in older records.
        loss: mean loss of the last epoch, in nats per answer token; None if there were no rows.
    """

    training_rows: int = 0
    training_tokens: int = 0
    too_long_rows: int = 0
    steps: int = 0
    warmup_steps: int | None = None
    epochs: float | None = None
    loss: float | None = None


class TrainingSeconds(Part):
    """Seconds that the training took, over all its processes."""

    training: float = 0.0


class TrainingRecord(MadeRecord):
    """`training.json`.

    Attributes:
        settings: how the student was trained.
        model: fingerprint of the base model.
    """

    CONTENT: ClassVar[tuple[str, ...]] = ("counts",)
    settings: Settings = Field(default_factory=dict)
    model: str | None = None
    counts: TrainingCounts = TrainingCounts()
    seconds: TrainingSeconds = TrainingSeconds()


def rows_left_out(records: Iterable[Path]) -> str | None:
    """Return a sentence about rows that trainings left out; None if there are none.

    Args:
        records: `training.json` of each training; unreadable ones are ignored.
    """
    left = {}
    for path in records:
        with suppress(OSError, ValueError):
            left[path] = TrainingRecord.read(path).counts
    found = {path: counts.too_long_rows for path, counts in left.items() if counts.too_long_rows}
    if not found:
        return None
    most = max(found, key=lambda path: found[path])
    rows = found[most] + left[most].training_rows
    return (
        f"{sum(found.values()):,} rows of {len(found):,} trainings are longer than "
        f"training.max_length and were left out; most of them in {most.parent}: "
        f"{found[most]:,} of {rows:,}."
    )
