"""Rate limits: how long an endpoint says to wait, in whichever way, and how to learn it otherwise.

A request that is one too many costs neither a try nor money, so a limit is waited for, within
reason. Where the endpoint says when it takes more, all requests wait until then. Where it does not,
one request at a time tries: in growing steps the first time, and near the pause that was found once
one is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from seedbed.engines.slots import Slots

LONGEST_WAIT = 3600.0
"""Seconds of waiting for a limit, told or found out, after which a run ends and says so."""
STEP = 1.15
"""By which the pauses grow in which an unknown limit is tried."""
EARLY = 0.95
"""Share of a known pause after which it is tried again."""
FIRST_PAUSE = 0.5
"""Seconds before an unknown limit is tried the first time."""
SLOT_SECONDS = 0.05
"""How often a request looks whether other processes leave it room."""
_PARTS = re.compile(
    r"(\d+(?:\.\d+)?)\s*"
    r"(ms|milliseconds?|seconds?|secs?|minutes?|mins?|hours?|[smhd](?![a-z]))?",
    re.I,
)
_DURATION = re.compile(rf"(?:{_PARTS.pattern}\s*)+", re.I)
_SAID = re.compile(
    r"(?:try again|retry|wait)(?: after| in| for)?[: ]+(?:about )?"
    r"((?:\d+(?:\.\d+)?\s*"
    r"(?:ms|milliseconds?|seconds?|secs?|minutes?|mins?|hours?|[smhd](?![a-z]))?\s*)+)",
    re.I,
)
_UNITS = {"ms": 0.001, "mi": 60.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
EPOCH = 1e8
"""Numbers above this are no pause but a time: in seconds since 1970, or in milliseconds."""


def read_duration(text: str, unit: float = 1.0) -> float | None:
    """Return the seconds of a duration, as `20`, `1.5s`, `120ms` or `6m0s`; None for anything else.

    Args:
        text: the duration.
        unit: seconds of a number without a unit.
    """
    text = text.strip()
    if not text or not _DURATION.fullmatch(text):
        return None
    total = 0.0
    for number, name in _PARTS.findall(text):
        name = name.lower()
        if not name:
            scale = unit
        elif name.startswith(("ms", "milli")):
            scale = _UNITS["ms"]
        else:
            scale = _UNITS[name[0]]
        total += float(number) * scale
    return total


def read_moment(text: str) -> float | None:
    """Return the seconds until a time: a date of HTTP or of RFC 3339, or seconds or milliseconds
    since 1970; or the seconds of a duration. None for anything else."""
    text = text.strip()
    seconds = read_duration(text)
    if seconds is not None:
        if seconds > EPOCH * 1000:
            seconds = seconds / 1000
        return seconds - time.time() if seconds > EPOCH else seconds
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        with contextlib.suppress(ValueError, OverflowError, TypeError):
            return read(text).timestamp() - time.time()
    return None


def told_wait(headers: Mapping[str, str], payload: Any = None, said: str = "") -> float | None:
    """Return the seconds that an endpoint asks to wait, at least 0; None if it does not say.

    Args:
        headers: of the response.
        payload: the body as JSON; OpenRouter repeats headers in it, Gemini has a RetryInfo.
        said: the message of the error, which may name a time.
    """
    named = {name.lower(): str(value) for name, value in headers.items()}
    for inner in _mappings(payload, "headers"):
        named |= {str(name).lower(): str(value) for name, value in inner.items()}
    found = _first(
        _known(named.get("retry-after-ms"), 0.001),
        _moment(named.get("retry-after")),
        _moment(named.get("x-retry-after")),
        *(_known(delay, 1.0) for delay in _values(payload, ("retryDelay", "retry_delay"))),
        _reset(named),
        *(_known(found, 1.0) for found in _SAID.findall(said)),
        *(_known(delay, 1.0) for delay in _values(payload, ("retry_after", "retry_after_seconds"))),
    )
    return None if found is None else max(found, 0.0)


def _first(*found: float | None) -> float | None:
    return next((one for one in found if one is not None), None)


def _known(text: str | None, unit: float) -> float | None:
    return None if text is None else read_duration(text, unit)


def _moment(text: str | None) -> float | None:
    return None if text is None else read_moment(text)


def _reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until the limits that are used up begin anew.

    The families are `x-ratelimit-reset-requests` with `x-ratelimit-remaining-requests`,
    `anthropic-ratelimit-tokens-reset` with `anthropic-ratelimit-tokens-remaining`, and such.
    """
    resets: list[tuple[float, float]] = []
    for name, value in headers.items():
        if "ratelimit" not in name or "reset" not in name:
            continue
        seconds = read_moment(value)
        if seconds is None:
            continue
        remaining = _number(headers.get(name.replace("reset", "remaining")))
        limit = _number(headers.get(name.replace("reset", "limit")))
        share = 1.0
        if remaining is not None:
            share = remaining / limit if limit else float(remaining > 0)
        resets.append((share, seconds))
    if not resets:
        return None
    least = min(share for share, _ in resets)
    return max(seconds for share, seconds in resets if share == least)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _mappings(value: Any, name: str, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Yield the mappings under a name, wherever in a body."""
    for found in _under(value, (name,), depth):
        if isinstance(found, dict):
            yield found


def _values(value: Any, names: tuple[str, ...]) -> Iterator[str]:
    for found in _under(value, names):
        if isinstance(found, str | int | float) and not isinstance(found, bool):
            yield str(found)


def _under(value: Any, names: tuple[str, ...], depth: int = 0) -> Iterator[Any]:
    if depth > 8:
        return
    if isinstance(value, dict):
        for name, inner in list(value.items())[:50]:
            if name in names:
                yield inner
            yield from _under(inner, names, depth + 1)
    elif isinstance(value, list):
        for inner in value[:20]:
            yield from _under(inner, names, depth + 1)


async def either(over: asyncio.Event, seconds: float) -> None:
    """Wait, but not past the end of all."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)


class Pace:
    """When the next request may be sent: how many are under way, and what limits allow.

    The number under way is halved when the endpoint has too much to do, once for those that were
    under way together, and grows by one with each round of answers, as TCP does (Jacobson 1988).

    A limit whose end the endpoint does not tell is closed for all but one request at a time, which
    tries it. What the limit allowed before, and how long it lasted, is expected of it again.
    """

    def __init__(
        self,
        most: int,
        clock: Callable[[], float],
        first_pause: float = FIRST_PAUSE,
        slots: Slots | None = None,
    ) -> None:
        self._most = most
        self._slots = slots
        self._without_slot = 0
        self._clock = clock
        self._limit = float(most)
        self._active = 0
        self._resume = 0.0
        self._spared = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._first_pause = first_pause
        # Of a limit that is not told: since when, when to try it next, and whether one does.
        self._closed: float | None = None
        self._next_try = 0.0
        self._tries = 0
        self._trying: float | None = None
        # What was found out about it.
        self._lasted: float | None = None
        self._allowed: int | None = None
        self._passed = 0
        self._room: int | None = None
        self._last_sent = 0.0
        self._refusal_takes = 0.05

    @property
    def limit(self) -> int:
        """How many may be under way."""
        return max(1, int(self._limit))

    @property
    def waits(self) -> float:
        """Seconds that all wait for a limit from now on, as told, or have waited already."""
        now = self._clock()
        return max(self._resume - now, 0.0 if self._closed is None else now - self._closed)

    async def enter(self, over: asyncio.Event) -> float:
        """Wait for a place among those under way, or for the end of all.

        Returns:
            When it was given, to be handed back to `leave`.
        """
        sent = self._clock()
        entered = False
        while not over.is_set():
            sent = now = self._clock()
            if self._resume > now:
                await either(over, self._resume - now)
            elif self._closed is not None:
                if self._trying is None and now >= self._next_try:
                    if entered := self._slot():
                        self._trying = now
                        break
                    await self._change(over, SLOT_SECONDS)
                    continue
                if self._trying is not None and now - self._trying >= self._proof():
                    # It would have been refused by now.
                    self._open(now)
                    continue
                until = self._next_try if self._trying is None else self._trying + self._proof()
                await self._change(over, max(until - now, 0.001))
            elif self._room is not None and self._room <= 0:
                since = now - self._last_sent
                if since >= self._proof():
                    self._widen()
                    continue
                await self._change(over, self._proof() - since)
            elif self._active < self.limit:
                if entered := self._slot():
                    break
                await self._change(over, SLOT_SECONDS)
            else:
                await self._change(over, None)
        self._without_slot += not entered
        self._active += 1
        self._passed += 1
        self._last_sent = sent
        if self._room is not None:
            self._room -= 1
        return sent

    def _slot(self) -> bool:
        return self._slots is None or self._slots.take()

    async def _change(self, over: asyncio.Event, seconds: float | None) -> None:
        """Wait until another request ends, at most so long."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        if seconds is None:
            await place
        else:
            await asyncio.wait([place], timeout=seconds)
            if not place.done():
                place.cancel()

    def leave(
        self,
        sent: float,
        well: bool = False,
        slow_down: bool = False,
        limited: bool = False,
        wait: float | None = None,
    ) -> None:
        """Give the place back.

        Args:
            sent: when it was given.
            well: whether there was an answer.
            slow_down: whether the endpoint has too much to do.
            limited: whether it refused the request as one too many.
            wait: seconds that it wants not to be asked.
        """
        now = self._clock()
        self._active -= 1
        if self._without_slot:
            self._without_slot -= 1
        elif self._slots is not None:
            self._slots.give()
        if slow_down:
            if wait is not None:
                self._resume = max(self._resume, now + wait)
                self._trying = None if self._trying == sent else self._trying
            elif limited:
                self._refuse(now, sent)
            if wait is None or not limited:
                self._halve()
        elif well:
            self._spared = max(0, self._spared - 1)
            self._limit = min(float(self._most), self._limit + 1 / self._limit)
            if self._closed is not None and self._trying == sent:
                self._open(now)
            elif self._room is not None and self._room <= 0:
                self._widen()
        elif self._trying == sent:
            # It failed in another way: the next one tries.
            self._trying = None
        self._wake(max(1, self.limit - self._active))

    def _halve(self) -> None:
        if self._spared > 0:
            self._spared -= 1
        else:
            # Those under way were sent before this was known.
            self._spared = self._active
            self._limit = max(1.0, self._limit / 2)

    def _refuse(self, now: float, sent: float) -> None:
        """Close the limit, or keep it closed."""
        self._refusal_takes += 0.2 * (now - sent - self._refusal_takes)
        self._passed -= 1
        if self._closed is None:
            self._closed = now
            self._tries = 0
            self._trying = None
            self._next_try = now + self._first_pause
        elif self._trying == sent:
            self._trying = None
            self._tries += 1
            self._next_try = self._closed + self._next_moment(now - self._closed)

    def _next_moment(self, gone: float) -> float:
        """Return after how long a closed limit is tried next.

        Args:
            gone: seconds for which it has been closed.
        """
        step = max(self._first_pause, (STEP - 1) * gone)
        if self._lasted is None or self._tries < 2:
            return gone + step
        later = [share * self._lasted for share in (0.4, 0.7, EARLY)]
        coming = [moment for moment in later if moment > gone + self._first_pause]
        return coming[0] if coming else gone + max(self._first_pause, 0.03 * self._lasted)

    def _open(self, now: float) -> None:
        """Let the requests go again: as many as were taken before, and then with care."""
        if self._closed is not None:
            self._lasted = now - self._closed
        self._closed = self._trying = None
        # Of those that were sent since it opened the last time, all but the one that tried.
        self._allowed = max(1, self._passed - 1)
        self._passed = 1
        self._room = self._allowed - 1
        self._limit = max(self._limit, min(float(self._most), float(self._allowed)))
        self._wake(len(self._waiting))

    def _widen(self) -> None:
        self._room = max(1, (self._allowed or 1) // 4)
        self._wake(len(self._waiting))

    def _wake(self, places: int) -> None:
        while self._waiting and places > 0:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                places -= 1

    def _proof(self) -> float:
        """Return the seconds after which a request that is not refused is taken."""
        return min(max(4 * self._refusal_takes, 0.05), 5.0)
