"""The cost of a run while it lasts: hours of its jobs, dollars so far, and dollars per hour."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedbed.amounts import dollars
from seedbed.engines.books import Book, Key, Spent
from seedbed.engines.settings import OpenAISettings
from seedbed.engines.spending import SpendingRecord, paid_lines, sentence
from seedbed.run.jobs import rule_name
from seedbed.run.record import RUN_FILE, OwnHours, RunRecord
from seedbed.run.slurm import ran_seconds
from seedbed.study.resources import job_gpus
from seedbed.study.spending import FILE, Account
from seedbed.study.targets import Targets

if TYPE_CHECKING:
    from snakemake.jobs import Job

_ASKING = {
    "write_questions": ("questions", "augmenter", "question_stream"),
    "answer_questions": ("answers", "teacher", "stream"),
    "sample_answers": ("verification", "teacher", "stream"),
    "train_student": ("training", "student", "trained_cell"),
    "evaluate_student": ("evaluation", "student", "cell"),
    "answer_items": ("evaluation", "student", "judged_cell"),
    "judge_student": ("judging", "judge", "judged_cell"),
}
"""By rule: its stage, the role of its model, and the wildcard that determines the model."""

_LEAST_SECONDS = 60.0
"""How long a run must last before its cost per hour is shown."""


class Paying:
    """The costs of one run, and of the study so far.

    Args:
        flow: the study.
        clock: returns seconds, as `time.monotonic` does.
    """

    def __init__(self, flow: Targets, clock: Callable[[], float] = time.monotonic) -> None:
        self._flow, self._clock = flow, clock
        self._ledger, self._results = Path(flow.ledger), Path(flow.results)
        self._account = Account.of(flow.study, self._ledger)
        self._books: dict[Key, Book] = {}
        self._start, self._before = clock(), 0.0
        self._written: SpendingRecord | None = None

    def open(self) -> None:
        """Open the account: see `Account.open`. The jobs of a killed run are booked first."""
        flow = self._flow
        self._book_left()
        self._account.open(self._ledger, flow.grid, self._results, flow.capped)
        self._before = self._account.record().usd
        self._start = self._clock()

    def own(self, job: Job) -> OwnHours | None:
        """Return how the hours of a job are booked; None if it runs no model itself."""
        found = _ASKING.get(rule_name(job))
        if found is None:
            return None
        stage, part, wildcard = found
        model = getattr(self._flow, part)(job.wildcards_dict[wildcard])[0]
        study = self._flow.study
        if isinstance(study.engine(model), OpenAISettings) and stage != "training":
            return None
        return OwnHours(stage=stage, model=model, gpus=job_gpus(study, stage, model))

    def job(self, job: Job, seconds: Callable[[], float], well: bool) -> None:
        """Book the hours of a job that has ended, if it runs a model itself.

        Args:
            job: the job.
            seconds: returns how long it has run. Snakemake's benchmark takes precedence.
            well: whether it succeeded. Snakemake benchmarks only such jobs.
        """
        own = self.own(job)
        if own is None:
            return
        took = _measured(getattr(job, "benchmark", None)) if well else None
        key = own.stage, own.model
        book = self._books.setdefault(key, Book(self._ledger, *key, queries=False))
        book.add(Spent(gpu_seconds=(seconds() if took is None else took) * own.gpus))

    def _book_left(self) -> None:
        """Book the jobs that were running when the last run was killed.

        A job used its GPUs until the last sign of the run or of the job itself, unless SLURM knows
        how long it ran.
        """
        try:
            noted = RunRecord.read(self._results / RUN_FILE)
        except (OSError, ValueError):
            return  # There was no earlier run, or it was of another version.
        if noted.ended is not None:
            return
        used: defaultdict[Key, float] = defaultdict(float)
        for job in noted.running:
            if (own := job.own) is not None:
                since = job.since if job.slurm is None else job.ran_since
                signs = [noted.noted, *_dates([*job.logs, *job.made])]
                seconds = 0.0 if since is None else max(signs) - since
                if job.slurm is not None and (ran := ran_seconds(job.slurm)) is not None:
                    seconds = ran
                used[own.stage, own.model] += own.gpus * seconds
        for key, seconds in used.items():
            # A fixed name: the hours count once even if this run is killed, and the next one books
            # them again.
            name = f"killed-{noted.started:.3f}-{'-'.join(key)}"
            book = Book(self._ledger, *key, queries=False, name=name)
            book.add(Spent(gpu_seconds=seconds))
            book.close()

    def line(self, ended: bool) -> str:
        """Return the spending, and its pace, in a few words; "" if nothing costs money.

        Args:
            ended: whether the run is over.
        """
        found = self._account.record()
        if ended:
            return sentence(found)
        if not paid_lines(found) or found.usd == 0:
            return ""
        said = f"{dollars(found.usd)} so far"
        seconds = self._clock() - self._start
        if seconds >= _LEAST_SECONDS and found.usd > self._before:
            said += f", {dollars((found.usd - self._before) / seconds * 3600)} an hour"
        return said

    def write(self) -> None:
        """Write `spending.json`, if the spending has changed."""
        found = self._account.record()
        if found.lines and found != self._written:
            found.write(self._results / FILE)
            self._written = found

    def close(self) -> None:
        """Close all books, and write `spending.json` for the last time."""
        for book in self._books.values():
            book.close()
        self.write()


def _dates(files: Iterable[str]) -> Iterable[float]:
    for path in files:
        with suppress(OSError):
            yield Path(path).stat().st_mtime


def _measured(benchmark: Any) -> float | None:
    """Return the seconds in Snakemake's benchmark of a job that has just ended."""
    with suppress(OSError, ValueError, IndexError, TypeError):
        path = Path(str(benchmark))
        seconds = float(path.read_text().splitlines()[1].split("\t")[0])
        if time.time() - path.stat().st_mtime <= seconds + 60:
            return seconds
    return None
