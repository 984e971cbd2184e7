"""The manifest: how each result was made, as content digests stored next to the results.

`results/STUDY` and `resources` each have a `manifest.jsonl`, which is copied along with them. It
has one line per finished job: the digests of the job's outputs and inputs, its settings, and the
digest of its code. The last line of a job counts. Other lines hold values that many jobs share, by
digest: long settings, and the modules that a code digest covers.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections import UserList
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NotRequired, TypedDict

from seedbed.artifacts import file_digest, read_metadata, replacing
from seedbed.run.contents import RECORDS, content_digest

if TYPE_CHECKING:
    from pydantic import JsonValue

    from seedbed.config.values import JsonObject

NAME = "manifest.jsonl"

LONGEST = 64
"""The longest setting in characters that a job's line holds itself; longer ones are shared."""

# Top-level keys of JSON artifacts that record how they were made. No job reads them.
_ABOUT_MAKING = frozenset({"code", "versions"})
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class State:
    """The recorded state of a file.

    Attributes:
        sha256: digest of its bytes.
        content: digest of its content without the record of how it was made.
        size: bytes.
        mtime_ns: modification time. A file of the same size and time is not hashed again; the time
            decides nothing else.
    """

    sha256: str
    content: str
    size: int
    mtime_ns: int

    def holds_for(self, status: os.stat_result) -> bool:
        """Return whether a file with this status need not be hashed again."""
        return self.size == status.st_size and self.mtime_ns == status.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Input:
    """A file that a job read.

    Attributes:
        path: its path.
        content: its content digest, as in `State`.
        state: its state, if no job of the manifest made it; None otherwise.
    """

    path: str
    content: str
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """How the outputs of a job were made.

    Attributes:
        rule: name of the job's rule.
        outputs: the states of its output files, by path.
        inputs: its input files, by the name of the rule's input.
        settings: tracked parameters by name, as `setting` returns them.
        code: digest of the code that it ran, without the engine's code.
        engine: module of the engine that ran its model, and the digest of that module's code.
        stop: for a shard of a stream, one past the last query that it holds.
        rows: for a shard, the digest of its rows.
        versions: for a shard, `stop` and content digest of this file and of the shorter versions
            that it continues.
        failed: for a shard, how many queries failed in all tries. The next run asks them again.
    """

    rule: str
    outputs: dict[str, State]
    inputs: dict[str, tuple[Input, ...]]
    settings: JsonObject
    code: str
    engine: tuple[str, str] | None = None
    stop: int | None = None
    rows: str = ""
    versions: tuple[tuple[int, str], ...] = ()
    failed: int = 0

    def shared_digests(self) -> list[str]:
        """Return the digests of the values that it shares with other records."""
        found = [self.code] if self.engine is None else [self.code, self.engine[1]]
        return found + [
            str(value[0]) for value in self.settings.values() if isinstance(value, list)
        ]

    def to_json(self) -> str:
        """Return the record as a line of the manifest."""
        content: _Line = {
            "outputs": {path: _entry(state) for path, state in self.outputs.items()},
            "rule": self.rule,
            "inputs": {
                name: [
                    (one.path, one.content)
                    if one.state is None
                    else (one.path, one.content, _entry(one.state))
                    for one in files
                ]
                for name, files in self.inputs.items()
            },
            "settings": self.settings,
            "code": self.code,
        }
        if self.engine is not None:
            content["engine"] = self.engine
        if self.stop is not None:
            content |= {"stop": self.stop, "rows": self.rows, "versions": [*self.versions]}
        if self.failed:
            content["failed"] = self.failed
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: bytes | str) -> Record:
        """Read a line that `to_json` returned."""
        found: _Line = json.loads(line)
        engine = found.get("engine")
        return cls(
            rule=found["rule"],
            outputs={path: _state(entry) for path, entry in found["outputs"].items()},
            inputs={
                name: tuple(
                    Input(one[0], one[1], _state(one[2]) if len(one) == 3 else None)
                    for one in files
                )
                for name, files in found["inputs"].items()
            },
            settings=found["settings"],
            code=found["code"],
            engine=None if engine is None else (engine[0], engine[1]),
            stop=found.get("stop"),
            rows=found.get("rows", ""),
            versions=tuple((stop, digest) for stop, digest in found.get("versions", ())),
            failed=found.get("failed", 0),
        )


# The state of a file: the digest of its bytes, its size, its modification time, and its content
# digest if that differs.
_Entry = tuple[str, int, int] | tuple[str, int, int, str]


