"""Progress: lines on the standard error stream that show a script's progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

Report = Callable[[str], None]


def reporter(name: str, log: Path | None = None) -> Report:
    """Return a function that prints a line with the script's name and the seconds since this call.

    Args:
        name: the script's name.
        log: a file to which lines are appended, instead of the standard error stream.
    """
    start = time.monotonic()

    def report(text: str) -> None:
        line = f"{name} {time.monotonic() - start:.0f} s: {text}"
        if log is None:
            print(line, file=sys.stderr, flush=True)
            return
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    return report
