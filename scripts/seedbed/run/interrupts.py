"""Ctrl-C: a run ends with one line, whatever its jobs have to say about it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import warnings
from contextlib import suppress
from typing import Any

INTERRUPTED = "Interrupted: the jobs under way end here. Start snakemake again to go on."


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
            # Not by `print`, which this signal may have come in the middle of.
            with suppress(OSError):
                start = "\n" if os.isatty(2) else ""
                os.write(2, f"{start}{INTERRUPTED}\n".encode())
        signal.default_int_handler(number, frame)
