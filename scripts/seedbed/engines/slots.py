"""Slots limit the concurrent requests of all processes of a machine to an endpoint.

A slot is a byte of a file. A process takes it by a lock, which the system releases when the process
dies. Processes share the slots evenly: each holds another lock by which the others count it.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import random
import tempfile
import time
from pathlib import Path

MOST_PROCESSES = 64
"""Most processes that are counted. Further ones get the same share."""
SHARE_SECONDS = 0.5
"""Seconds between counts of the processes."""
FULL_SECONDS = 0.02
"""Seconds before a process looks for a free slot again."""


def shared_file(endpoint: str, kind: str) -> int:
    """Open the file that this user's processes on this machine share about an endpoint.

    Returns:
        Its descriptor; -1 if the file cannot be opened.
    """
    name = hashlib.sha256(endpoint.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"seedbed-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        return os.open(folder / f"{name}.{kind}", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return -1


class Slots:
    """The slots of one process.

    On a machine without locks, the process has all slots.
    """

    def __init__(self, endpoint: str, most: int) -> None:
        """Join the processes that query an endpoint.

        Args:
            endpoint: address of the endpoint.
            most: most concurrent requests of all processes.
        """
        self._most = most
        self._share = most
        self._held: list[int] = []
        self._counted = self._full = -math.inf
        self._file = shared_file(endpoint, "slots")
        try:
            places = range(MOST_PROCESSES)
            self._place = next((place for place in places if self._lock(place)), MOST_PROCESSES)
            self._locks = True
        except (OSError, ValueError):
            self._locks = False

    def take(self) -> bool:
        """Take a slot, and return whether one was free for this process."""
        if not self._locks:
            return True
        now = time.monotonic()
        if now - self._counted > SHARE_SECONDS:
            self._counted = now
            others = sum(self._taken(place) for place in range(MOST_PROCESSES))
            self._share = math.ceil(self._most / (others + 1))
        if len(self._held) >= self._share or now < self._full:
            return False
        first = random.randrange(self._most)
        for step in range(self._most):
            slot = (first + step) % self._most
            if slot not in self._held and self._lock(MOST_PROCESSES + slot):
                self._held.append(slot)
                return True
        self._full = now + FULL_SECONDS
        return False

    def give(self) -> None:
        """Release a slot."""
        if self._held:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, MOST_PROCESSES + self._held.pop())

    def close(self) -> None:
        """Leave the processes that query the endpoint."""
        if self._file >= 0:
            os.close(self._file)

    def _lock(self, place: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _taken(self, place: int) -> bool:
        """Return whether another process holds a place."""
        if place == self._place or not self._lock(place):
            return place != self._place
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)
        return False
