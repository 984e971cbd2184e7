"""Endings: how a script ends where something is missing that its user can mend."""

from __future__ import annotations

import sys
from collections.abc import Callable


class ExpectedError(RuntimeError):
    """An end that its message explains to whom it concerns: a traceback would not help."""


def run(main: Callable[[], None]) -> None:
    """Run a command line; an end that its message explains comes without a traceback."""
    try:
        main()
    except ExpectedError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("ended at Ctrl-C")
