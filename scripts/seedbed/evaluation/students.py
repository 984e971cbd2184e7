"""A student that answers test items: code shared by the jobs that ask students."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.artifacts import whole_file
from seedbed.command_line import option, several
from seedbed.config.words import DATASET_COUNTS, TRAINING_COUNTS
from seedbed.engines import Completion, Request
from seedbed.engines.pending_jobs import PendingEvaluation, PendingOfModel, claimed
from seedbed.models import adapter_fingerprint, lora_rank, read_fingerprint
from seedbed.provenance import code_digest
from seedbed.streams.options import Asking, Sharing
from seedbed.streams.record import DatasetCounts, DatasetRecord
from seedbed.streams.response_cache import ResponseCache
from seedbed.training.record import TrainingRecord

ANSWERS_SCHEMA = pl.Schema(
    {
        "item_id": pl.String,
        "prompt": pl.String,
        "output": pl.String,
        "finish_reason": pl.String,
        "prompt_tokens": pl.Int64,
        "completion_tokens": pl.Int64,
        "seconds": pl.Float64,
    }
)
"""Columns of answers for a judge to grade, one row per item."""


@dataclass(frozen=True, kw_only=True)
class StudentOptions(Asking, Sharing):
    """Options that select the student and the items."""

    test: Path = option(whole_file, "test.parquet of the task")
    adapter: tuple[Path, ...] = several("the adapter's weights, and training.json")

    @property
    def adapter_folder(self) -> Path | None:
        """Folder of the adapter, or None for a base model."""
        return self.adapter[0].parent if self.adapter else None


class Student:
    """A job's student, which may also answer for other jobs.

    Attributes:
        seconds: seconds spent on its answers so far.
    """

    def __init__(
        self,
        args: StudentOptions,
        output: Path,
        requests: Sequence[Request],
        report: Callable[[str], None],
    ) -> None:
        """Prepare the student; its model is not loaded yet.

        Args:
            args: the student, its engine and its items.
            output: the job's output file.
            requests: the requests for the items, the same for all jobs that it answers for.
            report: called with a line of text now and then.
        """
        self._args, self._output, self._requests, self._report = args, output, requests, report
        pending = PendingOfModel.read(args.pending, output, PendingEvaluation).waiting()
        folders = [args.adapter_folder, *(job.adapter for job in pending)]
        ranks = [lora_rank(path) for path in folders if path is not None]
        self._engine = args.starting(report, lora_rank=max(ranks, default=0))
        # An answer depends on its request and on these two, not on the code that scores it.
        self._asked = [
            args.engine.identity(read_fingerprint(args.model)),
            code_digest(None, [args.engine.module]),
        ]
        self.seconds = 0.0

    def answers(self) -> Iterator[Completion]:
        """Yield its answer to each request. No other job asks it the same requests meanwhile."""
        with claimed(self._args.cache, self._output, self._report):
            for completion in self._answers(self._args.cache, self._args.adapter_folder):
                self.seconds += completion.seconds
                yield completion

    def share(self) -> None:
        """Answer the same requests for other jobs, with their adapters, if the model was loaded."""
        args = self._args
        self._engine.share(
            args.pending,
            self._output,
            args.runtime,
            PendingEvaluation,
            lambda job: self._answers(job.cache, job.adapter),
        )

    def _answers(self, folder: Path, adapter: Path | None) -> Iterator[Completion]:
        student = json.dumps([*self._asked, adapter and adapter_fingerprint(adapter)])
        cache = ResponseCache(folder, student)
        return cache.complete(self._engine.start, self._requests, self._report, adapter)


def costs(
    dataset: Path | None, trained: Path | None
) -> tuple[dict[str, int | None], dict[str, float | None]]:
    """Return the counts, and the seconds by stage, of a cell's data and training.

    All are 0 for a student that was not trained.

    Args:
        dataset: the dataset's record.
        trained: the adapter's training.json.
    """
    made = DatasetRecord.read(dataset) if dataset else DatasetRecord(counts=DatasetCounts())
    training = TrainingRecord.read(trained) if trained else TrainingRecord()
    counts: dict[str, int | None] = {
        name: getattr(made.counts, name) or 0 for name in DATASET_COUNTS
    }
    counts |= {name: getattr(training.counts, name) for name in TRAINING_COUNTS}
    return counts, {"generation": made.seconds.generation, "training": training.seconds.training}
