"""Worker process that runs untrusted SQL; `seedbed.evaluation.scorers.sql` starts and stops it.

This file is run as a script with a socket's file descriptor and a memory limit as arguments. It
imports only the standard library. Requests and replies are JSON, one of each at a time:

    {"database": path, "sql": text, "seconds": CPU time, "rows": most rows}
    {"image": a database in base64, "sql": ...}
    {"rows": [...], "columns": n, "reads": [[table, column], ...]}   or   {"error": text}

A blob is sent as {"blob": hex digits}. A query can only read: the database is a file opened
read-only and immutable, or in memory; an authorizer refuses every action except reading, and the
process cannot write files.
"""

from __future__ import annotations

import base64
import contextlib
import json
import resource
import sqlite3
import sys
import time
from multiprocessing.connection import Connection
from urllib.parse import quote

# Maximum bytes of text and blobs in one result; a result is sent and compared as a whole.
MAX_RESULT_BYTES = 32_000_000
# Maximum number of open databases.
MAX_CONNECTIONS = 8
# Steps of SQLite's virtual machine between two checks of the clock (about 0.1 ms).
STEPS_PER_CHECK = 2_000

_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


# Functions that access anything outside the database.
_REFUSED = {"load_extension", "fts3_tokenizer"}


class Database:
    """A database opened for reading only."""

    def __init__(self, path: str = "", image: bytes = b"") -> None:
        """Open the database file at `path`, or the database with the bytes `image`."""
        self.reads: set[tuple[str, str]] = set()
        self._deadline = 0.0
        uri = ":memory:" if image else f"file:{quote(path)}?mode=ro&immutable=1"
        # The authorizer records what a query reads, and a cached statement would bypass it.
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, cached_statements=0)
        if image:
            self._connection.deserialize(image)
        # Sorting must use memory, which is limited, and not files.
        self._connection.execute("PRAGMA temp_store = MEMORY")
        for limit, value in _LIMITS.items():
            self._connection.setlimit(limit, value)
        # Some real databases contain text that is not UTF-8.
        self._connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        # These tables read only their argument. SQLite creates them at their first use, by a
        # statement that the authorizer would refuse.
        for table in ("json_each", "json_tree"):
            with contextlib.suppress(sqlite3.OperationalError):  # An SQLite without JSON.
                self._connection.execute(f"SELECT 1 FROM {table}('[]')").fetchall()
        self._connection.set_authorizer(self._authorize)
        self._connection.set_progress_handler(self._late, STEPS_PER_CHECK)

    def run(self, sql: str, seconds: float, most_rows: int) -> dict[str, object]:
        """Run one query and return the reply to its request."""
        self.reads.clear()
        self._deadline = time.process_time() + seconds
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql)
            if cursor.description is None:
                return {"error": "not a query"}
            rows: list[list[object]] = []
            size = 0
            for row in cursor:
                if len(rows) == most_rows:
                    return {"error": "too many rows"}
                size += sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
                if size > MAX_RESULT_BYTES:
                    return {"error": "result too large"}
                rows.append([{"blob": v.hex()} if isinstance(v, bytes) else v for v in row])
            columns = len(cursor.description)
            return {"rows": rows, "columns": columns, "reads": sorted(self.reads)}
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            if time.process_time() >= self._deadline:
                return {"error": "timeout"}
            return {"error": f"{type(error).__name__}: {error}"[:300]}
        finally:
            cursor.close()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _late(self) -> bool:
        return time.process_time() >= self._deadline

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _REFUSED:
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_READ:
            self.reads.add(((first or "").lower(), (second or "").lower()))
        return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def serve(requests: Connection) -> None:
    """Answer requests until the other end closes."""
    databases: dict[str, Database] = {}
    while True:
        try:
            request = json.loads(requests.recv_bytes())
        except EOFError:
            return
        try:
            if "image" in request:
                with contextlib.closing(Database(image=base64.b64decode(request["image"]))) as one:
                    reply = one.run(request["sql"], request["seconds"], request["rows"])
            else:
                path = request["database"]
                if path not in databases:
                    if len(databases) == MAX_CONNECTIONS:
                        databases.pop(next(iter(databases))).close()
                    databases[path] = Database(path)
                reply = databases[path].run(request["sql"], request["seconds"], request["rows"])
            raw = json.dumps(reply).encode()
        except sqlite3.Error as error:
            raw = json.dumps({"error": f"cannot open the database: {error}"}).encode()
        except MemoryError:
            raw = b'{"error": "out of memory"}'
        requests.send_bytes(raw)


def _cap(memory_bytes: int) -> None:
    """Limit this process's memory, and keep it from writing files and core dumps."""
    # Some systems do not allow every limit to be set; the heap limit below works on all of them.
    for kind, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))
    connection = sqlite3.connect(":memory:")
    connection.execute(f"PRAGMA hard_heap_limit = {memory_bytes // 2}")
    connection.close()


if __name__ == "__main__":
    _cap(int(sys.argv[2]))
    serve(Connection(int(sys.argv[1])))
