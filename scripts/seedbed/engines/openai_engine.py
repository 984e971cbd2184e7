"""The OpenAI engine: any endpoint that takes the OpenAI API's chat completions.

Answers that are paid for must arrive: what fails for a while is asked again, more slowly where the
endpoint asks for that, and what cannot succeed ends the run, after everything under way has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from seedbed.engines import Completion, EngineSettings, Request
from seedbed.engines.cap import Purse

if TYPE_CHECKING:
    import aiohttp

AFFORD_SECONDS = 0.02
"""How often to look whether what was answered leaves room below the cap."""
ATTEMPTS = 8
"""Tries at one request."""
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
"""Seconds before a second try; twice as many before each further one, up to this."""
REJECTIONS = 10
"""So many requests refused as wrong, and none answered: then all of them are."""
LONGEST_ANSWER = 32 * 2**20
"""Bytes of a response, which an endpoint could send without end."""
SLOW_DOWN = (429, 503, 529)
WRONG_REQUEST = (400, 413, 422)
SAID_CHARACTERS = 300


class EndpointError(RuntimeError):
    """An endpoint does not answer, for a reason that trying again will not mend."""


class _RetryError(Exception):
    """An attempt that failed and may succeed later.

    Attributes:
        wait: seconds that the endpoint asks to wait, if it says so.
        slow_down: whether it has too much to do.
    """

    def __init__(self, said: str, wait: float | None = None, slow_down: bool = False) -> None:
        super().__init__(said)
        self.wait = wait
        self.slow_down = slow_down


class _RejectedError(Exception):
    """A request that the endpoint takes for wrong."""


class OpenAIEngine:
    """A model behind an endpoint: a hosted API, or a server of one's own."""

    def __init__(self, settings: EngineSettings) -> None:
        """Prepare the calls.

        Raises:
            EndpointError: if the environment variable with the key is not set.
        """
        self._settings = settings
        self._key = ""
        if settings.key_variable is not None:
            self._key = os.environ.get(settings.key_variable, "").strip()
            if not self._key:
                raise EndpointError(
                    f"the environment variable {settings.key_variable} is not set; it should hold "
                    f"the key for {settings.base_url}"
                )

    def complete(
        self, requests: Iterable[Request], adapter: Path | None = None
    ) -> Iterator[Completion]:
        """Yield one completion for each request, in the order in which they arrive.

        Beside "stop" and "length", a `finish_reason` may be "content_filter", for what the endpoint
        refuses to answer, and "rejected", for a request that it takes for wrong (too long, say)
        though it answers others. Both have an empty text.

        Raises:
            EndpointError: if the endpoint refuses the key or the model, is down, or leaves requests
                without an answer after all tries. Everything that it answered was yielded before.
            CapReachedError: if the cap leaves no room for more. The same holds.
            ValueError: if there is an adapter.
        """
        if adapter is not None:
            raise ValueError(f"an endpoint does not load the adapter {adapter}")
        call = _Call(self._settings, self._key, requests)
        loop = call.loop
        asking = loop.create_task(call.ask_all())
        asking.add_done_callback(lambda _: loop.stop())
        try:
            # The loop runs while the reader waits, until there is something for it.
            while not asking.done():
                loop.run_forever()
                yield from call.take()
            asking.result()
        finally:
            asking.cancel()
            while not asking.done():
                loop.run_forever()
            loop.close()


