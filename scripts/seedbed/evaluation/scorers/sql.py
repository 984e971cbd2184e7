"""Scorer for SQL answers by execution accuracy: a query's result must equal the gold query's.

Queries run in a worker process, which is killed when it exceeds its limits, on databases opened
read-only; see `seedbed.evaluation.scorers.sql_worker`. Results are compared as multisets of rows.
Columns may be in any order unless the option `column_order` is `fixed`. The order of rows counts if
the gold query has ORDER BY at its top level. An integer equals the same number as a float, and
floats are equal within a tolerance.

An empty gold result would match every query with an empty result. If both results are empty, the
scorer therefore runs the queries on variants of the database in which the gold query returns rows,
and compares the results there; see `seedbed.evaluation.scorers.sql_variants`. The score then has a
reason.

The option `distinct: ignore` removes DISTINCT from both queries, as the official evaluation of
Spider does.
"""

from __future__ import annotations

import base64
import math
import weakref
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from seedbed.config.messages import problems
from seedbed.evaluation.sandbox.worker import Worker
from seedbed.evaluation.scorers import Reading, Score, sql_variants, sql_worker
from seedbed.evaluation.scorers.settings import ScorerOptions
from seedbed.evaluation.scorers.sql_reading import TOKEN, read_sql, read_strict
from seedbed.tasks.items import TaskItem

TOLERANCE = 1e-9  # Relative; sums of floats in another order differ by about 1e-15.
MAX_COMPARED_VALUES = 5_000_000
MAX_VARIANT_SECONDS = 2.0
MAX_KEPT_VALUES = 2_000_000
"""Maximum number of values in the cached results of gold queries."""

