"""Queries of SLURM: the jobs of a run, why they are pending, and how job states are read."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOB_PREFIX = "seedbed"
"""The prefix of job names: `slurm-jobname-prefix` in the profile."""

RUN_NAME = re.compile(r"(?:[\w-]+_)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The name of a run, shared by all its SLURM jobs: the prefix and the executor's UUID."""

CONTROLLER_JOB = "SEEDBED_CONTROLLER_JOB"
"""Environment variable with the id of the SLURM job in which the run itself runs, if any."""

POLL_SECONDS = 2.0
SAY_SECONDS = 60.0
ANSWER_SECONDS = 90.0
"""The timeout for squeue and scontrol."""

_FORMAT = "%i|%T|%j|%Z|%r|%k"
_COMMENTS = ("rule_", "group_")

PASSING = re.compile(
    r"(None|Priority|Resources|BeginTime|Cleaning|Prolog|Dependency|JobArrayTaskLimit|Licenses)?$"
)
"""Reasons for a pending job that pass by themselves."""

_EXPLAINED = (
    (r"PartitionTimeLimit", "its time is more than the partition allows"),
    (r"PartitionNodeLimit", "it asks for more nodes than the partition has"),
    (r"Partition(Down|Inactive)", "the partition is down"),
    (r"DependencyNeverSatisfied", "it waits for a job that failed"),
    (r"InvalidAccount|AccountNotAllowed", "the account may not use the partition"),
    (r"InvalidQOS|QOSNotAllowed", "the QOS is not valid for the account or partition"),
    (r"JobHeld(Admin|User)|.*requeued held", "it is held: `scontrol release` lets it go"),
    (r"BadConstraints", "no node offers what it asks for"),
    (r"ReqNodeNotAvail.*|.*DOWN, DRAINED.*|NodeDown|FrontEndDown", "the nodes for it are down"),
    (r"Reservation.*", "the reservation is not active"),
    (r"(Max|QOS|Assoc|Acc).*", "a limit of the account, user or QOS, which other jobs may use up"),
)


class NoAnswerError(Exception):
    """SLURM's controller does not answer."""


@dataclass(frozen=True)
class SlurmJob:
    """A job of a run, as squeue shows it.

    Attributes:
        number: SLURM's job id.
        state: `PENDING`, `RUNNING`, ...
        name: name of the run that submitted it.
        reason: why it is pending; empty if it is not.
        comment: the job's rule and wildcards, `rule_NAME_wildcards_...`; empty if the site drops
            comments.
        folder: the working directory from which it was submitted.
    """

    number: str
    state: str
    name: str
    reason: str
    comment: str
    folder: Path

    @property
    def rule(self) -> str:
        """The name of its rule, or its job id if the rule is unknown."""
        text = self.comment.partition("_wildcards_")[0].removeprefix("rule_")
        return text or f"job {self.number}"

    @property
    def stuck(self) -> str | None:
        """Why it is pending, if the reason does not pass by itself; otherwise None."""
        if self.state != "PENDING" or PASSING.match(self.reason):
            return None
        meant = next((said for text, said in _EXPLAINED if re.fullmatch(text, self.reason)), None)
        return f"{self.reason}: {meant}" if meant else self.reason


