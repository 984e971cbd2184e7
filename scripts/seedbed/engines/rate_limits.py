"""Rate limits: how long an endpoint asks to wait, and how to find out if it does not say.

A rate-limited request costs neither an attempt nor money, so the engine waits for limits, up to
`LONGEST_WAIT`. If the endpoint says when it accepts requests again, all requests wait until then.
If it does not say, one request at a time probes the limit: the first time after growing pauses,
later near the measured length of the limit.
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
"""Growth factor of the pauses between probes of an unknown limit."""
EARLY = 0.95
"""Maximum of `Limits.early` as a fraction of `Limits.late`: the next limit may be a bit shorter."""
CLOSE = 0.03
"""Precision to which the length of a limit is measured, as a fraction of the length."""
FIRST_PAUSE = 0.5
"""Seconds before an unknown limit is probed for the first time."""
LOOK_SECONDS = 0.05
"""Seconds between checks whether other processes left room, or learned about a limit."""
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
"""The seconds in a `RateLimit` header, which has all values in one line."""
_UNITS = {"ms": 0.001, "mi": 60.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
EPOCH = 1e8
"""Numbers above this are not a duration, but a time in seconds or milliseconds since 1970."""


def read_duration(text: str, unit: float = 1.0) -> float | None:
    """Return the seconds of a duration like `20`, `1.5s`, `120ms` or `6m0s`; None for other texts.

    Args:
        text: the duration.
        unit: the unit of a plain number, in seconds.
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
    """Return the seconds until a time, or the seconds of a duration; None for other texts.

    A time is an HTTP or RFC 3339 date, or a number of seconds or milliseconds since 1970.
    """
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
        headers: headers of the response.
        payload: parsed JSON body. OpenRouter repeats headers in it, and Gemini has a RetryInfo.
        said: error message, which may name a time.
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
    """Return the seconds until the exhausted limits are reset.

    It reads pairs of headers like `x-ratelimit-reset-requests` and
    `x-ratelimit-remaining-requests`, or `anthropic-ratelimit-tokens-reset` and
    `anthropic-ratelimit-tokens-remaining`.
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
    """Yield the mappings under a key anywhere in a body."""
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
    """Wait for some seconds, or until `over` is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)


