"""The library that seedbed's scripts share."""

import sys
from types import TracebackType


def _end_silently(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Show no traceback for Ctrl-C, which ends a run with all its jobs: the run says so."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _end_silently
