"""A user's table of runs, one row per trained student, as outcomes to fit curves to.

The table counts right answers, and does not say which items were right. Rows are therefore assumed
independent: each has the binomial variance of its accuracy, and two rows have no covariance,
although they share test items. Intervals of differences between methods are wider than intervals of
differences that are paired by item, never narrower.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.config.words import COORDINATES, MIXTURE, NONE, UNTRAINED

if TYPE_CHECKING:
    from seedbed.analysis.tables.outcomes import Outcomes

NEEDED = ("method", "seeds", "budget", "items")
OPTIONAL = ("correct", "accuracy", "task", "replicate", "tokens", "usd")
MAX_BYTES = 5_000_000
MAX_ROWS = 5_000
MAX_ITEMS = 100_000
MAX_OUTCOMES = 20_000_000
"""Largest number of rows times items: more would not fit into the memory of a small machine."""

_MAX_PROBLEMS = 20
_WHOLE = re.compile(r"\d{1,15}(?:\.0{1,6})?\Z")
_DECIMAL = re.compile(r"(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})(?:[eE][+-]?\d{1,2})?\Z")
_NAMES = {
    "method": re.compile(r"\w[\w .+-]{0,59}\Z"),
    "task": re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}\Z"),
}
_VALID = {
    "method": "use letters, digits, spaces and ._+- , at most 60",
    "task": "use lower-case letters, digits and ._- , at most 60",
}

BINOMIAL = (
    "The table counts right answers and does not say which: rows are taken as independent "
    "(binomial), not paired by item, so differences of methods look less sure than they would "
    "paired."
)
NOTHING_RIGHT = (
    "No run gets a single item of {task} right, so nothing can be learned of its methods. The "
    "scorer or the form of the answers is the likely cause."
)
ONE_RUN = (
    "No method has replicates: the noise between training runs and draws of the seeds is estimated "
    "from the cells' distances to the curves alone."
)


class OwnResultsError(ValueError):
    """A table cannot be used; the message names file, line and column."""


@dataclass(frozen=True)
class Run:
    """A row of the table.

    Attributes:
        line: its line in the file, from 1.
        task: its task; "own" if the table has no such column.
        method: the method that made its data; "untrained" for the base model.
        seeds: seed questions, 0 for `untrained`.
        budget: teacher queries, 0 for `untrained`.
        replicate: number of the run, from 1.
        items: test items.
        correct: number of items with a right answer.
        tokens: tokens of all models; None if unknown.
        usd: US dollars; None if unknown.
    """

    line: int
    task: str
    method: str
    seeds: int
    budget: int
    replicate: int
    items: int
    correct: int
    tokens: int | None
    usd: float | None


def read_own_results(path: str | Path) -> list[Run]:
    """Read a table (CSV) of runs.

    Columns are separated by commas, semicolons or tabs. With semicolons or tabs, numbers may have a
    decimal comma.

    Raises:
        OwnResultsError: if the table cannot be used; the message lists up to 20 problems.
    """
    text = _text(Path(path))
    header, separator = _header(path, text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    reading = _Reading(path, header, separator)
    try:
        next(reader)
        for fields in reader:
            if len(reading.rows) >= MAX_ROWS:
                raise OwnResultsError(f"{path}: has more than {MAX_ROWS:,} rows")
            if any(field.strip() for field in fields):
                reading.add(reader.line_num, fields)
    except csv.Error as error:
        raise OwnResultsError(f"{path}:{reader.line_num}: is not a CSV file: {error}") from None
    return reading.runs()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise OwnResultsError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise OwnResultsError(f"{path}: has more than {MAX_BYTES // 10**6} MB: give one row a run")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise OwnResultsError(f"{path}: is UTF-16: save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise OwnResultsError(f"{path}:{line}: is not UTF-8: save it as UTF-8") from None
    if "\0" in text:
        raise OwnResultsError(f"{path}: is not a text file: it has a NUL character")
    if not text.strip():
        raise OwnResultsError(f"{path}: is empty: {_valid_columns()}")
    return text.lstrip("\n\r")


def _valid_columns() -> str:
    return (
        f"valid columns are {', '.join(NEEDED)}, and correct or accuracy; optional are task, "
        "replicate, tokens and usd"
    )


def _header(path: str | Path, text: str) -> tuple[list[str], str]:
    """Return the names of the columns, and the separator."""
    line = text.splitlines()[0]
    separator = max(",;\t", key=line.count)
    names = [name.strip().strip('"').strip().lower() for name in line.split(separator)]
    known = (*NEEDED, *OPTIONAL)
    problems = [
        f"column {name!r} is unknown"
        + "".join(f"; did you mean {near!r}?" for near in difflib.get_close_matches(name, known, 1))
        for name in names
        if name not in known
    ]
    problems += [f"column {name!r} appears twice" for name, n in Counter(names).items() if n > 1]
    problems += [f"column {name!r} is missing" for name in NEEDED if name not in names]
    if not {"correct", "accuracy"} & set(names):
        problems.append("column 'correct' or 'accuracy' is missing")
    if problems:
        found = "\n".join(f"{path}:1: {problem}" for problem in problems[:_MAX_PROBLEMS])
        raise OwnResultsError(f"{found}\n{_valid_columns()}")
    return names, separator


class _Reading:
    """The rows of a table that were read so far, and their problems."""

    def __init__(self, path: str | Path, header: Sequence[str], separator: str) -> None:
        self.rows: list[tuple[int, dict[str, str]]] = []
        self._path = path
        self._header = header
        self._commas = separator != ","
        self._problems: list[str] = []

    def add(self, line: int, fields: Sequence[str]) -> None:
        """Add a row, or the problem with it."""
        if len(fields) != len(self._header):
            more = "; a number must have no commas" if len(fields) > len(self._header) else ""
            self._problem(line, "", f"has {len(fields)} fields, not {len(self._header)}{more}")
            return
        row = {name: field.strip() for name, field in zip(self._header, fields, strict=True)}
        self.rows.append((line, row))

    def runs(self) -> list[Run]:
        """Return the rows as runs.

        Raises:
            OwnResultsError: if a row is not valid, or if there are none.
        """
        if not self.rows and not self._problems:
            raise OwnResultsError(f"{self._path}: has no rows below its header")
        share = self._accuracies_are_shares()
        found = [run for line, row in self.rows if (run := self._run(line, row, share))]
        self._compare(found)
        if self._problems:
            more = len(self._problems) - _MAX_PROBLEMS
            rest = [f"and {more:,} more problems"] if more > 0 else []
            raise OwnResultsError("\n".join([*self._problems[:_MAX_PROBLEMS], *rest]))
        return found

    def _problem(self, line: int, column: str, text: str) -> None:
        place = f"column {column!r}: " if column else ""
        self._problems.append(f"{self._path}:{line}: {place}{text}")

    def _accuracies_are_shares(self) -> bool:
        """Return whether accuracies are shares from 0 to 1, rather than percents."""
        values = [(line, self._decimal(row.get("accuracy", ""))) for line, row in self.rows]
        known = [(line, value) for line, value in values if value is not None]
        percents = [line for line, value in known if value > 1]
        shares = [line for line, value in known if 0 < value < 1]
        if percents and shares:
            self._problem(
                shares[0],
                "accuracy",
                f"is a share, but in line {percents[0]} it is a percent: write all from 0 to 1, or "
                "all from 0 to 100, or each percent with its sign",
            )
        return not percents

    def _decimal(self, text: str) -> float | None:
        if self._commas:
            text = text.replace(",", ".")
        return float(text) if _DECIMAL.match(text) else None

    def _whole(
        self, line: int, row: dict[str, str], column: str, low: int, high: int = 10**12
    ) -> int | None:
        text = row[column]
        value = int(float(text)) if _WHOLE.match(text) else None
        if value is None or not low <= value <= high:
            self._problem(
                line,
                column,
                f"{text[:40]!r} is not a whole number from {low:,} to {high:,} (as in 1000)",
            )
            return None
        return value

    def _run(self, line: int, row: dict[str, str], share: bool) -> Run | None:
        before = len(self._problems)
        method = row["method"]
        for column in ("method", "task"):
            if column in row and not _NAMES[column].match(row[column]):
                self._problem(
                    line, column, f"{row[column][:40]!r} is no valid name: {_VALID[column]}"
                )
        if method.startswith(MIXTURE) or method == NONE:
            self._problem(line, "method", f"{method!r} is a reserved name: rename it")
        lowest = 0 if method == UNTRAINED else 1
        seeds, budget = (
            self._whole(line, row, name, lowest, 10**9) for name in ("seeds", "budget")
        )
        if method == UNTRAINED and (seeds or budget):
            self._problem(line, "method", "'untrained' has 0 seeds and a budget of 0")
        items = self._whole(line, row, "items", 2, MAX_ITEMS)
        replicate: int | None = 1
        if row.get("replicate"):
            replicate = self._whole(line, row, "replicate", 0, 10**6)
        tokens = self._whole(line, row, "tokens", 0) if row.get("tokens") else None
        usd = None
        if row.get("usd"):
            usd = self._decimal(row["usd"].removeprefix("$"))
            if usd is None:
                self._problem(
                    line, "usd", f"{row['usd'][:40]!r} is not a number from 0 (as in 12.50)"
                )
        correct = self._correct(line, row, items, share)
        if len(self._problems) > before:
            return None
        assert None not in (seeds, budget, items, replicate, correct)
        task = row.get("task") or "own"
        return Run(
            line, task, method, seeds or 0, budget or 0, replicate or 0, items or 0, correct or 0,
            tokens, usd,
        )  # fmt: skip

    def _correct(
        self, line: int, row: dict[str, str], items: int | None, share: bool
    ) -> int | None:
        """Return how many items were right, from `correct` or `accuracy`."""
        correct = self._whole(line, row, "correct", 0) if row.get("correct") else None
        if correct is not None and items is not None and correct > items:
            self._problem(line, "correct", f"{correct:,} of {items:,} items: at most {items:,}")
        if row.get("accuracy"):
            text = row["accuracy"]
            value = self._decimal(text.removesuffix("%").strip())
            percent = text.endswith("%") or not share
            value = value / 100 if value is not None and percent else value
            if value is None or not 0 <= value <= 1:
                valid = "from 0 to 100" if percent else "from 0 to 1"
                self._problem(line, "accuracy", f"{text[:40]!r} is not a number {valid}")
            elif items is not None:
                by_accuracy = round(value * items)
                # Percents are often rounded to whole ones.
                if correct is not None and abs(value - correct / items) > 0.00501:
                    said = f"{text} is not {correct:,} of {items:,}"
                    self._problem(line, "accuracy", f"{said}, which is {correct / items:.4f}")
                correct = by_accuracy if correct is None else correct
        elif not row.get("correct"):
            self._problem(line, "correct", "is empty, and so is 'accuracy': one of them is needed")
        return correct

    def _compare(self, runs: Sequence[Run]) -> None:
        """Add problems between rows: duplicates, differing items, no or several `untrained`."""
        first: dict[tuple[object, ...], int] = {}
        sizes: dict[str, Run] = {}
        for run in runs:
            key = (run.task, run.method, run.seeds, run.budget, run.replicate)
            if key in first:
                self._problem(
                    run.line,
                    "method",
                    f"repeats line {first[key]} (same task, method, seeds, budget, replicate): "
                    "number repeated runs in a column 'replicate'",
                )
            first.setdefault(key, run.line)
            size = sizes.setdefault(run.task, run)
            if run.items != size.items:
                self._problem(
                    run.line,
                    "items",
                    f"{run.items:,}, but {size.items:,} in line {size.line}: all runs of a task "
                    "need the same test items",
                )
        untrained = Counter(run.task for run in runs if run.method == UNTRAINED)
        for task in sizes:
            if untrained[task] > 1:
                self._problem(1, "method", f"task {task!r} has 'untrained' more than once")
            if all(run.method == UNTRAINED for run in runs if run.task == task):
                self._problem(1, "method", f"task {task!r} has no method but 'untrained'")
        if sum(run.items for run in runs) > MAX_OUTCOMES:
            self._problem(1, "items", f"more than {MAX_OUTCOMES:,} answers in all rows together")


def outcomes_of(runs: Sequence[Run]) -> dict[str, Outcomes]:
    """Return the outcomes of every task.

    The table does not say which items a run got right, so they are drawn at random, independently
    for each run. Resamples of the items then have the binomial variance, and runs are correlated
    only by chance (correlations of standard deviation 1 / sqrt(items)).
    """
    import numpy as np
    import polars as pl

    from seedbed.analysis.tables.collect import cell_key, no_results
    from seedbed.analysis.tables.outcomes import Outcomes

    schema = {**no_results()[0].schema, "usd": pl.Float64()}
    found = {}
    for task in sorted({run.task for run in runs}):
        rows: list[dict[str, str | int | float | None]] = []
        answers = {}
        for run in (run for run in runs if run.task == task):
            trained = run.method != UNTRAINED
            place = {name: vars(run).get(name, NONE) for name in COORDINATES}
            place["replicate"] = run.replicate if trained else 0
            key = cell_key(place)
            share = run.correct / run.items
            rows.append(
                {
                    "cell": key,
                    **place,
                    "budget_ratio": run.budget / run.seeds if trained else None,
                    "items": run.items,
                    "correct": run.correct,
                    "accuracy": share,
                    "standard_error": float(np.sqrt(share * (1 - share) / (run.items - 1))),
                    "teacher_queries": run.budget,
                    "augmenter_queries": 0,
                    "verification_queries": 0,
                    "teacher_prompt_tokens": None if run.tokens is None else 0,
                    "teacher_completion_tokens": run.tokens,
                    "augmenter_prompt_tokens": 0,
                    "augmenter_completion_tokens": 0,
                    "usd": run.usd,
                }
            )
            right = np.zeros(run.items)
            right[: run.correct] = 1.0
            answers[key] = np.random.default_rng(zlib.crc32(key.encode())).permutation(right)
        cells = pl.DataFrame(rows, schema=schema).sort("cell")
        count = len(next(iter(answers.values())))
        found[task] = Outcomes(
            task=task,
            cells=cells,
            items=tuple(map(str, range(count))),
            clusters=np.arange(count),
            correct=np.array([answers[key] for key in cells["cell"].to_list()]),
        )
    return found


def notes_on(runs: Sequence[Run]) -> list[str]:
    """Return cautions about advice from a table: tasks with no right answer, and missing noise."""
    seen = Counter((run.task, run.method, run.seeds, run.budget) for run in runs)
    right = dict.fromkeys(dict.fromkeys(run.task for run in runs), 0)
    for run in runs:
        right[run.task] += run.correct
    nothing = [NOTHING_RIGHT.format(task=task) for task, correct in right.items() if not correct]
    return [*nothing, BINOMIAL, *([] if max(seen.values()) > 1 else [ONE_RUN])]
