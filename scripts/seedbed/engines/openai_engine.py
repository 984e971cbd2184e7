"""The OpenAI engine: any endpoint that takes the OpenAI API's chat completions.

Answers that are paid for must arrive. So the engine retries temporary failures, and waits for rate
limits. On a permanent failure it sends no more requests, waits for those under way, and fails.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.endings import INTERRUPTS, ExpectedError
from seedbed.engines import Completion, Request, UnansweredError
from seedbed.engines.cap import LOOK_SECONDS, Purse
from seedbed.engines.connections import Secrets, certificates, connection, trouble
from seedbed.engines.rate_limits import Pace, either
from seedbed.engines.refusals import Meaning, Refusal, read_refusal
from seedbed.engines.responses import (
    ENDS,
    AgainError,
    is_error,
    read_completion,
    read_json,
    read_stream,
    shown,
)
from seedbed.engines.settings import Cap, OpenAISettings
from seedbed.engines.shared_limits import LONGEST_WAIT
from seedbed.engines.slots import Slots
from seedbed.engines.suspects import Suspect, Suspects

if TYPE_CHECKING:
    import ssl

    import aiohttp

AFFORD_SECONDS = 0.02
"""Seconds between checks whether answers have left room below the cap."""
FAILED_SHARE = 0.1
MOST_FAILED = 5
"""A call's requests may fail in all attempts up to this share or this number, whichever is larger.
If more fail, the call fails."""
ATTEMPTS_WITHOUT_TEXT = 3
"""Attempts at a request whose answers have no text, after which the empty text is its answer."""
ATTEMPTS_MISSING = 4
"""Attempts at a request for which the endpoint reports a missing model, while it answers others."""
FIRST_WAIT = 0.5
LONGEST_PAUSE = 30.0
"""Backoff: seconds before the first retry, which double with each further one up to the maximum."""
UNKNOWN_ENDS = 5
"""Number of answers with an unknown `finish_reason` at which the run stops, to pay for no more."""
SAY_AFTER = 5.0
SAY_EVERY = 60.0
"""Seconds of waiting for a rate limit before the first log line, and between further lines."""
SHORT_WAIT = 0.1
WAITS_BELIEVED = 2
"""A rate-limited request obeys stated waits of less than `SHORT_WAIT` seconds `WAITS_BELIEVED`
times. After that the engine ignores them, because some endpoints always state a wait of 0."""
LONGEST_ANSWER = 32 * 2**20
"""Most bytes of a response, because an endpoint could send without end."""
SEED_BITS = 31
"""Bits of a seed that every provider accepts."""
PROBE = "Reply with the word yes."
"""Prompt that probes whether an endpoint that refused the last requests answers at all."""
PROBE_TOKENS = 16


class EndpointError(ExpectedError):
    """An endpoint does not answer, and retries will not help."""


class ManyFailedError(EndpointError, UnansweredError):
    """An endpoint answers, but leaves many requests without an answer."""


class _RefusedError(Exception):
    """A request that the endpoint refused.

    Attributes:
        refusal: the endpoint's refusal.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.said)
        self.refusal = refusal