class Pace:
    """Decides when the next request may be sent, by the concurrency and the endpoint's rate limits.

    When the endpoint is overloaded, the allowed concurrency is halved, once for the requests that
    were under way together. It grows by one with each round of answers, as in TCP (Jacobson 1988).

    If the endpoint does not say when a limit ends, the limit is closed to all but one request at a
    time, which probes it. The number of requests and the length of the last limit are expected of
    the next one, and measured more exactly each time. All processes that query the endpoint share
    this knowledge and the one probing request.
    """

    def __init__(
        self,
        most: int,
        clock: Callable[[], float],
        first_pause: float = FIRST_PAUSE,
        slots: Slots | None = None,
        endpoint: str = "",
    ) -> None:
        """Join the processes that share the endpoint's limits.

        Args:
            most: maximum concurrency.
            clock: the machine's monotonic clock.
            first_pause: seconds before an unknown limit is probed for the first time.
            slots: limit the concurrency of all processes together.
            endpoint: name by which processes share limits; "" to share with none.
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
        # Requests that this process sent and has not yet entered in the shared limits; the times
        # of the first and the last of them.
        self._untold = 0
        self._untold_since = self._untold_last = 0.0
        # The end of a wait that is too long to be shared, and ends this call.
        self._resume = 0.0
        # Of the waiting requests, one checks for a place, and the others wait at the door.
        self._door = asyncio.Lock()
        self._first: asyncio.Future[None] | None = None

    @property
    def limit(self) -> int:
        """The allowed concurrency."""
        return max(1, int(self._limit))

    @property
    def waits(self) -> float:
        """Seconds that requests must still wait for a stated limit, or have waited for another."""
        now, limits = self._clock(), self._shared.look()
        gone = 0.0 if math.isnan(limits.closed) else now - limits.closed
        return max(self._resume - now, limits.resume - now, gone)

    def close(self) -> None:
        """Leave the processes that share the limits."""
        self._shared.close()

    async def enter(self, over: asyncio.Event) -> float:
        """Wait until a request may be sent, or until `over` is set.

        Returns:
            The time at which it may be sent, for `leave`.
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
        """Take a place for a request.

        Returns:
            None if a place was taken; otherwise the seconds until one may be free. They are
            infinite if only the end of one of this process's requests frees one.
        """
        if self._resume > now:
            return self._resume - now
        if self._active >= self.limit:
            # If the limit has opened, more concurrency is allowed.
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
        """Return the seconds until the limits allow a request; 0 if they allow it now."""
        if limits.resume > now:
            return limits.resume - now
        proof = _proof(limits)
        if not math.isnan(limits.closed):
            if math.isnan(limits.trying):
                return max(limits.next_try - now, 0.0)
            if now - limits.trying < proof:
                return limits.trying + proof - now
            # A refusal of the probe would have arrived by now.
            self._open(limits)
        if limits.room <= 0:
            if now - limits.last_sent < proof:
                return limits.last_sent + proof - now
            _widen(limits)
        return 0.0

    async def _change(self, seconds: float) -> None:
        """Wait until a request of this process ends, but only briefly if others may free a place.

        Args:
            seconds: seconds until a place may be free, from `_try`.
        """
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
        """Free the place of a request.

        Args:
            sent: time that `enter` returned.
            well: whether the request was answered.
            slow_down: whether the endpoint is overloaded.
            limited: whether the endpoint refused the request because of a rate limit.
            wait: seconds that the endpoint asks to wait.
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
        """Enter the requests that were sent while no limit was known in the shared limits."""
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
        """Enter the outcome of a request in the shared limits; see `leave`."""
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
                # The probe failed for another reason, so the next request probes.
                limits.trying = math.nan

    def _halve(self) -> None:
        if self._spared > 0:
            self._spared -= 1
        else:
            # Requests under way were sent before the overload was known.
            self._spared = self._active
            self._limit = max(1.0, self._limit / 2)

    def _refuse(self, limits: Limits, now: float, sent: float) -> None:
        """Close the limit, or keep it closed."""
        limits.refusal_takes += 0.2 * (now - sent - limits.refusal_takes)
        if sent < limits.began:
            return  # The limit that refused it has opened since.
        limits.passed -= 1
        if math.isnan(limits.closed):
            limits.closed = now
            # Requests may have started to use up the limit long after it opened.
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
        """Return the time of the next probe of a closed limit, in seconds after `limits.since`.

        Args:
            limits: the known limits.
            gone: latest time at which the limit was seen closed, in seconds after `limits.since`.
        """
        early, late = limits.early, limits.late
        between = (early + late) / 2
        if late - early > max(CLOSE * late, 2 * limits.refusal_takes) and between > gone:
            return between
        return late if late > gone else gone + max(self._first_pause, (STEP - 1) * gone)

    def _open(self, limits: Limits) -> None:
        """Open the limit for as many requests as it allowed before, and then carefully for more."""
        limits.late = limits.trying - limits.since
        limits.early = min(limits.early, EARLY * limits.late)
        limits.began = limits.trying
        limits.closed = limits.trying = math.nan
        # All requests that were sent since it last opened, except the probe.
        limits.allowed = max(1.0, limits.passed - 1)
        limits.passed = 1
        limits.room = limits.allowed - 1
        limits.opened += 1
        self._notice(limits)

    def _notice(self, limits: Limits) -> None:
        """Raise the concurrency to the number of requests that a reopened limit allows."""
        if limits.opened != self._opened and limits.allowed >= 1:
            self._opened = limits.opened
            self._limit = max(self._limit, min(float(self._most), limits.allowed))


def _widen(limits: Limits) -> None:
    limits.room = max(1.0, limits.allowed // 4)


def _proof(limits: Limits) -> float:
    """Return the seconds after which a request without a refusal counts as accepted."""
    return min(max(4 * limits.refusal_takes, 0.05), 5.0)
