"""Endings: how a script exits at Ctrl-C, and for errors that its user can fix."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Final


class ExpectedError(RuntimeError):
    """An error whose message tells the user enough: a traceback would not help."""


class Interrupts:
    """Ctrl-C in a script.

    A job starts with the signal blocked (see `seedbed.run.terminal.hold_interrupts`), because
    Python prints a traceback for Ctrl-C while it starts. During the import of an extension module,
    Ctrl-C can result in any exception.

    Attributes:
        heard: whether Ctrl-C has raised `KeyboardInterrupt`.
    """

    def __init__(self) -> None:
        self.heard = False

    def hear(self) -> None:
        """Raise `KeyboardInterrupt` at Ctrl-C from now on, and at once if one was blocked."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self.interrupt)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        self.heard = True
        signal.default_int_handler(number, frame)


INTERRUPTS: Final = Interrupts()
"""The interrupts of this process."""
