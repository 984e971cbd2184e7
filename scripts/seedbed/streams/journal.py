"""The journal: completions are on disk soon after they arrive, and are never asked for again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from seedbed.artifacts import read_json, write_text
from seedbed.engines import Completion, Engine, Request

PART_COMPLETIONS = 256
PART_SECONDS = 30.0


def request_digest(request: Request, model: str) -> str:
    """Return a digest of all that determines a completion.

    Args:
        request: its messages, limits and seed count; its key does not.
        model: what identifies the model's weights.
    """
    content = [
        model,
        request.messages,
        request.max_tokens,
        request.temperature,
        request.top_p,
        request.seed,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class Journal:
    """A folder of small files with completions, each file written whole or not at all.

    Several processes may write into one folder: each adds files of its own.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._folder = folder
        self._model = model
        self._known: dict[str, Completion] = {}
        self._fresh: dict[str, Completion] = {}
        self._written = time.monotonic()
        for part in sorted(folder.glob("part-*.json")):
            for digest, fields in read_json(part).items():
                self._known[digest] = Completion(**fields)

    def complete(
        self,
        engine: Callable[[], Engine],
        requests: Iterable[Request],
        progress: Callable[[str], None],
    ) -> Iterator[Completion]:
        """Yield a completion for each request: the known ones first, then what the engine says.

        Each has the `seconds` that passed since the one before it, so that on disk, too, they add
        up to the time that was spent.

        Args:
            engine: called for the engine once there is something to ask, as loading it is dear.
            requests: with distinct keys.
            progress: called with a line of text now and then.

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
        waiting = time.monotonic()
        try:
            for answer in engine().complete(missing):
                now = time.monotonic()
                completion = replace(answer, seconds=round(now - waiting, 6))
                waiting = now
                digest = digests[completion.key]
                self._known[digest] = self._fresh[digest] = completion
                done += 1
                if (
                    len(self._fresh) >= PART_COMPLETIONS
                    or time.monotonic() - self._written > PART_SECONDS
                ):
                    self._write_part()
                    progress(f"{done} of {len(missing)} queries")
                yield completion
        finally:
            self._write_part()
        if done != len(missing):
            raise RuntimeError(f"the engine answered {done} of {len(missing)} requests")

    def _write_part(self) -> None:
        self._written = time.monotonic()
        if not self._fresh:
            return
        content = {digest: asdict(completion) for digest, completion in self._fresh.items()}
        name = hashlib.sha256("".join(sorted(content)).encode()).hexdigest()[:20]
        write_text(self._folder / f"part-{name}.json", json.dumps(content))
        self._fresh = {}
