"""The journal: completions are on disk as they arrive, and are never asked for again."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from seedbed.engines import Completion, Engine, Request

SYNC_COMPLETIONS = 256
SYNC_SECONDS = 30.0
"""What the death of a process may cost is nothing; what that of a machine may, is this."""


def request_digest(request: Request, model: str) -> str:
    """Return a digest of all that determines a completion.

    Args:
        request: its messages, limits and seed count; its key does not.
        model: what identifies the model's weights, those of an adapter included.
    """
    content = [
        model,
        request.messages,
        request.max_tokens,
        request.temperature,
        request.top_p,
        request.seed,
        # Only where there are some, so that what was kept before there could be is still known.
        *([request.stop] if request.stop else []),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class Journal:
    """A folder of files with a line of JSON for each completion.

    Each process adds a file of its own, so several may write into one folder, and none writes where
    another died in the middle of a line.
    """

    def __init__(self, folder: Path, model: str) -> None:
        """Read what is there.

        Raises:
            ValueError: if a whole line of a file is not what a journal writes.
        """
        self._folder = folder
        self._model = model
        self._known: dict[str, Completion] = {}
        for file in sorted(folder.glob("*.jsonl")):
            self._known.update(read_completions(file))

    def complete(
        self,
        engine: Callable[[], Engine],
        requests: Iterable[Request],
        progress: Callable[[str], None],
        adapter: Path | None = None,
    ) -> Iterator[Completion]:
        """Yield a completion for each request: the known ones first, then what the engine says.

        Each has the `seconds` that passed since the one before it, so that on disk, too, they add
        up to the time that was spent.

        Args:
            engine: called for the engine once there is something to ask, as loading it is dear.
            requests: with distinct keys.
            progress: called with a line of text now and then.
            adapter: of those that the engine may use; it belongs to what identifies the model.

        Raises:
            RuntimeError: if the engine leaves a request without a completion.
        """
        missing: list[Request] = []
        digests: dict[str, str] = {}
        for request in requests:
            digests[request.key] = request_digest(request, self._model)
            known = self._known.get(digests[request.key])
            if known is None:
                missing.append(request)
            else:
                yield replace(known, key=request.key)
        if not missing:
            return
        done = 0
        waiting = said = time.monotonic()
        with _Writer(self._folder) as writer:
            for answer in engine().complete(missing, adapter):
                now = time.monotonic()
                completion = replace(answer, seconds=round(now - waiting, 6))
                waiting = now
                digest = digests[completion.key]
                writer.write(digest, completion)
                self._known[digest] = completion
                done += 1
                if done % SYNC_COMPLETIONS == 0 or now - said > SYNC_SECONDS:
                    said = now
                    progress(f"{done} of {len(missing)} queries")
                yield completion
        if done != len(missing):
            raise RuntimeError(f"the engine answered {done} of {len(missing)} requests")


class _Writer:
    """Appends to a new file, which is there once it has a line."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{uuid.uuid4().hex}.jsonl"
        self._file = -1
        self._unsynced = 0
        self._synced = time.monotonic()

    def __enter__(self) -> _Writer:
        return self

    def write(self, digest: str, completion: Completion) -> None:
        """Hand a completion to the operating system, which keeps it if this process is killed."""
        if self._file < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        # As `asdict`, which takes several times as long as the rest of this.
        fields = {name: getattr(completion, name) for name in Completion.__slots__}
        line = (json.dumps({"request": digest, **fields}) + "\n").encode()
        while line:
            line = line[os.write(self._file, line) :]
        self._unsynced += 1
        if self._unsynced >= SYNC_COMPLETIONS or time.monotonic() - self._synced > SYNC_SECONDS:
            self._sync()

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
    """Yield a file's completions by the digest of their request.

    A last line without an end is where its process died: it is left out.

    Raises:
        ValueError: if a whole line is not what a journal writes.
    """
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                fields = json.loads(line)
                yield fields.pop("request"), Completion(**fields)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(
                    f"line {number} of {file} is not a line of a journal ({error}): delete it, and "
                    "its answer alone is asked for again"
                ) from None
