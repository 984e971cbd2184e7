"""Scorer for SQL answers: run the query, and compare its result with that of the gold query.

Queries run in a worker process, which is killed when it overruns, on databases opened read-only;
see `seedbed.evaluation.scorers.sql_worker`. Results are compared as multisets of rows in any order
of columns, or in the gold query's if the option `column_order` is `fixed`; the order of rows counts
where the gold query has ORDER BY at its top level. A whole number equals the same number as a
float, and floats are equal within a tolerance.

An empty gold result would match any query that finds nothing. So where both queries find nothing,
they are run on variants of the database in which the gold query finds something, and must find the
same there; see `seedbed.evaluation.scorers.sql_variants`. The score then carries a reason.

The official evaluation of Spider takes DISTINCT out of both queries; the option `distinct: ignore`
does so, too.
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
"""Of results of gold queries in memory, to which others are compared."""

_SIGNS = frozenset(["=", "!=", "<", "<=", ">", ">=", "+", "-", "/", "%", "||"])
_OPERATORS = _SIGNS | {"not", "like", "glob", "in", "between", "is", "null", "or"}


@dataclass(frozen=True, slots=True)
class Result:
    """What a query gave.

    Attributes:
        rows: its rows; blobs are {"blob": hex digits} turned into tuples.
        columns: number of columns, known for empty results too.
        reads: (table, column) pairs that it reads, in lower case.
        error: why it gave none, "" if it did.
        transient: whether the error says nothing about the query: its process was ended from
            outside, or the machine was too busy to run it in time.
    """

    rows: tuple[tuple[Hashable, ...], ...] = ()
    columns: int = 0
    reads: frozenset[tuple[str, str]] = frozenset()
    error: str = ""
    transient: bool = False


class SqlScorer:
    """Scores SQL by execution. Use it as a context manager, or close it."""

    def __init__(self, folder: Path, options: ScorerOptions | None = None) -> None:
        """Score on the databases below `folder`; no process is started before the first query.

        Args:
            folder: where the items' databases lie.
            options: limits, and what counts. Wall-clock time is capped at twice the CPU seconds of
                `timeout` and one second, so that a busy machine changes no score and nothing hangs.
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

        A gold query that fails spoils its own item alone: nothing matches it, and the reason says
        so.

        Raises:
            FileNotFoundError: if the item's database is not there.
            ValueError: if the item names none, or one outside the folder.
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
        """Run one query on the database of that name and return its result."""
        return self._run(self._existing(database), sql, self._max_rows)

    def problem(self, answer: str, question: str, seed: TaskItem) -> str:
        """Return why an answer to a new question is no use, "" if it may be some."""
        query = read_sql(answer).value
        if query is None:
            return "query_failed"
        result = self.run(seed.database, query)
        return "query_failed" if result.error else "" if result.rows else "no_rows"

    def same(self, first: str, second: str, question: str, seed: TaskItem) -> bool:
        """Return whether the queries of two answers to a question find the same."""
        gold = read_sql(first).value
        return gold is not None and self.score(second, replace(seed, gold=gold)).flexible

    def close(self) -> None:
        """End the worker process."""
        self._worker.stop()

    def __enter__(self) -> SqlScorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _asked(self, sql: str) -> str:
        """Return a query as it is run: without DISTINCT, if that is ignored."""
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
            # Not the query's fault: another item with the same gold asks again.
            return result
        self._gold[key] = result
        self._gold_values += _values(result)
        while self._gold_values > MAX_KEPT_VALUES and len(self._gold) > 1:
            self._gold_values -= _values(self._gold.popitem(last=False)[1])
        return result

    def _judge(self, path: str, sql: str, gold_sql: str, gold: Result) -> tuple[bool, str]:
        # One row too many already tells that the results differ.
        result = self._run(path, sql, len(gold.rows) + 1)
        if result.error == "too many rows":
            # No failure: it ran, and found more than the gold query does.
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
        """Judge a query that finds nothing, like the gold query, by their results on other data."""
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
            # Where the order of the rows in the database decides, the gold query says nothing.
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
        """Run one query on a database that is given by its bytes."""
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
    """Return a scorer with the options given, on the databases of a task's folder.

    Raises:
        ValueError: for an option that `ScorerOptions` does not have, or a value it cannot have.
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
    """Return a query with one space between tokens, in lower case outside quotes, uncommented."""
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
    """Return a query without DISTINCT; that of IS DISTINCT FROM stays."""
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

    Args:
        gold: the expected result.
        result: the result to compare with it.
        ordered: whether the order of rows counts.
        fixed_columns: whether the order of columns counts.

    The reason is "" unless the comparison was given up: results of many rows and columns with the
    same values in every column can take more steps than anyone will wait for.
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
    # One open choice a level: rows so far as numbers on both sides, and columns still to try.
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
    """Return one column of each set of equal ones: trying another would change nothing."""
    return list({right[c]: c for c in reversed(columns)}.values())


def _extended(
    rows: tuple[int, ...], column: tuple[int, ...], numbers: dict[tuple[int, int], int]
) -> tuple[int, ...]:
    return tuple(numbers.setdefault(pair, len(numbers)) for pair in zip(rows, column, strict=True))


def _key(value: Hashable) -> tuple[str, Hashable]:
    """Return a value with its type, since Python takes 1, 1.0 and True for one key."""
    return type(value).__name__, value


def _alike(rows: Sequence[tuple[Hashable, ...]]) -> dict[tuple[str, Hashable], int]:
    """Return a number for each value; equal values, and floats within tolerance, share theirs."""
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
    """Return the operators of a query; some have the same meaning."""
    same = {"==": "=", "<>": "!="}
    tokens = (same.get(match[0].lower(), match[0].lower()) for match in TOKEN.finditer(sql))
    return Counter(token for token in tokens if token in _OPERATORS)


def _literals(sql: str, reads: Iterable[tuple[str, str]]) -> Counter[str]:
    """Return the literals of a query, without quotes.

    A text in double quotes is one, too, for SQLite, unless it is a name that the query reads, or
    gives.
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
