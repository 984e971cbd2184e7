"""The record of a training, `training.json`, beside the adapter that it made."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from seedbed.records import MadeRecord, Part, Settings


class TrainingCounts(Part):
    """What was counted while a student was trained.

    Attributes:
        training_rows: rows that were trained on.
        training_tokens: tokens of these rows.
        too_long_rows: rows left out because they exceed `max_length`.
        steps: optimiser steps.
        loss: mean loss of the last epoch, in nats an answer token; None if there were no rows.
    """

    training_rows: int = 0
    training_tokens: int = 0
    too_long_rows: int = 0
    steps: int = 0
    loss: float | None = None


class TrainingSeconds(Part):
    """Seconds that the training took, over all processes that worked on it."""

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
