"""The record of a task, `task.json`: the source of its items, and the excluded items."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from seedbed.records import MadeRecord, Part, Settings


class TaskCounts(Part):
    """Number of items in each split."""

    train_items: int = 0
    test_items: int = 0


class TaskRecord(MadeRecord):
    """`task.json`, in the same folder as the items of a task.

    Attributes:
        source: section `source` of the task's file.
        revision: commit of the data set on the hub, if the items come from there.
        counts: number of items in each split.
        excluded: for each split, the excluded items with their reasons.
        databases: digest of each database, by file name.
        gold_values: number of different final answers in the train split; None in records of older
            versions, which did not count them.
    """

    CONTENT: ClassVar[tuple[str, ...]] = ("databases",)
    source: Settings = Field(default_factory=dict)
    revision: str | None = None
    counts: TaskCounts = TaskCounts()
    excluded: dict[str, dict[str, str]] = Field(default_factory=dict)
    databases: dict[str, str] = Field(default_factory=dict)
    gold_values: int | None = None
