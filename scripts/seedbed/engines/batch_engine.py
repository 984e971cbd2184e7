"""The batch engine sends requests through a provider's Batch API, which costs about half as much.

A batch is a file of requests. The engine uploads it, the provider answers it within a day, and the
engine downloads the answers. The engine notes each batch on disk before it sends it, adds its id
when it knows it, and keeps the note until the answers are cached. So a process that is killed, or
that stops without waiting, leaves batches that the next process finds: by their id, or by their
file's id in the provider's list of batches. A request that may be under way is never sent again.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from seedbed.engines import Completion, Request
from seedbed.engines.cap import Purse
from seedbed.engines.connections import connection, trouble
from seedbed.engines.openai_engine import (
    ATTEMPTS_WITHOUT_TEXT,
    FAILED_SHARE,
    UNKNOWN_ENDS,
    EndpointError,
    OpenAIEngine,
    advice,
    body,
    is_known_end,
    probe,
)
from seedbed.engines.refusals import Meaning, Refusal, read_refusal
from seedbed.engines.responses import AgainError, read_completion, shown
from seedbed.engines.settings import BatchSettings, Cap, OpenAISettings
from seedbed.engines.suspects import REJECTIONS
from seedbed.records import Record

FIRST_PAUSE = 2.0
GROWTH = 1.5
LONGEST_PAUSE = 60.0
"""Polling a batch: seconds before the first look, their growth factor, and their maximum."""
LONGEST_OUTAGE = 3600.0
"""Seconds during which requests to an unresponsive provider are retried."""
SAY_EVERY = 600.0
"""Seconds between two log lines about an unchanged batch."""
ROUNDS = 4
"""Number of batches with a request after which it counts as failed."""
LISTINGS = 3
"""Number of searches of the provider's list for a batch whose id is unknown here."""
FULL_PAUSE = 60.0
LONGEST_FULL_PAUSE = 600.0
"""Seconds to wait when the provider's queue is full: first pause and maximum."""
CHARACTERS_PER_TOKEN = 3
"""Characters per token when the tokens of a batch are estimated; this overestimates them."""
PIECE = 2**20
ID_CHARACTERS = 32

ENDED = {
    **dict.fromkeys(("completed", "success", "succeeded", "ended", "done"), "completed"),
    **dict.fromkeys(("expired", "timeout_exceeded"), "expired"),
    **dict.fromkeys(("cancelled", "canceled"), "cancelled"),
    **dict.fromkeys(("failed", "error"), "failed"),
}
"""A finished batch's outcome by its status in lower case. Any other status means under way."""
QUEUE_FULL = ("token_limit_exceeded", "enqueued token limit", "tokenlimitexceeded", "queue limit")
"""Texts in the error of a batch that does not fit into the provider's queue now."""
NOT_READY = frozenset(("pending", "running", "queued", "uploading", "notrunning"))
"""Status of a file that is not yet ready for a batch."""


class UnderWayError(EndpointError):
    """A run that does not wait leaves batches under way."""


class _GoneError(EndpointError):
    """The provider does not know the batch or file."""


@dataclass(frozen=True)
class _Form:
    """Differences between a provider's Batch API and OpenAI's.

    Attributes:
        upload: path of uploads below the base address.
        purpose: purpose of a file of requests.
        batches: path of batches below the base address.
        page: whether the API is Mistral's: pages of the list of batches have numbers, and bodies
            have Mistral's fields.
    """

    upload: str = "files"
    purpose: str = "batch"
    batches: str = "batches"
    page: bool = False

    def created(self, file: str, settings: OpenAISettings, batch: BatchSettings) -> dict[str, Any]:
        """Return the body of the request that creates a batch from a file."""
        if self.page:
            return {
                "input_files": [file],
                "endpoint": batch.endpoint,
                "model": settings.model,
                "timeout_hours": batch.hours,
            }
        return {
            "input_file_id": file,
            "endpoint": batch.endpoint,
            "completion_window": batch.window,
        }

    def line(self, key: str, sent: dict[str, object], batch: BatchSettings) -> dict[str, Any]:
        """Return a request's line in the file of a batch."""
        if self.page:
            return {"custom_id": key, "body": {k: v for k, v in sent.items() if k != "model"}}
        return {"custom_id": key, "method": "POST", "url": batch.endpoint, "body": sent}


