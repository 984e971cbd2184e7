"""Task items: one question, its reference answer, and what a scorer needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "item_id": pl.String,
    "question": pl.String,
    "context": pl.String,
    "answer": pl.String,
    "gold": pl.String,
    "choices": pl.List(pl.String),
    "database": pl.String,
    "cluster": pl.String,
}
SCHEMA = pl.Schema(_COLUMNS)


@dataclass(frozen=True, slots=True)
class TaskItem:
    """A question with its reference answer.

    Attributes:
        item_id: unique in its split and stable from run to run.
        question: what is asked; the choices, if any, are part of the text.
        context: what the question is asked about (a database schema), or "".
        answer: the worked reference answer, as a student would learn it.
        gold: the final answer: a number as text, a choice's label, or SQL.
        choices: texts of the choices in label order; empty unless the task is multiple choice.
        database: file name below the task's `databases` folder, or "".
        cluster: items that share it are not independent (one database, say); for standard errors.
    """

    item_id: str
    question: str
    context: str
    answer: str
    gold: str
    choices: tuple[str, ...] = ()
    database: str = ""
    cluster: str = ""


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
