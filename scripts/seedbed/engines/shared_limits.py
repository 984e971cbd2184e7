"""An endpoint's rate limits, as all processes of a machine together know them.

They are in a small file. Processes change it one at a time, under a lock that the system releases
when its holder dies. Each change is one write, so a killed process leaves nothing for which others
must wait.
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
"""Seconds after the end of the last process for which the measured length of a limit is kept."""
LONGEST_WAIT = 3600.0
"""Most seconds that a run waits for a stated or measured limit before it fails. Longer limits are
not shared, and do not bind later runs."""


@dataclass
class Limits:
    """The known state of an endpoint's rate limits.

    Times are those of the machine's monotonic clock, in seconds. NaN means none.

    Attributes:
        resume: time before which the endpoint asked for no requests.
        closed: time since which a limit with an unknown end is closed.
        next_try: time of the next request that tries whether the limit is open.
        trying: time at which the request that tries it now was sent.
        began: time at which the request was sent that last found the limit open.
        since: time at which requests started to use up the limit, as far as is known.
        early: latest time after `since` at which the limit was seen closed, in seconds.
        late: earliest time after `since` at which it was seen open again, in seconds.
        allowed: number of requests that the endpoint took when the limit was last open.
        passed: number of requests sent since it opened.
        room: number of requests that may be sent before their acceptance must be known.
        last_sent: time of the last request.
        refusal_takes: average seconds until a refusal arrives.
        opened: number of times that the limit has opened.
        touched: time of the last write to the file.
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
"""Bytes of the file. A process locks the first to change the file, and the second while it uses the
endpoint."""


class SharedLimits:
    """One process's view of the limits.

    Without an endpoint's name, or on a machine without locks, the process shares them with nobody.
    """

    def __init__(self, endpoint: str, clock: Callable[[], float]) -> None:
        """Join the processes that query an endpoint.

        The first process starts with fresh limits, except for the measured length of the last one.

        Args:
            endpoint: the limit's owner: an address with its model and key.
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
        """Yield the limits for a change, and keep other processes from changing them."""
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
        """Return the current limits."""
        return self._own if self._file < 0 else self._read()

    def quiet(self, now: float) -> bool:
        """Return whether no limit applies and no process waits: a fast check of the usual case."""
        if self._file < 0:
            own = self._own
            return own.resume <= now and own.closed != own.closed and own.room != own.room
        content = os.pread(self._file, _FORM.size, 0)
        if len(content) < _FORM.size:
            return True
        resume, closed, room = (_DOUBLE.unpack_from(content, place)[0] for place in _AT)
        # Only NaN differs from itself.
        return resume <= now and closed != closed and room != room

    def close(self) -> None:
        """Leave the processes that query the endpoint."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> Limits:
        content = os.pread(self._file, _FORM.size, 0)
        if len(content) < _FORM.size:
            return Limits()
        found, now = Limits(*_FORM.unpack(content)), self._clock()
        times = (found.closed, found.trying, found.began, found.last_sent, found.touched)
        # The clock was reset, or another program wrote the file.
        wrong = any(time > now for time in times) or not found.refusal_takes < LONGEST_WAIT
        if wrong or max(found.resume, found.next_try) > now + LONGEST_WAIT:
            return Limits()
        return found

    def _write(self, limits: Limits) -> None:
        limits.touched = self._clock()
        os.pwrite(self._file, _FORM.pack(*astuple(limits)), 0)
