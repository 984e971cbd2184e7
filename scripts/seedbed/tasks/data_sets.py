"""Data sets in rows: of the hub, of a folder in the hub's layout, or files beside a task's file."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from seedbed.tasks.choices import LETTERS, with_choices
from seedbed.tasks.databases import schema_text
from seedbed.tasks.items import TaskItem
from seedbed.tasks.settings import DataSource, HubSource


def read_rows(
    source: DataSource, split: Literal["train", "test"], data_dir: Path | None
) -> pl.DataFrame:
    """Return the rows of a split.

    Args:
        source: the data set.
        split: `train` or `test`, in the project's terms.
        data_dir: the folder that it is read from, or None to ask the hub.

    Raises:
        FileNotFoundError: if the folder has no such file.
        ValueError: if a file cannot be read.
    """
    if data_dir is not None:
        files = source.split_files(data_dir, split)
        if not files:
            name = getattr(source.splits, split) if isinstance(source, HubSource) else split
            raise FileNotFoundError(f"no {name}.parquet in {source.folder(data_dir)}")
        return _read_lines(files[0]) if files[0].suffix == ".jsonl" else _read_parquet(files)
    if not isinstance(source, HubSource):
        raise FileNotFoundError(f"{source.name} are no data set of the hub: give their folder")
    from datasets import load_dataset

    rows = load_dataset(
        source.hub,
        source.config,
        split=getattr(source.splits, split),
        revision=source.revision,
    )
    return pl.DataFrame(rows.with_format("arrow")[:])


def _read_parquet(files: Sequence[Path]) -> pl.DataFrame:
    try:
        return pl.read_parquet([*files])
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{files[0]} cannot be read as Parquet: {error}") from error


def _read_lines(path: Path) -> pl.DataFrame:
    """Return the rows of a file of JSON lines.

    Raises:
        ValueError: if it holds anything else, naming the file and, if one is at fault, the line.
    """
    try:
        return pl.read_ndjson(path, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        # That message has no line; most often, one line alone is no JSON.
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                json.loads(line.strip() or "{}")
            except ValueError as fault:
                raise ValueError(f"{path}:{number}: is no line of JSON: {fault}") from None
        raise ValueError(f"{path} cannot be read as lines of JSON: {error}") from error


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
    source: DataSource, frame: pl.DataFrame, split: str, data_dir: Path | None = None
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
        ValueError: if a column is missing, there are fewer items than the configuration says (or,
            in the task's own files, more), a row lacks its question or answer, a reference answer
            has no final answer to be read, a gold label is none of the choices', two items have
            the same `item_id`, or the rows have another digest than they should.
    """
    columns = [_column(source, frame, path).alias(name) for name, path in source.columns.items()]
    rows = frame.select(columns).to_dicts()
    _check_digest(source, rows, split)
    ids = [str(row.get("item_id") or f"{split}-{number:05d}") for number, row in enumerate(rows)]
    twice = [item_id for item_id, n in Counter(ids).items() if n > 1]
    if twice:
        raise ValueError(f"{source.name}: {split} has more than one item {twice[0]}")
    reasons = {entry.item or entry.database or "": entry.reason for entry in source.excluded}
    names = [
        {item_id, row.get("database") or item_id} & reasons.keys()
        for item_id, row in zip(ids, rows, strict=True)
    ]
    kept = [(item_id, row) for item_id, row, name in zip(ids, rows, names, strict=True) if not name]
    wanted = source.train_items if split == "train" else source.test_items
    if len(kept) < wanted or (source.complete and len(kept) > wanted):
        raise ValueError(f"{source.name}: the {split} split has {len(kept)} items, not {wanted}")
    return Split(
        [_item(source, item_id, row, split, data_dir) for item_id, row in kept[:wanted]],
        {item_id: reasons[min(name)] for item_id, name in zip(ids, names, strict=True) if name},
        reasons.keys() - set().union(*names),
    )


