"""The response cache keeps completions on disk as they arrive, and none is requested twice."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import TracebackType

from seedbed.engines import Completion, Engine, Request, UnansweredError

SYNC_COMPLETIONS = 256
SYNC_SECONDS = 30.0
"""A killed process loses nothing; a machine that crashes loses at most this many completions, or
the completions of this many seconds."""

RARE = ("thinking", "thinking_tokens", "estimated", "model", "cached_tokens")
"""Fields of a completion that are omitted from its line if they are empty."""

OFFSET_BITS = 40
"""The place of a completion is one 64-bit number: the number of a file, followed by this many bits
for the offset of a line."""


def request_digest(request: Request, model: str) -> str:
    """Return a digest of everything that determines a request's completion.

    Args:
        request: the request. Its messages, limits and seed are part of the digest; its key is not.
        model: identifies the model's weights, and those of an adapter.
    """
    content = [
        model,
        request.messages,
        request.max_tokens,
        request.temperature,
        request.top_p,
        request.seed,
        # Omitted if empty, so that completions from before this setting existed are found.
        *([request.stop] if request.stop else []),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class ResponseCache:
    """A folder of files with one line of JSON per completion.

    Each process writes a file of its own. So several processes may use one folder, and none appends
    to a line that another left unfinished. Memory holds only the place of each line.

    Attributes:
        answered_by: the models that answered so far, as endpoints name them; "" for no name.
    """

    def __init__(
        self,
        folder: Path,
        model: str,
        ends: Mapping[str, str] | None = None,
        tolerant: bool = False,
    ) -> None:
        """Index the completions in a folder.

        Args:
            folder: the folder; it need not exist.
            model: identifies the model, and how it is queried.
            ends: meanings of finish reasons that were unknown when their answers arrived.
            tolerant: whether any number of requests may be left without an answer.

        Raises:
            ValueError: if a complete line of a file is not a line of a response cache.
        """
        self._folder = folder
        self._model = model
        self._ends = ends or {}
        self._tolerant = tolerant
        self._named: set[str] = set()
        self.answered_by: set[str] = set()
        self._files: list[Path] = []
        self._places = _Places()
        for file in sorted(folder.glob("*.jsonl")):
            for offset, digest, completion in _lines(file):
                self._named.add(completion.model)
                self._places.add(digest, _place(len(self._files), offset))
            self._files.append(file)

    def complete(
        self,
        engine: Callable[[], Engine],
        requests: Iterable[Request],
        progress: Callable[[str], None],
        adapter: Path | None = None,
    ) -> Iterator[Completion]:
        """Yield a completion for each request, cached ones first.

        The `seconds` of a new completion are the time since the previous one was consumed. Their
        sum is therefore the time spent, even if several caches are filled in turn.

        Args:
            engine: returns the engine. It is called only if a completion is missing, because
                loading an engine takes long.
            requests: requests with distinct keys; they are consumed as the engine asks for them.
            progress: called with a line of text now and then.
            adapter: an adapter for the engine to use; `model` must identify it too.

        Raises:
            RuntimeError: if the engine leaves a request without a completion.
        """
        known: deque[tuple[str, int]] = deque()
        asked: dict[str, str] = {}

        def missing() -> Iterator[Request]:
            for request in requests:
                digest = request_digest(request, self._model)
                place = self._places.get(digest)
                if place is None:
                    asked[request.key] = digest
                    yield request
                else:
                    known.append((request.key, place))

        coming = missing()
        first = next(coming, None)
        yield from self._read(known)
        if first is None:
            return
        done = 0
        waiting = said = time.monotonic()
        with _Writer(self._folder) as writer:
            self._files.append(writer.path)
            number = len(self._files) - 1
            for answer in self._asked(engine(), chain([first], coming), adapter):
                now = time.monotonic()
                completion = replace(answer, seconds=round(now - waiting, 6))
                digest = asked.pop(completion.key)
                # Not cached: such answers cost nothing, and the endpoint may answer later.
                if completion.finish_reason not in ("rejected", "failed"):
                    offset = writer.write(digest, completion)
                    self._places.add(digest, _place(number, offset))
                done += 1
                self._note(completion, progress)
                if done % SYNC_COMPLETIONS == 0 or now - said > SYNC_SECONDS:
                    said = now
                    of = f" of {len(requests):,}" if isinstance(requests, Sized) else ""
                    progress(f"{done:,}{of} queries")
                yield completion
                yield from self._read(known)
                waiting = time.monotonic()
        yield from self._read(known)
        left = len(asked) + sum(1 for _ in coming)
        if left:
            raise RuntimeError(f"the engine answered {done} of {done + left} requests")

    def _asked(
        self, engine: Engine, requests: Iterable[Request], adapter: Path | None
    ) -> Iterator[Completion]:
        try:
            yield from engine.complete(requests, adapter)
        except UnansweredError as error:
            if not self._tolerant:
                raise
            for key in error.keys:
                yield Completion(key, "", "failed", 0, 0)

    def _read(self, known: deque[tuple[str, int]]) -> Iterator[Completion]:
        """Yield the completions at these places, and remove them from the queue."""
        while known:
            number = known[0][1] >> OFFSET_BITS
            with self._files[number].open("rb") as file:
                while known and known[0][1] >> OFFSET_BITS == number:
                    key, place = known.popleft()
                    file.seek(place - _place(number, 0))
                    fields = json.loads(file.readline())
                    del fields["request"]
                    completion = replace(Completion(**fields), key=key)
                    if completion.finish_reason in self._ends:
                        meaning = self._ends[completion.finish_reason]
                        completion = replace(completion, finish_reason=meaning)
                    self.answered_by.add(completion.model)
                    yield completion

    def _note(self, completion: Completion, progress: Callable[[str], None]) -> None:
        """Record the model that answered, by the endpoint's name for it."""
        name = completion.model
        self.answered_by.add(name)
        if name not in self._named:
            others = ", ".join(map(repr, sorted(filter(None, self._named))))
            if others:
                progress(
                    f"warning: {name!r} answers now, and {others} answered before in this stream: "
                    "the endpoint has changed the model behind its name"
                )
            self._named.add(name)


