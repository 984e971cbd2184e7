"""Extension of shards: a shard with too few queries gets the missing ones, and keeps its rows.

Studies with other budgets need more or fewer queries of the same stream. The file of a shard
therefore records which queries it contains, and everything that determines its rows. A larger
budget appends rows; existing rows stay, even without the response cache. A smaller budget leaves
the file as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from seedbed.artifacts import PROVENANCE, read_metadata, write_json, write_parquet
from seedbed.config.values import JsonObject
from seedbed.streams import THINKING

Make = Callable[[Sequence[int], bool], pl.DataFrame]
"""Returns the rows of some queries, given in order; the second argument says whether these queries
were asked before and failed."""

MOST_QUERIES = 2**62
"""Longer than any stream."""


@dataclass(frozen=True)
class Part:
    """The queries that a job needs from a shard.

    Attributes:
        start: first query of the shard.
        stop: one past the last needed query.
        end: one past the last query that the shard can hold.
    """

    start: int
    stop: int
    end: int

    def rows(self, path: Path) -> pl.DataFrame:
        """Read a file with a row for each query of the shard, including those that are not needed.

        Raises:
            ValueError: if the file lacks needed queries.
        """
        table = pl.read_parquet(path)
        queries = table["query"]
        needed = queries.filter(queries.is_between(self.start, self.stop, closed="left"))
        if needed.to_list() != list(range(self.start, self.stop)):
            raise ValueError(
                f"{path} does not hold queries {self.start} to {self.stop - 1} once each: start "
                "snakemake again to have it extended, or delete it to have it made again"
            )
        return table


@dataclass(frozen=True)
class Basis:
    """Everything that determines the rows of a shard.

    Attributes:
        identity: settings, model, and digests of inputs of all rows, as plain values for JSON.
        rows: by name, the tables that the rows are made from, query by query, each with a column
            `query`. A longer table must begin with the rows of a shorter one.
        code: digest of the code, if it determines the rows; None if a model does.
    """

    identity: Mapping[str, object]
    rows: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    code: str | None = None

    def described(self, part: Part) -> JsonObject:
        """Return everything that determines the rows of some queries, as plain values for JSON."""
        within = (pl.col("query") >= part.start) & (pl.col("query") < part.stop)
        digests = {name: rows_digest(table.filter(within)) for name, table in self.rows.items()}
        found = {
            **self.identity,
            "basis": digests,
            "queries": {"start": part.start, "stop": part.stop},
        }
        return json.loads(json.dumps(found))


@dataclass(frozen=True)
class Held:
    """The part of a shard's file that can be kept.

    Attributes:
        rows: its rows.
        stop: one past the last query that the rows cover.
        whole: whether the file has no other rows.
        made: the code and versions that made each range of queries, in order.
    """

    rows: pl.DataFrame
    stop: int
    whole: bool
    made: tuple[dict[str, object], ...] = ()


def rows_digest(table: pl.DataFrame) -> str:
    """Return a digest of a table's rows, in their order; library versions do not change it."""
    digest = hashlib.sha256(json.dumps(table.columns).encode())
    for row in table.iter_rows():
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def held_until(path: Path) -> int | None:
    """Return one past the last query in a shard's file, according to the file's metadata.

    None if the file does not exist, is broken, or comes from a version that did not record it.
    """
    return _held_until(_about(path))


def _held_until(about: Mapping[str, object]) -> int | None:
    queries = about.get("queries")
    stop = queries.get("stop") if isinstance(queries, dict) else None
    return stop if isinstance(stop, int) and 0 <= stop < MOST_QUERIES else None


def held(path: Path, part: Part, schema: pl.Schema, basis: Basis) -> Held:
    """Return the rows of a shard's file that can be kept.

    Rows are kept if the file's metadata shows that the same settings and model made them from the
    same seeds and questions, and that they have not changed since; otherwise none are kept. The
    file may contain more queries than needed.

    Args:
        path: the file, which need not exist.
        part: the needed queries.
        schema: columns of the rows, `query` among them.
        basis: everything that determines the rows now.
    """
    none = Held(pl.DataFrame(schema=schema), part.start, whole=False)
    about = _about(path)
    stop, digest = _held_until(about), about.pop("rows", None)
    if stop is None or stop < part.start:
        return none
    if about != basis.described(Part(part.start, stop, part.end)):
        return none
    rows = _rows(path)
    if rows is None or _without_thinking(rows.schema) != schema or rows_digest(rows) != digest:
        return none
    made = _made(path, digest)
    if basis.code is not None and {one.get("code") for one in made} != {basis.code}:
        return none
    if stop <= part.end:
        return Held(rows, stop, whole=True, made=made)
    # The shard was larger in an earlier configuration; the rest belongs to the next shard.
    rows = rows.filter(pl.col("query") < part.end)
    return Held(rows, part.end, whole=False, made=_made_before(made, part.end))


