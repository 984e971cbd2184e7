"""Selection of the rows of a data set that become the items of a split.

This module imports no table library, because it also counts items before any job starts.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from seedbed.tasks.rows import Row, Rows, read_file, read_parquet, rows_of
from seedbed.tasks.settings import DataSource, FilesSource, HubSource

Split = Literal["train", "test"]
SPLITS: tuple[Split, Split] = ("train", "test")


def read_rows(
    source: DataSource,
    split: Split,
    data_dir: Path | None,
    prompt_columns: Sequence[str] = (),
) -> Rows:
    """Return the rows of a split; if one part of the data set is split in two, the rows of both.

    Args:
        source: the data set.
        split: `train` or `test`, in the project's terms.
        data_dir: the folder with the data set, or None to download from the hub.
        prompt_columns: columns that prompts use.

    Raises:
        FileNotFoundError: if the folder lacks a file.
        ValueError: if a file cannot be read.
    """
    if data_dir is not None:
        files = source.split_files(data_dir, split)
        if not files:
            name = source.parts.of(split)
            raise FileNotFoundError(f"no {name}.parquet in {source.folder(data_dir)}")
        mapped = {column for key in source.columns for column in source.columns_of(key)}
        named = {*prompt_columns, *mapped}
        wanted = named | {column.partition(".")[0] for column in named}
        if files[0].suffix == ".parquet":
            return read_parquet(files, wanted)
        return read_file(files[0])
    if not isinstance(source, HubSource):
        raise FileNotFoundError(f"{source.name} are not a data set of the hub: give their folder")
    from datasets import ClassLabel, load_dataset

    name = source.parts.of(split)
    rows = load_dataset(source.hub, source.config, split=name, revision=source.revision)
    found = rows_of(rows.to_list(), f"{source.hub} {name}")
    classes = {
        column: feature.names
        for column, feature in rows.features.items()
        if isinstance(feature, ClassLabel)
    }
    return Rows(list(rows.features), found.values, found.place, classes)


@dataclass(frozen=True)
class Chosen:
    """A row that becomes an item.

    Attributes:
        item_id: the item's id.
        values: the row's values, by field of an item.
        place: the row's position, for messages.
        columns: values of the columns that prompts use, by name.
    """

    item_id: str
    values: Row
    place: str
    columns: Row


@dataclass(frozen=True)
class Selection:
    """The rows of a split.

    Attributes:
        chosen: the rows that become items, in the data set's order.
        excluded: reason for each excluded item, by id.
        not_found: names of items and databases to be excluded that do not exist.
    """

    chosen: list[Chosen]
    excluded: dict[str, str]
    not_found: set[str]


def select(
    source: DataSource, rows: Rows, split: Split, prompt_columns: Sequence[str] = ()
) -> Selection:
    """Choose the rows of a split.

    Args:
        source: the data set.
        rows: its rows.
        split: `train` or `test`, in the project's terms.
        prompt_columns: columns that prompts use.

    Raises:
        ValueError: if a column is missing, there are fewer items than configured (or, in the task's
            own files, more), two items have the same `item_id`, or the digest of the rows is not
            the configured one.
    """
    readers: dict[str, Callable[[Row], Any]] = {
        key: _reader(source, rows, key) for key in source.columns
    }
    more = {name: _column(source, rows, name) for name in prompt_columns}
    values = [{key: read(row) for key, read in readers.items()} for row in rows.values]
    _check_digest(source, values, split)
    numbers: Sequence[int] = range(len(values))
    if source.whole:
        share = source.parts.test_share or 0
        # Columns that prompts use distinguish rows with the same question.
        shown = [{name: read(row) for name, read in more.items()} for row in rows.values]
        hashes = [_hash(row, told) for row, told in zip(values, shown, strict=True)]
        numbers = [n for n in numbers if (_fraction(hashes[n]) < share) == (split == "test")]
        if not numbers:
            raise ValueError(
                f"{source.name}: none of {len(values)} rows falls into the {split} split by a "
                f"test_share of {share:g}: give another share, or two files"
            )
        names = _names(hashes[n][:12] for n in numbers)
    else:
        names = [f"{split}-{n:05d}" for n in numbers]
    ids = [
        name if values[n].get("item_id") in (None, "") else str(values[n]["item_id"])
        for n, name in zip(numbers, names, strict=True)
    ]
    _check_ids(source, ids, [rows.place(n) for n in numbers], split)
    reasons = {entry.item or entry.database or "": entry.reason for entry in source.excluded}
    chosen, excluded, found = [], {}, set()
    for item_id, n in zip(ids, numbers, strict=True):
        named = {item_id, values[n].get("database") or item_id} & reasons.keys()
        found |= named
        if named:
            excluded[item_id] = reasons[min(named)]
            continue
        row = rows.values[n]
        columns = {name: read(row) for name, read in more.items()}
        chosen.append(Chosen(item_id, values[n], rows.place(n), columns))
    wanted = source.train_items if split == "train" else source.test_items
    if wanted is None:
        wanted = len(chosen)
    if len(chosen) < wanted or (source.complete and len(chosen) > wanted):
        raise ValueError(f"{source.name}: the {split} split has {len(chosen)} items, not {wanted}")
    return Selection(chosen[:wanted], excluded, reasons.keys() - found)


def select_all(
    source: DataSource, data_dir: Path | None, prompt_columns: Sequence[str] = ()
) -> dict[Split, Selection]:
    """Choose the rows of both splits.

    Args:
        source: the data set.
        data_dir: the folder with the data set, or None to download from the hub.
        prompt_columns: columns that prompts use.

    Raises:
        FileNotFoundError: if the folder lacks a file.
        ValueError: if a file cannot be read, or does not fit its description in the source.
    """
    rows = read_rows(source, "train", data_dir, prompt_columns)
    found = {"train": select(source, rows, "train", prompt_columns)}
    if not source.whole:
        rows = read_rows(source, "test", data_dir, prompt_columns)
    found["test"] = select(source, rows, "test", prompt_columns)
    unknown = found["train"].not_found & found["test"].not_found
    if unknown:
        raise ValueError(f"{source.name}: {min(unknown)!r} was to be excluded, but is not there")
    return {split: found[split] for split in SPLITS}


def counted(source: FilesSource, folder: Path, prompt_columns: Sequence[str] = ()) -> FilesSource:
    """Return a task's own data set with the numbers of items that its files have.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a file cannot be read, or does not fit its description in the source.
    """
    if None not in (source.train_items, source.test_items) and not prompt_columns:
        return source
    chosen = select_all(source, folder, prompt_columns)
    return source.model_copy(
        update={f"{split}_items": len(chosen[split].chosen) for split in SPLITS}
    )


def _reader(source: DataSource, rows: Rows, key: str) -> Callable[[Row], Any]:
    columns = source.columns_of(key)
    if isinstance(source.columns[key], str):
        return _column(source, rows, columns[0])
    readers = [_column(source, rows, column) for column in columns]
    return lambda row: [read(row) for read in readers]


def _column(source: DataSource, rows: Rows, path: str) -> Callable[[Row], Any]:
    """Return a function that reads a column or, if the path has a dot, a field of a structure."""
    name, *fields = [path] if path in rows.columns else path.split(".")
    if name not in rows.columns:
        raise ValueError(f"{source.name} has no column {name!r}; it has: {', '.join(rows.columns)}")
    if not fields:
        return partial(_value, name=name, classes=rows.classes.get(name, ()))
    known: dict[str, None] = {}
    for row in rows.values:
        value, done = row.get(name), True
        for field in fields:
            if isinstance(value, dict):
                known |= dict.fromkeys(value)
            done = done and isinstance(value, dict) and field in value
            value = value.get(field) if isinstance(value, dict) else None
        if done:
            return partial(_field, path=(name, *fields))
    raise ValueError(
        f"{source.name}: column {name!r} has no field {fields[-1]!r}; "
        f"it has: {', '.join(known) or 'none'}"
    )


def _value(row: Row, name: str, classes: Sequence[str]) -> Any:
    value = row.get(name)
    if classes and isinstance(value, int) and 0 <= value < len(classes):
        return classes[value]
    # The hub's libraries write -1 if a row has no label.
    return None if classes and value == -1 else value


def _field(row: Row, path: Sequence[str]) -> Any:
    value: Any = row
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _check_digest(source: DataSource, values: Sequence[Row], split: str) -> None:
    """Check the digest of the rows of a split, if the source has one.

    The digest covers the values of the items in order, and does not depend on the file format.
    """
    if source.sha256 is None:
        return
    content = json.dumps(values, sort_keys=True, ensure_ascii=True, default=str)
    found = hashlib.sha256(content.encode()).hexdigest()
    if found != getattr(source.sha256, split):
        raise ValueError(
            f"{source.name}: the rows of the {split} split do not have the digest sha256 in the "
            f"task's file: theirs is {found}"
        )


def _hash(values: Row, columns: Row) -> str:
    """Return a digest that identifies a row independently of its position in the file.

    Args:
        values: the row's values, by field of an item.
        columns: the row's values in other columns that prompts use.
    """
    item_id = values.get("item_id")
    keys = ("item_id",) if item_id not in (None, "") else ("question", "messages", "context")
    named = [values.get(key) for key in keys]
    if columns and len(keys) > 1:
        named.append(columns)
    content = json.dumps(named, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def _fraction(digest: str) -> float:
    return int(digest[:13], 16) / 16**13


def _names(hashes: Any) -> list[str]:
    """Return names of rows from their hashes; repeated hashes get a number."""
    seen: Counter[str] = Counter()
    names = []
    for digest in hashes:
        seen[digest] += 1
        names.append(f"row-{digest}" + (f"-{seen[digest]}" if seen[digest] > 1 else ""))
    return names


def _check_ids(source: DataSource, ids: Sequence[str], places: Sequence[str], split: str) -> None:
    first: dict[str, str] = {}
    for item_id, place in zip(ids, places, strict=True):
        if item_id in first:
            raise ValueError(
                f"{source.name}: {split} has more than one item {item_id}: {first[item_id]} and "
                f"{place}; each row needs an id of its own in the column "
                f"{source.columns_of('item_id')[0]!r}"
            )
        first[item_id] = place
