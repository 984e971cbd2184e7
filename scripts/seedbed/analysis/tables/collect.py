"""Collect a study's evaluations in two tables: one row per cell, and one row per cell and item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.config import words
from seedbed.evaluation.record import EvaluationRecord

COORDINATES: dict[str, type[pl.DataType]] = {
    name: pl.Int64 if kind is int else pl.String for name, kind in words.COORDINATES.items()
}
"""The coordinates of a cell, in the order of its key."""

COUNTS = (
    "augmenter_queries",
    "teacher_queries",
    "empty_slots",
    "augmenter_prompt_tokens",
    "augmenter_completion_tokens",
    "teacher_prompt_tokens",
    "teacher_completion_tokens",
    *words.TRAINING_COUNTS,
)
SECONDS = ("generation", "training", "evaluation")

_ITEM_COLUMNS = {"item_id": pl.String, "cluster": pl.String, "correct": pl.Boolean}
_GRADE = "score"
"""Column of grades in the table of items and in predictions, if a study's answers are graded."""


class ResultError(ValueError):
    """An evaluation cannot be used; the message names its file."""


Value = str | int | float | None
"""A value in the table of cells."""


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """An evaluation's row of the table of cells, and the values that are checked."""

    path: Path
    key: str
    task: str
    items: int
    correct: int
    accuracy: float
    graded: bool
    row: dict[str, Value]


def cell_key(coordinates: Mapping[str, Value]) -> str:
    """Return the key of a cell: `name=value` of every coordinate, joined by slashes."""
    return "/".join(f"{name}={coordinates[name]}" for name in COORDINATES)


def collect(
    evaluations: Sequence[str | Path], keep: Callable[[pl.DataFrame], None]
) -> pl.DataFrame:
    """Read evaluations with their predictions, and check that they are consistent.

    Only the predictions of one cell and of its task's first cell are in memory at a time.

    Args:
        evaluations: paths of `evaluation.json` files; each has its `predictions.parquet` in the
            same folder.
        keep: called once per cell with its rows of the table of items: `cell`, `item_id`,
            `cluster`, `correct`, and, if any task's answers are graded, `score`, from 0 to 1. Over
            all calls, rows are sorted by `cell` and `item_id`.

    Returns:
        The table of cells, sorted by coordinates: `cell` (the key), the coordinates, `budget_ratio`
        (null if there are no seeds), items, scores, counts and seconds.

    Raises:
        ResultError: if there is no evaluation, a file is missing or broken, a score is missing or
            disagrees with the predictions, two files are of the same cell, or the cells of one task
            were not evaluated on the same items.
    """
    found: dict[str, _Evaluation] = {}
    first_of: dict[str, _Evaluation] = {}
    for path in map(Path, evaluations):
        one = _read_evaluation(path)
        if one.key in found:
            raise ResultError(f"{path} holds the same cell as {found[one.key].path}: {one.key}")
        first_of.setdefault(one.task, one)
        found[one.key] = one
    if not found:
        raise ResultError("there are no evaluations to collect")
    reference: dict[str, pl.DataFrame] = {}
    graded = any(one.graded for one in found.values())
    columns = [*_ITEM_COLUMNS, _GRADE] if graded else [*_ITEM_COLUMNS]
    # The key starts with the task, so a task's cells are adjacent.
    for key, one in sorted(found.items()):
        first = first_of[one.task]
        if one.task not in reference:
            reference = {one.task: _read_predictions(first)}
        predictions = _read_predictions(one)
        _check_same_items(one.path, predictions, first.path, reference[one.task])
        keep(predictions.select(pl.lit(key).alias("cell"), *columns))
    rows = [one.row for one in found.values()]
    return pl.DataFrame(rows, schema=_cells_schema(rows)).sort(list(COORDINATES))