class OpenAIEngine:
    """A model behind an endpoint: a hosted API, or your own server."""

    def __init__(self, settings: OpenAISettings, cap: Cap | None = None, place: str = "") -> None:
        """Read the keys and certificates of the endpoint.

        Raises:
            EndpointError: if an environment variable with a key is not set, or one names
                certificates that cannot be read.
        """
        self._settings = settings
        self._cap = cap
        self._place = place
        try:
            self._secrets = Secrets(settings)
        except KeyError as missing:
            raise EndpointError(
                f"the environment variable {missing.args[0]} is not set; it should hold the key "
                f"for {settings.base_url}"
            ) from None
        try:
            self._trusted = certificates(settings.base_url)
        except OSError as error:
            raise EndpointError(str(error)) from None

    def about(self, said: str, restart: bool) -> str:
        """Return a message about the endpoint, without secrets.

        Args:
            said: predicate of the sentence, whose subject is the endpoint's address.
            restart: whether a restart may help without a change of the configuration.
        """
        place = f"{self._place}: " if self._place else ""
        kept = (
            "Its answers are kept: start again, and only the rest is asked"
            if restart
            else "Its answers are kept"
        )
        return self._secrets.hide(f"{place}{self._settings.base_url} {said.rstrip('.')}. {kept}")

    def complete(
        self, requests: Iterable[Request], adapter: Path | None = None
    ) -> Iterator[Completion]:
        """Yield one completion per request, in the order in which they arrive.

        In addition to "stop" and "length", a `finish_reason` may be "content_filter" (the endpoint
        refuses to answer), "rejected" (the endpoint calls the request invalid, e.g. too long,
        though it answers others) or "failed" (all attempts failed, though other requests
        succeeded). These completions may have an empty text.

        The first Ctrl-C stops sending and waits for requests under way. The second stops at once.

        Raises:
            EndpointError: if the endpoint refuses the key or the model, is down, or leaves many
                requests without an answer. All answers were yielded before.
            CapReachedError: if the cap leaves no room for more. All answers were yielded before.
            ValueError: if there is an adapter.
        """
        if adapter is not None:
            raise ValueError(f"an endpoint does not load the adapter {adapter}")
        call = _Call(self._settings, self._cap, self.about, self._secrets, self._trusted, requests)
        loop = call.loop
        heard = _hear_interrupts(call)
        asking = loop.create_task(call.ask_all())
        asking.add_done_callback(lambda _: loop.stop())
        try:
            # The loop runs until it has completions for the reader.
            while not asking.done():
                loop.run_forever()
                yield from call.take()
            asking.result()
        finally:
            if heard:
                loop.remove_signal_handler(signal.SIGINT)
            asking.cancel()
            while not asking.done():
                loop.run_forever()
            loop.close()


def _hear_interrupts(call: _Call) -> bool:
    """Let the first Ctrl-C end a call in order, if this process may install a handler."""
    if threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, INTERRUPTS.interrupt):
        return False
    call.loop.add_signal_handler(signal.SIGINT, call.interrupt)
    return True


