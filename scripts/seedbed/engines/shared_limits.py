"""What all processes of a machine together know of an endpoint's limits of requests and tokens.

A small file holds it. Processes change it one at a time, by a lock that the system lifts when its
holder dies, and each change is one write: a killed process leaves nothing that others wait for.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields

from seedbed.engines.slots import shared_file

KEPT_SECONDS = 600.0
"""For so long it is remembered, after the last process has ended, how long a limit lasted."""
LONGEST_WAIT = 3600.0
"""Seconds of waiting for a limit, stated or measured, after which a run ends and says so. Longer
ones are not shared, and bind no later run."""


@dataclass
class Limits:
    """What is known of an endpoint's limits.

    Times are those of the machine's monotonic clock, in seconds. NaN stands for none.

    Attributes:
        resume: until when the endpoint said not to be asked.
        closed: since when a limit with an unknown end is closed.
        next_try: when it is tried next.
        trying: since when a request tries it.
        began: when the request was sent with which it opened the last time.
        since: when what it allows began to be used up, as far as is known.
        early: seconds after that at which it was still closed, at most.
        late: seconds after that at which it was open again, at least.
        allowed: requests that were taken the last time that it was open.
        passed: requests sent since it opened.
        room: requests that may still be sent before it must be known whether they are taken.
        last_sent: when the last request was sent.
        refusal_takes: seconds in which a refusal arrives, on average.
        opened: how often it has opened.
        touched: when the file was written last.
    """

    resume: float = 0.0
    closed: float = math.nan
    next_try: float = 0.0
    trying: float = math.nan
    began: float = 0.0
    since: float = 0.0
    early: float = 0.0
    late: float = math.nan
    allowed: float = math.nan
    passed: float = 0.0
    room: float = math.nan
    last_sent: float = 0.0
    refusal_takes: float = 0.05
    opened: float = 0.0
    touched: float = 0.0


_FORM = struct.Struct(f"{len(fields(Limits))}d")
_DOUBLE = struct.Struct("d")
_NAMES = [field.name for field in fields(Limits)]
_AT = [_DOUBLE.size * _NAMES.index(name) for name in ("resume", "closed", "room")]
_MUTEX, _PRESENT = 0, 1
"""Bytes of the file whose locks say that its holder changes it, and that its holder is there."""


class SharedLimits:
    """The limits as one process sees them.

    Where the machine has no locks, or no endpoint is named, it is alone with them.
    """

    def __init__(self, endpoint: str, clock: Callable[[], float]) -> None:
        """Join those who ask an endpoint.

        Who finds nobody there begins anew, with no more than how long the limit lasted before.

        Args:
            endpoint: what has the limit: an address with its model and key.
            clock: the machine's monotonic clock.
        """
        self._clock = clock
        self._own = Limits()
        self._file = shared_file(endpoint, "limits") if endpoint else -1
        if self._file < 0:
            return
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _MUTEX)
            try:
                self._join()
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _MUTEX)
        except OSError:
            self.close()

    def _join(self) -> None:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _PRESENT)
        except (BlockingIOError, PermissionError):
            pass
        else:
            former, now = self._read(), self._clock()
            begun = Limits()
            if 0 <= now - former.touched < KEPT_SECONDS:
                begun.early, begun.late = former.early, former.late
            self._write(begun)
        fcntl.lockf(self._file, fcntl.LOCK_SH, 1, _PRESENT)

    @contextmanager
    def change(self) -> Iterator[Limits]:
        """Yield the limits for a change, while no other process makes one."""
        if self._file < 0:
            yield self._own
            return
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _MUTEX)
        try:
            limits = self._read()
            yield limits
            self._write(limits)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _MUTEX)

    def look(self) -> Limits:
        """Return the limits as they are."""
        return self._own if self._file < 0 else self._read()

    def quiet(self, now: float) -> bool:
        """Return whether nothing is known of a limit, and nobody waits: the usual case, quickly."""
        if self._file < 0:
            own = self._own
            return own.resume <= now and own.closed != own.closed and own.room != own.room
        content = os.pread(self._file, _FORM.size, 0)
        if len(content) < _FORM.size:
            return True
        resume, closed, room = (_DOUBLE.unpack_from(content, place)[0] for place in _AT)
        # NaN is what differs from itself.
        return resume <= now and closed != closed and room != room

    def close(self) -> None:
        """Leave those who ask the endpoint."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> Limits:
        content = os.pread(self._file, _FORM.size, 0)
        if len(content) < _FORM.size:
            return Limits()
        found, now = Limits(*_FORM.unpack(content)), self._clock()
        times = (found.closed, found.trying, found.began, found.last_sent, found.touched)
        # A clock that began anew, or content that nobody here wrote.
        wrong = any(time > now for time in times) or not found.refusal_takes < LONGEST_WAIT
        if wrong or max(found.resume, found.next_try) > now + LONGEST_WAIT:
            return Limits()
        return found

    def _write(self, limits: Limits) -> None:
        limits.touched = self._clock()
        os.pwrite(self._file, _FORM.pack(*astuple(limits)), 0)