_SIGNS = frozenset(["=", "!=", "<", "<=", ">", ">=", "+", "-", "/", "%", "||"])
_OPERATORS = _SIGNS | {"not", "like", "glob", "in", "between", "is", "null", "or"}


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a query.

    Attributes:
        rows: its rows; a blob is the tuple ("blob", hex digits).
        columns: number of columns, also known for empty results.
        reads: (table, column) pairs that the query reads, in lower case.
        error: the error, "" if the query succeeded.
        transient: whether the query is not to blame for the error: its process ended unexpectedly,
            or the machine was too busy to run it in time.
    """

    rows: tuple[tuple[Hashable, ...], ...] = ()
    columns: int = 0
    reads: frozenset[tuple[str, str]] = frozenset()
    error: str = ""
    transient: bool = False


class SqlScorer:
    """Scores SQL by execution accuracy. Close it after use, or use it as a context manager."""

    def __init__(self, folder: Path, options: ScorerOptions | None = None) -> None:
        """Score on the databases in `folder`; the first query starts the process.

        Args:
            folder: the folder of the items' databases.
            options: limits, and rules of comparison. The wall-clock limit is twice the CPU seconds
                of `timeout` plus one second, so that a busy machine changes no score and no query
                hangs.
        """
        options = options or ScorerOptions()
        self._ignores_distinct = options.distinct == "ignore"
        self._fixed_columns = options.column_order == "fixed"
        self._folder = Path(folder).resolve()
        self._timeout = options.timeout
        self._max_rows = options.max_rows
        memory = str(int(options.max_memory_mb * 1e6))
        self._worker = Worker(["-I", sql_worker.__file__], [memory])
        self._gold: OrderedDict[tuple[str, str], Result] = OrderedDict()
        self._gold_values = 0
        weakref.finalize(self, self._worker.stop)

    def score(self, output: str, item: TaskItem) -> Score:
        """Return the score of an output; see `seedbed.evaluation.scorers.Scorer`.

        If the gold query fails, no output matches it, and the score's reason says so; other items
        are not affected.

        Raises:
            FileNotFoundError: if the item's database does not exist.
            ValueError: if the item names no database, or one outside the folder.
        """
        path = self._path(item)
        flexible, strict = read_sql(output), read_strict(output)
        if flexible.value is None:
            return Score(False, False, None, flexible.reason)
        gold_sql = self._asked(item.gold)
        gold = self._gold_result(path, gold_sql)
        if gold.error:
            return Score(False, False, flexible.value, f"gold query failed: {gold.error}")
        right, reason = self._judge(path, self._asked(flexible.value), gold_sql, gold)
        strictly = right
        if strict.value is None:
            strictly = False
        elif strict.value != flexible.value:
            strictly, _ = self._judge(path, self._asked(strict.value), gold_sql, gold)
            if strictly and not right:
                return Score(True, True, strict.value, "")
        return Score(strictly, right, flexible.value, reason)

    def run(self, database: str, sql: str) -> Result:
        """Run one query on the database with this name, and return its result."""
        return self._run(self._existing(database), sql, self._max_rows)

    def problem(self, answer: str, question: str, seed: TaskItem) -> str:
        """Return why an answer to a new question is unusable, "" if no problem is found."""
        query = read_sql(answer).value
        if query is None:
            return "query_failed"
        result = self.run(seed.database, query)
        return "query_failed" if result.error else "" if result.rows else "no_rows"

    def same(self, first: str, second: str, question: str, seed: TaskItem) -> bool:
        """Return whether the queries of two answers to a question have the same result."""
        gold = read_sql(first).value
        return gold is not None and self.score(second, replace(seed, gold=gold)).flexible

    def close(self) -> None:
        """Stop the worker process."""
        self._worker.stop()

    def __enter__(self) -> SqlScorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _asked(self, sql: str) -> str:
        """Return a query as it is run: without DISTINCT if the options ignore it."""
        return without_distinct(sql) if self._ignores_distinct else sql

    def _path(self, item: TaskItem) -> str:
        if not item.database:
            raise ValueError(f"item {item.item_id!r} names no database")
        return self._existing(item.database)

    def _existing(self, database: str) -> str:
        name = PurePosixPath(database)
        if name.is_absolute() or ".." in name.parts:
            raise ValueError(f"database {database!r} is not below the task's folder")
        path = self._folder / name
        if not path.is_file():
            raise FileNotFoundError(f"no database {path}")
        return str(path)

    def _gold_result(self, path: str, sql: str) -> Result:
        key = (path, sql)
        if key in self._gold:
            self._gold.move_to_end(key)
            return self._gold[key]
        result = self._run(path, sql, self._max_rows)
        if result.transient:
            # Not the query's fault, so it is not cached: another item with the same gold retries.
            return result
        self._gold[key] = result
        self._gold_values += _values(result)
        while self._gold_values > MAX_KEPT_VALUES and len(self._gold) > 1:
            self._gold_values -= _values(self._gold.popitem(last=False)[1])
        return result

    def _judge(self, path: str, sql: str, gold_sql: str, gold: Result) -> tuple[bool, str]:
        # One row more than the gold result has is enough to tell that the results differ.
        result = self._run(path, sql, len(gold.rows) + 1)
        if result.error == "too many rows":
            # The query did not fail: it returned more rows than the gold query.
            return False, "" if gold.rows else "gold result is empty"
        if result.error:
            return False, result.error
        if not gold.rows and not result.rows:
            return self._judge_empty(path, sql, gold_sql, result, gold)
        if not gold.rows or not result.rows:
            return False, "gold result is empty" if result.rows else "result is empty"
        return same_result(gold, result, orders_rows(gold_sql), self._fixed_columns)

    def _judge_empty(
        self, path: str, sql: str, gold_sql: str, result: Result, gold: Result
    ) -> tuple[bool, str]:
        """Judge a query with an empty result, like the gold query's, by results on other data."""
        reason = "both results are empty: judged on variants of the database"
        if result.columns != gold.columns:
            return False, reason
        if plain_text(Reading(sql)) == plain_text(Reading(gold_sql)):
            return True, reason
        tables, views, names = sql_variants.contents(path)
        compared = sql_variants.wanted([gold_sql, sql], names)
        read = frozenset(table for table, _ in gold.reads | result.reads)
        ordered, found = orders_rows(gold_sql), False
        for number in range(sql_variants.VARIANTS):
            images = [
                sql_variants.variant(tables, views, read, compared, number, backwards)
                for backwards in (False, True)
            ]
            wanted, again = (self._run_on(image, gold_sql) for image in images)
            # Skip a variant on which the gold query's result depends on the database's row order.
            if wanted.error or not same_result(wanted, again, False, True)[0]:
                continue
            theirs = self._run_on(images[0], sql)
            if theirs.error:
                return False, theirs.error
            found = found or bool(wanted.rows)
            sorted_rows = ordered and same_result(wanted, again, True, True)[0]
            if not same_result(wanted, theirs, sorted_rows, self._fixed_columns)[0]:
                return False, reason
        if found:
            return True, reason
        same = result.reads == gold.reads and _compared(sql) == _compared(gold_sql)
        same = same and _literals(sql, result.reads) == _literals(gold_sql, gold.reads)
        return same, "both results are empty, whatever the rows: judged by what the queries compare"

    def _run_on(self, image: bytes, sql: str) -> Result:
        """Run one query on a database, given as bytes."""
        request = {"image": base64.b64encode(image).decode(), "sql": sql}
        return self._ask(request, min(self._timeout, MAX_VARIANT_SECONDS), self._max_rows)

    def _run(self, path: str, sql: str, most_rows: int) -> Result:
        return self._ask({"database": path, "sql": sql}, self._timeout, most_rows)

    def _ask(self, request: dict[str, Any], timeout: float, most_rows: int) -> Result:
        request |= {"seconds": timeout, "rows": most_rows}
        reply = self._worker.ask(request, 2 * timeout + 1)
        if "error" in reply:
            return Result(error=reply["error"], transient=reply.get("transient", False))
        rows = tuple(
            tuple(("blob", v["blob"]) if isinstance(v, dict) else v for v in row)
            for row in reply["rows"]
        )
        reads = frozenset((table, column) for table, column in reply["reads"])
        return Result(rows, reply["columns"], reads)