def extend(
    path: Path,
    part: Part,
    schema: pl.Schema,
    basis: Basis,
    make: Make,
    provenance: Mapping[str, object],
) -> pl.DataFrame:
    """Extend a shard's file to all needed queries, and return its rows.

    Failed queries are asked again. A file that needs no change keeps its bytes, and only its
    modification time is updated.

    Args:
        path: the file, which need not exist.
        part: the needed queries.
        schema: columns of the rows, `query` among them.
        basis: everything that determines the rows.
        make: makes the missing rows.
        provenance: code and versions, recorded next to the file.
    """
    known = held(path, part, schema, basis)
    rows, made = known.rows, [*known.made]
    again = rows.filter(was_left(schema))["query"].unique().sort()
    answered: list[int] = []
    if again.len():
        found = make(again.to_list(), True)
        # Rows of queries that fail again are not changed.
        left = found.filter(was_left(schema))["query"].to_list()
        found = found.filter(~pl.col("query").is_in(left))
        answered = found["query"].unique().sort().to_list()
        rows = _joined(rows.filter(~pl.col("query").is_in(answered)), found)
        rows = rows.sort("query", maintain_order=True)
        made += [{"start": query, "stop": query + 1, **provenance} for query in answered]
    if known.whole and known.stop >= part.stop and not answered:
        os.utime(path)
        return known.rows
    stop = max(known.stop, part.stop)
    if known.stop < stop:
        rows = _joined(rows, make(range(known.stop, stop), False))
        if not known.rows.height:
            rows = _with_seconds_of(path, rows)
        made.append({"start": known.stop, "stop": stop, **provenance})
    about = basis.described(Part(part.start, stop, part.end))
    digest = rows_digest(rows)
    write_parquet(path, rows, about | {"rows": digest})
    # Written last: if the process dies in between, the record's digest does not match the rows.
    write_json(path.with_name(PROVENANCE), {"rows": digest, "made": made})
    return rows


def was_left(schema: pl.Schema) -> pl.Expr:
    """Return the expression for rows whose query failed in all attempts and must be asked again.

    Args:
        schema: schema of a shard's rows. A row of questions counts only if its slot is empty:
            otherwise a later attempt was usable.
    """
    if "finish_reason" in schema:
        return (pl.col("finish_reason") == "failed").fill_null(False)
    if {"question", "reason"} <= schema.keys():
        failed = pl.col("reason").str.split(",").list.contains("failed")
        return pl.col("question").is_null() & failed.fill_null(False)
    return pl.lit(False)


def _joined(rows: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    # Only rows of a model that thinks have a column for thinking tokens.
    both = pl.concat([rows, more], how="diagonal")
    return both.with_columns(cs.ends_with(THINKING).fill_null(0))


def _without_thinking(schema: pl.Schema) -> pl.Schema:
    return pl.Schema({name: kind for name, kind in schema.items() if not name.endswith(THINKING)})


def spread_seconds(rows: pl.DataFrame, who: str) -> pl.DataFrame:
    """Return rows with their total time divided in proportion to their completion tokens.

    Answers come in batches, so the time of a single answer is unknown. Rows keep their seconds, to
    the microsecond, when the shard is extended. The seconds of a dataset are the sum over its
    queries.

    Args:
        rows: rows that were made together.
        who: prefix of the columns: `augmenter`, `teacher` or `verification`.
    """
    seconds, tokens = pl.col(f"{who}_seconds"), pl.col(f"{who}_completion_tokens")
    share = seconds.sum() * tokens / tokens.sum()
    return rows.with_columns(pl.when(tokens.sum() > 0).then(share).otherwise(seconds).round(6))


def _with_seconds_of(path: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the seconds that a file records for them, if its rows are equal.

    A file of an earlier version does not record what determines its rows, so they are made again
    from the response cache. They differ only in their seconds, and the file's seconds are kept.
    """
    before = _rows(path) if path.is_file() else None
    if before is None or before.schema != rows.schema:
        return rows
    before = before[: rows.height]
    first = rows[: before.height]
    timed = [name for name in rows.columns if name.endswith("_seconds")]
    if not timed or not before.drop(timed).equals(first.drop(timed)):
        return rows
    return pl.concat([before, rows[before.height :]])


def _about(path: Path) -> JsonObject:
    """Return the metadata of a file; empty if it cannot be read."""
    import pyarrow as pa

    try:
        found = read_metadata(path)
    except (OSError, ValueError, RecursionError, pa.ArrowException):
        return {}
    return found if isinstance(found, dict) else {}


def _rows(path: Path) -> pl.DataFrame | None:
    """Return the rows of a file whose pages may be damaged; None if they cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        # Polars assumes that texts are valid UTF-8.
        table.validate(full=True)
    except (OSError, ValueError, pa.ArrowException):
        return None
    return pl.DataFrame(pl.from_arrow(table))


def _made_before(made: Iterable[dict[str, Any]], end: int) -> tuple[dict[str, object], ...]:
    """Return the entries on the queries before `end`."""
    return tuple(one | {"stop": min(one["stop"], end)} for one in made if one["start"] < end)


def _made(path: Path, digest: str) -> tuple[dict[str, object], ...]:
    """Return how a file's rows were made, from the record of these rows next to it, if any."""
    try:
        found = json.loads(path.with_name(PROVENANCE).read_text(encoding="utf-8"))
        made = tuple(
            one | {"start": int(one["start"]), "stop": int(one["stop"])} for one in found["made"]
        )
        return made if found["rows"] == digest else ()
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ()
