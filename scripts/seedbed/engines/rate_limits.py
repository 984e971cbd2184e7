"""Rate limits: how long an endpoint says to wait, in whichever way, and how to learn it otherwise.

A request that is one too many costs neither a try nor money, so a limit is waited for, within
reason. Where the endpoint says when it takes more, all requests wait until then. Where it does not,
one request at a time tries: in growing steps the first time, and near the pause that was found once
one is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from seedbed.engines.shared_limits import LONGEST_WAIT, Limits, SharedLimits
from seedbed.engines.slots import Slots

STEP = 1.07
"""By which the pauses grow in which an unknown limit is tried."""
EARLY = 0.95
"""Share of the time after which a limit was open again that it may be closed for now."""
CLOSE = 0.03
"""Share of that time below which it is not found out more exactly."""
FIRST_PAUSE = 0.5
"""Seconds before an unknown limit is tried the first time."""
LOOK_SECONDS = 0.05
"""How often a process looks whether others leave it room, or found out something of a limit."""
_PARTS = re.compile(
    r"(\d+(?:\.\d+)?)\s*"
    r"(ms|milliseconds?|seconds?|secs?|minutes?|mins?|hours?|days?|[smhd](?![a-z]))?",
    re.I,
)
_DURATION = re.compile(rf"(?:{_PARTS.pattern}\s*)+", re.I)
_SAID = re.compile(
    r"(?:try again|retry|wait|resets?)(?:[ -]after| in| for)?[: ]+(?:about )?"
    r"((?:\d+(?:\.\d+)?\s*"
    r"(?:ms|milliseconds?|seconds?|secs?|minutes?|mins?|hours?|days?|[smhd](?![a-z]))?\s*)+)",
    re.I,
)
_IN_ONE = re.compile(r"(?:^|[;,\s])(?:t|reset)=(\d+)")
"""The seconds in a header `RateLimit`, which says all in one."""
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
            found = read(text)
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
            return found.timestamp() - time.time()
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
        *(
            _known(delay, 1.0)
            for inner in _mappings(payload, "retryDelay")
            for delay in _values(inner, ("seconds",))
        ),
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
    for given, value in headers.items():
        name = given.replace("rate-limit", "ratelimit")
        if name == "ratelimit" and (found := _IN_ONE.search(value)):
            resets.append((1.0, float(found[1])))
        if "ratelimit" not in name or "reset" not in name:
            continue
        seconds = read_moment(value)
        if seconds is None:
            continue
        remaining = _number(headers.get(given.replace("reset", "remaining")))
        limit = _number(headers.get(given.replace("reset", "limit")))
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


def _mappings(value: Any, name: str, depth: int = 0) -> Iterator[Mapping[str, object]]:
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
    tries it. What the limit allowed before, and after how long it opened, is expected of it again,
    and found out more exactly each time. All processes that ask the endpoint share what they know
    of its limits, and that one request.
    """

    def __init__(
        self,
        most: int,
        clock: Callable[[], float],
        first_pause: float = FIRST_PAUSE,
        slots: Slots | None = None,
        endpoint: str = "",
    ) -> None:
        """Begin.

        Args:
            most: requests under way at once.
            clock: the machine's monotonic clock.
            first_pause: seconds before an unknown limit is tried the first time.
            slots: bound the requests of all processes that are under way.
            endpoint: what has the limits, for all processes; "" shares with none.
        """
        self._most = most
        self._slots = slots
        self._without_slot = 0
        self._clock = clock
        self._limit = float(most)
        self._active = 0
        self._spared = 0
        self._first_pause = first_pause
        self._shared = SharedLimits(endpoint, clock)
        self._opened = self._shared.look().opened
        # Requests sent since this process last noted any for the others; times of first and last.
        self._untold = 0
        self._untold_since = self._untold_last = 0.0
        # A wait too long to be shared: it ends this call.
        self._resume = 0.0
        # Who waits for a place: one looks when there is one, the others wait for that one.
        self._door = asyncio.Lock()
        self._first: asyncio.Future[None] | None = None

    @property
    def limit(self) -> int:
        """How many may be under way."""
        return max(1, int(self._limit))

    @property
    def waits(self) -> float:
        """Seconds that all wait for a limit from now on, as told, or have waited already."""
        now, limits = self._clock(), self._shared.look()
        gone = 0.0 if math.isnan(limits.closed) else now - limits.closed
        return max(self._resume - now, limits.resume - now, gone)

    def close(self) -> None:
        """Leave those who share the limits."""
        self._shared.close()

    async def enter(self, over: asyncio.Event) -> float:
        """Wait for a place among those under way, or for the end of all.

        Returns:
            When it was given, to be handed back to `leave`.
        """
        sent = self._clock()
        entered = False
        async with self._door:
            while not over.is_set():
                sent = self._clock()
                wait = self._try(sent)
                if entered := wait is None:
                    break
                await self._change(wait)
        self._without_slot += not entered
        self._active += 1
        return sent

    def _try(self, now: float) -> float | None:
        """Take a place, or return the seconds after which there may be one; infinite if only the
        end of a request of this process makes room."""
        if self._resume > now:
            return self._resume - now
        if self._active >= self.limit:
            # Where it opened, more may be under way.
            self._notice(self._shared.look())
            if self._active >= self.limit:
                return math.inf
        if self._shared.quiet(now):
            if self._slots is not None and not self._slots.take():
                return LOOK_SECONDS
            self._untold_since = self._untold_since if self._untold else now
            self._untold_last = now
            self._untold += 1
            return None
        with self._shared.change() as limits:
            self._tell(limits)
            self._notice(limits)
            wait = self._closed_for(limits, now)
            if wait > 0:
                return wait
            if self._slots is not None and not self._slots.take():
                return LOOK_SECONDS
            if not math.isnan(limits.closed):
                limits.trying = now
            limits.passed += 1
            limits.room -= 1
            limits.last_sent = now
        return None

    def _closed_for(self, limits: Limits, now: float) -> float:
        """Return the seconds for which limits let no request pass; 0 if one may."""
        if limits.resume > now:
            return limits.resume - now
        proof = _proof(limits)
        if not math.isnan(limits.closed):
            if math.isnan(limits.trying):
                return max(limits.next_try - now, 0.0)
            if now - limits.trying < proof:
                return limits.trying + proof - now
            # It would have been refused by now.
            self._open(limits)
        if limits.room <= 0:
            if now - limits.last_sent < proof:
                return limits.last_sent + proof - now
            _widen(limits)
        return 0.0

    async def _change(self, seconds: float) -> None:
        """Wait until a request of this process ends, and not for long if others may change it."""
        self._first = asyncio.get_running_loop().create_future()
        timeout = None if seconds == math.inf else min(max(seconds, 0.001), LOOK_SECONDS)
        await asyncio.wait([self._first], timeout=timeout)
        self._first = None

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
        if not (well and self._shared.quiet(now)):
            self._note(now, sent, well, slow_down, limited, wait)
        if slow_down and (wait is None or not limited):
            self._halve()
        elif well:
            self._spared = max(0, self._spared - 1)
            self._limit = min(float(self._most), self._limit + 1 / self._limit)
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    def _tell(self, limits: Limits) -> None:
        """Tell the others of what was sent while no limit was known."""
        if self._untold:
            if limits.passed == 0:
                limits.began = self._untold_since
            limits.passed += self._untold
            limits.last_sent = max(limits.last_sent, self._untold_last)
            self._untold = 0

    def _note(
        self,
        now: float,
        sent: float,
        well: bool,
        slow_down: bool,
        limited: bool,
        wait: float | None,
    ) -> None:
        """Tell the others what became of a request; see `leave`."""
        with self._shared.change() as limits:
            self._tell(limits)
            tried = limits.trying == sent
            if slow_down and wait is not None:
                if wait > LONGEST_WAIT:
                    self._resume = max(self._resume, now + wait)
                else:
                    limits.resume = max(limits.resume, now + wait)
                limits.trying = math.nan if tried else limits.trying
            elif slow_down and limited:
                self._refuse(limits, now, sent)
            elif well and tried:
                self._open(limits)
            elif well and math.isnan(limits.closed) and limits.room <= 0:
                _widen(limits)
            elif tried:
                # It failed in another way: the next one tries.
                limits.trying = math.nan

    def _halve(self) -> None:
        if self._spared > 0:
            self._spared -= 1
        else:
            # Those under way were sent before this was known.
            self._spared = self._active
            self._limit = max(1.0, self._limit / 2)

    def _refuse(self, limits: Limits, now: float, sent: float) -> None:
        """Close the limit, or keep it closed."""
        limits.refusal_takes += 0.2 * (now - sent - limits.refusal_takes)
        if sent < limits.began:
            return  # By a limit that has opened since.
        limits.passed -= 1
        if math.isnan(limits.closed):
            limits.closed = now
            # What it allows may have begun to be used up long after it opened.
            limits.since = limits.began if sent - limits.began <= limits.late else sent
        elif limits.trying == sent:
            limits.early = sent - limits.since
            if limits.early >= limits.late:
                limits.late = math.nan
        else:
            return
        limits.trying = math.nan
        limits.next_try = limits.since + self._next_moment(limits, sent - limits.since)

    def _next_moment(self, limits: Limits, gone: float) -> float:
        """Return when a closed limit is tried next.

        Args:
            limits: what is known of it.
            gone: when it was closed, for all that is known. Both are in seconds since what it
                allows began to be used up.
        """
        early, late = limits.early, limits.late
        between = (early + late) / 2
        if late - early > max(CLOSE * late, 2 * limits.refusal_takes) and between > gone:
            return between
        return late if late > gone else gone + max(self._first_pause, (STEP - 1) * gone)

    def _open(self, limits: Limits) -> None:
        """Let the requests go again: as many as were taken before, and then with care."""
        limits.late = limits.trying - limits.since
        limits.early = min(limits.early, EARLY * limits.late)
        limits.began = limits.trying
        limits.closed = limits.trying = math.nan
        # Of those that were sent since it opened the last time, all but the request that tried.
        limits.allowed = max(1.0, limits.passed - 1)
        limits.passed = 1
        limits.room = limits.allowed - 1
        limits.opened += 1
        self._notice(limits)

    def _notice(self, limits: Limits) -> None:
        """Have as many under way as a limit that opened allows."""
        if limits.opened != self._opened and limits.allowed >= 1:
            self._opened = limits.opened
            self._limit = max(self._limit, min(float(self._most), limits.allowed))


def _widen(limits: Limits) -> None:
    limits.room = max(1.0, limits.allowed // 4)


def _proof(limits: Limits) -> float:
    """Return the seconds after which a request that is not refused is taken."""
    return min(max(4 * limits.refusal_takes, 0.05), 5.0)
