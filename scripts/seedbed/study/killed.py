"""What a run of Snakemake that was killed leaves behind: its lock, and its jobs on a cluster.

A run that ends by itself, or by Ctrl-C, takes back its lock and its jobs. One that is killed by
force cannot: Snakemake then asks for `--unlock`, and starts again what SLURM may still be working
on. Here the next run does both by itself, where it is safe: it lifts the lock, and takes over what
the jobs finish.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedbed.artifacts import read_json, write_json
from seedbed.study.slurm import await_jobs

if TYPE_CHECKING:
    from snakemake.workflow import Workflow as Snakemake


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


def note_settings(file: Path, snakemake: Snakemake) -> None:
    """Write down by what settings a run makes its files.

    Snakemake records it for each job when it ends. If it is killed before a job on a cluster ends,
    the job's files are made all the same, without a record of what they were made by.

    Args:
        file: the JSON file to write.
        snakemake: the run.
    """
    jobs = snakemake.dag.needrun_jobs()
    write_json(file, {str(path): _settings(snakemake, job) for job in jobs for path in job.output})


def record_finished(
    file: Path, snakemake: Snakemake, progress: Callable[[str], None]
) -> Iterable[str]:
    """Record what jobs made after their run was killed, so that later edits are seen.

    Args:
        file: what that run wrote by `note_settings`.
        snakemake: the present run.
        progress: called with a line of text, if there is something.

    Returns:
        Files that were made by other settings than the present ones. They are marked as
        incomplete, so that the next run makes them again.
    """
    noted = read_json(file) if file.is_file() else {}
    needed = set(snakemake.dag.needrun_jobs())
    recorded, other = 0, []
    for job in snakemake.dag.jobs:
        files = [path for path in job.output if str(path) in noted]
        if job in needed or not files or _recorded(snakemake, files[0]):
            continue
        if noted[str(files[0])] == _settings(snakemake, job):
            snakemake.async_run(snakemake.persistence.finished(job))
            recorded += 1
        else:
            snakemake.persistence.started(job)
            other += map(str, files)
    if recorded:
        progress(f"{recorded} jobs of a run that was killed had ended well: nothing is made twice")
    return other


def _recorded(snakemake: Snakemake, file: Any) -> bool:
    """Return whether Snakemake has a record of the making of a file, and not of an earlier one."""
    record = snakemake.persistence.metadata(file)
    return record is not None and record.endtime >= Path(file).stat().st_mtime


def _settings(snakemake: Snakemake, job: Any) -> str:
    # What Snakemake itself would record, and compare later.
    parameters = json.dumps(snakemake.persistence._params(job))
    return hashlib.sha256(parameters.encode()).hexdigest()
