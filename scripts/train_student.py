"""Train a student on a dataset: a LoRA adapter by supervised fine-tuning, loss on answers only.

Writes a folder in PEFT's layout with training.json: settings, counts, loss, seconds, versions. A
killed training resumes from its last save. SIGTERM saves the training before it stops.

If the start took long in comparison with the steps, the job then also trains students of --pending
whose data are ready. Their own jobs find these adapters, and need not load the model.
"""

from __future__ import annotations

import gc
import math
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from seedbed.artifacts import whole_file
from seedbed.command_line import Checked, json_of, option, optional, run
from seedbed.engines.devices import use_gpus
from seedbed.engines.pending_jobs import PendingOfModel, PendingTraining, claimed
from seedbed.models import read_fingerprint
from seedbed.progress import Report, reporter
from seedbed.provenance import Provenance, provenance
from seedbed.streams.options import Sharing
from seedbed.training.record import (
    TRAINING_RECORD,
    TrainingCounts,
    TrainingRecord,
    TrainingSeconds,
)
from seedbed.training.saves import ADAPTER, LOG, STOPPED, StoppedError, ready_folder
from seedbed.training.settings import StudentTraining, Trainer
from seedbed.training.students import train_student

LEAST_START = 0.25
"""A job trains another student only if its start took this fraction of the time of the steps."""

MOST_STARTS = 15
"""A job starts no further training after this many times the duration of its own start."""

SHARE_OF_TIME = 1 / 3
"""The fraction of a job's runtime in which it may start to train another student."""


@dataclass(frozen=True, kw_only=True)
class Options(Sharing, Checked):
    """Which student to train, on what, and how."""

    model: Path = option(Path, "folder of the student")
    dataset: Path = option(whole_file, "Parquet with `messages`")
    settings: StudentTraining = option(json_of(StudentTraining), "`training` of a study, as JSON")
    trainer: Trainer = option(json_of(Trainer), "`trainer` of the model's file, as JSON", "{}")
    threads: int = option(int, "CPU threads", 1)
    gpu: int = option(int, "GPUs, 0 to train on the CPU", 1)
    cache: Path | None = optional(Path, "folder of the lock that coordinates jobs on one adapter")
    folder: Path = option(Path, "folder to write")


@dataclass
class Training:
    """The training of one student, for the job itself or for another job."""

    options: Options
    made: Provenance
    dataset: Path
    folder: Path
    settings: StudentTraining
    trainer: Trainer
    report: Report
    loading: Callable[[], None] = lambda: None
    began: float = field(default_factory=time.monotonic)
    stepped: float = 0.0
    ended: float = 0.0

    def run(self, ahead: bool) -> TrainingCounts:
        """Train; with `ahead`, leave the adapter for its own job instead of giving it its name."""
        counts = train_student(
            self.options.model,
            self.dataset,
            self.folder,
            self.settings,
            self._describe,
            self.report,
            self.options.threads,
            self.trainer,
            self.made["code"],
            ahead=ahead,
            loading=self.loading,
            started=self._started,
        )
        self.ended = time.monotonic()
        return counts

    def _started(self) -> None:
        self.stepped = time.monotonic()

    def _describe(self, folder: Path, counts: TrainingCounts, earlier_seconds: float) -> None:
        spent = time.monotonic() - self.began + earlier_seconds
        record = TrainingRecord(
            settings=self.settings.model_dump(mode="json", exclude_unset=True),
            model=read_fingerprint(self.options.model),
            counts=counts,
            seconds=TrainingSeconds(training=round(spent, 3)),
            **self.made,
        )
        record.write(folder / TRAINING_RECORD)


def job(args: Options) -> None:
    """Train a student, and then others while the libraries and the model are loaded."""
    began = time.monotonic()
    args.check(args.dataset, *(args.model / name for name in ("model.json", "model.safetensors")))
    report = reporter("train_student")
    made = provenance(__file__)
    place = args.cache
    with claimed(place, args.folder / TRAINING_RECORD, report) if place else nullcontext():
        log = ready_folder(args.folder) / LOG
        if log.is_file():
            sys.stderr.write(log.read_text(encoding="utf-8"))
        own = Training(
            *(args, made, args.dataset, args.folder, args.settings, args.trainer, report),
            loading=lambda: use_gpus(args.gpu, report),
            began=began,
        )
        try:
            counts = own.run(ahead=True)
            # With several processes, each would have to load the next student's rows.
            if own.stepped and own.trainer.fsdp_size == 1:
                share(own, counts)
        except StoppedError:
            report("stopped by SIGTERM: the training is saved, and resumes when started again")
            sys.exit(STOPPED)
        own.run(ahead=False)
    left = counts.too_long_rows
    also = f"; {left} rows are longer than max_length and were left out" if left else ""
    report(f"{counts.steps} steps on {counts.training_rows} rows{also}")


def share(own: Training, counts: TrainingCounts) -> None:
    """Train students of pending jobs one after the other, if starts take long.

    The job's own adapter is already on disk and only lacks its name. If another training kills this
    process, nothing but that training is lost.

    Args:
        own: the training of the job itself.
        counts: the counts of that training.
    """
    args, start = own.options, own.stepped - own.began
    trained = counts.training_rows * (counts.epochs or 0)
    a_row = (own.ended - own.stepped) / max(1, trained)
    allowed = math.inf if args.runtime is None else 60 * args.runtime * SHARE_OF_TIME
    until = own.began + min(allowed, MOST_STARTS * start)
    pending = PendingOfModel.read(args.pending, args.folder / TRAINING_RECORD, PendingTraining)
    for other in pending.jobs:
        if time.monotonic() > until:
            return
        with claimed(other.cache, other.output) as held:
            # Checked only now, because other jobs run meanwhile.
            if not held or not pending.plan.waits(other) or _is_ready(other):
                continue
            try:
                rows = _rows(other)
            except Exception as error:
                own.report(f"left to its own job: {error}")
                continue
            if start < LEAST_START * a_row * rows:
                continue
            own.report(f"the model is loaded: training {other.output.parent}")
            if not _train(own, other):
                return


def _train(own: Training, other: PendingTraining) -> bool:
    """Train the student of another job; return whether a next one may follow."""
    folder = other.output.parent
    log = ready_folder(folder) / LOG
    own_log = reporter("train_student", log)
    asked = other.settings, other.trainer
    one = Training(own.options, own.made, other.inputs[0], folder, *asked, report=own_log)
    gc.collect()
    try:
        one.run(ahead=True)
    except StoppedError:
        own.report(f"stopped by SIGTERM: the training of {folder} is saved")
        return False
    except Exception as error:
        # Its own job will report the error.
        own.report(f"left to its own job: {error}")
        return False
    return True


def _is_ready(other: PendingTraining) -> bool:
    """Return whether an adapter is ready for a job, which then checks that it is the right one."""
    return (ready_folder(other.output.parent) / ADAPTER).is_dir()


def _rows(other: PendingTraining) -> int:
    """Return how many rows a training processes, counting each in every epoch."""
    settings = other.settings
    held = int(pl.scan_parquet(other.inputs[0]).select(pl.len()).collect().item())
    steps = math.ceil(held / settings.batch_size) * settings.epochs
    most = min(steps, settings.max_steps or steps) * settings.batch_size
    return held * settings.epochs if settings.packing else most


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
