"""Worker processes for work that must not run in the job's own process, and that can be killed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

from seedbed.evaluation.sandbox.isolation import SCRATCH

BUSY_SHARE = 0.5
"""If a request that timed out used less than this share of its CPU seconds, the machine was busy.
"""
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
_ENVIRONMENT = {
    "HOME": SCRATCH,
    "TMPDIR": SCRATCH,
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def module_command(module: ModuleType) -> list[str]:
    """Return Python's command-line arguments to run a module's `main` in a process of its own."""
    library = str(Path(__file__).resolve().parents[3])
    start = f"import sys; sys.path.insert(0, {library!r}); from {module.__name__} import main; "
    return ["-s", "-P", "-c", f"{start}main()"]


class Worker:
    """A worker process, started at its first request and again after it ended.

    Its first argument is the file descriptor of a socket. Requests and replies are JSON, one of
    each at a time.
    """

    def __init__(self, command: Sequence[str], arguments: Sequence[str]) -> None:
        """Prepare a process of Python; it is not started yet.

        Args:
            command: Python's options and code, as from `module_command`.
            arguments: the process's arguments after the file descriptor.
        """
        self._command = command
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Connection:
        """Start the process if it is not running, and return the connection to it."""
        if self.running:
            assert self._connection is not None
            return self._connection
        self.stop()
        ours, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
            self._process = subprocess.Popen(
                [sys.executable, *self._command, str(descriptor), *self._arguments],
                pass_fds=(descriptor,),
                env=passed_on | _ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._connection = Connection(ours.detach())
        return self._connection

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Return the reply to a request, or an error if there is none in time.

        The request is repeated once if its process ended, or got too little CPU time to reach its
        own limit. If that happens again, the error is `transient`.

        Args:
            request: the request; its `seconds` are the limit of CPU time.
            seconds: limit of wall-clock time.
        """
        reply = self.ask_once(request, seconds)
        return self.ask_once(request, seconds) if reply.get("transient") else reply

    def ask_once(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Return the reply to a request, as `ask` does, without a retry."""
        connection = self.start()
        assert self._process is not None
        end = time.monotonic() + seconds
        used = _cpu_seconds(self._process.pid)
        try:
            connection.send_bytes(json.dumps(request).encode())
            if connection.poll(max(0.0, end - time.monotonic())):
                return json.loads(connection.recv_bytes())
            now = _cpu_seconds(self._process.pid)
            busy = False
            if used is not None and now is not None:
                busy = now - used < BUSY_SHARE * request.get("seconds", 0)
            reply = {"error": "timeout", "transient": busy}
        except (EOFError, OSError):
            reply = {"error": "its process ended", "transient": True}
        self.stop()
        return reply

    def stop(self) -> None:
        """Kill the process, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _cpu_seconds(process: int) -> float | None:
    """Return the CPU seconds that a process has used, None if the system does not report them."""
    try:
        # The second field, a name in brackets, may contain spaces.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
