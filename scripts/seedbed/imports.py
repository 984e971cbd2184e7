"""Imports of large libraries."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Disable garbage collection in the block, and exempt existing objects from later collections.

    Nearly all objects that the import of a large library creates stay, and the collector walks them
    again and again. This is about an eighth of the time to import Transformers, PEFT and TRL
    (`tests/benchmarks/imports.py`), on which small jobs spend most of their time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
