"""The cluster that a run sends its jobs to, where that is SLURM."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

JOB_PREFIX = "seedbed_"
"""Beginning of the names of jobs, by `slurm-jobname-prefix` in the profile."""

POLL_SECONDS = 2.0
SAY_SECONDS = 60.0


def await_jobs(folder: Path, progress: Callable[[str], None]) -> None:
    """Cancel the SLURM jobs of a folder that wait, and wait for those that run.

    Args:
        folder: the working directory that they were sent from.
        progress: called with a line of text while some run.
    """
    if shutil.which("squeue") is None:
        return
    said = -SAY_SECONDS
    while states := jobs_of(folder):
        waiting = sorted(job for job, state in states.items() if state == "PENDING")
        if waiting:
            subprocess.run(["scancel", *waiting], check=False)
        running = sorted(states.keys() - set(waiting))
        if running and time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            progress(
                f"waiting for SLURM jobs of a run that was killed: {' '.join(running)} "
                "(`scancel` them to have them made again)"
            )
        time.sleep(POLL_SECONDS)


def jobs_of(folder: Path) -> dict[str, str]:
    """Return the state of each SLURM job that was sent from a folder and has not ended."""
    words = ["squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%i|%T|%j|%Z"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = {}
    for line in done.stdout.splitlines():
        number, state, name, place = line.split("|", 3)
        if name.startswith(JOB_PREFIX) and Path(place).resolve() == folder.resolve():
            found[number] = state
    return found


def check_status_command(settings: Any, progress: Callable[[str], None]) -> None:
    """Let the executor ask for the states of jobs what answers here.

    It would ask `sacct` for ever, and in silence, on a cluster that keeps no accounts.

    Args:
        settings: of Snakemake's SLURM executor.
        progress: called with a line of text if something else is asked than was set.

    Raises:
        RuntimeError: if SLURM forgets jobs before they are seen to have ended.
    """
    if settings.status_command == "sacct":
        done = subprocess.run(["sacct", "--noheader", "--allocations"], capture_output=True)
        if done.returncode == 0:
            return
        settings.status_command = "squeue"
        progress("sacct does not answer: the states of jobs are read by squeue")
    least = 3 * settings.init_seconds_before_status_checks
    shown = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True)
    age = re.search(r"MinJobAge\s*=\s*(\d+)", shown.stdout)
    if age is not None and int(age[1]) < least:
        raise RuntimeError(
            f"SLURM forgets a job {age[1]} s after its end (MinJobAge), before a run sees how it "
            f"ended: squeue takes {least} s. Set slurm-init-seconds-before-status-checks in "
            f"profiles/slurm/config.yaml to {int(age[1]) // 3} or less, or have the site keep "
            "accounts, and set slurm-status-command to sacct"
        )