def jobs_of(
    folder: Path | None, names: Collection[str] = (), ended: bool = False
) -> list[SlurmJob]:
    """Return the SLURM jobs that runs of Snakemake submitted from a folder.

    The job in which this run itself runs is never among them, whatever its name.

    Args:
        folder: the working directory from which they were submitted; None for any.
        names: names of the runs; empty for all.
        ended: whether to include finished jobs that SLURM still remembers.

    Raises:
        FileNotFoundError: if there is no squeue, or it is not configured for a cluster.
        NoAnswerError: if squeue fails or does not answer.
    """
    words = ["squeue", "--noheader", f"--user={os.getuid()}", f"--format={_FORMAT}"]
    words += ["--states=all"] if ended else []
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"squeue: no answer in {ANSWER_SECONDS:.0f} s") from None
    if done.returncode and "configuration" in done.stderr:
        raise FileNotFoundError(done.stderr.strip())
    if done.returncode:
        raise NoAnswerError(done.stderr.strip() or f"squeue ended with {done.returncode}")
    own = {os.environ.get("SLURM_JOB_ID"), os.environ.get(CONTROLLER_JOB)}
    found = []
    for line in done.stdout.splitlines():
        if line.count("|") < 5:
            continue
        number, state, name, place, reason, comment = line.split("|", 5)
        comment = "" if comment == "(null)" else comment
        if number in own or not RUN_NAME.fullmatch(name) or (names and name not in names):
            continue
        if comment and not comment.startswith(_COMMENTS):
            continue
        if folder is None or _same_folder(Path(place), folder):
            reason = reason if state == "PENDING" else ""
            found.append(SlurmJob(number, state, name, reason, comment, Path(place)))
    return found


def ran_seconds(number: str) -> float | None:
    """Return how many seconds a SLURM job has run, without its time in the queue.

    None if SLURM no longer knows the job, or does not answer.
    """
    words = ["scontrol", "--oneliner", "show", "job", number]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bRunTime=(?:(\d+)-)?(\d+):(\d+):(\d+)", done.stdout)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24.0 + hours) * 60 + minutes) * 60 + seconds


def _same_folder(place: Path, folder: Path) -> bool:
    """Return whether two paths are the same folder, possibly through different mounts."""
    if place == folder or place.resolve() == folder.resolve():
        return True
    try:
        return place.samefile(folder)
    except OSError:
        return False


def await_jobs(
    folder: Path,
    progress: Callable[[str], None],
    names: Collection[str] = (),
    spared: Collection[str] = (),
    patient: bool = True,
) -> int:
    """Cancel the pending SLURM jobs of dead runs, and wait for the running ones.

    Args:
        folder: the working directory from which they were submitted.
        progress: called with a line of text while jobs run, or while SLURM does not answer.
        names: names of dead runs, whose jobs are included even if submitted from other folders.
        spared: names of living runs, whose jobs are left alone.
        patient: whether to wait for SLURM to answer.

    Returns:
        How many jobs there were.
    """
    last = -SAY_SECONDS
    met: set[str] = set()

    def say(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= SAY_SECONDS:
            last = time.monotonic()
            progress(text)

    while True:
        try:
            jobs = [
                job
                for job in jobs_of(None)
                if job.name in names
                or (job.name not in spared and _same_folder(job.folder, folder))
            ]
        except FileNotFoundError:
            return 0
        except NoAnswerError as error:
            if not patient:
                return 0
            say(f"waiting for SLURM to answer, because jobs of an earlier run may exist: {error}")
            time.sleep(POLL_SECONDS)
            continue
        if not jobs:
            return len(met)
        met |= {job.number for job in jobs}
        waiting = sorted(job.number for job in jobs if job.state == "PENDING")
        if waiting:
            # A job that has started meanwhile continues to run.
            subprocess.run(["scancel", "--state=PENDING", *waiting], check=False)
        running = sorted({job.number for job in jobs} - set(waiting))
        if running:
            say(
                f"waiting for SLURM jobs of a run that was killed: {' '.join(running)} "
                "(to run them again instead, `scancel` them)"
            )
        time.sleep(POLL_SECONDS)


def check_status_command(settings: Any, progress: Callable[[str], None]) -> None:
    """Make the executor read job states with a command that works on this cluster.

    On a cluster without accounting, the executor would call `sacct` forever without a message.

    Args:
        settings: settings of Snakemake's SLURM executor.
        progress: called with a line of text if the command differs from the setting.

    Raises:
        RuntimeError: if SLURM forgets finished jobs before the executor reads their states.
    """
    if settings.status_command == "sacct":
        done = subprocess.run(["sacct", "--noheader", "--allocations"], capture_output=True)
        if done.returncode == 0:
            return
        settings.status_command = "squeue"
        progress("sacct does not answer: squeue reads job states instead")
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
