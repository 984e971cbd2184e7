"""Terminal output: errors despite `--quiet`, and one line for Ctrl-C."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

INTERRUPTED = "Interrupted: the jobs under way end here. Start snakemake again to go on."

# No permission to write, no space left, and a read-only file system.
_FILE_SYSTEM = (errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# Folders that the command lines of the jobs' shells and scripts contain.
_SCRIPTS = {str(path.parents[2]) for path in (Path(__file__), Path(__file__).resolve())}

# Ctrl-C reaches only existing processes. Snakemake's thread pool still starts jobs that it had
# queued.
_STARTING_SECONDS = 1.0
_SECONDS_BETWEEN = 0.5
_SECONDS_UNTIL_AGAIN = 10.0

# Ctrl-C may end a job before this process's main thread handles the signal.
_HANDLING_SECONDS = 0.2
_FAILED = (LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR)

_FRAMES = re.compile(r"(\n *File \"[^\n]*\", line \d+, in [^\n]*)+\s*\Z")


def is_error(record: logging.LogRecord) -> bool:
    """Return whether a log record is an error, and shorten some errors.

    Only the last line of an error of the file system stays, and no traceback of a `WorkflowError`.
    """
    if record.levelno < logging.ERROR:
        return False
    if getattr(record, "exception", None) in ("PermissionError", "OSError"):
        lines = record.getMessage().strip().splitlines()
        said = lines[-1] if lines else ""
        if any(f"[Errno {number}]" in said for number in _FILE_SYSTEM):
            record.msg, record.args = said, None
    elif getattr(record, "exception", None) == "WorkflowError":
        # The message says what is wrong; frames of this project's code do not help.
        record.msg, record.args = _FRAMES.sub("", record.getMessage()), None
    return True


class Interrupt:
    """Whether Ctrl-C was pressed, and when.

    Attributes:
        at: when it was pressed, in seconds of `time.monotonic`; None before.
    """

    def __init__(self) -> None:
        self.at: float | None = None

    def watch(self, logger: logging.Logger) -> None:
        """Exit on Ctrl-C with one line, and leave further messages to Snakemake's log file."""
        if threading.current_thread() is not threading.main_thread():
            return
        signal.signal(signal.SIGINT, lambda number, frame: self._interrupt(logger, number, frame))
        logger.addFilter(self._await_signal)

    def _await_signal(self, record: logging.LogRecord) -> bool:
        """Delay the record of a failed job until a Ctrl-C that ended the job is handled."""
        if getattr(record, "event", None) in _FAILED:
            end = time.monotonic() + _HANDLING_SECONDS
            while self.at is None and time.monotonic() < end:
                time.sleep(_HANDLING_SECONDS / 20)
        return True

    def _interrupt(self, logger: logging.Logger, number: int, frame: Any) -> None:
        if self.at is None:
            self.at = time.monotonic()
            for handler in logger.handlers:
                if isinstance(handler, logging.StreamHandler) and not isinstance(
                    handler, logging.FileHandler
                ):
                    handler.addFilter(lambda record: False)
            # Warnings about coroutines that are no longer awaited are expected.
            warnings.simplefilter("ignore")
            logging.getLogger("asyncio").disabled = True
            # So are errors of objects that the interrupt left incomplete, such as an event loop.
            sys.unraisablehook = lambda unraisable: None
            # Not `print`, because the signal may have interrupted one.
            with suppress(OSError):
                start = "\n" if os.isatty(2) else ""
                os.write(2, f"{start}{INTERRUPTED}\n".encode())
            since = time.time() - _STARTING_SECONDS
            threading.Thread(target=_end_late_jobs, args=(since,), daemon=True).start()
        signal.default_int_handler(number, frame)


def hold_interrupts() -> None:
    """Block SIGINT in this thread, so that the scripts that it starts handle Ctrl-C when ready.

    Python prints a traceback for Ctrl-C while it starts, which no line of a script can prevent.
    Processes inherit the blocked signals of the thread that starts them. The signal stays pending
    until a script unblocks it (`seedbed.endings.Interrupts`). The main thread, which handles
    Ctrl-C, is not changed.
    """
    if threading.current_thread() is not threading.main_thread():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])


def _end_late_jobs(since: float) -> None:
    """Interrupt each job of this process that starts after a time, until this process ends.

    Args:
        since: seconds since the epoch.
    """
    import psutil

    interrupted: dict[tuple[int, float], float] = {}
    while True:
        with suppress(psutil.Error):
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    key = child.pid, child.create_time()
                    again = interrupted.get(key, 0.0) + _SECONDS_UNTIL_AGAIN
                    if key[1] < since or time.monotonic() < again:
                        continue
                    command = " ".join(child.cmdline())
                    if any(folder in command for folder in _SCRIPTS):
                        child.send_signal(signal.SIGINT)
                        interrupted[key] = time.monotonic()
        time.sleep(_SECONDS_BETWEEN)
