"""Variants of a database in which a query with an empty result may return rows.

The results on variants distinguish two queries whose results on the database are both empty. A
variant is an in-memory copy of the database's tables, without constraints and with few of their
rows. Rows are added to the tables that the queries read. In these rows, a column that a query
compares with a literal contains the literal and its neighbours; joined columns contain the same
keys in all tables; every other column contains distinct values. Further rows are in only one of the
tables, in all but one, or repeated as often as a query counts.
"""

from __future__ import annotations

import itertools
import random
import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from seedbed.evaluation.scorers.sql_reading import KEYWORDS, TOKEN
from seedbed.tasks.databases import read_only

VARIANTS = 4
"""Number of variants. The first two contain only added rows; the others contain more."""

_MOST_COMBINATIONS = 48
_MOST_COUNTED = 60
_KEPT_ROWS = 40
_RANDOM_ROWS = 40
_FIRST_KEY = 900_001
_OPERATORS = frozenset(["=", "==", "!=", "<>", "<", "<=", ">", ">=", "like", "glob", "in", "is"])
_REVERSED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}

Value = str | int | float | None


@dataclass
class Wanted:
    """The comparisons in queries.

    Attributes:
        values: for each column (in lower case), values on which its comparisons differ; values
            that satisfy one come first.
        keys: columns that are compared with other columns.
        counts: numbers with which counts of rows are compared.
    """

    values: dict[str, list[Value]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    counts: set[int] = field(default_factory=set)

    def add(self, column: str, values: Iterable[Value]) -> None:
        """Add values of a column after its earlier values."""
        known = self.values.setdefault(column, [])
        known += [value for value in values if value not in known]


@dataclass(frozen=True)
class Table:
    """A table of a database: its columns with their declared types, and some of its rows."""

    name: str
    columns: tuple[tuple[str, str, bool], ...]
    rows: tuple[tuple[Any, ...], ...]


def wanted(queries: Sequence[str], names: frozenset[str]) -> Wanted:
    """Return the comparisons in queries.

    Args:
        queries: the queries.
        names: names of the database's tables and columns, in lower case. Any other text in double
            quotes is a literal, as in SQLite.
    """
    found = Wanted()
    for query in queries:
        _Comparisons(query, names).collect(found)
    return found


def variant(
    tables: Sequence[Table],
    views: Sequence[str],
    read: frozenset[str],
    compared: Wanted,
    number: int,
    backwards: bool = False,
) -> bytes:
    """Return a variant of a database, as the bytes of a SQLite file.

    Args:
        tables: the database's tables.
        views: statements that create its views.
        read: names of the tables that the queries read, in lower case.
        compared: what the queries compare.
        number: number of the variant, from 0 to `VARIANTS` - 1.
        backwards: whether the rows are in the opposite order. A query whose result depends on that
            order does not determine its rows.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        added = _added_rows([t for t in tables if t.name.lower() in read], compared, number)
        for table in tables:
            columns = ", ".join(f"{_quoted(name)} {kind}" for name, kind, _ in table.columns)
            connection.execute(f"CREATE TABLE {_quoted(table.name)} ({columns})")
            rows = [*(table.rows if number > 1 else ()), *added.get(table.name, ())]
            places = ", ".join("?" * len(table.columns))
            connection.executemany(
                f"INSERT INTO {_quoted(table.name)} VALUES ({places})",
                rows[::-1] if backwards else rows,
            )
        for view in views:
            with suppress(sqlite3.Error):
                connection.execute(view)
        connection.commit()
        return connection.serialize()


@lru_cache(maxsize=32)
def contents(path: str) -> tuple[tuple[Table, ...], tuple[str, ...], frozenset[str]]:
    """Return the tables of a database, the statements of its views, and all names in lower case."""
    with closing(read_only(Path(path))) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        names = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' "
                "AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY rowid"
            )
        ]
        tables = []
        for name in names:
            columns = tuple(
                (column, _plain_type(kind), bool(key))
                for column, kind, key in connection.execute(
                    "SELECT name, type, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1 "
                    "ORDER BY cid",
                    (name,),
                )
            )
            chosen = ", ".join(_quoted(column) for column, _, _ in columns)
            rows = connection.execute(f"SELECT {chosen} FROM {_quoted(name)} LIMIT {_KEPT_ROWS}")
            tables.append(Table(name, columns, tuple(rows)))
        views = tuple(
            sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE type='view'")
        )
    words = {table.name.lower() for table in tables}
    words |= {column.lower() for table in tables for column, _, _ in table.columns}
    return tuple(tables), views, frozenset(words)


class _Comparisons:
    """Finds the comparisons in the tokens of a query."""

    def __init__(self, query: str, names: frozenset[str]) -> None:
        self._tokens = []
        previous = ""
        aliases = {
            match[1].strip('"').lower()
            for match in re.finditer(r"\bas\s+(\w+|\"[^\"]*\")", query, re.IGNORECASE)
        }
        for match in TOKEN.finditer(query):
            kind, token = match.lastgroup or "", match[0]
            if kind == "comment":
                continue
            if kind == "name":
                inner = token[1:-1].replace(token[:1] * 2, token[:1])
                literal = token[0] == '"' and previous != "as"
                literal = literal and inner.lower() not in names | aliases
                kind, token = ("text", inner) if literal else ("column", inner.lower())
            elif kind == "text":
                token = token[1:-1].replace("''", "'")
            elif kind == "word":
                token = token.lower()
                kind = "keyword" if token in KEYWORDS else "column"
            self._tokens.append((kind, token))
            previous = token.lower()

    def collect(self, found: Wanted) -> None:
        """Add the comparisons of the query."""
        for place, (kind, token) in enumerate(self._tokens):
            if kind in ("text", "number"):
                self._add_literal(found, place, token if kind == "text" else _number(token))
            elif token == "null" and self._token(place - 1) in ("is", "not"):
                column = self._column_before(place - 1 - (self._token(place - 1) == "not"))
                if column:
                    found.add(column, [None])
            elif token in ("=", "==", "in") or (token == "using" and kind == "keyword"):
                self._add_keys(found, place)
        words = [token for _, token in self._tokens]
        if {"intersect", "except", "natural"} & set(words):
            for place, token in enumerate(words):
                if token == "select":
                    column = self._column_after(place + 1 + (self._token(place + 1) == "distinct"))
                    if column:
                        found.keys.add(column)
        if "left" in words:
            # "a LEFT JOIN b ... WHERE b.key IS NULL" selects rows without a match, not NULL values.
            for column in found.keys & found.values.keys():
                found.values[column] = [v for v in found.values[column] if v is not None]
                if not found.values[column]:
                    del found.values[column]

    def _token(self, place: int) -> str:
        return self._tokens[place][1] if 0 <= place < len(self._tokens) else ""

    def _kind(self, place: int) -> str:
        return self._tokens[place][0] if 0 <= place < len(self._tokens) else ""

    def _add_literal(self, found: Wanted, place: int, value: Value) -> None:
        before = place - 1
        if self._token(before) == "-" and isinstance(value, int | float):
            value, before = -value, before - 1
        sign = before
        # The literal may be one of IN (...), or of BETWEEN ... AND ...
        while sign >= 0 and (self._token(sign) in (",", "(", "and") or self._is_literal(sign)):
            if self._token(sign) == "and" and self._token(sign - 2) != "between":
                break
            sign -= 1
        operator = self._token(sign)
        if operator == "between":
            operator = ">=" if sign == before else "<="
        column = None
        if operator in (*_OPERATORS, ">=", "<="):
            left = sign - (self._token(sign - 1) == "not") if operator == "in" else sign
            column = self._column_before(left - (self._token(left - 1) == "not"))
            if column is None and self._counts(left) and isinstance(value, int):
                found.counts.add(value)
        elif self._token(place + 1) in _OPERATORS:
            operator = _REVERSED.get(self._token(place + 1), self._token(place + 1))
            column = self._column_after(place + 2)
        if column:
            negated = self._token(sign - 1) == "not" or self._token(sign + 1) == "not"
            found.add(column, _telling(operator, value, negated))

    def _is_literal(self, place: int) -> bool:
        return self._kind(place) in ("text", "number")

    def _counts(self, place: int) -> bool:
        """Return whether a count of rows precedes a position."""
        start = self._opening(place - 1)
        return start is not None and self._token(start - 1) == "count"

    def _opening(self, place: int) -> int | None:
        """Return the position of the bracket that the one at a position closes, or None."""
        if self._token(place) != ")":
            return None
        depth = 0
        for opening in range(place, -1, -1):
            depth += (self._token(opening) == ")") - (self._token(opening) == "(")
            if depth == 0:
                return opening
        return None

    def _column_before(self, place: int) -> str | None:
        """Return the column that ends before a position; for a call, the last in its brackets."""
        opening = self._opening(place - 1)
        if opening is not None:
            if self._token(opening - 1) == "count":
                return None
            inside = range(place - 2, opening, -1)
            names = [p for p in inside if self._kind(p) == "column" and self._token(p + 1) != "("]
            return self._token(names[0]) if names else None
        return self._token(place - 1) if self._kind(place - 1) == "column" else None

    def _column_after(self, place: int) -> str | None:
        """Return the column that begins at a position."""
        while self._kind(place) == "column" and self._token(place + 1) == ".":
            place += 2
        named = self._kind(place) == "column" and self._token(place + 1) != "("
        return self._token(place) if named else None

    def _add_keys(self, found: Wanted, place: int) -> None:
        if self._token(place) == "using":
            column = self._column_after(place + 2)
            found.keys |= {column} if column else set()
            return
        left = self._column_before(place - (self._token(place - 1) == "not"))
        after = place + 1
        while self._token(after) in ("(", "select", "distinct"):
            after += 1
        right = self._column_after(after)
        if left and right:
            found.keys |= {left, right}


def _number(token: str) -> Value:
    value = float(token)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _telling(operator: str, value: Value, negated: bool) -> list[Value]:
    """Return values that distinguish a comparison from others; the first satisfies it."""
    if isinstance(value, str):
        if operator in ("like", "glob"):
            core = value.replace("%", "").replace("*", "").replace("_", "q").replace("?", "q")
            values: list[Value] = [core, f"q{core}q", f"q{core}", f"{core}q", "another"]
            if not value.startswith(("%", "*")) or not value.endswith(("%", "*")):
                values = [core, *values[2:], values[1]]
        else:
            values = [value, f"{value}x", value[:-1], "another"]
            # Part of a date or of a longer text, as in strftime('%Y', day) = '2020'.
            values += [f"{value}-06-15"] if re.fullmatch(r"\d{4}", value) else []
            order = {">": [1], "<": [2, 3], "!=": [3], "<>": [3]}.get(operator, [0])
            values = [*(values[n] for n in order), *values]
        return _first_last(values) if negated else list(dict.fromkeys(values))
    if value is None:
        return [None]
    step = 1 if isinstance(value, int) else 0.5
    values = [value, value + step, value - step]
    order = {">": [1], "<": [2], "!=": [1], "<>": [1]}.get(operator, [0])
    values = [*(values[n] for n in order), *values]
    return _first_last(values) if negated else list(dict.fromkeys(values))


def _first_last(values: list[Value]) -> list[Value]:
    distinct = list(dict.fromkeys(values))
    return [*distinct[1:], distinct[0]]


def _added_rows(
    tables: Sequence[Table], compared: Wanted, number: int
) -> dict[str, list[tuple[Value, ...]]]:
    """Return the rows to add to each table; see the module's description."""
    chance = random.Random(number)
    rows: dict[str, list[tuple[Value, ...]]] = {table.name: [] for table in tables}
    keyed = [v for c in sorted(compared.keys) for v in compared.values.get(c, []) if v is not None]
    keys: list[Value] = [*range(_FIRST_KEY, _FIRST_KEY + 3), *dict.fromkeys(keyed)]
    makers = {table.name: _Rows(table, compared) for table in tables}
    for place, key in enumerate(keys):
        for name, maker in makers.items():
            combinations = maker.combinations(chance) if number else [maker.base()]
            rows[name] += [maker.row(key, place, n, c) for n, c in enumerate(combinations)]
    if number == 0:
        return rows
    group = itertools.count(_FIRST_KEY + 100)
    for name in makers:
        for others in (False, True):
            key = next(group)
            for other, maker in makers.items():
                if (other != name) == others:
                    rows[other].append(maker.row(key, key, 0, maker.base()))
    for count in sorted(n for n in compared.counts if 0 < n <= _MOST_COUNTED):
        for name, times in itertools.product(makers, (count - 1, count, count + 1)):
            for own_key in (False, True) if len(makers) > 1 else (True,):
                key = next(group)
                for other, maker in makers.items():
                    repeated = times if other == name else 1
                    for n in range(repeated):
                        rows[other].append(
                            maker.row(key, key, 0, maker.base(), n if own_key else 0)
                        )
    for name, one in [(n, c) for n in makers for c in makers[n].singles()[:_MOST_COMBINATIONS]]:
        key = next(group)
        for other, maker in makers.items():
            rows[other].append(maker.row(key, key, 0, one if other == name else maker.base()))
    if number > 1:
        pool = [*keys, *range(_FIRST_KEY + 50, _FIRST_KEY + 53)]
        for name, maker in makers.items():
            # No column contains all keys, so that some rows have no match in another table.
            some = [chance.sample(pool, (len(pool) + 1) // 2) for _ in maker.columns]
            rows[name] += [maker.random_row(chance, some) for _ in range(_RANDOM_ROWS)]
    return rows


class _Rows:
    """Creates rows of a table."""

    def __init__(self, table: Table, compared: Wanted) -> None:
        self.columns = table.columns
        self._compared = compared
        self._fixed = [
            (place, compared.values[name.lower()])
            for place, (name, _, _) in enumerate(table.columns)
            if name.lower() in compared.values
        ]

    def base(self) -> dict[int, Value]:
        """Return the first value of every column that has values to compare with."""
        return {place: values[0] for place, values in self._fixed}

    def combinations(self, chance: random.Random) -> list[dict[int, Value]]:
        """Return many combinations of the compared columns' values."""
        base = self.base()
        single = self.singles()
        lists = [values for _, values in self._fixed]
        places = [place for place, _ in self._fixed]
        every = itertools.islice(itertools.product(*lists), 2_000)
        mixed = [dict(zip(places, values, strict=True)) for values in every]
        chosen = chance.sample(mixed, min(len(mixed), _MOST_COMBINATIONS))
        found = [base, *single[:_MOST_COMBINATIONS], *chosen]
        return [one for n, one in enumerate(found) if one not in found[:n]]

    def singles(self) -> list[dict[int, Value]]:
        """Return the base with each other value in turn."""
        base = self.base()
        return [base | {place: v} for place, values in self._fixed for v in values]

    def row(
        self, key: Value, group: int, number: int, fixed: dict[int, Value], copy: int = 0
    ) -> tuple[Value, ...]:
        """Return a row of a key, compared values, and distinct values."""
        values: list[Value] = []
        for place, (name, kind, primary) in enumerate(self.columns):
            if place in fixed and not (name.lower() in self._compared.keys and number == 0):
                value = fixed[place]
            elif name.lower() in self._compared.keys:
                value = key
                if copy and primary:
                    value = _FIRST_KEY + 10_000 + copy
            else:
                value = self._own(place, kind, group * 3 + number % 3)
            values.append(value)
        return tuple(values)

    def random_row(
        self, chance: random.Random, keys: Sequence[Sequence[Value]]
    ) -> tuple[Value, ...]:
        """Return a row of random values: keys from `keys` by column, and few different others."""
        values: list[Value] = []
        for place, (name, kind, _) in enumerate(self.columns):
            known = self._compared.values.get(name.lower())
            if known and chance.random() < 0.8:
                values.append(chance.choice(known))
            elif name.lower() in self._compared.keys:
                values.append(chance.choice(keys[place]))
            else:
                values.append(self._own(place, kind, chance.randrange(4)))
        return tuple(values)

    def _own(self, place: int, kind: str, number: int) -> Value:
        """Return a value that occurs in no other column."""
        if re.search("int|real|floa|doub|num|dec|bool", kind, re.IGNORECASE):
            return 7_000 + 1_000_000 * place + number
        return f"{self.columns[place][0]} {number}"


def _plain_type(kind: str) -> str:
    """Return a declared type in a form that is safe to use in CREATE TABLE."""
    return kind if re.fullmatch(r"[A-Za-z][A-Za-z0-9_ (),]{0,60}", kind) else ""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