class _Places:
    """Places of completions by digest of their requests.

    A hash table with open addressing in one array: a dict takes two to three times the memory. It
    stores half of each digest, because 128 bits distinguish fewer than 2**60 requests.
    """

    _FULL = 0.65
    """Largest share of slots in use."""

    def __init__(self) -> None:
        self._reserve(2**6)

    def get(self, digest: str) -> int | None:
        """Return the place of a completion; None if it is not cached."""
        found = self._slots[self._find(int(digest[:16], 16), int(digest[16:32], 16)) + 2]
        return found - 1 if found else None

    def add(self, digest: str, place: int) -> None:
        """Store the place of a completion, in place of an earlier one."""
        if self._count > self._size * self._FULL:
            before = self._slots
            self._reserve(2 * self._size)
            for slot in range(0, len(before), 3):
                if before[slot + 2]:
                    self._put(before[slot], before[slot + 1], before[slot + 2])
        self._put(int(digest[:16], 16), int(digest[16:32], 16), place + 1)

    def _reserve(self, size: int) -> None:
        # Each slot has two halves of a key, and a place plus 1, or 0 if the slot is free.
        self._slots = array("Q", bytes(8)) * (3 * size)
        self._size = size
        self._count = 0

    def _put(self, one: int, other: int, value: int) -> None:
        slot = self._find(one, other)
        self._count += not self._slots[slot + 2]
        self._slots[slot : slot + 3] = array("Q", (one, other, value))

    def _find(self, one: int, other: int) -> int:
        """Return the slot of a key, or the free slot for it."""
        slots, last = self._slots, self._size - 1
        number = one & last
        while slots[3 * number + 2]:
            if slots[3 * number] == one and slots[3 * number + 1] == other:
                break
            number = (number + 1) & last
        return 3 * number


def _place(number: int, offset: int) -> int:
    return (number << OFFSET_BITS) + offset


class _Writer:
    """Appends to a new file, which is created with its first line."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{uuid.uuid4().hex}.jsonl"
        self._file = -1
        self._length = 0
        self._unsynced = 0
        self._synced = time.monotonic()

    def __enter__(self) -> _Writer:
        return self

    def write(self, digest: str, completion: Completion) -> int:
        """Write a completion so that it survives if this process is killed.

        Returns:
            The offset of its line.
        """
        if self._file < 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        # Equivalent to `asdict`, which takes several times as long as everything else here.
        fields = {name: getattr(completion, name) for name in Completion.__slots__}
        for name in RARE:
            if not fields[name]:
                del fields[name]
        line = (json.dumps({"request": digest, **fields}) + "\n").encode()
        place = self._length
        self._length += len(line)
        while line:
            line = line[os.write(self._file, line) :]
        self._unsynced += 1
        if self._unsynced >= SYNC_COMPLETIONS or time.monotonic() - self._synced > SYNC_SECONDS:
            self._sync()
        return place

    def _sync(self) -> None:
        os.fsync(self._file)
        self._unsynced = 0
        self._synced = time.monotonic()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file >= 0:
            try:
                self._sync()
            finally:
                os.close(self._file)


def read_completions(file: Path) -> Iterator[tuple[str, Completion]]:
    """Yield a file's completions with the digests of their requests.

    An unfinished last line, left by a process that died, is skipped.

    Raises:
        ValueError: if a complete line is not a line of a response cache.
    """
    for _, digest, completion in _lines(file):
        yield digest, completion


def _lines(file: Path) -> Iterator[tuple[int, str, Completion]]:
    """Yield the offset of each line in a file, the digest of its request, and its completion."""
    offset = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                fields = json.loads(line)
                digest = fields.pop("request")
                bytes.fromhex(digest)
                completion = Completion(**fields)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(
                    f"line {number} of {file} is not a line of a response cache ({error}): delete "
                    "it, and its answer alone is asked for again"
                ) from None
            yield offset, digest, completion
            offset += len(line)
