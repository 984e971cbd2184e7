"""A run that is under way, in words: how far it is, how long it will take, and what went wrong.

Follows Snakemake's own log events, and keeps what they come to in a file, so that `make status` can
tell it while the run goes on, and after it.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake_interface_logger_plugins.common import LogEvent

from seedbed.artifacts import write_json

if TYPE_CHECKING:
    from snakemake.workflow import Workflow as Snakemake

STAGES = {
    "get_model": "models",
    "pretrain_model": "models",
    "get_task": "tasks",
    "draw_seeds": "seed sets",
    "write_questions": "questions",
    "answer_questions": "answers",
    "sample_votes": "checks",
    "check_answers": "checks",
    "verify_answers": "checks",
    "build_dataset": "datasets",
    "train_student": "adapters",
    "evaluate_student": "cells",
}
"""What a person calls the jobs of a rule, in the order of the work."""

REST = "tables and figures"
SAY_SECONDS = 10.0
SAVE_SECONDS = 2.0
# What is left is told from that many finished jobs on.
_LEAST_FINISHED = 3
_BENCHMARKS = 5


def measured_seconds(results: Path) -> dict[str, float]:
    """Return how long a job of each rule takes, by what Snakemake noted of a few earlier ones."""
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


class Watch(logging.Handler):
    """Says how far a run is, now and then, and keeps it in a file.

    Args:
        snakemake: the run, whose jobs are known and not begun.
        file: the JSON file to keep up to date.
        known: seconds that a job of a rule took in earlier runs, by rule.
        say: called with a line of text.
        clock: seconds, as of `time.monotonic`.
    """

    def __init__(
        self,
        snakemake: Snakemake,
        file: Path,
        known: Mapping[str, float],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._dag, self._file, self._known, self._say = snakemake.dag, file, known, say
        self._clock, self._start = clock, clock()
        self._said = self._saved = self._start
        jobs = [job for job in self._dag.jobs if job.output]
        self._jobs = {self._dag.jobid(job): job for job in jobs}
        needed = {self._dag.jobid(job) for job in self._dag.needrun_jobs()} & self._jobs.keys()
        self._left = Counter(self._jobs[number].rule.name for number in needed)
        self._total = Counter(job.rule.name for job in jobs)
        self._begun: dict[int, tuple[float, float]] = {}
        self._failed: dict[int, dict[str, Any]] = {}
        self._blocks = 0
        self._took: dict[str, list[float]] = {}
        self._state = {
            "started": time.time(),
            "ended": None,
            "host": socket.gethostname(),
            "process": os.getpid(),
        }
        self._needed = needed
        self._save()

    def hush(self, handler: logging.Handler) -> None:
        """Leave out of what a handler shows what the lines of this one tell better."""
        told = {LogEvent.PROGRESS, LogEvent.JOB_STARTED}
        handler.addFilter(
            lambda record: (
                getattr(record, "event", None) not in told
                and record.getMessage() != "Select jobs to execute..."
            )
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Take what Snakemake logs."""
        event = getattr(record, "event", None)
        try:
            if event == LogEvent.JOB_STARTED:
                for number in getattr(record, "jobs", ()):
                    self._begun[number] = (self._clock(), time.time())
                    self._failed.pop(number, None)
            elif event == LogEvent.JOB_FINISHED:
                self._finish(record.job_id)
            elif event == LogEvent.JOB_ERROR:
                self._fail(record)
            else:
                return
            if self._clock() - self._saved >= SAVE_SECONDS:
                self._save()
        except Exception:
            # A run does not end because of what is said of it.
            self.handleError(record)

    def skip(self, job: Any) -> None:
        """Count a job as done that need not run, as what it reads came out as it was."""
        if self._dag.jobid(job) in self._needed:
            self._left[job.rule.name] -= 1

    def end(self, well: bool) -> None:
        """Keep how the run ended, and say it."""
        self._state["ended"], self._state["well"] = time.time(), well
        self._begun.clear()
        self._save()
        self._say(self.line())

    def line(self) -> str:
        """Return how far the run is."""
        parts = [
            f"{name} {done} of {total}"
            for name, (done, total, needed) in self._stages().items()
            if needed
        ]
        said = ", ".join(parts) or "nothing to do"
        said = said[0].upper() + said[1:]
        if self._failed:
            said += f"; {len(self._failed)} failed"
        left = self._seconds_left()
        if left is None or self._state["ended"] is not None:
            return said
        return f"{said}; {left}"

    def _stages(self) -> dict[str, tuple[int, int, bool]]:
        """Return jobs that are done, all jobs, and whether some are this run's, by stage."""
        needed = {self._jobs[number].rule.name for number in self._needed}
        found = {}
        for name in dict.fromkeys([*STAGES.values(), REST]):
            rules = [rule for rule in self._total if STAGES.get(rule, REST) == name]
            total = sum(self._total[rule] for rule in rules)
            left = sum(self._left[rule] for rule in rules)
            if total:
                found[name] = (total - left, total, not needed.isdisjoint(rules))
        # The cells first: they are what the study is made of.
        return {name: found[name] for name in sorted(found, key=lambda name: name != "cells")}

    def _finish(self, number: int) -> None:
        job = self._jobs.get(number)
        if job is None or number not in self._needed:
            return
        self._left[job.rule.name] -= 1
        begun, _ = self._begun.pop(number, (self._start, 0.0))
        self._took.setdefault(job.rule.name, []).append(self._clock() - begun)
        if self._clock() - self._said >= max(SAY_SECONDS, (self._clock() - self._start) / 100):
            self._said = self._clock()
            self._say(self.line())

    def _fail(self, record: logging.LogRecord) -> None:
        number = record.jobid
        self._begun.pop(number, None)
        job = self._jobs.get(number)
        if job is None:
            return
        self._failed[number] = {
            "rule": job.rule.name,
            "wildcards": dict(job.wildcards_dict),
            "logs": [str(path) for path in record.log],
            "cells": len(self._blocked([job])),
        }
        self._blocks = len(self._blocked(self._jobs[number] for number in self._failed))
        self._save()

    def _blocked(self, jobs: Iterable[Any]) -> list[Any]:
        """Return the cells that wait for jobs, or are of these themselves."""
        waiting = [*jobs]
        seen = {*waiting}
        while waiting:
            for other in self._dag.depending[waiting.pop()]:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        return [job for job in seen if STAGES.get(job.rule.name) == "cells"]

    def _seconds_left(self) -> str | None:
        """Return how long what is left will take, at the pace so far."""
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
        stages = {name: [done, total] for name, (done, total, _) in self._stages().items()}
        running = [
            {
                "rule": self._jobs[number].rule.name,
                "wildcards": dict(self._jobs[number].wildcards_dict),
                "since": since,
            }
            for number, (_, since) in self._begun.items()
            if number in self._jobs
        ]
        failed = [*self._failed.values()]
        left = self._seconds_left()
        state = {"stages": stages, "running": running, "failed": failed, "left": left}
        state["blocked"] = self._blocks if failed else 0
        write_json(self._file, {**self._state, "noted": time.time(), **state})


def named(wildcards: Mapping[str, str]) -> str:
    """Return what tells a job from others of its rule; most wildcards say what they are."""
    return " ".join(text if "=" in text else f"{name}={text}" for name, text in wildcards.items())


def duration(seconds: float) -> str:
    """Return a time in words: `40 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
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
