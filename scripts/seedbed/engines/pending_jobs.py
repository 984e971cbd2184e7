"""Pending jobs: a job that has loaded a model also answers for later jobs that use the same model.

Loading a large model takes minutes. Each target keeps its own job, and each job can start the
engine. The first job to load a model also fills the response caches of pending jobs whose inputs
exist. These jobs find all answers in their caches, and load nothing. A job waits while another job
fills its cache.
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
"""Most pending jobs that a job answers for. After so many, another engine's start costs little in
comparison."""

PLAN = "plan.txt"
"""Name of the file that lists a run's outputs, in the folder with the lists of jobs by model."""

POLL_SECONDS = 0.2
SAY_SECONDS = 60.0


class PendingJob(Part):
    """A job that uses the same model.

    Attributes:
        output: its output file.
        cache: folder of its response cache.
        inputs: its input files.
    """

    output: Path
    cache: Path
    inputs: tuple[Path, ...]

    def line(self) -> str:
        """Return the job as a line of the file of jobs; `PendingOfModel.read` reads it."""
        return json.dumps(self.model_dump(mode="json", exclude_unset=True)) + "\n"


class PendingShard(PendingJob):
    """A job that fills a shard.

    Attributes:
        settings: settings of its queries.
        seeds: seeds.parquet of the seed set.
        start: first query of the shard.
        stop: one past the last query that is needed.
        end: one past the last query that the shard can hold; None means `stop`.
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
        questions: the same shard of the question stream; None for the seed questions.
    """

    settings: AnswerSettings
    questions: Path | None


class PendingEvaluation(PendingJob):
    """A job that evaluates a student on the same test items.

    Attributes:
        adapter: folder of the student's adapter; None for the base model.
    """

    adapter: Path | None


class PendingJudging(PendingJob):
    """A job that grades a student's answers to the same test items.

    Attributes:
        answers: file of the answers.
    """

    answers: Path


class PendingTraining(PendingJob):
    """A job that trains the same student, on the job's first input.

    Attributes:
        settings: settings of the training.
        trainer: how the training is run.
    """

    settings: StudentTraining
    trainer: Trainer


Job = TypeVar("Job", bound=PendingJob)


class Plan:
    """The outputs of the present run of Snakemake, as noted when it started.

    With it, no job answers for a job that will not run, or from a file that will be replaced.
    """

    def __init__(self, file: Path | None, root: Path | None = None) -> None:
        """Read the plan.

        Args:
            file: file of the plan; without one, the plan is empty.
            root: base folder of relative paths; None for the working directory.
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
    """Write the list of a run's output files, one path per line."""
    write_text(Path(file), "".join(f"{path}\n" for path in paths))


@dataclass(frozen=True)
class PendingOfModel(Generic[Job]):
    """The jobs of one rule that use the same model as the present job.

    Attributes:
        plan: outputs of the present run.
        jobs: the jobs, pending or not.
    """

    plan: Plan
    jobs: tuple[Job, ...]

    @classmethod
    def read(cls, file: Path | None, own: Path, kind: type[Job]) -> PendingOfModel[Job]:
        """Read the jobs that use a job's model: those after it in the file, then those before it.

        Args:
            file: file of jobs that use the same model, one line of JSON per job. It may not exist.
            own: output of the present job.
            kind: class of the jobs.
        """
        if file is None or not file.is_file():
            return cls(Plan(None), ())
        lines = file.read_text(encoding="utf-8").splitlines()
        # Only the needed lines are parsed, because there may be thousands.
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
    """Lock the queries of an output file, so that no two jobs send them.

    The system releases the lock of a killed process.

    Args:
        cache: folder of the file's response cache.
        output: the output file.
        progress: called with a line of text while this job waits for another job's lock; None for
            no waiting.

    Yields:
        Whether this job holds the lock.
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
            # On a file system without locks, some queries may be sent twice, which does no harm.
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
        pending: jobs that use the loaded model.
        answer: fills a job's response cache, at once or while its result is iterated.
        progress: called with a line of text for each job.
        until: time on the clock of `time.monotonic` after which no job is started.
        at_once: number of jobs to answer for at the same time.
    """
    coming = iter(pending.jobs)
    under_way: deque[Iterator[object]] = deque()
    while True:
        while len(under_way) < at_once and time.monotonic() <= until:
            job = next(coming, None)
            if job is None:
                break
            # Checked only now, because other jobs continue meanwhile.
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
            # The pending job itself will fail with this error, and report it.
            progress(f"left to its own job: {error}")
