"""What a run costs while it goes on: the hours of its own jobs, dollars so far and at this pace."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from seedbed.amounts import dollars
from seedbed.engines.books import Book, Key, Spent
from seedbed.engines.settings import OpenAISettings
from seedbed.engines.spending import SpendingRecord, paid_lines, sentence
from seedbed.run.jobs import rule_name
from seedbed.study.resources import job_gpus
from seedbed.study.spending import FILE, Account
from seedbed.study.targets import Targets

_ASKING = {
    "write_questions": ("questions", "augmenter", "question_stream"),
    "answer_questions": ("answers", "teacher", "stream"),
    "sample_votes": ("verification", "teacher", "stream"),
    "train_student": ("training", "student", "trained_cell"),
    "evaluate_student": ("evaluation", "student", "cell"),
    "answer_items": ("evaluation", "student", "judged_cell"),
    "judge_student": ("judging", "judge", "judged_cell"),
}
"""By rule: its stage, the part that its model has, and the wildcard that says which."""

_LEAST_SECONDS = 60.0
"""Of a run, before its pace says something."""


class Paying:
    """The costs of one run, and of the study so far.

    Args:
        flow: the study.
        clock: seconds, as of `time.monotonic`.
    """

    def __init__(self, flow: Targets, clock: Callable[[], float] = time.monotonic) -> None:
        self._flow, self._clock = flow, clock
        self._ledger, self._results = Path(flow.ledger), Path(flow.results)
        self._account = Account.of(flow.study, self._ledger)
        self._books: dict[Key, Book] = {}
        self._start, self._before = clock(), 0.0
        self._written: SpendingRecord | None = None

    def open(self) -> None:
        """Begin the run: see `Account.open`."""
        flow = self._flow
        self._account.open(self._ledger, flow.grid, self._results, flow.capped)
        self._before = self._account.record().usd
        self._start = self._clock()

    def job(self, job: Any, seconds: float) -> None:
        """Book the hours of a job that has ended, if it runs a model itself.

        Args:
            job: the job.
            seconds: since its start. What Snakemake measured comes first.
        """
        found = _ASKING.get(rule_name(job))
        if found is None:
            return
        stage, part, wildcard = found
        model = getattr(self._flow, part)(job.wildcards_dict[wildcard])[0]
        study = self._flow.study
        if isinstance(study.engine(model), OpenAISettings) and stage != "training":
            return
        took = _measured(getattr(job, "benchmark", None), seconds) or seconds
        key = stage, model
        book = self._books.setdefault(key, Book(self._ledger, *key, queries=False))
        book.add(Spent(gpu_seconds=took * job_gpus(study, stage, model)))

    def line(self, ended: bool) -> str:
        """Return what was spent, and at which pace, in a few words; "" if nothing costs money.

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
        """Write `spending.json`, if something was spent."""
        found = self._account.record()
        if found.lines and found != self._written:
            found.write(self._results / FILE)
            self._written = found

    def close(self) -> None:
        """Write all for the last time."""
        for book in self._books.values():
            book.close()
        self.write()


def _measured(benchmark: Any, most: float) -> float | None:
    """Return the seconds that Snakemake measured in a job that has just ended."""
    with suppress(OSError, ValueError, IndexError, TypeError):
        path = Path(str(benchmark))
        if time.time() - path.stat().st_mtime <= most + 60:
            return float(path.read_text().splitlines()[1].split("\t")[0])
    return None
