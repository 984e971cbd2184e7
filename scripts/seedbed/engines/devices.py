"""The division of a machine's GPUs among the jobs that share it."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL_SECONDS = 1.0
SAY_SECONDS = 60.0

CONTROLLER_JOB = "SEEDBED_CONTROLLER_JOB"
"""Environment variable with the number of the SLURM job in which Snakemake itself runs; empty if it
runs in none."""

_ALLOCATED = (
    VISIBLE,
    "SLURM_STEP_GPUS",
    "SLURM_JOB_GPUS",
    "SLURM_GPUS_ON_NODE",
    "GPU_DEVICE_ORDINAL",
)

_held: list[int] = []


def use_gpus(count: int, progress: Callable[[str], None], devices: Path = Path("/dev")) -> None:
    """Make `count` GPUs visible to this process that no other job on this machine uses.

    Call it before any library looks for GPUs. A job that SLURM started uses its allocation, at most
    `count` GPUs of it, because more would change how a student is trained. With a count of 0, it
    uses one GPU of its allocation if there is any. Elsewhere a job takes free GPUs, and waits until
    enough are free. Locks on files hold the GPUs, and the system releases them with the process.
    Users of one machine divide its GPUs among them with CUDA_VISIBLE_DEVICES. Without GPUs, the job
    runs on the CPU.

    Args:
        count: number of GPUs; 0 hides all.
        progress: called with a line of text while the job waits.
        devices: folder of the device files.
    """
    if _started_by_slurm():
        if not any(os.environ.get(name) for name in _ALLOCATED):
            # A node may show a job the GPUs of other jobs.
            os.environ[VISIBLE] = ""
        elif os.environ.get(VISIBLE):
            os.environ[VISIBLE] = ",".join(_visible(devices)[: max(1, count)])
        return
    if count == 0:
        os.environ[VISIBLE] = ""
        return
    seen = _visible(devices)
    if len(seen) <= count:
        return
    locks = Path(tempfile.gettempdir()) / f"seedbed-gpus-{os.getuid()}"
    locks.mkdir(mode=0o700, exist_ok=True)
    said = -SAY_SECONDS
    while len(taken := _take(seen, count, locks)) < count:
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            progress(f"waiting for {count} of the {len(seen)} GPUs, which other jobs use")
        time.sleep(POLL_SECONDS)
    os.environ[VISIBLE] = ",".join(taken)
    progress(f"on GPU {', '.join(taken)}")


def divided_gpus(count: int, devices: Path = Path("/dev")) -> list[str]:
    """Return the CUDA_VISIBLE_DEVICES of each of several subprocesses.

    Args:
        count: number of subprocesses, which have the same number of GPUs each.
        devices: folder of the device files.

    Raises:
        ValueError: if the number of visible GPUs is no multiple of `count`.
    """
    seen = _visible(devices)
    if len(seen) % count:
        raise ValueError(
            f"engine.data_parallel_size: {count} copies of a model cannot share {len(seen)} GPUs, "
            "which this job sees"
        )
    each = len(seen) // count
    return [",".join(seen[number * each : (number + 1) * each]) for number in range(count)]


def _started_by_slurm() -> bool:
    """Return whether this process has its own SLURM allocation.

    Jobs that a run starts inside its own allocation share it, as jobs on one machine do.
    """
    job = os.environ.get("SLURM_JOB_ID")
    return job is not None and job != os.environ.get(CONTROLLER_JOB)


def _visible(devices: Path) -> list[str]:
    """Return the numbers or names of the GPUs that this process sees."""
    said = os.environ.get(VISIBLE)
    if said is not None:
        return [name.strip() for name in said.split(",") if name.strip()]
    numbers = [re.fullmatch(r"nvidia(\d+)", path.name) for path in devices.glob("nvidia*")]
    return sorted((found[1] for found in numbers if found), key=int)


def _take(names: list[str], count: int, locks: Path) -> list[str]:
    """Lock `count` of the GPUs, or none if fewer are free."""
    files: dict[str, int] = {}
    for name in names:
        if len(files) == count:
            break
        file = os.open(locks / re.sub(r"\W", "-", name), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        else:
            files[name] = file
    if len(files) < count:
        for file in files.values():
            os.close(file)
        return []
    _held.extend(files.values())
    return list(files)
