"""The progress of a run: finished jobs, remaining time, and failures.

Follows Snakemake's log events, and keeps their summary in a file that `make status` reads during
and after the run. The file is rewritten every few seconds, even if nothing has changed.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from snakemake_interface_logger_plugins.common import LogEvent

from seedbed.run.jobs import rule_name
from seedbed.run.record import BegunJob, FailedJob, OwnHours, RunRecord
from seedbed.run.slurm import ran_seconds
from seedbed.run.terminal import Interrupt
from seedbed.study.paths import STATE

if TYPE_CHECKING:
    from snakemake.jobs import Job

    from seedbed.run.paying import Paying
    from seedbed.run.slurm import SlurmJob
    from seedbed.run.snakemake_internals import Jobs

STAGES = {
    "get_model": "models",
    "pretrain_model": "models",
    "get_task": "tasks",
    "draw_seeds": "seed sets",
    "write_questions": "questions",
    "answer_questions": "answers",
    "sample_answers": "verification",
    "check_answers": "verification",
    "verify_answers": "verification",
    "build_dataset": "datasets",
    "train_student": "adapters",
    "answer_items": "answers to grade",
    "evaluate_student": "cells",
    "judge_student": "cells",
}
"""The names that messages use for the jobs of each rule, in the order of the stages."""


PLANNING_FOLDER = Path(STATE, "planning")
"""The folder of a study's results in which a run leaves its sign while it plans its jobs."""

REST = "tables and figures"
SAY_SECONDS = 10.0
SAVE_SECONDS = 2.0
HEARTBEAT_SECONDS = 5.0
"""The longest time between two writes of the file."""

WAIT_SECONDS = 120.0
"""How long a log line about waiting is valid. A job repeats it every minute while it waits."""
WAITS_SECONDS = 600.0
"""The time between two lines about batches that a run waits for."""

REPORTS = ("write_report", "write_spend")
"""Rules that read the spending."""

QUEUE_SECONDS = 30.0
"""The time between two queries of SLURM's queue."""

FAILED_LOGS = "logs/failed"
"""The folder of a study's results with copies of failed attempts' logs, which retries overwrite."""

_INTERRUPTED_SECONDS = 1.0
"""Ctrl-C is taken as the cause of a job's failure in this time before Ctrl-C was noticed."""

_LOG_BYTES = 2**20
_TAIL = 65536
_LONGEST_LINE = 300
# How many jobs must have finished before the time left is shown.
_LEAST_FINISHED = 3
_BENCHMARKS = 5


def measured_seconds(results: Path) -> dict[str, float]:
    """Return how many seconds a job of each rule takes, from a few of Snakemake's benchmarks."""
    found = {}
    for place in (results / "benchmarks").glob("*"):
        seconds = []
        for file in islice(place.rglob("*.tsv"), _BENCHMARKS) if place.is_dir() else [place]:
            try:
                seconds.append(float(file.read_text().splitlines()[1].split("\t")[0]))
            except (OSError, ValueError, IndexError):
                continue
        if seconds:
            found[place.stem] = sum(seconds) / len(seconds)
    return found


def batches_under_way(results: Path, since: float) -> str:
    """Return a line about batches of a study that are under way through Batch APIs, if any.

    Args:
        results: the study's results.
        since: when the run began. Its jobs have noted every batch that they found or sent since
            then. No job waits for older ones, whose requests an edit has changed.
    """
    count = 0
    for note in results.glob(f"{STATE}/**/batches/*/*.json"):
        with suppress(FileNotFoundError):
            count += note.stat().st_mtime >= since
    if not count:
        return ""
    return (
        f"Batches under way through a Batch API: {count}. This run waits for them, for a day at "
        "most; they go on without it (Ctrl-C), and the next start collects the answers."
    )


_Signature = tuple[int, int, int]
"""A file's inode, size and modification time."""


