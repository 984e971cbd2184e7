"""Imports of large libraries."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Keep Python's garbage collector from running in the block, and from what it makes later on.

    While a large library is imported, nearly all that is made stays, and the collector walks it
    again and again: about an eighth of the time that Transformers, PEFT and TRL take to import
    (`tests/benchmarks/imports.py`), which small jobs spend most of their time with.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
