"""What Ctrl-C ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seedbed.run.terminal import INTERRUPTED

SCRIPTS = Path(__file__).parents[2] / "scripts"

# As Snakemake's pool does: what was queued starts after Ctrl-C, and is waited for.
RUN = """
import logging, os, subprocess, sys
from seedbed.run.terminal import Interrupt
Interrupt().watch(logging.getLogger())
try:
    print("ready", flush=True)
    while True:
        pass
except KeyboardInterrupt:
    job = subprocess.Popen(["tail", "-n0", "-F", f"--pid={os.getpid()}", sys.argv[1]])
    print("job", job.wait(), flush=True)
"""


def interrupted_run(word):
    """A run that is interrupted, and that then starts a process with a word in its command."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, word],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    return process


def test_a_job_that_starts_after_ctrl_c_ends_too():
    process = interrupted_run(f"{SCRIPTS}/train_student.py")
    try:
        said, errors = process.communicate(timeout=40)
    finally:
        process.kill()
    assert said == f"job {-signal.SIGINT}\n"
    assert INTERRUPTED in errors


# `asyncio.run` makes an event loop, whose end fails if the interrupt left it without its sockets.
HALF_MADE = """
import logging, os, signal
from seedbed.run.terminal import Interrupt
class Loop:
    def __init__(self):
        os.kill(os.getpid(), signal.SIGINT)
    def __del__(self):
        self.sockets.close()
Interrupt().watch(logging.getLogger())
try:
    Loop()
except KeyboardInterrupt:
    pass
"""


# As Snakemake's pool starts a job: in a thread, by a shell.
STARTED_JOB = """
import shlex, signal, subprocess, sys, threading
from seedbed.run.terminal import hold_interrupts
def start():
    hold_interrupts()
    command = shlex.join([sys.executable, "-c", sys.argv[1]])
    print(subprocess.run(["bash", "-c", command]).returncode)
signal.signal(signal.SIGINT, lambda number, frame: None)
threading.Thread(target=start).start()
"""

# What Python does before `starts` cannot be interrupted at a known moment.
STARTS = """
import sys
print("starts", flush=True)
sys.stdin.readline()
from dataclasses import dataclass
from seedbed.command_line import run
@dataclass
class Options:
    pass
run(Options, lambda options: print("goes on"), "")
"""

# An extension module that is interrupted while it is imported raises what it likes.
IMPORTS = """
from dataclasses import dataclass
from seedbed.command_line import run
@dataclass
class Options:
    pass
def job(options):
    print("starts", flush=True)
    try:
        input()
    except KeyboardInterrupt:
        raise ImportError("could not import module") from None
run(Options, job, "")
"""


@pytest.mark.parametrize("job", [STARTS, IMPORTS])
def test_a_job_that_is_starting_ends_at_ctrl_c_without_a_traceback(job):
    process = subprocess.Popen(
        [sys.executable, "-c", STARTED_JOB, job],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == "starts\n"
        os.killpg(process.pid, signal.SIGINT)
        said, errors = process.communicate("\n" if job == STARTS else None, timeout=40)
    finally:
        process.kill()
    assert (said, errors) == ("1\n", "ended at Ctrl-C\n")


# A job's end is logged by a thread of the pool, here before the main thread sees the signal.
ENDED_FIRST = """
import logging, os, signal, sys, threading
from snakemake_interface_logger_plugins.common import LogEvent
from seedbed.run.terminal import Interrupt
logger = logging.getLogger("run")
logger.addHandler(logging.StreamHandler(sys.stderr))
Interrupt().watch(logger)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
pool = threading.Thread(
    target=lambda: logger.error("Error in rule", extra={"event": LogEvent.JOB_ERROR})
)
os.kill(os.getpid(), signal.SIGINT)
pool.start()
threading.Event().wait(0.1)
try:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
except KeyboardInterrupt:
    pool.join()
"""


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(ENDED_FIRST, id="a job that ends before it is handled"),
        pytest.param(HALF_MADE, id="an object that it leaves half made"),
    ],
)
def test_nothing_but_one_line_is_said_of_ctrl_c(script):
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert run.stderr == f"{INTERRUPTED}\n"


@pytest.mark.slow
def test_what_cancels_jobs_of_a_cluster_goes_on():
    process = interrupted_run("scancel")
    try:
        time.sleep(3)
        assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
