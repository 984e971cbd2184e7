"""The record of a run in a study's results, for `make status` and for the next run."""

from __future__ import annotations

from pydantic import Field

from seedbed.records import Part, Record
from seedbed.study.paths import STATE

RUN_FILE = f"{STATE}/run.json"
"""The record of a study's last run, relative to the study's results."""


class OwnHours(Part):
    """How the hours of a job that runs a model itself are booked.

    Attributes:
        stage: the stage of the job.
        model: the model's name.
        gpus: the job's number of GPUs.
    """

    stage: str
    model: str
    gpus: int


class JobNote(Part):
    """A job of a run.

    Attributes:
        rule: its rule.
        wildcards: its wildcards.
        logs: its logs; for a failed job, copies that no later attempt overwrites.
        slurm: its SLURM job id; None on this machine.
        attempt: the number of the attempt, from 1.
    """

    rule: str
    wildcards: dict[str, str]
    logs: list[str] = Field(default_factory=list)
    slurm: str | None = None
    attempt: int = 1


class BegunJob(JobNote):
    """A job that runs, or waits in a queue.

    Attributes:
        since: when it started, or was submitted.
        state: its state in SLURM.
        reason: why it is pending there.
        ran_since: when it was first seen running there; None before that.
        own: how its hours are booked if the run is killed; None if it runs no model.
        made: its outputs if it runs a model; their modification times are signs of life.
    """

    since: float
    state: str = "RUNNING"
    reason: str = ""
    ran_since: float | None = None
    own: OwnHours | None = None
    made: list[str] = Field(default_factory=list)


class FailedJob(JobNote):
    """A job that failed.

    Attributes:
        said: the last line of its log.
        message: Snakemake's message about it.
        cells: how many cells depend on it, including its own.
    """

    said: str | None = None
    message: str | None = None
    cells: int


class RunRecord(Record):
    """`state/run.json`, which a run rewrites every few seconds.

    Attributes:
        host: the machine of the run.
        process: its process id there.
        started: when it began.
        noted: when it last wrote this record.
        ended: when it ended; None while it lasts, or if it was killed.
        well: whether it succeeded; None before the end.
        interrupted: whether Ctrl-C stopped it.
        left: the remaining time in words; None if unknown.
        blocked: how many cells depend on failed jobs.
        stages: by stage, how many jobs are done, and how many there are.
        running: jobs under way.
        failed: jobs that failed and have not been retried.
    """

    host: str
    process: int | None = None
    started: float
    noted: float
    ended: float | None
    well: bool | None = None
    interrupted: bool = False
    left: str | None
    blocked: int
    stages: dict[str, tuple[int, int]]
    running: list[BegunJob]
    failed: list[FailedJob]
