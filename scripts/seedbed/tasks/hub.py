"""Data sets of the hub, and folders that hold them in the hub's layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.evaluation.scorers import Reading
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


def items_of(source: HubSettings, frame: pl.DataFrame, split: str, kind: str) -> list[TaskItem]:
    """Return the rows of a split as items.

    Where the data set has no column for `gold`, it is read from the reference answer, in the
    format that students are asked for.

    Raises:
        ValueError: if a column is missing, the split is smaller than the configuration says, or
            a reference answer has no final answer to be read.
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
        gold = row["gold"] if "gold" in row else _gold(kind, row["answer"]).value
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
    return items


def _gold(kind: str, answer: str) -> Reading:
    if kind == "number":
        from seedbed.evaluation.scorers.number import read_strict

        return read_strict(answer)
    return Reading(None, "no_gold_column")
