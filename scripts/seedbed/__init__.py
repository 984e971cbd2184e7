"""The library that seedbed's scripts share."""

import sys
from types import TracebackType


def _end_silently(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print no traceback for Ctrl-C: it stops a run with all its jobs, and the run reports it."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _end_silently