class _Call:
    """The requests of one call.

    Attributes:
        loop: event loop of the requests.
    """

    def __init__(
        self,
        settings: OpenAISettings,
        cap: Cap | None,
        about: Callable[[str, bool], str],
        secrets: Secrets,
        trusted: ssl.SSLContext | None,
        requests: Iterable[Request],
    ) -> None:
        self.loop = asyncio.new_event_loop()
        self._settings = settings
        self._about = about
        self._secrets = secrets
        self._certificates = trusted
        self._requests = iter(requests)
        self._again: deque[Request] = deque()
        self._asked_again: Counter[str] = Counter()
        self._ready: deque[tuple[Completion, asyncio.Future[None]]] = deque()
        self._taken = 0
        self._finished = 0
        self._answered = 0
        self._retries = 0
        self._unknown: Counter[str] = Counter()
        self._rejected: list[Request] = []
        self._failed: list[tuple[Request, str]] = []
        self._asked_failed = False
        self._probing = asyncio.Lock()
        self._error: EndpointError | None = None
        self._over = asyncio.Event()
        self._purse = None if cap is None else Purse(cap)
        self._asking = 0
        self._capped = False
        endpoint = settings.base_url.rstrip("/")
        self._slots = Slots(endpoint, settings.concurrency)
        # Providers limit each model of each account separately.
        limited = f"{endpoint} {settings.model} {settings.key_variable}"
        self._pace = Pace(settings.concurrency, self.loop.time, FIRST_WAIT, self._slots, limited)
        self._suspects = Suspects()
        self._interrupted = False
        self._said = -SAY_EVERY
        self._answered_last = self.loop.time()

    def take(self) -> Iterator[Completion]:
        """Yield the completions that arrived. A worker continues once its completion was read."""
        while self._ready:
            completion, taken = self._ready.popleft()
            yield completion
            if not taken.done():
                taken.set_result(None)

    def interrupt(self) -> None:
        """Stop sending requests; at the second call, stop at once."""
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        self._end("was left at Ctrl-C, after the requests under way had finished", restart=True)

    async def _hand_over(self, completion: Completion) -> None:
        """Wait until the reader has taken a completion.

        Its worker sends nothing meanwhile, so a kill loses at most one completion per worker.
        """
        taken = self.loop.create_future()
        self._ready.append((completion, taken))
        self.loop.stop()
        await taken

    async def ask_all(self) -> None:
        """Send all requests, and wait for their outcome.

        Raises:
            EndpointError: see `OpenAIEngine.complete`.
        """
        self._watch()
        try:
            async with connection(self._settings, self._secrets, self._certificates) as session:
                while True:
                    async with asyncio.TaskGroup() as group:
                        for _ in range(self._settings.concurrency):
                            group.create_task(self._work(session))
                    if not (await self._judge_last(session) or self._failed_again()):
                        break
        finally:
            self._slots.close()
            self._pace.close()
            if self._purse is not None:
                self._purse.close()
        await self._conclude()

    def _next(self) -> Request | None:
        if self._again:
            return self._again.popleft()
        # Taken one by one, because the iterator may create them as they are read.
        request = next(self._requests, None)
        self._taken += request is not None
        return request

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while not self._over.is_set():
            await self._suspects.enter(self._over)
            try:
                if self._over.is_set() or (request := self._next()) is None:
                    return
                await self._finish(session, request)
            finally:
                self._suspects.leave()

    async def _finish(self, session: aiohttp.ClientSession, request: Request) -> None:
        """Send a request until it is answered, or all attempts have failed.

        A rate-limited request uses up no attempt. The total number of retries is bounded: one per
        started request, and `attempts` per worker.
        """
        attempts = self._settings.attempts
        answered_before = 0
        said = ""
        tries = empty = soon = missing = 0
        since = 0.0
        while tries < attempts:
            sent = await self._pace.enter(self._over)
            if self._over.is_set():
                return self._pace.leave(sent)
            if tries == attempts // 2:
                answered_before = self._answered
            if not await self._afford(request):
                self._capped = True
                self._over.set()
                return self._pace.leave(sent)
            try:
                completion = await self._try(session, request)
            except AgainError as problem:
                said, wait = str(problem), problem.wait
                if problem.limited and wait is not None and wait < SHORT_WAIT:
                    soon += 1
                    wait = wait if soon <= WAITS_BELIEVED else None
                self._pace.leave(
                    sent,
                    slow_down=problem.slow_down,
                    limited=problem.limited,
                    wait=wait,
                )
                if problem.limited:
                    if self._pace.waits > LONGEST_WAIT:
                        return self._end(_too_long(self._pace.waits, said), restart=True)
                    gone = self.loop.time() - self._answered_last
                    if gone > LONGEST_WAIT:
                        return self._end(_closed_for_long(gone, said), restart=True)
                    self._say_limit(said)
                    continue
                tries += 1
                empty += problem.kept is not None
                if problem.kept is not None and empty == ATTEMPTS_WITHOUT_TEXT:
                    return await self._answer(problem.kept, sent)
                self._retries += 1
                if self._retries > self._taken + attempts * self._settings.concurrency:
                    said = f"fails too often: {self._retries} times; last, {said}"
                    return self._end(said, restart=True)
                if self._answered == 0 and tries == 2 and problem.slow_to_mend:
                    return self._end(said)
                pause = min(LONGEST_PAUSE, FIRST_WAIT * 2 ** (tries - 1)) * random.uniform(0.5, 1)
                pause = max(pause, problem.wait or 0.0)
                self._say(
                    f"failed {self._retries:,} times: waiting, {pause:.0f} s before the next try; "
                    f"{self._answered:,} were answered so far ({said})"
                )
                await either(self._over, pause)
            except _RefusedError as problem:
                self._pace.leave(sent)
                if await self._refused(request, problem.refusal, sent):
                    return
                tries, missing = tries + 1, missing + 1
                since = since or self.loop.time()
                if missing == ATTEMPTS_MISSING and await self._is_there(session, request, since):
                    self._rejected.append(request)
                    return
                said = f"{problem.refusal.said} ({url(self._settings)})"
                await either(self._over, min(LONGEST_PAUSE, FIRST_WAIT * 2 ** (tries - 1)))
            except EndpointError as error:
                self._pace.leave(sent)
                return self._end(str(error))
            else:
                await self._answer(completion, sent)
                return self._pace.leave(sent, well=True)
        self._failed.append((request, said))
        async with self._probing:
            if self._answered != answered_before or self._over.is_set():
                return
            if await self._probe(session, request):
                self._answered += 1
            elif not self._capped:
                tried = attempts - attempts // 2
                said = f"is down: nothing was answered in {tried} tries; last, {said}"
                self._end(said, restart=True)

    def _say_limit(self, said: str) -> None:
        """Log a wait for a rate limit, at most once per `SAY_EVERY` seconds."""
        if self._pace.waits >= SAY_AFTER:
            self._say(
                f"limits requests: waiting, {self._pace.waits:.0f} s of this limit; "
                f"{self._answered:,} were answered so far ({said})"
            )

    def _say(self, text: str) -> None:
        """Print a text to standard error, at most once per `SAY_EVERY` seconds."""
        now = self.loop.time()
        if now - self._said >= SAY_EVERY:
            self._said = now
            whole = self._secrets.hide(f"{self._settings.base_url} {text}")
            print(whole, file=sys.stderr, flush=True)

    def _watch(self, before: int = -1) -> None:
        """Log that answers are slow, if none has come for `SAY_EVERY` seconds."""
        if self._asking and self._answered == before:
            self._say(
                f"gave no answer for {SAY_EVERY:.0f} s: waiting for {self._asking:,} requests; "
                f"{self._answered:,} were answered so far"
            )
        self.loop.call_later(SAY_EVERY, self._watch, self._answered)

    async def _answer(self, completion: Completion, sent: float) -> None:
        """Hand over an answer, and clear the suspects that it exonerates."""
        self._answered += 1
        self._answered_last = self.loop.time()
        for suspect in self._suspects.well(sent):
            await self._clear(suspect)
        reason = completion.finish_reason
        if not is_known_end(reason):
            self._unknown[reason] += 1
            if self._unknown.total() >= UNKNOWN_ENDS:
                names = ", ".join(map(repr, self._unknown))
                self._end(
                    f"ends answers with the unknown finish_reason {names}: add its meaning to "
                    f"engine.ends, e.g. {{{next(iter(self._unknown))}: stop}} if such an answer is "
                    "whole (or length, content_filter, again)"
                )
        await self._take(completion)

    async def _take(self, completion: Completion) -> None:
        self._finished += 1
        await self._hand_over(completion)

    async def _refused(self, request: Request, refusal: Refusal, sent: float) -> bool:
        """Handle a refusal; return False if the request must be retried."""
        if refusal.certain:
            self._refuse_all(refusal)
        elif self._answered and refusal.meaning is Meaning.FILTERED:
            await self._take(Completion(request.key, "", "content_filter", 0, 0))
        elif self._answered and refusal.meaning is Meaning.ITEM:
            self._rejected.append(request)
        elif self._answered and refusal.meaning is Meaning.MISSING:
            return False
        elif self._suspects.refused(Suspect(request, refusal, sent, self.loop.time())):
            self._refuse_all(refusal)
        return True

    async def _clear(self, suspect: Suspect) -> None:
        """Handle a request whose refusal concerned this request alone."""
        request, meaning = suspect.request, suspect.refusal.meaning
        often = self._asked_again[request.key]
        missing = meaning is Meaning.MISSING
        if meaning is Meaning.FILTERED:
            await self._take(Completion(request.key, "", "content_filter", 0, 0))
        elif suspect.about_all and often < (ATTEMPTS_MISSING - 1 if missing else 1):
            self._asked_again[request.key] += 1
            self._again.append(request)
        else:
            self._rejected.append(request)

    async def _judge_last(self, session: aiohttp.ClientSession) -> bool:
        """Decide about the suspects that remain after the last request.

        Returns:
            Whether there are requests to send again.
        """
        about_items = (Meaning.ITEM, Meaning.FILTERED)
        doubtful = [one for one in self._suspects.last() if one.refusal.meaning not in about_items]
        suspects, self._suspects.suspects = self._suspects.suspects, []
        if not suspects or self._over.is_set():
            return False
        if doubtful and not await self._probe(session, doubtful[0].request):
            if not self._capped:
                self._refuse_all(doubtful[0].refusal)
            return False
        for suspect in suspects:
            await self._clear(suspect)
        if self._again:
            often = max(self._asked_again[request.key] for request in self._again)
            await either(self._over, FIRST_WAIT * 2 ** (often - 1))
        return bool(self._again)

    def _failed_again(self) -> bool:
        """Queue the requests that failed in all attempts once more, after all others.

        Returns:
            Whether there are requests to send again.
        """
        if self._asked_failed or not self._failed or self._over.is_set():
            return False
        self._asked_failed = True
        self._again.extend(request for request, _ in self._failed)
        self._failed.clear()
        return True

    async def _is_there(
        self, session: aiohttp.ClientSession, request: Request, since: float
    ) -> bool:
        """Return whether the model answers other requests.

        Args:
            session: HTTP session.
            request: a request that was refused as if the model did not exist.
            since: time of its first refusal.
        """
        return self._suspects.answered_since(since) or await self._probe(session, request)

    async def _probe(self, session: aiohttp.ClientSession, refused: Request) -> bool:
        """Return whether the endpoint answers a harmless request."""
        request = probe(self._settings, refused)
        if not await self._afford(request):
            self._capped = True
            return False
        try:
            await self._try(session, request)
        except (AgainError, _RefusedError, EndpointError):
            return False
        return True

    def _refuse_all(self, refusal: Refusal) -> None:
        """End the run, because the endpoint refuses all requests."""
        settings, said = self._settings, refusal.said.rstrip(".")
        if refusal.meaning is Meaning.PARAMETER:
            self._end(f"rejects every request as invalid: {said}. {advice(settings, said)}")
        elif refusal.meaning is Meaning.MISSING:
            self._end(
                f"refuses: {said}. The request for the model {settings.model!r} was sent to "
                f"{url(settings)}: engine.base_url must end with the version of the API, e.g. "
                "https://api.openai.com/v1, without /chat/completions, and the model's name must "
                "be the one that the provider lists"
            )
        elif refusal.meaning is Meaning.ACCOUNT or refusal.forbidden:
            key = settings.key_variable
            held = f" The key is in the environment variable {key}." if key else ""
            self._end(f"refuses: {said}.{held}", restart=True)
        else:
            more = advice(settings, said, asked=False)
            self._end(f"rejects every request as invalid: {said}. {more}".rstrip())

    def _end(self, said: str, restart: bool = False) -> None:
        """Send no more requests. Those under way are awaited, because they may be billed.

        Args:
            said: the reason; see `OpenAIEngine.about`.
            restart: whether a restart may help without a change of the configuration.
        """
        if self._error is None:
            self._error = EndpointError(self._about(said, restart))
        self._over.set()

    async def _afford(self, request: Request) -> bool:
        """Return whether the cap leaves room for an attempt.

        It waits while requests under way may turn out to cost less than their maximum. Every
        attempt counts that may have been answered, because the answer may have been lost.
        """
        while self._purse is not None and not self._purse.take(request):
            if not self._asking and not self._purse.may_get_room():
                return False
            await either(self._over, AFFORD_SECONDS if self._asking else LOOK_SECONDS)
            if self._over.is_set():
                return False
        self._asking += 1
        return True

    async def _conclude(self) -> None:
        """Hand over rejected and failed requests after the last answer, or raise the error."""
        if self._capped and self._purse is not None and self._error is None:
            left = self._taken - self._finished - len(self._rejected)
            raise self._purse.reached(left + sum(1 for _ in self._requests))
        if self._error is None:
            for request in self._rejected:
                await self._hand_over(Completion(request.key, "", "rejected", 0, 0))
            if len(self._failed) > max(MOST_FAILED, self._taken * FAILED_SHARE):
                said = (
                    f"left {len(self._failed)} of {self._taken} requests without an answer after "
                    f"{2 * self._settings.attempts} tries each; last, {self._failed[-1][1]}"
                )
                self._error = ManyFailedError(self._about(said, True))
                self._error.keys = tuple(request.key for request, _ in self._failed)
            else:
                tries = 2 * self._settings.attempts
                for request, said in self._failed:
                    text = (
                        f"a query failed in {tries} tries: it is left out, and asked again "
                        f"at the next start; last, {said}"
                    )
                    print(self._secrets.hide(text), file=sys.stderr, flush=True)
                    await self._hand_over(Completion(request.key, "", "failed", 0, 0))
        if self._error is not None:
            raise self._error

    async def _try(self, session: aiohttp.ClientSession, request: Request) -> Completion:
        """Send a request once, as `_ask` does, and book its outcome."""
        completion, refused = None, False
        try:
            completion = await self._ask(session, request)
        except AgainError as problem:
            refused = problem.slow_down
            completion = problem.kept
            raise
        except (_RefusedError, EndpointError):
            refused = True
            raise
        finally:
            self._asking -= 1
            if self._purse is not None:
                self._purse.settle(request, completion, refused)
        return completion

    async def _ask(self, session: aiohttp.ClientSession, request: Request) -> Completion:
        """Send a request once.

        Raises:
            AgainError: if a retry may succeed.
            _RefusedError: if the endpoint refuses the request.
            EndpointError: if no request can succeed.
        """
        import aiohttp

        data = json.dumps(body(self._settings, request)).encode()
        try:
            async with session.post(
                url(self._settings),
                params=self._secrets.query,
                data=data,
                allow_redirects=False,
            ) as response:
                content = await _content(response)
        except TimeoutError:
            raise AgainError(f"no answer in {self._settings.timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            said, lasting, slow_to_mend = trouble(error)
            if lasting:
                raise EndpointError(said) from None
            raise AgainError(said, slow_to_mend=slow_to_mend) from None
        status = response.status
        if status == 200:
            if content.lstrip().startswith((b"data:", b":", b"event:")):
                content = read_stream(content.splitlines())
            if content.lstrip().startswith(b"<"):
                said = f"HTTP 200, with a web page: {shown(content)}"
                raise _RefusedError(Refusal(Meaning.MISSING, said))
            status = _inner_status(content) or status
        if status == 200:
            return read_completion(request, content, self._settings.ends)
        refusal = read_refusal(status, content, response.headers)
        if refusal.meaning is Meaning.LIMITED:
            raise AgainError(refusal.said, refusal.wait, limited=True)
        if refusal.meaning is Meaning.AGAIN:
            slow_down = status in SLOW_DOWN
            raise AgainError(refusal.said, refusal.wait, slow_down=slow_down)
        raise _RefusedError(refusal)


def probe(settings: OpenAISettings, refused: Request) -> Request:
    """Return a harmless request with the refused one's sampling parameters."""
    return replace(
        refused,
        key="",
        messages=(("user", PROBE),),
        max_tokens=PROBE_TOKENS + settings.thinking_tokens,
    )


SLOW_DOWN = (503, 529)
_KNOWN_ENDS = frozenset(ENDS.values()) | {"rejected", "failed"}


def is_known_end(reason: str) -> bool:
    """Return whether the meaning of a completion's `finish_reason` is known."""
    return reason in _KNOWN_ENDS


def url(settings: OpenAISettings) -> str:
    """Return the address of chat completions, without query parameters."""
    return f"{settings.base_url.rstrip('/')}/chat/completions"


def body(settings: OpenAISettings, request: Request) -> dict[str, object]:
    """Return the JSON body of a request.

    A temperature or top_p of 1 is left out unless `send_defaults` is set. It is the API's default,
    and some models refuse the field whatever its value.
    """
    sent: dict[str, object] = {
        "model": settings.model,
        "messages": [{"role": role, "content": text} for role, text in request.messages],
    }
    everything = settings.send_defaults
    for name, value, wanted in (
        (settings.limit_field, request.max_tokens, True),
        (settings.temperature_field, request.temperature, everything or request.temperature != 1),
        (settings.top_p_field, request.top_p, everything or request.top_p != 1),
        (settings.seed_field, request.seed % 2**SEED_BITS, True),
        (settings.stop_field, list(request.stop), bool(request.stop)),
    ):
        if name is not None and wanted:
            sent[name] = value
    if settings.stream:
        sent |= {"stream": True, "stream_options": {"include_usage": True}}
    return sent | settings.body


def advice(settings: OpenAISettings, said: str, asked: bool = True) -> str:
    """Return which configuration key to change when an endpoint refuses a field.

    Args:
        settings: the endpoint's settings.
        said: the endpoint's error message.
        asked: whether the message certainly concerns a field; otherwise the advice may be "".
    """
    low = said.lower()
    if "output limit was reached" in low:
        return "Raise engine.thinking_tokens: thinking took up the limit of an answer"
    if "thinking mode" in low or "budget_tokens" in low:
        return "Raise engine.thinking_tokens, or change engine.body"
    fields = {
        "top_p": settings.top_p_field,
        "temperature": settings.temperature_field,
        "seed": settings.seed_field,
        "stop": settings.stop_field,
    }
    limit = settings.limit_field
    if "max_completion_tokens" in low and limit == "max_tokens":
        return "Set engine.limit_field: max_completion_tokens"
    if limit and limit.lower() in low:
        return "Set engine.limit_field to the endpoint's name, or to null to leave the limit out"
    for name in settings.body:
        if name.lower() in low:
            return f"Change or leave out engine.body.{name}"
    named = [
        name
        for name, field in fields.items()
        if field and re.search(rf"\b{re.escape(field.lower())}\b", low)
    ]
    if named:
        keys = " or ".join(f"engine.{name}_field: null" for name in named)
        return f"Leave it out with {keys}"
    if not asked:
        return ""
    keys = ", ".join(f"engine.{name}_field" for name in fields)
    return f"Change {keys}, engine.limit_field or engine.body; null leaves a field out"


def _too_long(seconds: float, said: str) -> str:
    return f"asks to wait {seconds / 3600:.1f} hours: {said}"


def _closed_for_long(seconds: float, said: str) -> str:
    return (
        f"has refused all requests because of a rate limit for {seconds / 3600:.1f} hours, in "
        f"spite of growing pauses: {said}"
    )


def _inner_status(content: bytes) -> int | None:
    """Return the status of an error in a response with status 200; None if there is none."""
    payload = read_json(content)
    if isinstance(payload, list) and payload:
        payload = payload[0]
    if not isinstance(payload, dict) or not is_error(payload.get("error")):
        return None
    if payload.get("choices"):
        return None
    code = payload["error"].get("code") if isinstance(payload["error"], dict) else None
    with suppress(TypeError, ValueError):
        status = int(str(code))
        if 400 <= status < 600:
            return status
    return 500


async def _content(response: aiohttp.ClientResponse) -> bytes:
    parts = bytearray()
    async for part in response.content.iter_any():
        parts += part
        if len(parts) > LONGEST_ANSWER:
            raise AgainError(f"an answer of more than {LONGEST_ANSWER} bytes")
    return bytes(parts)
