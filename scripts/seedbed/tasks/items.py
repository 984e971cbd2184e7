"""Tables of task items."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import polars as pl

from seedbed.tasks.item import TaskItem
from seedbed.tasks.rows import Row

MORE = pl.Schema(
    {
        "golds": pl.List(pl.String),
        "history": pl.List(pl.Struct({"role": pl.String, "content": pl.String})),
        "columns": pl.List(pl.Struct({"name": pl.String, "value": pl.String})),
    }
)
"""Columns that a file has only if the task needs them."""
SCHEMA = pl.Schema(
    {
        field.name: pl.List(pl.String) if field.name == "choices" else pl.String()
        for field in fields(TaskItem)
        if field.name not in MORE
    }
)


def to_frame(items: Iterable[TaskItem]) -> pl.DataFrame:
    """Return the items as a table with the columns of `SCHEMA`, one row each, in order.

    A column of `MORE` is included if at least one item has a value in it.
    """
    rows = []
    for item in items:
        row: Row = {name: getattr(item, name) for name in SCHEMA}
        row |= {"choices": list(item.choices), "golds": list(item.golds)}
        for name in ("history", "columns"):
            keys = MORE[name].inner.to_schema()  # type: ignore[attr-defined]
            row[name] = [dict(zip(keys, pair, strict=True)) for pair in getattr(item, name)]
        rows.append(row)
    more = {name: kind for name, kind in MORE.items() if any(row[name] for row in rows)}
    return pl.DataFrame(rows, schema=SCHEMA | more)


def gold_values(items: Iterable[TaskItem]) -> int:
    """Return the number of different final answers; choices count by their texts."""
    return len({_content(item) for item in items})


def _content(item: TaskItem) -> str:
    place = ord(item.gold) - ord("A") if item.choices and len(item.gold) == 1 else -1
    return item.choices[place] if 0 <= place < len(item.choices) else item.gold


def read_items(path: str | Path) -> list[TaskItem]:
    """Read the items of a `train.parquet`, `test.parquet` or `seeds.parquet` file.

    Raises:
        ValueError: if a column is missing. The message names the file.
    """
    frame = pl.read_parquet(path)
    missing = [name for name in SCHEMA.names() if name not in frame.columns]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}")
    names = [name for name in (*SCHEMA, *MORE) if name in frame.columns]
    return [_item(row) for row in frame.select(names).iter_rows(named=True)]


def _item(row: Row) -> TaskItem:
    lists: Row = {name: tuple(row.get(name) or ()) for name in ("choices", "golds")}
    for name in ("history", "columns"):
        lists[name] = tuple(tuple(pair.values()) for pair in row.get(name) or ())
    return TaskItem(**row | lists)