def from_options(options: Mapping[str, object], folder: Path) -> SqlScorer:
    """Return a scorer with these options, on the databases of a task's folder.

    Raises:
        ValueError: if an option is unknown to `ScorerOptions`, or its value is invalid.
    """
    try:
        found = ScorerOptions.model_validate(dict(options))
    except ValidationError as error:
        raise ValueError(f"scorer 'sql': {problems(error)}") from None
    return SqlScorer(folder / "databases", found)


def read_content(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's content: its query as plain text."""
    return plain_text(read_sql(answer))


def read_answer(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's final answer: its query, as it can be run."""
    return read_sql(answer)


def plain_text(reading: Reading) -> Reading:
    """Return a query with one space between tokens, in lower case outside quotes, no comments."""
    if reading.value is None:
        return reading
    tokens = []
    for match in TOKEN.finditer(reading.value):
        if match.lastgroup in ("text", "name"):
            tokens.append(match[0])
        elif match.lastgroup != "comment":
            tokens.append(match[0].lower())
    return Reading(" ".join(tokens).rstrip("; "))


def without_distinct(sql: str) -> str:
    """Return a query without DISTINCT, except in IS DISTINCT FROM."""
    parts, end, previous = [], 0, ""
    for match in TOKEN.finditer(sql):
        word = match[0].lower()
        if match.lastgroup == "word" and word == "distinct" and previous not in ("is", "not"):
            parts.append(sql[end : match.start()])
            end = match.end()
        if match.lastgroup != "comment":
            previous = word
    return "".join([*parts, sql[end:]])


def orders_rows(sql: str) -> bool:
    """Return whether a query has ORDER BY at its top level, outside all brackets."""
    depth, previous = 0, ""
    for match in TOKEN.finditer(sql):
        token = match[0].lower()
        if match.lastgroup == "comment":
            continue
        if token == "(":
            depth += 1
        elif token == ")":
            depth -= 1
        elif depth == 0 and previous == "order" and token == "by":
            return True
        previous = token
    return False


def same_result(
    gold: Result, result: Result, ordered: bool, fixed_columns: bool = False
) -> tuple[bool, str]:
    """Return whether two results are the same, and a reason.

    The reason is "" unless the comparison reached its limit of steps, as it may for large results
    whose columns all have the same values.

    Args:
        gold: the expected result.
        result: the result to compare with it.
        ordered: whether the order of rows counts.
        fixed_columns: whether the order of columns counts.
    """
    if gold.columns != result.columns or len(gold.rows) != len(result.rows):
        return False, ""
    alike = _alike([*gold.rows, *result.rows])
    left = [tuple(alike[_key(row[c])] for row in gold.rows) for c in range(gold.columns)]
    right = [tuple(alike[_key(row[c])] for row in result.rows) for c in range(gold.columns)]
    if fixed_columns:
        mine, theirs = list(zip(*left, strict=True)), list(zip(*right, strict=True))
        return mine == theirs if ordered else Counter(mine) == Counter(theirs), ""
    if ordered:
        return Counter(left) == Counter(right), ""
    sums = [frozenset(Counter(column).items()) for column in right]
    candidates = []
    for column in left:
        sum_of_mine = frozenset(Counter(column).items())
        candidates.append([c for c in range(len(right)) if sums[c] == sum_of_mine])
    if not all(candidates):
        return False, ""
    order = sorted(range(len(left)), key=lambda c: len(candidates[c]))
    steps = MAX_COMPARED_VALUES // max(1, len(gold.rows))
    return _match_columns(
        [left[c] for c in order], right, [candidates[c] for c in order], max(steps, 1)
    )


def _match_columns(
    left: list[tuple[int, ...]],
    right: list[tuple[int, ...]],
    candidates: list[list[int]],
    steps: int,
) -> tuple[bool, str]:
    """Search for an order of `right`'s columns that gives the same multiset of rows as `left`."""
    rows = len(left[0])
    # One column per level: the numbered rows so far on both sides, and the columns still to try.
    start = (tuple([0] * rows), tuple([0] * rows))
    stack = [(start, frozenset[int](), iter(_distinct(candidates[0], right)))]
    while stack:
        (mine, theirs), used, untried = stack[-1]
        column = next((c for c in untried if c not in used), None)
        if column is None:
            stack.pop()
            continue
        steps -= 1
        if steps < 0:
            return False, "results too alike to compare"
        level = len(stack) - 1
        numbers: dict[tuple[int, int], int] = {}
        longer_mine = _extended(mine, left[level], numbers)
        longer_theirs = _extended(theirs, right[column], numbers)
        if Counter(longer_mine) != Counter(longer_theirs):
            continue
        if level + 1 == len(left):
            return True, ""
        now_used = used | {column}
        free = [c for c in candidates[level + 1] if c not in now_used]
        stack.append(((longer_mine, longer_theirs), now_used, iter(_distinct(free, right))))
    return False, ""


def _distinct(columns: list[int], right: list[tuple[int, ...]]) -> list[int]:
    """Return one column of each set of equal columns; the others would give the same result."""
    return list({right[c]: c for c in reversed(columns)}.values())


def _extended(
    rows: tuple[int, ...], column: tuple[int, ...], numbers: dict[tuple[int, int], int]
) -> tuple[int, ...]:
    return tuple(numbers.setdefault(pair, len(numbers)) for pair in zip(rows, column, strict=True))


def _key(value: Hashable) -> tuple[str, Hashable]:
    """Return a value with its type, because 1, 1.0 and True are the same key in Python."""
    return type(value).__name__, value


def _alike(rows: Sequence[tuple[Hashable, ...]]) -> dict[tuple[str, Hashable], int]:
    """Return a number for each value, the same for equal values and for floats within tolerance."""
    values = {_key(value) for row in rows for value in row}
    alike: dict[tuple[str, Hashable], int] = {}
    numeric: list[int | float] = []
    for kind, value in values:
        if isinstance(value, int | float) and not isinstance(value, bool):
            numeric.append(value)
        else:
            alike[kind, value] = len(alike)
    numeric.sort()
    number = len(alike)
    for place, value in enumerate(numeric):
        if place:
            before = numeric[place - 1]
            exact = isinstance(before, int) and isinstance(value, int)
            close = math.isclose(before, value, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
            if before != value and (exact or not close):
                number += 1
        alike[_key(value)] = number
    return alike


def _values(result: Result) -> int:
    return 1 + len(result.rows) * max(1, result.columns)


def _compared(sql: str) -> Counter[str]:
    """Return the counts of a query's operators; synonyms count as one operator."""
    same = {"==": "=", "<>": "!="}
    tokens = (same.get(match[0].lower(), match[0].lower()) for match in TOKEN.finditer(sql))
    return Counter(token for token in tokens if token in _OPERATORS)


def _literals(sql: str, reads: Iterable[tuple[str, str]]) -> Counter[str]:
    """Return the counts of a query's literals, without quotes.

    For SQLite, text in double quotes is a literal too, unless it is a name that the query reads or
    defines.
    """
    names = {name.lower() for pair in reads for name in pair}
    found: Counter[str] = Counter()
    previous = ""
    for match in TOKEN.finditer(sql):
        token, kind = match[0], match.lastgroup
        inner = token[1:-1].replace(token[:1] * 2, token[:1]).lower()
        if kind == "number":
            found[token.lower()] += 1
        elif kind == "text" or (
            kind == "name" and token[0] == '"' and previous != "as" and inner not in names
        ):
            found[inner] += 1
        if kind != "comment":
            previous = token.lower()
    return found