def _check_digest(source: DataSource, rows: Sequence[Mapping[str, Any]], split: str) -> None:
    """Check that the rows of a split are those that the configuration was written for.

    The digest is of what items are made of, in order, whatever file it was read from.
    """
    if source.sha256 is None:
        return
    content = json.dumps(rows, sort_keys=True, ensure_ascii=True)
    found = hashlib.sha256(content.encode()).hexdigest()
    if found != getattr(source.sha256, split):
        raise ValueError(
            f"{source.name}: the rows of the {split} split are others than those that sha256 in "
            f"the task's file is of: theirs is {found}"
        )


def _column(source: DataSource, frame: pl.DataFrame, path: str) -> pl.Expr:
    """Return a column, or a field of a structure where the path has a dot."""
    name, *fields = [path] if path in frame.columns else path.split(".")
    if name not in frame.columns:
        raise ValueError(
            f"{source.name} has no column {name!r}; it has: {', '.join(frame.columns)}"
        )
    column: pl.Expr = pl.col(name)
    kind: Any = frame.schema[name]
    for field in fields:
        known = dict(kind) if isinstance(kind, pl.Struct) else {}
        if field not in known:
            raise ValueError(
                f"{source.name}: column {name!r} has no field {field!r}; "
                f"it has: {', '.join(known) or 'none'}"
            )
        column, kind = column.struct.field(field), known[field]
    return column


def _item(
    source: DataSource, item_id: str, row: Mapping[str, Any], split: str, data_dir: Path | None
) -> TaskItem:
    place = f"{source.name}: item {item_id} of {split}"
    for name in ("question", "answer", "context"):
        value = row.get(name)
        if name in source.columns and name != "context" and not value:
            raise ValueError(f"{place} has no {name}")
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{place} has a {name} that is no text: {value!r:.80}")
    if "tests" in row:
        row = {**row, "gold": _tests(row, place)}
    gold = row["gold"] if "gold" in row else _gold(row["answer"], source.gold_after)
    if gold in (None, ""):
        raise ValueError(f"{place} has no final answer to read")
    gold, question, choices = str(gold), row["question"], tuple(map(str, row.get("choices") or ()))
    if choices:
        labels = [str(label) for label in row.get("labels") or LETTERS][: len(choices)]
        if len(choices) > len(LETTERS):
            raise ValueError(f"{place} has {len(choices)} choices; at most {len(LETTERS)} can be")
        # A gold is a label; or else the text of a choice, if it is that of one alone.
        named = [n for n, label in enumerate(labels) if label == gold]
        named = named or [n for n, choice in enumerate(choices) if choice == gold]
        if len(named) != 1:
            raise ValueError(
                f"{place} has the gold {gold!r}, which is none of {labels}, nor the text of one "
                "choice"
            )
        gold = LETTERS[named[0]]
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


def database_file(source: DataSource, name: str, data_dir: Path | None) -> Path:
    """Return the SQLite file of a database.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if the name is no file name.
    """
    if Path(name).name != name or name == "..":
        raise ValueError(f"{source.name}: {name!r} cannot be the name of a database")
    if data_dir is None or source.databases is None:
        raise FileNotFoundError(f"{source.name} has no databases on the hub: give a folder")
    path = source.folder(data_dir) / source.databases.format(database=name)
    if not path.is_file():
        raise FileNotFoundError(f"no database {path}")
    return path


def _tests(row: Mapping[str, Any], place: str) -> str:
    """Return the gold of a program: its unit tests, of one text or a list, as JSON."""
    found = {}
    for name in ("tests", "entry", "setup"):
        value = row.get(name) or ""
        lines = [value] if isinstance(value, str) else value
        if not all(isinstance(line, str) for line in lines):
            raise ValueError(f"{place} has {name} that are no text: {value!r:.80}")
        found[name] = "\n".join(lines)
    if not found["tests"].strip():
        raise ValueError(f"{place} has no tests")
    return json.dumps(found, ensure_ascii=False)


def _gold(answer: str, mark: str | None) -> str | None:
    """Return what stands after the last mark of an answer."""
    if mark is None or mark not in answer:
        return None
    return answer.rpartition(mark)[2].strip() or None
