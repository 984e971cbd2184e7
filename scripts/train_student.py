"""Train a student on a dataset: a LoRA adapter by supervised fine-tuning, loss on answers only.

The folder that is written is in PEFT's layout and holds training.json: settings, counts, loss,
seconds, versions. A training that was killed goes on from its last save, and SIGTERM has it saved.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedbed.artifacts import whole_file
from seedbed.command_line import Checked, json_value, option, run
from seedbed.engines.devices import use_gpus
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.training.record import TrainingCounts, TrainingRecord, TrainingSeconds
from seedbed.training.saves import STOPPED, StoppedError
from seedbed.training.settings import StudentTraining, Trainer
from seedbed.training.students import train_student


@dataclass(frozen=True, kw_only=True)
class Options(Checked):
    """Which student to train, on what, and how."""

    model: Path = option(Path, "folder of the student")
    dataset: Path = option(whole_file, "Parquet with `messages`")
    settings: dict[str, Any] = option(json_value, "`training` of a study, as JSON")
    trainer: dict[str, Any] = option(json_value, "`trainer` of the model's file, as JSON", "{}")
    threads: int = option(int, "CPU threads", 1)
    gpu: int = option(int, "GPUs, 0 to train on the CPU", 1)
    folder: Path = option(Path, "folder to write")


def job(args: Options) -> None:
    """Train a student."""
    args.check(args.dataset, *(args.model / name for name in ("model.json", "model.safetensors")))
    report = reporter("train_student")
    use_gpus(args.gpu, report)
    model = read_fingerprint(args.model)
    made = provenance(__file__)
    start = time.monotonic()

    def describe(folder: Path, counts: TrainingCounts, earlier_seconds: float) -> None:
        spent = time.monotonic() - start + earlier_seconds
        record = TrainingRecord(
            settings=args.settings,
            model=model,
            counts=counts,
            seconds=TrainingSeconds(training=round(spent, 3)),
            **made,
        )
        record.write(folder / "training.json")

    try:
        counts = train_student(
            args.model,
            args.dataset,
            args.folder,
            StudentTraining.model_validate(args.settings),
            describe,
            report,
            args.threads,
            Trainer.model_validate(args.trainer),
            made["code"],
        )
    except StoppedError:
        report("stopped by SIGTERM: the training is saved, and goes on when it is started again")
        sys.exit(STOPPED)
    report(f"{counts.steps} steps on {counts.training_rows} rows")


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