def no_results() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the empty tables of cells and items of a study without evaluations."""
    items = pl.DataFrame(schema={"cell": pl.String, **_ITEM_COLUMNS})
    return pl.DataFrame(schema=_cells_schema([])), items


def _cells_schema(rows: Iterable[Mapping[str, Value]]) -> dict[str, type[pl.DataType]]:
    coordinates: dict[str, type[pl.DataType]] = {"cell": pl.String, **COORDINATES}
    return coordinates | {"budget_ratio": pl.Float64} | _score_schema(rows)


def _score_schema(rows: Iterable[Mapping[str, Value]]) -> dict[str, type[pl.DataType]]:
    schema: dict[str, type[pl.DataType]] = {
        "items": pl.Int64,
        "correct": pl.Int64,
        "accuracy": pl.Float64,
        "standard_error": pl.Float64,
        "strict_correct": pl.Int64,
        "strict_accuracy": pl.Float64,
        "flexible_correct": pl.Int64,
        "flexible_accuracy": pl.Float64,
        "unparsed": pl.Int64,
        "truncated": pl.Int64,
        **dict.fromkeys(COUNTS, pl.Int64),
        **{f"{stage}_seconds": pl.Float64 for stage in SECONDS},
        "code": pl.String,
    }
    # Keep an evaluation's further counts and stages.
    known = {"cell", "budget_ratio", *COORDINATES, *schema}
    more = sorted({name for row in rows for name in row} - known)
    fractions = ("_seconds", "_kappa")
    return schema | {name: pl.Float64 if name.endswith(fractions) else pl.Int64 for name in more}


def _read_evaluation(path: Path) -> _Evaluation:
    try:
        record = EvaluationRecord.read(path)
    except FileNotFoundError:
        raise ResultError(f"{path} does not exist") from None
    except ValueError as error:
        raise ResultError(str(error)) from None
    missing = [name for name in COORDINATES if name not in record.cell]
    if missing:
        raise ResultError(f"{path}: cell lacks {missing[0]}")
    for name, kind in COORDINATES.items():
        if type(record.cell[name]) is not (str if kind == pl.String else int):
            raise ResultError(f"{path}: cell.{name} is {record.cell[name]!r}")
    row = _row(record)
    counted = (record.items, record.correct, record.accuracy, record.graded)
    return _Evaluation(path, str(row["cell"]), str(row["task"]), *counted, row)


def _row(record: EvaluationRecord) -> dict[str, Value]:
    """Return a cell's row of the table of cells."""
    coordinates = {name: record.cell[name] for name in COORDINATES}
    budget, seeds = int(coordinates["budget"]), int(coordinates["seeds"])
    return {
        "cell": cell_key(coordinates),
        **coordinates,
        "items": record.items,
        "correct": record.correct,
        "accuracy": record.accuracy,
        "unparsed": record.unparsed,
        "truncated": record.truncated,
        "code": record.code,
        "strict_correct": record.strict.correct,
        "strict_accuracy": record.strict.accuracy,
        "flexible_correct": record.flexible.correct,
        "flexible_accuracy": record.flexible.accuracy,
        "budget_ratio": budget / seeds if seeds else None,
        "standard_error": record.standard_error,
        **record.counts,
        **_agreement(record),
        **{f"{stage}_seconds": seconds for stage, seconds in record.seconds.items()},
    }


def _agreement(record: EvaluationRecord) -> dict[str, Value]:
    """Return a judge's agreement with labels, if a judge grades the answers and labels exist."""
    if record.judged is None or record.judged.agreement is None:
        return {}
    found = record.judged.agreement
    return {"judge_labels": found.labels, "judge_kappa": found.kappa}


def _read_predictions(cell: _Evaluation) -> pl.DataFrame:
    """Read the item-level scores of a cell, sorted by item, and check them against its totals."""
    columns: dict[str, type[pl.DataType]] = dict(_ITEM_COLUMNS)
    if cell.graded:
        columns[_GRADE] = pl.Float64
    file = cell.path.with_name("predictions.parquet")
    if not file.exists():
        raise ResultError(f"{file} does not exist, though {cell.path.name} does")
    try:
        table = pl.read_parquet(file, columns=list(columns))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ResultError(f"{file} cannot be read ({str(error).splitlines()[0]})") from None
    if dict(table.schema) != columns:
        raise ResultError(f"{file}: the columns are {dict(table.schema)}, not {columns}")
    if any(table.null_count().row(0)):
        raise ResultError(f"{file}: a score, item or cluster is missing")
    if table["item_id"].n_unique() != table.height:
        raise ResultError(f"{file}: an item appears twice")
    found = (table.height, int(table["correct"].sum()))
    if found != (cell.items, cell.correct):
        raise ResultError(
            f"{file}: {found[1]} of {found[0]} items are correct, but {cell.path} says "
            f"{cell.correct} of {cell.items}"
        )
    if _GRADE not in columns:
        table = table.with_columns(pl.col("correct").cast(pl.Float64).alias(_GRADE))
    elif abs(float(table[_GRADE].sum()) / table.height - cell.accuracy) > 1e-9:
        raise ResultError(f"{file}: the mean score is not the accuracy that {cell.path} says")
    return table.sort("item_id")


def _check_same_items(
    path: Path, table: pl.DataFrame, first_path: Path, first: pl.DataFrame
) -> None:
    if not table["item_id"].equals(first["item_id"]):
        different = set(table["item_id"].to_list()) ^ set(first["item_id"].to_list())
        raise ResultError(
            f"{path} and {first_path} were not evaluated on the same items: {len(different)} are "
            f"in one only, for example {min(different)}; evaluate both again"
        )
    if not table["cluster"].equals(first["cluster"]):
        raise ResultError(f"{path} and {first_path} put the same items into different clusters")
