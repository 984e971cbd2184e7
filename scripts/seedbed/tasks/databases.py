"""SQLite databases: reading them, copying them, and their schema as text for a prompt."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing, suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote


def read_only(path: Path) -> sqlite3.Connection:
    """Return a read-only connection to a database.

    SQLite also reads the database's write-ahead log if there is one; otherwise it neither reads nor
    writes any other file.
    """
    fixed = "" if _write_ahead_log(path) else "&immutable=1"
    return sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro{fixed}", uri=True)


def copy_database(source: Path, target: Path) -> None:
    """Copy a database to a new file, including the content of its write-ahead log."""
    if not _write_ahead_log(source):
        shutil.copyfile(source, target)
        return
    try:
        with closing(read_only(source)) as connection, closing(sqlite3.connect(target)) as copy:
            connection.backup(copy)
    except sqlite3.OperationalError:
        # SQLite does not open the log in a folder without write permission.
        shutil.copyfile(source, target)
        shutil.copyfile(_log(source), _log(target))
    with closing(sqlite3.connect(target)) as copy:
        # The copy must be a single file, because it is opened as immutable.
        copy.execute("PRAGMA journal_mode = DELETE")


def _write_ahead_log(path: Path) -> bool:
    """Return whether a database has a write-ahead log that is not empty."""
    log = _log(path)
    return log.is_file() and log.stat().st_size > 0


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


@lru_cache(maxsize=1024)
def schema_text(path: Path) -> str:
    """Return a database's schema, one line per table, view or foreign key.

    A table is `singer(id INTEGER, name TEXT)`, a foreign key `concert.singer_id = singer.id`. Names
    that are not plain words are in double quotes, as in SQL. Generated columns are included, and
    views are marked as such.

    Raises:
        sqlite3.DatabaseError: if the file is not a database.
    """
    with closing(read_only(path)) as connection:
        tables = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' "
                "ORDER BY rowid"
            )
        ]
        lines, links, keys = [], [], {}
        for table in tables:
            columns = _columns(connection, table)
            keys[table.lower()] = [name for name, _, place in columns if place]
            lines.append(_line(table, columns))
        for (view,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY rowid"
        ).fetchall():
            # A view of a missing table cannot be read.
            with suppress(sqlite3.OperationalError):
                lines.append(f"{_line(view, _columns(connection, view))} -- view")
        for table in tables:
            for place, other, ours, theirs in connection.execute(
                'SELECT seq, "table", "from", "to" FROM pragma_foreign_key_list(?) '
                "ORDER BY id, seq",
                (table,),
            ):
                # A key that names no column refers to the other table's primary key.
                known = keys.get(other.lower(), [])
                theirs = theirs or (known[place] if place < len(known) else "")
                if theirs:
                    left, right = f"{_name(table)}.{_name(ours)}", f"{_name(other)}.{_name(theirs)}"
                    links.append(f"{left} = {right}")
    return "\n".join([*lines, *dict.fromkeys(links)])


def _columns(connection: sqlite3.Connection, table: str) -> list[tuple[str, str, int]]:
    """Return the name, type and primary key position of all columns, including generated ones."""
    return connection.execute(
        "SELECT name, type, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid", (table,)
    ).fetchall()


def _line(table: str, columns: list[tuple[str, str, int]]) -> str:
    # SQLite notes a generated column in its type.
    kinds = (
        re.sub(r"\s*GENERATED ALWAYS", "", kind, flags=re.IGNORECASE) for _, kind, _ in columns
    )
    parts = (
        f"{_name(name)} {kind}".strip() for (name, *_), kind in zip(columns, kinds, strict=True)
    )
    return f"{_name(table)}({', '.join(parts)})"


def _name(name: str) -> str:
    """Return a name, in double quotes unless it is a plain word."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return name
    return '"' + name.replace('"', '""') + '"'
