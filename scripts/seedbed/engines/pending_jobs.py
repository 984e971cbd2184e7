"""Pending jobs: a job that has loaded a model also answers for later jobs that ask the same model.

Loading a large model takes minutes. Each target keeps its own job, and each job can start the
engine. The first job to load a model also fills the response caches of pending jobs whose inputs
exist; these find all answers in their caches, and load nothing. A job waits while another fills its
cache.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from seedbed.artifacts import write_text
from seedbed.engines.settings import Asked
from seedbed.records import Part
from seedbed.streams.settings import AnswerSettings, QuestionSettings
from seedbed.training.settings import StudentTraining, Trainer

MOST = 32
"""Pending jobs that a job answers for: after these, the start of another engine costs little."""

PLAN = "plan.txt"
"""The file that lists what a run will make, beside the files of its jobs by model."""

POLL_SECONDS = 0.2
SAY_SECONDS = 60.0


class PendingJob(Part):
    """A job that asks the same model.

    Attributes:
        output: the file that it makes.
        cache: folder of its response cache.
        inputs: files that it asks about.
    """

    output: Path
    cache: Path
    inputs: tuple[Path, ...]

    def line(self) -> str:
        """Return the job as a line of the file of jobs; `PendingOfModel.read` reads it."""
        return json.dumps(self.model_dump(mode="json", exclude_unset=True)) + "\n"


class PendingShard(PendingJob):
    """A job that asks a model for a shard.

    Attributes:
        settings: how it asks.
        seeds: seeds.parquet of the seed set.
        start: first query of the shard.
        stop: one past the last query that is needed.
        end: one past the last query that it can hold; else as `stop`.
    """

    settings: Asked
    seeds: Path
    start: int
    stop: int
    end: int | None = None


class PendingWriting(PendingShard):
    """A job that writes the questions of a shard."""

    settings: QuestionSettings


class PendingAnswering(PendingShard):
    """A job that answers the questions of a shard.

    Attributes:
        questions: the same shard of the question stream; None asks the seeds' questions.
    """

    settings: AnswerSettings
    questions: Path | None


class PendingEvaluation(PendingJob):
    """A job that asks a student the same items.

    Attributes:
        adapter: folder of the student's adapter; None for the base model.
    """

    adapter: Path | None


class PendingJudging(PendingJob):
    """A job that grades a student's answers to the same items.

    Attributes:
        answers: the answers.
    """

    answers: Path


class PendingTraining(PendingJob):
    """A job that trains the same student, on its first input.

    Attributes:
        settings: how it trains.
        trainer: how that is run.
    """

    settings: StudentTraining
    trainer: Trainer


Job = TypeVar("Job", bound=PendingJob)


class Plan:
    """What the present run of Snakemake will make, as it noted when it started.

    So no job answers for a job that will not run, or about a file that will be made again.
    """

    def __init__(self, file: Path | None, root: Path | None = None) -> None:
        """Read the plan.

        Args:
            file: the plan; without a file, there is nothing to make.
            root: the folder that paths are relative to; None for the working directory.
        """
        self._root = root or Path()
        self._files: frozenset[str] = frozenset()
        self._since = 0.0
        if file is not None and file.is_file():
            self._files = frozenset(file.read_text(encoding="utf-8").splitlines())
            self._since = file.stat().st_mtime

    def waits(self, job: PendingJob) -> bool:
        """Return whether a job is pending, and all its inputs exist."""
        return (
            str(job.output) in self._files
            and not self.made(job.output)
            and all(map(self.made, job.inputs))
        )

    def made(self, path: Path) -> bool:
        """Return whether a file exists that the run will not replace."""
        try:
            made = (self._root / path).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return False
        return str(path) not in self._files or made > self._since


def write_plan(file: Path | str, paths: Iterable[object]) -> None:
    """Write the list of files that a run will make, one path a line."""
    write_text(Path(file), "".join(f"{path}\n" for path in paths))


@dataclass(frozen=True)
class PendingOfModel(Generic[Job]):
    """The jobs of one rule that ask the same model as the present job.

    Attributes:
        plan: what the present run will make.
        jobs: the jobs, pending or not.
    """

    plan: Plan
    jobs: tuple[Job, ...]

    @classmethod
    def read(cls, file: Path | None, own: Path, kind: type[Job]) -> PendingOfModel[Job]:
        """Read the jobs that ask a job's model: those after it in the file, then those before it.

        Args:
            file: jobs that ask the same model, a line of JSON each; it need not exist.
            own: the output of the job itself.
            kind: what the jobs are.
        """
        if file is None or not file.is_file():
            return cls(Plan(None), ())
        lines = file.read_text(encoding="utf-8").splitlines()
        # Without reading all of them: there may be thousands.
        begins = json.dumps({"output": str(own)})[:-1] + ","
        place = next((n for n, line in enumerate(lines) if line.startswith(begins)), len(lines))
        order = lines[place + 1 :] + lines[:place]
        jobs = (kind.model_validate_json(line) for line in order[:MOST])
        return cls(Plan(file.with_name(PLAN)), tuple(jobs))

    def waiting(self) -> list[Job]:
        """Return the pending jobs whose inputs exist."""
        return [job for job in self.jobs if self.plan.waits(job)]


@contextmanager
def claimed(
    cache: Path, output: Path, progress: Callable[[str], None] | None = None
) -> Iterator[bool]:
    """Lock the queries of a file, so that no two jobs ask them; a killed process frees its lock.

    Args:
        cache: folder of the file's response cache.
        output: the file.
        progress: called with a line of text while this waits for another job's lock; None does not
            wait.

    Yields:
        Whether the lock is held.
    """
    cache.mkdir(parents=True, exist_ok=True)
    lock = cache / f"{output.parent.name}.lock"
    file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield _lock(file, progress)
    finally:
        os.close(file)


def _lock(file: int, progress: Callable[[str], None] | None) -> bool:
    said = -SAY_SECONDS
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if progress is None:
                return False
        except OSError:
            # A file system without locks: some queries may be asked twice, which does no harm.
            return True
        else:
            return True
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            progress("another job, which has the model loaded, is at this: waiting for it")
        time.sleep(POLL_SECONDS)


def serve(
    pending: PendingOfModel[Job],
    answer: Callable[[Job], Iterable[object] | None],
    progress: Callable[[str], None],
    until: float = math.inf,
    at_once: int = 1,
) -> None:
    """Fill the response caches of pending jobs, except for locked ones.

    Args:
        pending: jobs that ask the loaded model.
        answer: fills the response cache of a job, at once or as what it returns is read.
        progress: called with a line of text for each job.
        until: the time, by `time.monotonic`, after which no job is begun.
        at_once: how many jobs to answer for at the same time.
    """
    coming = iter(pending.jobs)
    under_way: deque[Iterator[object]] = deque()
    while True:
        while len(under_way) < at_once and time.monotonic() <= until:
            job = next(coming, None)
            if job is None:
                break
            # Only now, because the other jobs go on meanwhile.
            if pending.plan.waits(job):
                under_way.append(_answers(job, answer, progress))
        if not under_way:
            return
        first = under_way.popleft()
        if next(first, under_way) is not under_way:
            under_way.append(first)


def _answers(
    job: Job,
    answer: Callable[[Job], Iterable[object] | None],
    progress: Callable[[str], None],
) -> Iterator[object]:
    """Yield the answers that fill the response cache of a job, if no other job fills it."""
    with claimed(job.cache, job.output) as held:
        if not held:
            return
        progress(f"the model is loaded: answering for {job.output.parent}")
        try:
            yield from answer(job) or ()
        except (OSError, ValueError, RuntimeError) as error:
            # The job itself will meet the error, and report it.
            progress(f"left to its own job: {error}")
