"""Progress: lines on the standard error stream that say how far a script is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def reporter(name: str) -> Callable[[str], None]:
    """Return a function that prints a line with the script's name and the seconds since now."""
    start = time.monotonic()

    def report(text: str) -> None:
        print(f"{name} {time.monotonic() - start:.0f} s: {text}", file=sys.stderr, flush=True)

    return report
