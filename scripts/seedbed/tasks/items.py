"""Tables of task items."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path

import polars as pl

from seedbed.tasks.item import TaskItem

SCHEMA = pl.Schema(
    {
        field.name: pl.List(pl.String) if field.name == "choices" else pl.String()
        for field in fields(TaskItem)
    }
)


def to_frame(items: Iterable[TaskItem]) -> pl.DataFrame:
    """Return the items as a table with the columns of `SCHEMA`, one row each, in order."""
    rows = [asdict(item) | {"choices": list(item.choices)} for item in items]
    return pl.DataFrame(rows, schema=SCHEMA)


def gold_values(items: Iterable[TaskItem]) -> int:
    """Return how many different final answers items have; of choices, by what they say."""
    return len({_content(item) for item in items})


def _content(item: TaskItem) -> str:
    place = ord(item.gold) - ord("A") if item.choices and len(item.gold) == 1 else -1
    return item.choices[place] if 0 <= place < len(item.choices) else item.gold


def read_items(path: str | Path) -> list[TaskItem]:
    """Read the items of a `train.parquet`, `test.parquet` or `seeds.parquet` file.

    Raises:
        ValueError: if a column is missing, naming the file.
    """
    frame = pl.read_parquet(path)
    missing = [name for name in SCHEMA.names() if name not in frame.columns]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}")
    return [
        TaskItem(**row | {"choices": tuple(row["choices"] or ())})
        for row in frame.select(SCHEMA.names()).iter_rows(named=True)
    ]
