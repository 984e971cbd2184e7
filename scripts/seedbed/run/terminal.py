"""What a terminal shows: errors, whatever was asked to be quiet, and one line for Ctrl-C."""

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

# That a file may not be written, that there is no room, and that the disk may only be read.
_FILE_SYSTEM = (errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# What the shells of jobs and their scripts have in their command lines.
_SCRIPTS = {str(path.parents[2]) for path in (Path(__file__), Path(__file__).resolve())}

# Ctrl-C reaches the processes that exist. Snakemake's pool starts the jobs that it had queued all
# the same.
_STARTING_SECONDS = 1.0
_SECONDS_BETWEEN = 0.5
_SECONDS_UNTIL_AGAIN = 10.0

# A job may end at Ctrl-C before Python's main thread gets to handle the signal here.
_HANDLING_SECONDS = 0.2
_FAILED = (LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR)

_FRAMES = re.compile(r"(\n *File \"[^\n]*\", line \d+, in [^\n]*)+\s*\Z")


def is_error(record: logging.LogRecord) -> bool:
    """Return whether a record is an error; of one of the file system, only its last line stays."""
    if record.levelno < logging.ERROR:
        return False
    if getattr(record, "exception", None) in ("PermissionError", "OSError"):
        lines = record.getMessage().strip().splitlines()
        said = lines[-1] if lines else ""
        if any(f"[Errno {number}]" in said for number in _FILE_SYSTEM):
            record.msg, record.args = said, None
    elif getattr(record, "exception", None) == "WorkflowError":
        # What is wrong is said in the message: not where in this project it was found.
        record.msg, record.args = _FRAMES.sub("", record.getMessage()), None
    return True


class Interrupt:
    """Whether Ctrl-C was pressed, and when.

    Attributes:
        at: seconds, as of `time.monotonic`; None before.
    """

    def __init__(self) -> None:
        self.at: float | None = None

    def watch(self, logger: logging.Logger) -> None:
        """End this process on Ctrl-C with one line, and keep the rest to Snakemake's log file."""
        if threading.current_thread() is not threading.main_thread():
            return
        signal.signal(signal.SIGINT, lambda number, frame: self._interrupt(logger, number, frame))
        logger.addFilter(self._await_signal)

    def _await_signal(self, record: logging.LogRecord) -> bool:
        """Hold back the failure of a job until Ctrl-C, if that ended it, has been handled."""
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
            # What was to be planned or awaited is not, which is no news.
            warnings.simplefilter("ignore")
            logging.getLogger("asyncio").disabled = True
            # Nor is an object that the interrupt left half made, such as an event loop.
            sys.unraisablehook = lambda unraisable: None
            # Not by `print`, which this signal may have come in the middle of.
            with suppress(OSError):
                start = "\n" if os.isatty(2) else ""
                os.write(2, f"{start}{INTERRUPTED}\n".encode())
            since = time.time() - _STARTING_SECONDS
            threading.Thread(target=_end_late_jobs, args=(since,), daemon=True).start()
        signal.default_int_handler(number, frame)


def hold_interrupts() -> None:
    """Let the scripts that this thread starts hear Ctrl-C only once they are ready for it.

    Python shows a traceback for Ctrl-C while it starts, and no line of a script can prevent it.
    What a thread blocks, the processes that it starts block too, and the signal waits until they
    hear it (`seedbed.endings.Interrupts`). The main thread, which hears Ctrl-C, stays as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])


def _end_late_jobs(since: float) -> None:
    """Interrupt each job of this process that started after a time, as long as this process lives.

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