class Progress(logging.Handler):
    """Prints the progress of a run from time to time, and keeps it in a file.

    Args:
        run: the jobs of a run that has not started.
        file: the JSON file to keep up to date, `run.json` of the study's results.
        known: seconds that a job of a rule took in earlier runs, by rule.
        say: called with each line to print.
        clock: returns seconds, as `time.monotonic` does.
        interrupt: knows whether Ctrl-C was pressed. Jobs that Ctrl-C stops do not count as failed.
        queue: returns the run's SLURM jobs; None if jobs run on this machine.
        paying: books the cost of jobs.
        ending: returns further lines to print at the end.
    """

    def __init__(
        self,
        run: Jobs,
        file: Path,
        known: Mapping[str, float],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        interrupt: Interrupt | None = None,
        queue: Callable[[], Iterable[SlurmJob]] | None = None,
        paying: Paying | None = None,
        ending: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        super().__init__()
        self._run, self._file, self._known, self._say = run, file, known, say
        self._clock, self._start = clock, clock()
        self._interrupt, self._queue = interrupt or Interrupt(), queue
        self._paying, self._ending = paying, ending
        self._said = self._saved = self._start
        self._began = time.time()
        jobs = [job for job in self._run.all() if job.output]
        self._jobs = {self._run.number(job): job for job in jobs}
        needed = {self._run.number(job) for job in self._run.needed()} & self._jobs.keys()
        self._left = Counter(rule_name(self._jobs[number]) for number in needed)
        self._total = Counter(rule_name(job) for job in jobs)
        self._begun: dict[int, tuple[float, float]] = {}
        self._submitted: dict[int, str] = {}
        self._states: dict[str, tuple[str, str]] = {}
        self._ran_since: dict[str, float] = {}
        self._own: dict[int, OwnHours | None] = {}
        self._finished: set[int] = set()
        self._failed: dict[int, FailedJob] = {}
        self._failed_at: dict[int, float] = {}
        self._waits: dict[int, str] = {}
        self._logs: dict[int, dict[str, _Signature | None]] = {}
        self._blocks = 0
        self._took: dict[str, list[float]] = {}
        self._ended: float | None = None
        self._well: bool | None = None
        self._interrupted = False
        self._needed = needed
        shutil.rmtree(self._results / FAILED_LOGS, ignore_errors=True)
        self._save()
        self._over = threading.Event()

    def grow(self) -> None:
        """Include jobs that a checkpoint's decision has added since the run began."""
        jobs = {self._run.number(job): job for job in self._run.all() if job.output}
        needed = {self._run.number(job) for job in self._run.needed()} & jobs.keys()
        self._left.update(rule_name(jobs[number]) for number in needed - self._needed)
        self._needed |= needed
        self._jobs |= jobs
        self._total = Counter(rule_name(job) for job in self._jobs.values())

    def start(self) -> None:
        """Keep the file up to date from here on, until `end` or the end of the process."""
        atexit.register(self.end, False)
        threading.Thread(target=self._beat, name="watch", daemon=True).start()

    def left(self) -> list[str]:
        """Return the planned files that the run has not made."""
        numbers = self._needed - self._finished
        return [str(file) for number in numbers for file in self._jobs[number].output]

    def made(self, rule: str, output: str) -> list[str]:
        """Return the files of a rule's named output that jobs have made in this run."""
        jobs = (self._jobs[number] for number in self._finished)
        return [str(job.output[output]) for job in jobs if rule_name(job) == rule]

    @property
    def _results(self) -> Path:
        return self._file.parent.parent

    def _beat(self) -> None:
        asked = -QUEUE_SECONDS
        look = self._start + SAY_SECONDS
        while not self._over.wait(HEARTBEAT_SECONDS):
            if self._clock() >= look and (said := batches_under_way(self._results, self._began)):
                look = self._clock() + WAITS_SECONDS
                self._say(said)
            if self._queue is not None and self._clock() - asked >= QUEUE_SECONDS:
                asked = self._clock()
                # If SLURM does not answer, its last answer remains valid.
                with suppress(Exception):
                    self._states = {job.number: (job.state, job.reason) for job in self._queue()}
                for external, (state, _) in self._states.items():
                    if state == "RUNNING":
                        self._ran_since.setdefault(external, time.time())
            self.acquire()
            try:
                # On a full disk, the run continues, and the next iteration tries again.
                with suppress(OSError):
                    if not self._over.is_set():
                        self._save()
                        self._say_waits()
            finally:
                self.release()

    def _say_waits(self) -> None:
        """Print what jobs wait for, once for each line in their logs that says so."""
        for number in [*self._begun]:
            for path in getattr(self._jobs.get(number), "log", ()):
                said = waiting(str(path))
                if said is not None and self._waits.get(number) != said:
                    self._waits[number] = said
                    self._say(f"{rule_name(self._jobs[number])}: {said}")

    def submitted(self, number: int, external: str | None) -> None:
        """Remember a job's id in the cluster, None for this machine."""
        if external is not None:
            self._submitted[number] = str(external)

    def hush(self, handler: logging.Handler) -> None:
        """Hide from a handler the records that this one's lines replace."""
        told = {LogEvent.PROGRESS, LogEvent.JOB_STARTED}
        handler.addFilter(
            lambda record: (
                getattr(record, "event", None) not in told
                and record.getMessage() != "Select jobs to execute..."
            )
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Update the progress from a record of Snakemake's log."""
        event = getattr(record, "event", None)
        try:
            if event == LogEvent.JOB_STARTED:
                for number in getattr(record, "jobs", ()):
                    self._begin(number)
            elif event == LogEvent.JOB_FINISHED:
                self._finish(record.__dict__["job_id"])
            elif event == LogEvent.JOB_ERROR:
                self._fail(record)
            else:
                return
            if self._clock() - self._saved >= SAVE_SECONDS:
                self._save()
        except Exception:
            # An error in the progress display must not stop the run.
            self.handleError(record)

    def skip(self, job: Job) -> None:
        """Count a job as done that does not run because its inputs came out unchanged."""
        if self._run.number(job) in self._needed:
            self._left[rule_name(job)] -= 1

    def end(self, well: bool) -> None:
        """Save and print how the run ended. A second call does nothing."""
        if self._ended is not None:
            return
        self.acquire()
        try:
            self._over.set()
            self._ended, self._well = time.time(), well
            interrupted = self._interrupt.at
            if interrupted is not None:
                self._interrupted = True
                for number, at in self._failed_at.items():
                    if at >= interrupted - _INTERRUPTED_SECONDS:
                        self._failed.pop(number, None)
                self._blocks = len(self._blocked(self._jobs[number] for number in self._failed))
            for number in self._begun:
                self._book(number, well=False)
            self._begun.clear()
            self._save()
            with suppress(OSError, ValueError):
                if self._paying is not None:
                    self._paying.close()
        finally:
            self.release()
        self._say(self.line())
        if said := self._cost():
            self._say(f"This study has cost {said}.")
        for line in self._ending():
            self._say(line)

    def line(self) -> str:
        """Return the progress of the run in one line."""
        parts = [
            f"{name} {done} of {total}"
            for name, (done, total, needed) in self._stages().items()
            if needed
        ]
        said = ", ".join(parts) or "nothing to do"
        said = said[0].upper() + said[1:]
        if self._failed:
            said += f"; {len(self._failed)} failed"
        if self._ended is not None:
            return said
        return "; ".join(filter(None, [said, self._seconds_left(), self._cost()]))

    def _cost(self) -> str:
        """Return the study's cost so far in a few words; empty if it is unknown."""
        with suppress(OSError, ValueError):
            if self._paying is not None:
                return self._paying.line(self._ended is not None)
        return ""

    def _stages(self) -> dict[str, tuple[int, int, bool]]:
        """Return finished jobs, all jobs, and whether this run needs some of them, by stage."""
        needed = {rule_name(self._jobs[number]) for number in self._needed}
        found = {}
        for name in dict.fromkeys([*STAGES.values(), REST]):
            rules = [rule for rule in self._total if STAGES.get(rule, REST) == name]
            total = sum(self._total[rule] for rule in rules)
            left = sum(self._left[rule] for rule in rules)
            if total:
                found[name] = (total - left, total, not needed.isdisjoint(rules))
        # Cells come first: they are the aim of the study.
        return {name: found[name] for name in sorted(found, key=lambda name: name != "cells")}

    def _begin(self, number: int) -> None:
        self._begun[number] = (self._clock(), time.time())
        job = self._jobs.get(number)
        if job is not None and self._paying is not None:
            self._own[number] = self._paying.own(job)
            if rule_name(job) in REPORTS or self._own[number] is not None:
                # A report shows the spending. The start of a job that costs hours must be saved for
                # the next run, in case this one is killed.
                self._save()
        self._failed.pop(number, None)
        self._submitted.pop(number, None)
        if job is not None:
            # A log that is unchanged when the job has failed is from an earlier attempt.
            self._logs[number] = {str(path): _signature(path) for path in getattr(job, "log", ())}

    def _finish(self, number: int) -> None:
        job = self._jobs.get(number)
        if job is None or number not in self._needed:
            return
        self._finished.add(number)
        self._logs.pop(number, None)
        self._left[rule_name(job)] -= 1
        self._begun.setdefault(number, (self._start, self._began))
        self._book(number, well=True)
        begun, _ = self._begun.pop(number)
        self._took.setdefault(rule_name(job), []).append(self._clock() - begun)
        if self._clock() - self._said >= max(SAY_SECONDS, (self._clock() - self._start) / 100):
            self._said = self._clock()
            self._say(self.line())

    def _fail(self, record: logging.LogRecord) -> None:
        number = record.__dict__["jobid"]
        self._book(number, well=False)
        self._begun.pop(number, None)
        job = self._jobs.get(number)
        if job is None:
            return
        if self._interrupt.at is not None:
            return
        before = self._logs.pop(number, {})
        # The job's own log comes before the cluster's.
        logs = [
            self._kept(str(path))
            for path in map(str, record.__dict__["log"])
            if Path(path).is_file() and before.get(path) != _signature(path)
        ]
        said = next(filter(None, map(last_line, logs)), None)
        attempt = getattr(job, "attempt", 1)
        self._failed[number] = FailedJob(
            rule=rule_name(job),
            wildcards=dict(job.wildcards_dict),
            logs=logs,
            said=said,
            slurm=self._submitted.get(number),
            message=getattr(record, "rule_msg", None),
            attempt=attempt,
            cells=len(self._blocked([job])),
        )
        self._failed_at[number] = self._clock()
        self._blocks = len(self._blocked(self._jobs[number] for number in self._failed))
        self._save()

    def _book(self, number: int, well: bool) -> None:
        """Book the hours of a job that has started and ended."""
        with suppress(OSError):
            if self._paying is not None and number in self._jobs and number in self._begun:
                self._paying.job(self._jobs[number], partial(self._ran, number), well)

    def _ran(self, number: int) -> float:
        """Return for how many seconds a job has run, without its time in a queue."""
        begun, _ = self._begun[number]
        external = self._submitted.get(number)
        if external is None:
            return self._clock() - begun
        found = ran_seconds(external)
        if found is not None:
            return found
        return max(0.0, time.time() - self._ran_since.get(external, time.time()))

    def _kept(self, log: str) -> str:
        """Copy the log of a failed attempt, which a retry overwrites, and return the new path."""
        place = self._results / FAILED_LOGS / log.rpartition("logs/")[2]
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with Path(log).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_BYTES))
                place.write_bytes(file.read())
        except OSError:
            return log
        return str(place)

    def _blocked(self, jobs: Iterable[Job]) -> list[Job]:
        """Return the cells among some jobs and all jobs that depend on them."""
        waiting = [*jobs]
        seen = {*waiting}
        while waiting:
            for other in self._run.consumers(waiting.pop()):
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        return [job for job in seen if STAGES.get(rule_name(job)) == "cells"]

    def _seconds_left(self) -> str | None:
        """Return how long the remaining jobs will take, at the pace so far."""
        means = {**self._known, **{r: sum(took) / len(took) for r, took in self._took.items()}}
        left = {rule: count for rule, count in self._left.items() if count > 0}
        finished = sum(map(len, self._took.values()))
        work = sum(sum(took) for took in self._took.values())
        if finished < _LEAST_FINISHED or work <= 0 or not left:
            return None
        pace = work / max(self._clock() - self._start, 1e-9)
        seconds = sum(means.get(rule, 0.0) * count for rule, count in left.items()) / pace
        most = "about" if left.keys() <= means.keys() else "more than"
        return f"{most} {duration(seconds)} left"

    def _save(self) -> None:
        self._saved = self._clock()
        with suppress(OSError, ValueError):
            if self._paying is not None:
                self._paying.write()
        record = RunRecord(
            host=socket.gethostname(),
            process=os.getpid(),
            started=self._began,
            noted=time.time(),
            ended=self._ended,
            well=self._well,
            interrupted=self._interrupted,
            left=self._seconds_left(),
            blocked=self._blocks if self._failed else 0,
            stages={name: (done, total) for name, (done, total, _) in self._stages().items()},
            running=[
                self._note(number, since)
                for number, (_, since) in [*self._begun.items()]
                if number in self._jobs
            ],
            failed=[*self._failed.values()],
        )
        record.write(self._file)

    def _note(self, number: int, since: float) -> BegunJob:
        """Return the entry of `run.json` for a job that has started."""
        job, own = self._jobs[number], self._own.get(number)
        state, reason, external = "RUNNING", "", self._submitted.get(number)
        # A job without an id in the cluster is being submitted, or runs on this machine.
        if external is not None:
            unknown = ("PENDING" if self._queue is not None else "RUNNING", "")
            state, reason = self._states.get(external, unknown)
        return BegunJob(
            rule=rule_name(job),
            wildcards=dict(job.wildcards_dict),
            logs=[str(path) for path in getattr(job, "log", ())],
            slurm=external,
            attempt=getattr(job, "attempt", 1),
            since=since,
            state=state,
            reason=reason,
            ran_since=None if external is None else self._ran_since.get(external),
            own=own,
            made=[] if own is None else [str(path) for path in job.output],
        )


def _signature(path: str | Path) -> _Signature | None:
    """Return the signature of a file, which changes with each write; None if it does not exist."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def last_line(path: str | os.PathLike[str]) -> str | None:
    """Return the last line of a log that is not empty, made safe for a terminal."""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    said = next((line.strip() for line in reversed(lines) if line.strip()), None)
    return None if said is None else printable(said)


def waiting(path: str | os.PathLike[str]) -> str | None:
    """Return the last line of a job's log, if it is recent and says what the job waits for."""
    try:
        recent = time.time() - Path(path).stat().st_mtime <= WAIT_SECONDS
    except OSError:
        return None
    said = last_line(path) if recent else None
    return said if said is not None and ": waiting" in said else None


def printable(text: str) -> str:
    """Return a line without control characters, because a model may have written it."""
    safe = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return safe[:_LONGEST_LINE]


def named(wildcards: Mapping[str, str]) -> str:
    """Return the wildcards that identify a job within its rule.

    The values of most wildcards contain names and need no other.
    """
    return " ".join(text if "=" in text else f"{name}={text}" for name, text in wildcards.items())


def duration(seconds: float) -> str:
    """Return a duration in words: `40 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
