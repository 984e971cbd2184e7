"""Data sets of the hub, and folders that hold them in the hub's layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from seedbed.tasks.choices import LETTERS, with_choices
from seedbed.tasks.databases import schema_text
from seedbed.tasks.items import TaskItem


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
    answer: str | None = None
    databases: str | None = None
    excluded: Sequence[Mapping[str, str | None]] = ()
    license: str | None = None

    def folder(self, data_dir: Path) -> Path:
        """Return the data set's folder in a folder of the hub's layout."""
        return data_dir / self.hub / (self.config or "")


def read_split(source: HubSettings, split: str, data_dir: Path | None) -> pl.DataFrame:
    """Return a split as the hub has it.

    Args:
        source: the data set.
        split: `train` or `test`, in the project's terms.
        data_dir: a folder with OWNER/NAME/CONFIG/SPLIT.parquet (or .jsonl), or None to ask the
            hub.

    Raises:
        FileNotFoundError: if the folder has no such file.
    """
    name = source.splits[split]
    if data_dir is None:
        from datasets import load_dataset

        rows = load_dataset(source.hub, source.config, split=name, revision=source.revision)
        return pl.from_arrow(rows.with_format("arrow")[:])
    folder = source.folder(data_dir)
    if (folder / f"{name}.jsonl").is_file() and not (folder / f"{name}.parquet").is_file():
        return pl.read_ndjson(folder / f"{name}.jsonl", infer_schema_length=None)
    files = sorted(folder.glob(f"{name}.parquet")) or sorted(folder.glob(f"{name}-*-of-*.parquet"))
    if not files:
        raise FileNotFoundError(f"no {name}.parquet in {folder}")
    return pl.read_parquet(files)


@dataclass(frozen=True)
class Split:
    """The items of a split.

    Attributes:
        items: the items, in the data set's order.
        excluded: by id of the items that were left out, why.
        not_found: names of items and databases that were to be left out and are not there.
    """

    items: list[TaskItem]
    excluded: dict[str, str]
    not_found: set[str]


def items_of(
    source: HubSettings, frame: pl.DataFrame, split: str, data_dir: Path | None = None
) -> Split:
    """Return the rows of a split as items.

    The final answer is that of the column `gold` or, where there is none, what stands in the
    reference answer after the mark `gold_after`. Choices stand a line each below the question,
    labelled with letters, whatever their labels are in the data set. An item on a database has the
    database's schema as its context.

    Args:
        source: the data set.
        frame: its rows.
        split: `train` or `test`, in the project's terms.
        data_dir: the folder that databases lie in, if there are any.

    Raises:
        FileNotFoundError: if an item's database is not there.
        ValueError: if a column is missing, there are fewer items than the configuration says, a
            row lacks its question or answer, a reference answer has no final answer to be read,
            a gold label is none of the choices', or two items have the same `item_id`.
    """
    columns = [_column(source, frame, path).alias(name) for name, path in source.columns.items()]
    rows = frame.select(columns).to_dicts()
    ids = [str(row.get("item_id") or f"{split}-{number:05d}") for number, row in enumerate(rows)]
    twice = [item_id for item_id, n in Counter(ids).items() if n > 1]
    if twice:
        raise ValueError(f"{source.hub}: {split} has more than one item {twice[0]}")
    reasons = {entry.get("item") or entry["database"]: entry["reason"] for entry in source.excluded}
    names = [
        {item_id, row.get("database")} & reasons.keys()
        for item_id, row in zip(ids, rows, strict=True)
    ]
    kept = [(item_id, row) for item_id, row, name in zip(ids, rows, names, strict=True) if not name]
    wanted = source.train_items if split == "train" else source.test_items
    if len(kept) < wanted:
        raise ValueError(f"{source.hub}: the {split} split has {len(kept)} items, not {wanted}")
    return Split(
        [_item(source, item_id, row, split, data_dir) for item_id, row in kept[:wanted]],
        {item_id: reasons[min(name)] for item_id, name in zip(ids, names, strict=True) if name},
        reasons.keys() - set().union(*names),
    )


def _column(source: HubSettings, frame: pl.DataFrame, path: str) -> pl.Expr:
    """Return a column, or a field of a structure where the path has a dot."""
    name, *fields = [path] if path in frame.columns else path.split(".")
    if name not in frame.columns:
        raise ValueError(f"{source.hub} has no column {name!r}; it has: {', '.join(frame.columns)}")
    column, kind = pl.col(name), frame.schema[name]
    for field in fields:
        known = [entry.name for entry in kind.fields] if isinstance(kind, pl.Struct) else []
        if field not in known:
            raise ValueError(
                f"{source.hub}: column {name!r} has no field {field!r}; "
                f"it has: {', '.join(known) or 'none'}"
            )
        column, kind = column.struct.field(field), dict(kind)[field]
    return column


def _item(
    source: HubSettings, item_id: str, row: Mapping[str, Any], split: str, data_dir: Path | None
) -> TaskItem:
    place = f"{source.hub}: item {item_id} of {split}"
    for name in ("question", "answer"):
        if name in source.columns and not row[name]:
            raise ValueError(f"{place} has no {name}")
    gold = row["gold"] if "gold" in row else _gold(row["answer"], source.gold_after)
    if gold in (None, ""):
        raise ValueError(f"{place} has no final answer to read")
    gold, question, choices = str(gold), row["question"], tuple(row.get("choices") or ())
    if choices:
        labels = list(row.get("labels") or LETTERS)[: len(choices)]
        if len(choices) > len(LETTERS):
            raise ValueError(f"{place} has {len(choices)} choices; at most {len(LETTERS)} can be")
        if gold not in labels:
            raise ValueError(f"{place} has the gold {gold!r}, which is none of {labels}")
        gold = LETTERS[labels.index(gold)]
        question = with_choices(question, choices)
    database = row.get("database") or ""
    context = row.get("context") or ""
    if database:
        file = database_file(source, database, data_dir)
        context = context or schema_text(file)
    return TaskItem(
        item_id=item_id,
        question=question,
        context=context,
        answer=row["answer"] if source.answer is None else source.answer.format(gold=gold),
        gold=gold,
        choices=choices,
        database=f"{database}.sqlite" if database else "",
        cluster=str(row.get("cluster") or item_id),
    )


def database_file(source: HubSettings, name: str, data_dir: Path | None) -> Path:
    """Return the SQLite file of a database.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if the name is no file name.
    """
    if Path(name).name != name or name == "..":
        raise ValueError(f"{source.hub}: {name!r} cannot be the name of a database")
    if data_dir is None or source.databases is None:
        raise FileNotFoundError(f"{source.hub} has no databases on the hub: give a folder")
    path = source.folder(data_dir) / source.databases.format(database=name)
    if not path.is_file():
        raise FileNotFoundError(f"no database {path}")
    return path


def _gold(answer: str, mark: str | None) -> str | None:
    """Return what stands after the last mark of an answer, without thousands separators."""
    if mark is None or mark not in answer:
        return None
    return answer.rpartition(mark)[2].strip().replace(",", "") or None
