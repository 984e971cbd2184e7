"""The schema of a SQLite database, as text for a prompt."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote


@lru_cache(maxsize=1024)
def schema_text(path: Path) -> str:
    """Return a line a table, as `singer(id INTEGER, name TEXT)`, and one a foreign key.

    A foreign key reads `concert.singer_id = singer.id`. Names that are no plain words are in double
    quotes, as SQL wants them.

    Raises:
        sqlite3.DatabaseError: if the file is no database.
    """
    uri = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        tables = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' "
                "ORDER BY rowid"
            )
        ]
        lines, links, keys = [], [], {}
        for table in tables:
            columns = connection.execute(
                "SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid", (table,)
            ).fetchall()
            keys[table.lower()] = [name for name, _, place in columns if place]
            parts = (f"{_name(name)} {kind}".strip() for name, kind, _ in columns)
            lines.append(f"{_name(table)}({', '.join(parts)})")
        for table in tables:
            for place, other, ours, theirs in connection.execute(
                'SELECT seq, "table", "from", "to" FROM pragma_foreign_key_list(?) '
                "ORDER BY id, seq",
                (table,),
            ):
                # Without a column of its own, a key leads to the other table's primary key.
                known = keys.get(other.lower(), [])
                theirs = theirs or (known[place] if place < len(known) else "")
                if theirs:
                    left, right = f"{_name(table)}.{_name(ours)}", f"{_name(other)}.{_name(theirs)}"
                    links.append(f"{left} = {right}")
    return "\n".join([*lines, *dict.fromkeys(links)])


def _name(name: str) -> str:
    """Return a name as SQL can have it."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return name
    return '"' + name.replace('"', '""') + '"'
