"""Endings: how a script ends where something is missing that its user can mend, and at Ctrl-C."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Final


class ExpectedError(RuntimeError):
    """An end that its message explains to whom it concerns: a traceback would not help."""


class Interrupts:
    """Ctrl-C in a script.

    A job starts with the signal held back (see `seedbed.run.terminal.hold_interrupts`), since
    Python shows a traceback for it while it starts. And where an extension module is just being
    imported, the exception that comes of it can be any.

    Attributes:
        heard: whether Ctrl-C has raised `KeyboardInterrupt`.
    """

    def __init__(self) -> None:
        self.heard = False

    def hear(self) -> None:
        """Raise `KeyboardInterrupt` at Ctrl-C from here on, and now if Ctrl-C was held back."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self.interrupt)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        self.heard = True
        signal.default_int_handler(number, frame)


INTERRUPTS: Final = Interrupts()
"""Of this process."""
