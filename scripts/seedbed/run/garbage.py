"""Settings of Python's garbage collector, which finds little garbage in a run of Snakemake."""

from __future__ import annotations

import atexit
import gc


def keep_objects() -> None:
    """Make the collector run rarely, because almost all objects live until the process ends.

    Modules and a plan are millions of objects. By default, the collector traverses them again and
    again. When the process ends, it frees them one by one, which takes up to a second for a plan of
    a thousand jobs.
    """
    gc.set_threshold(200_000, 50, 1_000)
    atexit.register(gc.freeze)
