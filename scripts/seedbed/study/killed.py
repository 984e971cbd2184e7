"""What a run of Snakemake that was killed leaves behind: its lock, and its jobs on a cluster.

A run that ends by itself, or by Ctrl-C, takes back its lock and its jobs. One that is killed by
force cannot: Snakemake then asks for `--unlock`, and starts again what SLURM may still be working
on. Here the next run does both by itself, where it is safe: it lifts the lock, and takes over what
the jobs finish.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.artifacts import write_text
from seedbed.study.planning import Planner
from seedbed.study.slurm import await_jobs

if TYPE_CHECKING:
    from snakemake.jobs import Job


def take_over(folder: Path, progress: Callable[[str], None]) -> None:
    """Note that a run works in a folder, and clear up after one that was killed there.

    Its lock is lifted once its jobs on a cluster have ended: those that run are waited for, as
    hours of work may stand behind them, and those that only wait are cancelled. Whether a run is
    alive is told by a lock of the system's own, which ends with its process. Nothing is done for a
    run on another machine, nor on a file system without such locks: Snakemake then says that the
    folder is locked, and how to unlock it.

    Args:
        folder: where Snakemake keeps its own files, `.snakemake` of the working directory.
        progress: called with lines of text.
    """
    folder.mkdir(exist_ok=True)
    file = os.open(folder / "seedbed.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass  # Another run is alive, or there are no such locks.
    else:
        left = any((folder / "locks").glob("*.lock"))
        if left and os.read(file, 1024).decode(errors="replace") == socket.gethostname():
            await_jobs(folder.parent, progress)
            shutil.rmtree(folder / "locks")
            progress("an earlier run was killed: its lock on this folder is lifted")
        os.ftruncate(file, 0)
        os.pwrite(file, socket.gethostname().encode(), 0)
    try:
        # Held open, and so locked, until this process ends.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(file)


def note_begun(file: Path, planner: Planner, jobs: Iterable[Job]) -> None:
    """Write down by what settings a run makes its files.

    The manifest notes it for each job when it ends. If the run is killed before a job on a cluster
    ends, the job's files are made all the same.

    Args:
        file: the file to write.
        planner: of the run.
        jobs: what the run is to make.
    """
    write_text(file, planner.begun(job for job in jobs if job.output))


def note_ended(
    file: Path, planner: Planner, jobs: Iterable[Job], progress: Callable[[str], None]
) -> None:
    """Note in the manifest what jobs made after their run was killed: nothing is made twice.

    Args:
        file: what that run wrote by `note_begun`.
        planner: of the present run.
        jobs: all jobs of the present run.
        progress: called with a line of text, if there is something.
    """
    try:
        noted = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    count = planner.ended(noted, jobs)
    if count:
        progress(f"{count} jobs of a run that was killed had ended well: nothing is made twice")