class _Call:
    """The requests of one call.

    Attributes:
        loop: what they are asked in.
    """

    def __init__(self, settings: EngineSettings, key: str, requests: Iterable[Request]) -> None:
        self.loop = asyncio.new_event_loop()
        self._settings = settings
        self._key = key
        self._taken = 0
        self._requests = iter(requests)
        self._ready: deque[tuple[Completion, asyncio.Future[None]]] = deque()
        self._answered = 0
        self._retries = 0
        self._rejected: list[tuple[Request, str]] = []
        self._failed: list[str] = []
        self._error: EndpointError | None = None
        self._over = asyncio.Event()
        self._purse = None
        if settings.cap is not None:
            self._purse = Purse(settings.cap)
        self._asking = 0
        self._capped = False
        self._pace = Pace(settings.concurrency, self.loop.time)

    def take(self) -> Iterator[Completion]:
        """Yield what has arrived; who brought it goes on once the reader has dealt with it."""
        while self._ready:
            completion, taken = self._ready.popleft()
            yield completion
            if not taken.done():
                taken.set_result(None)

    async def _hand_over(self, completion: Completion) -> None:
        """Wait until the reader has a completion.

        Its place among those under way stays taken: a kill loses no more than there are places.
        """
        taken = self.loop.create_future()
        self._ready.append((completion, taken))
        self.loop.stop()
        await taken

    async def ask_all(self) -> None:
        """Ask, to the end.

        Raises:
            EndpointError: see `OpenAIEngine.complete`.
        """
        try:
            await self._ask_all()
        finally:
            if self._purse is not None:
                self._purse.close()
        await self._conclude()

    async def _ask_all(self) -> None:
        import aiohttp

        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout, sock_connect=30),
                proxy=_proxy(self._settings.base_url),
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(self._settings.concurrency):
                group.create_task(self._work(session))

    async def _work(self, session: aiohttp.ClientSession) -> None:
        # Taken one by one: they need not all be there at once.
        for request in self._requests:
            self._taken += 1
            await self._finish(session, request)
            if self._over.is_set():
                return

    async def _finish(self, session: aiohttp.ClientSession, request: Request) -> None:
        """Ask until there is an answer, or no hope of one.

        All tries together are bounded: by one for each request begun, and those that find an
        endpoint down, or too busy for all that are under way at first.
        """
        answered_before = 0
        said = ""
        for attempt in range(ATTEMPTS):
            await self._pace.enter(self._over)
            if self._over.is_set():
                return self._pace.leave()
            if attempt == ATTEMPTS // 2:
                answered_before = self._answered
            if not await self._afford(request):
                self._capped = True
                self._over.set()
                return self._pace.leave()
            try:
                completion = await self._try(session, request)
            except _RetryError as problem:
                said = str(problem)
                self._pace.leave(slow_down=problem.slow_down, wait=problem.wait)
                self._retries += 1
                if self._retries > self._taken + ATTEMPTS * self._settings.concurrency:
                    return self._end(f"fails too often: {self._retries} times; last, {said}")
                wait = min(LONGEST_WAIT, FIRST_WAIT * 2**attempt) * random.uniform(0.5, 1)
                await _either(self._over, max(wait, problem.wait or 0.0))
            except _RejectedError as problem:
                self._pace.leave()
                self._rejected.append((request, str(problem)))
                if not self._answered and len(self._rejected) >= REJECTIONS:
                    self._end(f"takes every request for wrong: {problem}")
                return
            except EndpointError as error:
                self._pace.leave()
                return self._end(str(error))
            else:
                self._answered += 1
                await self._hand_over(completion)
                return self._pace.leave(well=True)
        self._failed.append(said)
        if self._answered == answered_before:
            self._end(f"is down: nothing was answered in {ATTEMPTS // 2} tries; last, {said}")

    def _end(self, said: str) -> None:
        """Ask for no more. What is under way is awaited, as it may be paid for."""
        if self._error is None:
            self._error = EndpointError(self._about(said))
        self._over.set()

    async def _afford(self, request: Request) -> bool:
        """Return whether the cap leaves room for a try; what is under way may cost less than most.

        Every try counts, as a server may have answered what never arrived.
        """
        while self._purse is not None and not self._purse.take(request):
            if not self._asking:
                return False
            await _either(self._over, AFFORD_SECONDS)
            if self._over.is_set():
                return False
        self._asking += 1
        return True

    async def _conclude(self) -> None:
        """Say how it ended, after the last answer."""
        if self._capped and self._purse is not None and self._error is None:
            left = self._taken - self._answered - len(self._rejected)
            raise self._purse.reached(left + sum(1 for _ in self._requests))
        if self._rejected and not self._answered:
            self._end(f"takes every request for wrong: {self._rejected[0][1]}")
        elif self._error is None:
            for request, _ in self._rejected:
                await self._hand_over(Completion(request.key, "", "rejected", 0, 0))
            if self._failed:
                self._end(
                    f"left {len(self._failed)} of {self._taken} requests without an answer after "
                    f"{ATTEMPTS} tries each; last, {self._failed[-1]}"
                )
        if self._error is not None:
            raise self._error

    def _about(self, said: str) -> str:
        text = (
            f"{self._settings.base_url} {said}. What it answered is kept: start again, and only "
            "the rest is asked"
        )
        return text.replace(self._key, "(key)") if self._key else text

    async def _try(self, session: aiohttp.ClientSession, request: Request) -> Completion:
        """Ask once, as `_ask`, and book what that took."""
        completion, refused = None, False
        try:
            completion = await self._ask(session, request)
        except _RetryError as problem:
            refused = problem.slow_down
            raise
        except (_RejectedError, EndpointError):
            refused = True
            raise
        finally:
            self._asking -= 1
            if self._purse is not None:
                self._purse.settle(request, completion, refused)
        return completion

    async def _ask(self, session: aiohttp.ClientSession, request: Request) -> Completion:
        """Ask once.

        Raises:
            _RetryError: if it may succeed later.
            _RejectedError: if this request is wrong.
            EndpointError: if none can succeed.
        """
        import aiohttp

        body = {
            "model": self._settings.name,
            "messages": [{"role": role, "content": text} for role, text in request.messages],
            self._settings.limit_field: request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        url = f"{self._settings.base_url.rstrip('/')}/chat/completions"
        try:
            async with session.post(
                url, data=json.dumps(body).encode(), allow_redirects=False
            ) as response:
                content = await _content(response)
        except TimeoutError:
            raise _RetryError(f"no answer in {self._settings.timeout:g} s") from None
        except aiohttp.InvalidURL as error:
            raise EndpointError(f"is no address that can be asked: {error}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _RetryError(f"{type(error).__name__}: {error}") from None
        if response.status == 200:
            return read_completion(request.key, content)
        said, code = _read_error(content)
        said = f"HTTP {response.status}: {said}"
        if code == "content_filter":
            return Completion(request.key, "", "content_filter", 0, 0)
        if response.status in WRONG_REQUEST:
            raise _RejectedError(said)
        if code == "insufficient_quota":
            raise EndpointError(f"refuses: {said}")
        if response.status in SLOW_DOWN:
            raise _RetryError(said, _wait(response.headers.get("Retry-After")), slow_down=True)
        if response.status >= 500 or response.status in (408, 409, 425):
            raise _RetryError(said)
        raise EndpointError(f"refuses: {said}")


class Pace:
    """How many requests may be under way at once: additive increase, multiplicative decrease.

    The number is halved when the endpoint has too much to do, once for those that were under way
    together, and grows by one with each round of answers, as TCP does (Jacobson 1988).
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._limit = float(most)
        self._active = 0
        self._resume = 0.0
        self._spared = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """How many may be under way."""
        return max(1, int(self._limit))

    async def enter(self, over: asyncio.Event) -> None:
        """Wait for a place among those under way, or for the end of all."""
        while not over.is_set():
            pause = self._resume - self._clock()
            if pause > 0:
                await _either(over, pause)
            elif self._active < self.limit:
                break
            else:
                place = asyncio.get_running_loop().create_future()
                self._waiting.append(place)
                await place
        self._active += 1

    def leave(self, well: bool = False, slow_down: bool = False, wait: float | None = None) -> None:
        """Give the place back.

        Args:
            well: whether there was an answer.
            slow_down: whether the endpoint has too much to do.
            wait: seconds that it wants not to be asked.
        """
        self._active -= 1
        if slow_down:
            if wait is not None:
                self._resume = max(self._resume, self._clock() + wait)
            if self._spared > 0:
                self._spared -= 1
            else:
                # Those under way were sent before this was known.
                self._spared = self._active
                self._limit = max(1.0, self._limit / 2)
        elif well:
            self._spared = max(0, self._spared - 1)
            self._limit = min(float(self._most), self._limit + 1 / self._limit)
        for _ in range(max(1, self.limit - self._active)):
            while self._waiting:
                place = self._waiting.popleft()
                if not place.done():
                    place.set_result(None)
                    break


@dataclass(frozen=True, slots=True)
class _Usage:
    prompt_tokens: int
    completion_tokens: int


def read_completion(key: str, content: bytes) -> Completion:
    """Return what the body of a response says.

    Raises:
        _RetryError: if it is not a chat completion with a text and its counts of tokens.
    """
    try:
        payload = json.loads(content)
    except (ValueError, RecursionError):
        raise _RetryError(f"an answer that is not JSON: {_shown(content)}") from None
    try:
        choice = payload["choices"][0]
        message, reason = choice["message"], choice["finish_reason"]
        text, refusal = message["content"], message.get("refusal")
        usage = _Usage(*(payload["usage"][name] for name in _Usage.__slots__))
    except (TypeError, KeyError, IndexError, AttributeError):
        raise _RetryError(f"an answer without a completion: {_shown(content)}") from None
    if text is None and (refusal or reason == "content_filter"):
        text, reason = "", "content_filter"
    counts = (usage.prompt_tokens, usage.completion_tokens)
    if (
        not isinstance(text, str)
        or not isinstance(reason, str)
        or any(type(count) is not int or not 0 <= count < 2**40 for count in counts)
    ):
        raise _RetryError(f"an answer without a completion: {_shown(content)}")
    return Completion(key, _clean(text).strip(), _clean(reason)[:40], *counts)


def _clean(text: str) -> str:
    """Replace halves of characters, which JSON can name and no file can hold."""
    return text.encode("utf-8", "replace").decode()


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address; clusters often have one.

    (What aiohttp's `trust_env` does for each request anew takes longer than the rest of it.)
    """
    address = urlsplit(url)
    if not address.hostname or proxy_bypass(address.hostname):
        return None
    return getproxies().get(address.scheme)


async def _content(response: aiohttp.ClientResponse) -> bytes:
    parts = bytearray()
    async for part in response.content.iter_any():
        parts += part
        if len(parts) > LONGEST_ANSWER:
            raise _RetryError(f"an answer of more than {LONGEST_ANSWER} bytes")
    return bytes(parts)


def _read_error(content: bytes) -> tuple[str, str]:
    """Return the message and the code in the body of an error, whatever it looks like."""
    try:
        error: Any = json.loads(content)
    except (ValueError, RecursionError):
        error = None
    if isinstance(error, dict):
        error = error.get("error", error)
    if isinstance(error, dict):
        message = error.get("message")
        said = message if isinstance(message, str) else _shown(content)
        return _clean(said)[:SAID_CHARACTERS], str(error.get("code"))
    return _shown(content), ""


def _shown(content: bytes) -> str:
    return " ".join(content[:SAID_CHARACTERS].decode("utf-8", "replace").split()) or "(nothing)"


def _wait(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header, at most ten minutes; None if it says none."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
            seconds = date.timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), 600.0) if seconds == seconds else None


async def _either(over: asyncio.Event, seconds: float) -> None:
    """Wait, but not past the end of all."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