FORMS = {
    "openai": _Form(),
    "together": _Form(upload="files/upload", purpose="batch-api"),
    "mistral": _Form(batches="batch/jobs", page=True),
}
"""The forms by the value of `batch.form`."""


class BatchRecord(Record):
    """The note of a batch that may be under way, in the folder of its job.

    Attributes:
        batch: the provider's id of the batch; empty if the batch may not exist.
        file: the provider's id of its file; empty if the file may not exist.
        tokens: estimated number of prompt tokens.
        requests: ids of its requests.
    """

    batch: str
    file: str
    tokens: int
    requests: tuple[str, ...]


@dataclass
class _Batch:
    """A batch that is noted on disk.

    Attributes:
        place: file of its `BatchRecord`.
        keys: ids of its requests.
        tokens: estimated number of prompt tokens.
        file: the provider's id of its file; empty if the file may not exist.
        batch: the provider's id of the batch; empty if the batch may not exist.
        said: its last log line, and the time of that.
    """

    place: Path
    keys: list[str]
    tokens: int
    file: str = ""
    batch: str = ""
    said: tuple[str, float] = field(default=("", -math.inf), compare=False)

    def note(self) -> None:
        """Write the batch's record to disk."""
        record = BatchRecord(
            batch=self.batch, file=self.file, tokens=self.tokens, requests=tuple(self.keys)
        )
        record.write(self.place)
        with self.place.open("rb") as file:
            # So that the note survives a crash of the machine.
            os.fsync(file.fileno())

    @classmethod
    def read(cls, place: Path) -> _Batch:
        """Read the record that `note` wrote.

        Raises:
            ValueError: if the record is invalid.
        """
        found = BatchRecord.read(place)
        return cls(place, [*found.requests], found.tokens, found.file, found.batch)


class BatchEngine(OpenAIEngine):
    """A model behind a provider's Batch API."""

    def __init__(
        self, settings: OpenAISettings, cap: Cap | None, place: str, folder: Path, wait: bool
    ) -> None:
        """Read the keys and certificates of the endpoint.

        Args:
            settings: the endpoint's settings, with `batch`.
            cap: the cap on spending.
            place: file of these settings, for messages.
            folder: folder of the batches' records. No other process may use it at the same time.
            wait: whether to wait for batches that are under way.

        Raises:
            EndpointError: see `OpenAIEngine`.
        """
        super().__init__(settings, cap, place)
        self._folder = folder
        self._wait = wait

    def complete(
        self, requests: Iterable[Request], adapter: Path | None = None
    ) -> Iterator[Completion]:
        """Yield one completion per request, as `OpenAIEngine.complete` does.

        Raises:
            UnderWayError: if batches are under way, and the engine does not wait for them.
            EndpointError: see `OpenAIEngine.complete`.
            CapReachedError: see `OpenAIEngine.complete`.
        """
        if adapter is not None:
            raise ValueError(f"an endpoint does not load the adapter {adapter}")
        call = _Call(self, self._settings, self._folder, self._wait)
        call.purse = None if self._cap is None else Purse(self._cap)
        try:
            yield from call.answers(requests)
        except KeyboardInterrupt:
            call.say_left()
            raise
        finally:
            call.close()

    def error(self, said: str, restart: bool = False) -> EndpointError:
        """Return an error of this endpoint; see `OpenAIEngine`."""
        return EndpointError(self.about(said, restart))

    def say(self, text: str) -> None:
        """Print a text to standard error, without secrets."""
        print(self._secrets.hide(text), file=sys.stderr, flush=True)

    async def send(self, method: str, path: str, **more: Any) -> tuple[int, bytes, Mapping]:
        """Send one HTTP request, and return the response's status, body and headers."""
        data = more.pop("data", None)
        query = self._secrets.query | more.pop("params", {})
        address = f"{self._settings.base_url.rstrip('/')}/{path}"
        async with (
            connection(self._settings, self._secrets, self._trusted, json=data is None) as session,
            session.request(
                method, address, params=query, data=data, allow_redirects=False, **more
            ) as response,
        ):
            return response.status, await response.read(), response.headers

    async def fetch(self, path: str, place: Path) -> tuple[int, bytes]:
        """Download a file, and return the status, and the body of an error.

        A redirect to another server is followed without the secrets.
        """
        import aiohttp

        address = f"{self._settings.base_url.rstrip('/')}/{path}"
        async with connection(self._settings, self._secrets, self._trusted) as session:
            query = self._secrets.query
            async with session.get(address, params=query, allow_redirects=False) as response:
                if response.status == 200:
                    return await _keep(response, place)
                elsewhere = response.headers.get("Location")
                if elsewhere is None or not 300 <= response.status < 400:
                    return response.status, await response.read()
        async with (
            aiohttp.ClientSession(trust_env=True) as session,
            session.get(elsewhere) as response,
        ):
            if response.status == 200:
                return await _keep(response, place)
            return response.status, await response.read()


