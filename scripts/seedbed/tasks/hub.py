"""Data sets of the hub, and folders that hold them in the hub's layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.tasks.items import SCHEMA, TaskItem


@dataclass(frozen=True)
class HubSettings:
    """Where a data set is, and what its columns mean; see `source` in config/README.md."""

    hub: str
    splits: Mapping[str, str]
    columns: Mapping[str, str]
    train_items: int
    test_items: int
    config: str | None = None
    revision: str | None = None
    gold_after: str | None = None
    license: str | None = None


def read_split(source: HubSettings, split: str, data_dir: Path | None) -> pl.DataFrame:
    """Return a split as the hub has it.

    Args:
        source: the data set.
        split: `train` or `test`, in the project's terms.
        data_dir: a folder with OWNER/NAME/CONFIG/SPLIT.parquet, or None to ask the hub.

    Raises:
        FileNotFoundError: if the folder has no such file.
    """
    name = source.splits[split]
    if data_dir is None:
        from datasets import load_dataset

        rows = load_dataset(source.hub, source.config, split=name, revision=source.revision)
        return pl.from_arrow(rows.with_format("arrow")[:])
    folder = data_dir / source.hub / (source.config or "")
    files = sorted(folder.glob(f"{name}.parquet")) or sorted(folder.glob(f"{name}-*-of-*.parquet"))
    if not files:
        raise FileNotFoundError(f"no {name}.parquet in {folder}")
    return pl.read_parquet(files)


def items_of(source: HubSettings, frame: pl.DataFrame, split: str) -> list[TaskItem]:
    """Return the rows of a split as items.

    Where the data set has no column for `gold`, it is what stands in the reference answer after
    the mark `gold_after`.

    Raises:
        ValueError: if a column is missing, the split is smaller than the configuration says, or
            a row lacks its question or answer, a reference answer has no final answer to be
            read, or two items have the same `item_id`.
    """
    wanted = source.train_items if split == "train" else source.test_items
    if frame.height < wanted:
        raise ValueError(f"{source.hub}: the {split} split has {frame.height} rows, not {wanted}")
    missing = [column for column in source.columns.values() if column not in frame.columns]
    if missing:
        raise ValueError(
            f"{source.hub} has no column {missing[0]!r}; it has: {', '.join(frame.columns)}"
        )
    named = frame.select(pl.col(theirs).alias(ours) for ours, theirs in source.columns.items())
    items = []
    for number, row in enumerate(named.head(wanted).iter_rows(named=True)):
        item_id = str(row.get("item_id") or f"{split}-{number:05d}")
        empty = [name for name in ("question", "answer") if not row[name]]
        if empty:
            raise ValueError(f"{source.hub}: item {item_id} of {split} has no {empty[0]}")
        gold = row["gold"] if "gold" in row else _gold(row["answer"], source.gold_after)
        if gold is None:
            raise ValueError(f"{source.hub}: item {item_id} of {split} has no final answer to read")
        fields = {name: row[name] for name in SCHEMA.names() if name in row}
        defaults = {"context": "", "cluster": item_id}
        choices = tuple(row.get("choices") or ())
        items.append(
            TaskItem(
                **defaults | fields | {"item_id": item_id, "gold": str(gold), "choices": choices}
            )
        )
    twice = [item_id for item_id, n in Counter(item.item_id for item in items).items() if n > 1]
    if twice:
        raise ValueError(f"{source.hub}: {split} has more than one item {twice[0]}")
    return items


def _gold(answer: str, mark: str | None) -> str | None:
    """Return what stands after the last mark of an answer, without thousands separators."""
    if mark is None or mark not in answer:
        return None
    return answer.rpartition(mark)[2].strip().replace(",", "") or None
