"""Ends forks of a process that has imported much at once, as soon as their script has ended.

Python frees what was imported when it ends, and so copies the memory that forks share. Functions
that were registered for the end, and the output, are not skipped.
"""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_ended: list[int] = []


@contextmanager
def quick_exit() -> Iterator[None]:
    """Let this process end with the status of the `SystemExit` in the block, if it has a number."""
    try:
        yield
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            _ended.append(end.code or 0)
        raise


@atexit.register
def _leave() -> None:
    if _ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_ended[0])