class _Line(TypedDict):
    """A record as JSON. An input that no job of the manifest made has a third entry."""

    rule: str
    outputs: dict[str, _Entry]
    inputs: dict[str, list[tuple[str, str] | tuple[str, str, _Entry]]]
    settings: JsonObject
    code: str
    engine: NotRequired[tuple[str, str]]
    stop: NotRequired[int]
    rows: NotRequired[str]
    versions: NotRequired[list[tuple[int, str]]]
    failed: NotRequired[int]


def _entry(state: State) -> _Entry:
    if state.content == state.sha256:
        return state.sha256, state.size, state.mtime_ns
    return state.sha256, state.size, state.mtime_ns, state.content


def _state(entry: _Entry) -> State:
    return State(entry[0], entry[3] if len(entry) == 4 else entry[0], entry[1], entry[2])


class Manifest:
    """The records of a study's jobs, and of jobs whose results several studies share.

    Args:
        roots: folders of results, each with its own manifest file. The folder of a job's first
            output decides which file records the job.
    """

    def __init__(self, roots: Sequence[str | os.PathLike[str]]) -> None:
        self._stores = {os.fspath(root): _Store(Path(root)) for root in roots}

    def __len__(self) -> int:
        return sum(len(store.lines) for store in self._stores.values())

    def record(self, path: str) -> Record | None:
        """Return the record of how a file was made; None if there is none."""
        store = self._store(path)
        if store is None or path not in store.first:
            return None
        return Record.from_json(store.lines[store.first[path]])

    def records(self) -> Iterator[Record]:
        """Yield all records."""
        for store in self._stores.values():
            for line in store.lines.values():
                yield Record.from_json(line)

    def covers(self, path: str) -> bool:
        """Return whether a file is in one of the folders."""
        return self._store(path) is not None

    def state(self, path: str) -> State | None:
        """Return the recorded state of a file; None if there is none."""
        store = self._store(path)
        return None if store is None else store.states.get(path)

    def shared(self, digest: str) -> JsonValue:
        """Return a shared value by its digest: a long setting, or the parts of some code."""
        found = (store.shared.get(digest) for store in self._stores.values())
        return next((value for value in found if value is not None), None)

    def add(self, records: Iterable[Record], shared: JsonObject) -> None:
        """Append the records of jobs.

        Args:
            records: the records.
            shared: the values that they share, by digest. Values already in a file are not added.

        Raises:
            OSError: if a file cannot be written.
            ValueError: if outputs are in none of the folders.
        """
        by_store: dict[str, list[Record]] = {}
        for record in records:
            path = next(iter(record.outputs))
            store = self._store(path)
            if store is None:
                raise ValueError(f"{path} is in none of {', '.join(self._stores)}")
            by_store.setdefault(os.fspath(store.root), []).append(record)
        for root, found in by_store.items():
            self._stores[root].add(found, shared)

    def restate(self, states: Mapping[str, State]) -> None:
        """Update the states of files in memory; `compact` writes them."""
        for path, state in states.items():
            store = self._store(path)
            if store is not None and path in store.first:
                store.restate(path, state)

    def compact(self) -> None:
        """Rewrite files with many superseded lines, or with states that `restate` has updated.

        Raises:
            OSError: if a file cannot be written.
        """
        for store in self._stores.values():
            store.compact()

    def _store(self, path: str) -> _Store | None:
        for root, store in self._stores.items():
            if path.startswith(root) and path[len(root) : len(root) + 1] == os.sep:
                return store
        return None


