"""Python's garbage collector, which has little to do in a run of Snakemake."""

from __future__ import annotations

import atexit
import gc


def keep_objects() -> None:
    """Have the collector leave objects alone, as almost all of them stay to the end.

    Modules and a plan are millions of objects. Without this, they are looked through again and
    again, and when the process ends, they are freed one after the other, which takes up to a second
    for a plan of a thousand jobs.
    """
    gc.set_threshold(200_000, 50, 1_000)
    atexit.register(gc.freeze)