async def _keep(response: Any, place: Path) -> tuple[int, bytes]:
    with place.open("wb") as file:
        async for piece in response.content.iter_chunked(PIECE):
            file.write(piece)
    return 200, b""


class _Call:
    """The requests of one call.

    Attributes:
        purse: the job's purse; None without booking and caps.
    """

    def __init__(
        self, engine: BatchEngine, settings: OpenAISettings, folder: Path, wait: bool
    ) -> None:
        assert settings.batch is not None, "not a model behind a Batch API"
        self.purse: Purse | None = None
        self._engine = engine
        # A file of answers cannot contain streams.
        self._settings = settings.model_copy(update={"stream": False})
        self._batch = settings.batch
        self._form = FORMS[settings.batch.form]
        self._folder, self._wait = folder, wait
        self._loop = asyncio.new_event_loop()
        self._requests: dict[str, Request] = {}
        self._left: deque[str] = deque()
        self._open: list[_Batch] = []
        self._most = settings.batch.requests
        self._full_until = 0.0
        self._full_pause = FULL_PAUSE
        self._rounds: Counter[str] = Counter()
        self._empty: Counter[str] = Counter()
        self._failed: dict[str, str] = {}
        self._unknown: Counter[str] = Counter()
        self._refused: list[tuple[str, Refusal]] = []
        self._fatal: Refusal | None = None
        self._answered = 0
        self._capped = False
        # The id of the request that probes whether the model answers at all, and whether it was
        # sent.
        self._probe = ""
        self._probed = False
        # A batch's results that are not answers. They are settled once the batch is read whole.
        self._later: list[tuple[str, Completion | None, bool]] = []

    def close(self) -> None:
        """End the call. Batches that are under way continue at the provider."""
        self._loop.close()
        if self.purse is not None:
            for batch in self._open:
                for key in batch.keys:
                    if key in self._requests:
                        self.purse.settle(self._requests[key], None)
            self.purse.close()

    def answers(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield a completion per request; see `BatchEngine.complete`."""
        repeated: Counter[str] = Counter()
        for request in requests:
            key = _key(self._settings, request)
            repeated[key] += 1
            if repeated[key] > 1:
                key = f"{key}-{repeated[key]}"
            self._requests[key] = request
        total = len(self._requests)
        if first := next(iter(self._requests.values()), None):
            harmless = probe(self._settings, first)
            self._probe = f"probe-{_key(self._settings, harmless)}"[:ID_CHARACTERS]
            self._requests[self._probe] = harmless
        self._folder.mkdir(parents=True, exist_ok=True)
        self._find()
        under_way = {key for batch in self._open for key in batch.keys}
        self._probed = self._probe in under_way
        known = {*under_way, self._probe}
        self._left.extend(key for key in self._requests if key not in known)
        pause = FIRST_PAUSE
        while True:
            self._send_left()
            if not self._open and (self._capped or not self._left):
                if self._capped or not self._doubtful():
                    break
                self._ask_probe()
                continue
            ended = False
            for batch in [*self._open]:
                about = self._look(batch)
                if about is not None:
                    ended = True
                    yield from self._take(batch, about)
            if ended:
                pause = FIRST_PAUSE
                continue
            if not self._wait:
                raise UnderWayError(self._engine.about(self._count_left(), restart=False))
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * GROWTH)
        yield from self._conclude(total)

    # --- Batches under way

    def _noted(self, place: Path) -> _Batch:
        try:
            return _Batch.read(place)
        except ValueError as error:
            raise self._engine.error(
                f"a batch may be under way, but its record cannot be read: {error}. Without the "
                "record, its requests are sent and paid again: see the provider's list of batches"
            ) from None

    def _find(self) -> None:
        """Find the batches that an earlier process left, and remove files without a record."""
        for place in self._folder.glob("*.*"):
            parts = place.suffix in (".requests", ".answers")
            if parts and not place.with_suffix(".json").exists():
                place.unlink()
        for place in sorted(self._folder.glob("*.json")):
            batch = self._noted(place)
            if not any(key in self._requests for key in batch.keys):
                continue  # Its requests changed since, by an edit.
            if not batch.batch and batch.file:
                batch.batch = self._find_id(batch.file)
            if not batch.batch:
                # The batch was never created.
                for key in batch.keys:
                    if key in self._requests:
                        self._settle(key, None, refused=True)
                place.unlink()
                place.with_suffix(".requests").unlink(missing_ok=True)
                continue
            batch.note()  # The process that sent it booked its requests as in doubt.
            self._engine.say(f"found batch {batch.batch}, of an earlier start")
            self._open.append(batch)

    def _find_id(self, file: str) -> str:
        """Return the id of the batch that was created from a file; empty if there is none.

        The provider's list may lag behind, so it is searched several times.
        """
        for look in range(LISTINGS):
            if look:
                time.sleep(FIRST_PAUSE * look)
            after, page = "", 0
            while True:
                query = {"page": str(page), "page_size": "100"} if self._form.page else {
                    "limit": "100", **({"after": after} if after else {})
                }  # fmt: skip
                found = self._ask("GET", self._form.batches, params=query)
                listed = found if isinstance(found, list) else found.get("data") or []
                for one in listed:
                    if file == one.get("input_file_id") or file in (one.get("input_files") or []):
                        return str(one["id"])
                page += 1
                last = str(listed[-1].get("id")) if listed else ""
                more = len(listed) == 100 if self._form.page else (
                    isinstance(found, dict) and found.get("has_more")
                )  # fmt: skip
                if not more or not last or last == after:
                    break
                after = last
        return ""

    def _look(self, batch: _Batch) -> dict[str, Any] | None:
        """Return the provider's description of a finished batch; None if it is under way."""
        try:
            about = self._ask("GET", f"{self._form.batches}/{batch.batch}")
        except _GoneError as error:
            raise EndpointError(
                f"{error}. If the address and the key are those that sent this batch, delete "
                f"{batch.place} and start again: its {len(batch.keys):,} requests are then sent "
                "again, and its possible cost stays in doubt"
            ) from None
        about = about.get("job") or about
        status = str(about.get("status", "")).lower()
        if status in ENDED:
            return about
        counts = about.get("request_counts")
        counts = counts if isinstance(counts, dict) else {}
        done = counts.get("completed", about.get("succeeded_requests"))
        text = f"batch {batch.batch}: {status or 'under way'}"
        if done is not None:
            text += f", {done} of {len(batch.keys):,} answered"
        now = time.monotonic()
        if now - batch.said[1] > (SAY_EVERY if text == batch.said[0] else LONGEST_PAUSE):
            batch.said = text, now
            self._engine.say(
                f"{text}. Waiting, for up to {self._batch.window}; it goes on without this process "
                "(Ctrl-C), and the next start collects it"
            )
        return None

    def _count_left(self) -> str:
        names = ", ".join(batch.batch for batch in self._open[:5])
        count = sum(len(batch.keys) for batch in self._open)
        more = f"; {len(self._left):,} wait for room in its queue" if self._left else ""
        return (
            f"has {count:,} requests under way in {len(self._open)} batches ({names}){more}. Start "
            "again later to collect the answers; nothing is sent twice"
        )

    def say_left(self) -> None:
        """Log the batches that are under way."""
        if self._open:
            self._engine.say(self._engine.about(self._count_left(), restart=False))

    # --- Sending

    def _send_left(self) -> None:
        """Send the remaining requests, within the limits."""
        while self._left and not self._capped and time.monotonic() >= self._full_until:
            queued = sum(batch.tokens for batch in self._open)
            keys: list[str] = []
            size = tokens = 0
            place = self._folder / f"{uuid.uuid4().hex}.json"
            file = place.with_suffix(".requests")
            with file.open("wb") as lines:
                while self._left and len(keys) < self._most:
                    key = self._left[0]
                    request = self._requests[key]
                    line = self._line(key)
                    needs = sum(len(text) for _, text in request.messages) // CHARACTERS_PER_TOKEN
                    most = self._batch.tokens
                    full = most is not None and queued + tokens + needs > most
                    if keys and size + len(line) > self._batch.megabytes * 1e6:
                        break
                    if full and (keys or self._open):
                        break
                    if self.purse is not None and not self.purse.take(request):
                        self._capped = True
                        break
                    self._left.popleft()
                    keys.append(key)
                    lines.write(line)
                    size, tokens = size + len(line), tokens + needs
            if keys:
                self._send(_Batch(place, keys, tokens), file)
            file.unlink()
            if not keys:
                return

    def _line(self, key: str) -> bytes:
        sent = body(self._settings, self._requests[key])
        return json.dumps(self._form.line(key, sent, self._batch)).encode() + b"\n"

    def _send(self, batch: _Batch, file: Path) -> None:
        """Upload the requests of a batch, and create it. Keep its record once it is uploaded."""
        batch.note()
        try:
            made = self._make(batch, file)
        except BaseException:
            if batch.file:
                self._open.append(batch)  # It may be under way.
            else:
                batch.place.unlink()
            raise
        if made:
            self._open.append(batch)
            self._engine.say(f"batch {batch.batch}: {len(batch.keys):,} requests were sent")

    def _make(self, batch: _Batch, file: Path) -> bool:
        """Upload the requests of a batch, and create it.

        Returns:
            False if the provider's queue has no room for it.
        """
        about = self._ask("POST", self._form.upload, file=file)
        batch.file = str(about["id"])
        batch.note()
        while str(about.get("status", "")).lower() in NOT_READY:
            time.sleep(FIRST_PAUSE)
            about = self._ask("GET", f"files/{batch.file}")
        asked = self._form.created(batch.file, self._settings, self._batch)
        begun = time.monotonic()
        pause = FIRST_PAUSE
        while not batch.batch:
            try:
                about = self._ask("POST", self._form.batches, json=asked, once=True)
                about = about.get("job") or about
                batch.batch = str(about["id"])
            except AgainError as problem:
                # The batch may exist although the response was lost.
                if not problem.limited:
                    batch.batch = self._find_id(batch.file)
                elif _full(str(problem)):
                    self._put_back(batch, str(problem))
                    return False
                if not batch.batch:
                    if time.monotonic() - begun > LONGEST_OUTAGE:
                        raise self._engine.error(str(problem), restart=True) from None
                    time.sleep(problem.wait or pause)
                    pause = min(LONGEST_PAUSE, pause * 2)
        batch.note()
        return True

    def _put_back(self, batch: _Batch, said: str) -> None:
        """Return a batch's requests to the queue, because the provider's queue has no room."""
        for key in reversed(batch.keys):
            self._settle(key, None, refused=True)
            self._left.appendleft(key)
        batch.place.unlink()
        if not self._open:
            # The batch alone may be too large.
            self._most = max(1, len(batch.keys) // 2)
        self._full_until = time.monotonic() + self._full_pause
        self._full_pause = min(LONGEST_FULL_PAUSE, self._full_pause * 2)
        self._engine.say(
            f"the provider's queue is full, and {len(batch.keys):,} requests wait: {said}"
        )

    # --- Results

    def _take(self, batch: _Batch, about: Mapping[str, object]) -> Iterator[Completion]:
        """Yield the completions of a finished batch, and queue its other requests again."""
        how = ENDED[str(about["status"]).lower()]
        said = _errors(about)
        files = [
            str(about[name])
            for name in ("output_file_id", "output_file", "error_file_id", "error_file")
            if about.get(name)
        ]
        if how == "failed" and not files:
            self._open.remove(batch)
            if _full(said):
                self._put_back(batch, said)
                return
            batch.place.unlink()
            raise self._engine.error(f"did not take the batch {batch.batch}: {said}")
        missing = {key for key in batch.keys if key in self._requests}
        self._later = []
        for file in files:
            for key, line in self._lines(batch, file):
                if key not in missing:
                    continue
                missing.discard(key)
                completion = self._read(key, line)
                if completion is not None:
                    if key != self._probe:
                        yield completion
                    # Settled only now, when the caller has cached it.
                    self._settle(key, completion)
        for key in sorted(missing):
            self._later.append((key, None, how != "completed"))
            self._again(key, f"no answer in batch {batch.batch}, which has {how} {said}".strip())
        # If the process dies before this point, the next start reads the batch again.
        for key, kept, refused in self._later:
            self._settle(key, kept, refused)
        self._open.remove(batch)
        batch.place.unlink()
        for name in batch.place.parent.glob(f"{batch.place.stem}.*"):
            name.unlink()
        self._engine.say(
            f"batch {batch.batch} has {how}: {len(batch.keys) - len(missing):,} of "
            f"{len(batch.keys):,} requests came back"
        )
        self._full_until, self._full_pause = 0.0, FULL_PAUSE
        if self._fatal is not None:
            again = self._fatal.meaning is Meaning.ACCOUNT
            raise self._engine.error(self._said(self._fatal), restart=again)
        doubtful = self._doubtful()
        if len(doubtful) >= REJECTIONS:
            raise self._engine.error(self._said(doubtful[-1]))

    def _doubtful(self) -> list[Refusal]:
        """Return the refusals that may concern all requests, because none was answered yet."""
        found = [one for _, one in self._refused if one.meaning is not Meaning.ITEM]
        return [] if self._answered else found

    def _ask_probe(self) -> None:
        """Queue a harmless request, because all requests so far, which are few, were refused.

        Raises:
            EndpointError: if the harmless request was refused before.
        """
        if self._probed:
            raise self._engine.error(self._said(self._doubtful()[-1]))
        self._probed = True
        self._left.append(self._probe)
        self._engine.say("all requests were refused: asking whether the model answers at all")

    def _said(self, refusal: Refusal) -> str:
        """Return the message for a refusal of all requests, with the setting to change."""
        said = refusal.said.rstrip(".")
        if refusal.meaning is Meaning.ACCOUNT:
            return f"refuses: {said}"
        sure = refusal.meaning is Meaning.PARAMETER
        more = advice(self._settings, said, asked=sure)
        return f"rejects every request as invalid: {said}. {more}".rstrip()

    def _lines(self, batch: _Batch, file: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (request id, line) for each line of a file of answers."""
        place = batch.place.with_suffix(".answers")
        begun, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                status, content = self._run(self._engine.fetch(f"files/{file}/content", place))
            except AgainError as problem:
                status, content = 503, str(problem).encode()
            if status == 200:
                break
            refusal = read_refusal(status, content, {})
            if status in (404, 410):
                self._engine.say(f"the file {file} of batch {batch.batch} is gone: {refusal.said}")
                return
            if refusal.meaning not in (Meaning.AGAIN, Meaning.LIMITED):
                raise self._engine.error(f"refuses the file {file}: {refusal.said}", restart=True)
            if time.monotonic() - begun > LONGEST_OUTAGE:
                raise self._engine.error(refusal.said, restart=True)
            time.sleep(refusal.wait or pause)
            pause = min(LONGEST_PAUSE, pause * 2)
        with place.open("rb") as lines:
            for content in lines:
                with suppress(ValueError, RecursionError, TypeError, AttributeError):
                    line = json.loads(content)
                    yield str(line.get("custom_id")), line

    def _read(self, key: str, line: Mapping[str, object]) -> Completion | None:
        """Return the completion in a line; None if its request is retried or was refused."""
        request = self._requests[key]
        response, error = line.get("response"), line.get("error")
        response = response if isinstance(response, dict) else {}
        if isinstance(error, dict) and not any(error.values()):
            error = None
        status = 200 if response and not error else 500
        with suppress(TypeError, ValueError):
            status = int(response["status_code"]) if "status_code" in response else status
        content = json.dumps(response.get("body") or {"error": error}).encode()
        if status == 200 and not error:
            try:
                completion = read_completion(request, content, self._settings.ends)
            except AgainError as problem:
                self._empty[key] += problem.kept is not None
                if problem.kept is None or self._empty[key] < ATTEMPTS_WITHOUT_TEXT:
                    self._later.append((key, problem.kept, False))
                    self._again(key, str(problem))
                    return None
                completion = problem.kept
            self._answered += 1
            if not is_known_end(completion.finish_reason):
                self._unknown[completion.finish_reason] += 1
            return completion
        refusal = read_refusal(status, content, {})
        self._later.append((key, None, True))
        if refusal.meaning is Meaning.FILTERED:
            self._answered += 1
            return Completion(request.key, "", "content_filter", 0, 0)
        if status >= 500 or refusal.meaning in (Meaning.AGAIN, Meaning.LIMITED):
            self._again(key, refusal.said)
        else:
            self._refused.append((key, refusal))
            self._fatal = refusal if refusal.certain else self._fatal
        return None

    def _again(self, key: str, said: str) -> None:
        self._rounds[key] += 1
        if self._rounds[key] < ROUNDS:
            self._left.append(key)
        else:
            self._failed[key] = said

    def _settle(self, key: str, completion: Completion | None, refused: bool = False) -> None:
        if self.purse is not None:
            self.purse.settle(self._requests[key], completion, refused)

    def _conclude(self, total: int) -> Iterator[Completion]:
        """Yield completions for refused and failed requests, after the last answer."""
        if self._unknown.total() >= UNKNOWN_ENDS:
            names = ", ".join(map(repr, self._unknown))
            raise self._engine.error(
                f"ends answers with the unknown finish_reason {names}: add its meaning to "
                f"engine.ends, e.g. {{{next(iter(self._unknown))}: stop}}"
            )
        if self._left and self.purse is not None:
            raise self.purse.reached(len(self._left))
        self._failed.pop(self._probe, None)
        if len(self._failed) > max(1, total * FAILED_SHARE):
            said = next(reversed(self._failed.values()))
            raise self._engine.error(
                f"left {len(self._failed)} of {total} requests without an answer in {ROUNDS} "
                f"batches each; last, {said}",
                restart=True,
            )
        for key in dict.fromkeys(key for key, _ in self._refused if key != self._probe):
            yield Completion(self._requests[key].key, "", "rejected", 0, 0)
        for key, said in self._failed.items():
            self._engine.say(f"a query failed in {ROUNDS} batches, and is left out; last, {said}")
            yield Completion(self._requests[key].key, "", "failed", 0, 0)

    # --- HTTP

    def _ask(
        self, method: str, path: str, *, file: Path | None = None, once: bool = False, **more: Any
    ) -> Any:
        """Send a request about files or batches, and retry it until the provider answers.

        Args:
            method: HTTP method.
            path: path below the base address.
            file: file to upload.
            once: whether to raise temporary failures instead of retrying.
            more: see `BatchEngine.send`.

        Raises:
            AgainError: with `once`, on a failure that a retry may resolve.
            EndpointError: if the provider refuses, or does not answer for an hour.
        """
        begun, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                return self._ask_once(method, path, file, **more)
            except AgainError as problem:
                if once:
                    raise
                if time.monotonic() - begun > LONGEST_OUTAGE:
                    said = f"did not answer for an hour; last, {problem}"
                    raise self._engine.error(said, restart=True) from None
                self._engine.say(f"{path}: {problem}; asking again")
                time.sleep(problem.wait or pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    def _ask_once(self, method: str, path: str, file: Path | None, **more: Any) -> Any:
        if file is not None:
            import aiohttp

            form = aiohttp.FormData()
            form.add_field("purpose", self._form.purpose)
            name = f"{file.stem}.jsonl"
            if self._form.upload != "files":
                form.add_field("file_name", name)
            # Read whole into memory, because the upload may have to be repeated.
            content = file.read_bytes()
            form.add_field("file", content, filename=name, content_type="application/jsonl")
            more["data"] = form
        status, content, headers = self._run(self._engine.send(method, path, **more))
        if 200 <= status < 300:
            try:
                found = json.loads(content)
            except ValueError:
                found = None
            if isinstance(found, dict | list):
                return found
            raise AgainError(f"an answer that is not JSON: {shown(content)}")
        refusal = read_refusal(status, content, headers)
        if refusal.meaning is Meaning.LIMITED or _full(refusal.said):
            raise AgainError(refusal.said, refusal.wait, limited=True)
        if refusal.meaning is Meaning.AGAIN:
            raise AgainError(refusal.said, refusal.wait)
        address = f"{self._settings.base_url.rstrip('/')}/{path}"
        said = f"refuses {method} {address}: {refusal.said}"
        if status in (404, 410):
            raise _GoneError(self._engine.about(said, restart=False))
        raise self._engine.error(said, restart=True)

    def _run(self, asking: Any) -> Any:
        """Run an HTTP coroutine, and return its result.

        Raises:
            AgainError: on a temporary failure of the network or the provider.
            EndpointError: on a permanent failure.
        """
        import aiohttp

        try:
            return self._loop.run_until_complete(asking)
        except TimeoutError:
            raise AgainError(f"no answer in {self._settings.timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            said, lasting, _ = trouble(error)
            if lasting:
                raise self._engine.error(said) from None
            raise AgainError(said) from None


def _key(settings: OpenAISettings, request: Request) -> str:
    """Return the id of a request in a batch: a hash of its body and seed."""
    sent = [body(settings, request), request.seed]
    return sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()[:ID_CHARACTERS]


def _full(said: str) -> bool:
    return any(words in said.lower() for words in QUEUE_FULL)


def _errors(about: Mapping[str, object]) -> str:
    """Return the error messages of a batch."""
    errors = about.get("errors") or about.get("error") or ""
    if isinstance(errors, dict):
        errors = errors.get("data") or errors
    if isinstance(errors, list):
        parts = [
            " ".join(str(one[k]) for k in ("code", "message") if one.get(k))
            if isinstance(one, dict)
            else str(one)
            for one in errors[:3]
        ]
        return "; ".join(parts)
    return errors if isinstance(errors, str) else json.dumps(errors)