class _Store:
    """One manifest file: its lines as read, and those added since."""

    def __init__(self, root: Path) -> None:
        self.root, self.path = root, root / NAME
        self.lines: dict[str, bytes] = {}
        self.first: dict[str, str] = {}
        self.states: dict[str, State] = {}
        self.shared: JsonObject = {}
        self._superseded, self._restated, self._size = 0, False, 0
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        self._size = len(content)
        for line in content.splitlines():
            try:
                found = json.loads(line)
                if "shared" in found:
                    self.shared.update(found["shared"])
                else:
                    states = {path: _state(entry) for path, entry in found["outputs"].items()}
                    self._take(line, states)
            except (ValueError, TypeError, KeyError):
                continue  # Truncated by a kill: its job counts as not recorded.

    def add(self, records: Iterable[Record], shared: JsonObject) -> None:
        lines = []
        for record in records:
            new = {
                digest: shared[digest]
                for digest in record.shared_digests()
                if digest in shared and digest not in self.shared
            }
            if new:
                lines.append(json.dumps({"shared": new}, ensure_ascii=False).encode())
                self.shared.update(new)
            lines.append(record.to_json().encode())
            self._take(lines[-1], record.outputs)
        content = b"".join(b"%b\n" % line for line in lines)
        with _locked(self.path) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                # The last line may lack its end if its writer was killed.
                content = content if file.read(1) == b"\n" else b"\n" + content
            file.write(content)
        self._size += len(content)

    def restate(self, path: str, state: State) -> None:
        found = json.loads(self.lines[self.first[path]])
        found["outputs"][path] = _entry(state)
        self.lines[self.first[path]] = json.dumps(found, ensure_ascii=False).encode()
        self.states[path] = state
        self._restated = True

    def compact(self) -> None:
        if not self._restated and self._superseded <= len(self.lines):
            return
        shared = json.dumps({"shared": self.shared}, ensure_ascii=False).encode()
        content = b"".join(b"%b\n" % line for line in [shared, *self.lines.values()])
        with _locked(self.path) as file:
            if file.seek(0, os.SEEK_END) != self._size:
                return  # A run of another study has added lines; a later run compacts the file.
            with replacing(self.path) as temporary:
                temporary.write_bytes(content)
        self._superseded, self._restated, self._size = 0, False, len(content)

    def _take(self, line: bytes, states: Mapping[str, State]) -> None:
        first = next(iter(states))
        for known in {self.first[path] for path in states if path in self.first}:
            self.lines.pop(known, None)
            self._superseded += 1
        self.lines[first] = line
        self.first.update(dict.fromkeys(states, first))
        self.states.update(states)


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Yield a manifest file, locked against other processes if the file system supports locks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.open("a+b", buffering=0)
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        # Another process may have put a new file in its place while this one waited.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()
    with file:
        yield file


def setting(value: object, shared: JsonObject) -> JsonValue:
    """Return a setting in the form of the records, and add a long one to the shared values.

    Mappings and lists are stored as JSON, as earlier versions passed them to their jobs.
    """
    if isinstance(value, str):
        if len(value) <= LONGEST:
            return value
        digest = _text_digest(value)
        shared[digest] = value
        return [digest]
    if value is None or isinstance(value, int | float | bool):
        return value
    if isinstance(value, UserList):
        value = value.data
    return setting(json.dumps(value, sort_keys=True, default=repr), shared)


@lru_cache(maxsize=4096)
def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_state(path: str | os.PathLike[str], known: State | None = None) -> State:
    """Return the present state of a file.

    Args:
        path: the file.
        known: its recorded state, whose content digest is reused if the bytes are the same.

    Raises:
        OSError: if the file cannot be read.
    """
    status = Path(path).stat()
    sha256 = file_digest(path)
    if known is not None and known.sha256 == sha256:
        content = known.content
    else:
        content = _content(Path(path), sha256)
    return State(sha256, content, status.st_size, status.st_mtime_ns)


def _content(path: Path, sha256: str) -> str:
    """Return the digest of a file's content without the record of how it was made.

    For JSON and Parquet, the code digest and the versions of libraries are left out. For files in
    `RECORDS`, `content_digest` decides.
    """
    try:
        if path.name in RECORDS:
            return content_digest(path)
        if path.suffix == ".json":
            about, digest = json.loads(path.read_bytes()), hashlib.sha256()
        elif path.suffix == ".parquet":
            about, digest = read_metadata(path), _rows_digest(path)
        else:
            return sha256
    except (OSError, ValueError):
        return sha256  # Unreadable: the jobs that read it will report that.
    if not isinstance(about, dict) or not _ABOUT_MAKING & about.keys():
        return sha256
    rest = {key: value for key, value in about.items() if key not in _ABOUT_MAKING}
    digest.update(json.dumps(rest, sort_keys=True).encode())
    return digest.hexdigest()


def _rows_digest(path: Path) -> hashlib._Hash:
    """Return the digest of a Parquet file up to its footer, and of its schema.

    Source: https://parquet.apache.org/docs/file-format.
    """
    # Imported here because it takes long to import, and few plans need it.
    import pyarrow.parquet as pq

    schema = pq.read_schema(path).remove_metadata()
    digest = hashlib.sha256(str(schema).encode())
    with path.open("rb") as file:
        size = file.seek(-8, os.SEEK_END)
        left = size - int.from_bytes(file.read(4), "little")
        file.seek(0)
        while left > 0 and (part := file.read(min(left, _BLOCK))):
            digest.update(part)
            left -= len(part)
    return digest
