"""The jobs of a run on a cluster, and their processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from itertools import chain
from pathlib import Path


def rule(job):
    """Return the name of a job's rule, from the comment that Snakemake gave the job."""
    return job["Comment"].removeprefix("rule_").split("_wildcards_")[0]


def processes(job):
    """Return the Python processes of a job's script."""
    found = subprocess.run(
        ["pgrep", "-f", f"^python .*scripts/{rule(job)}[.]py"], capture_output=True, text=True
    )
    return [int(text) for text in found.stdout.split() if job["JobId"] == number_of(int(text))]


def stopped(jobs):
    """Stop the existing processes of jobs, and return whether each job has one.

    Repeated calls catch each job as it starts, so that none ends in the meantime.
    """
    found = [processes(job) for job in jobs]
    for process in chain(*found):
        _send(process, signal.SIGSTOP)
    return all(found)


def go_on(jobs):
    """Continue the stopped processes of jobs."""
    for process in chain(*map(processes, jobs)):
        _send(process, signal.SIGCONT)


def _send(process, number):
    with suppress(ProcessLookupError):
        os.kill(process, number)


def number_of(process):
    """Return the number of the SLURM job to which a process belongs."""
    with suppress(OSError):
        variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        named = dict(variable.split(b"=", 1) for variable in variables if b"=" in variable)
        return named.get(b"SLURM_JOB_ID", b"").decode()
    return None
