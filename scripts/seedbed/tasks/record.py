"""The record of a task, `task.json`: where its items came from, and what was left out."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from seedbed.records import MadeRecord, Part, Settings


class TaskCounts(Part):
    """Items of each split."""

    train_items: int = 0
    test_items: int = 0


class TaskRecord(MadeRecord):
    """`task.json`, beside the items of a task.

    Attributes:
        source: section `source` of the task's file.
        revision: commit of the hub that was taken, if the items come from there.
        counts: items of each split.
        excluded: by split, the items left out, each with the reason.
        databases: digest of each database, by file name.
        gold_values: different final answers of the training split; None in records of versions
            that did not count them.
    """

    CONTENT: ClassVar[tuple[str, ...]] = ("databases",)
    source: Settings = Field(default_factory=dict)
    revision: str | None = None
    counts: TaskCounts = TaskCounts()
    excluded: dict[str, dict[str, str]] = Field(default_factory=dict)
    databases: dict[str, str] = Field(default_factory=dict)
    gold_values: int | None = None
