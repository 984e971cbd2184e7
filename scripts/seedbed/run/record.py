"""What a run notes of itself, for `make status` and for the next run, in a study's results."""

from __future__ import annotations

from pydantic import Field

from seedbed.records import Part, Record
from seedbed.study.paths import STATE

RUN_FILE = f"{STATE}/run.json"
"""Below a study's results: the record of its last run."""


class OwnHours(Part):
    """What the hours of a job that runs a model itself are booked as.

    Attributes:
        stage: what the model is asked for.
        model: its name.
        gpus: of the job.
    """

    stage: str
    model: str
    gpus: int


class JobNote(Part):
    """A job of a run.

    Attributes:
        rule: its rule.
        wildcards: of the job.
        logs: its logs; of a failed job, copies that no later attempt overwrites.
        slurm: its number in SLURM; None on this machine.
        attempt: which one this is, from 1.
    """

    rule: str
    wildcards: dict[str, str]
    logs: list[str] = Field(default_factory=list)
    slurm: str | None = None
    attempt: int = 1


class BegunJob(JobNote):
    """A job that runs, or waits in a queue.

    Attributes:
        since: when it began, or was submitted.
        state: its state in SLURM.
        reason: why it waits there.
        ran_since: when it was first seen to run there; None before that.
        own: what its hours are booked as, if the run is killed; None if it costs none.
        made: what it makes; the dates of these files are its signs.
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
        message: what Snakemake said of it.
        cells: how many cells wait for it, or are its own.
    """

    said: str | None = None
    message: str | None = None
    cells: int


class RunRecord(Record):
    """`state/run.json`, which a run writes anew every few seconds.

    Attributes:
        host: the machine of the run.
        process: its number there.
        started: when it began.
        noted: when it last wrote this.
        ended: when it ended; None while it goes on, or if it was killed.
        well: whether it ended well; None before the end.
        interrupted: whether Ctrl-C ended it.
        left: how long what is left takes, in words, where that is known.
        blocked: cells that wait for jobs that failed.
        stages: by stage, how many jobs are done, of how many.
        running: jobs under way.
        failed: jobs that failed, and were not started again.
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
