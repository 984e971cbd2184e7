"""Train a student on a dataset: a LoRA adapter by supervised fine-tuning, loss on answers only.

The folder that is written is in PEFT's layout and holds training.json: settings, counts, loss,
seconds, versions. A training that was killed goes on from its last save, and SIGTERM has it saved.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from seedbed.artifacts import whole_file
from seedbed.checksums import add_manifest_option, check_inputs
from seedbed.engines.devices import use_gpus
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.training.record import TrainingCounts, TrainingRecord, TrainingSeconds
from seedbed.training.saves import STOPPED, StoppedError
from seedbed.training.settings import StudentTraining, Trainer
from seedbed.training.students import train_student


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the student")
    parser.add_argument("--dataset", type=whole_file, required=True, help="Parquet with `messages`")
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="`training` of a study, as JSON"
    )
    parser.add_argument(
        "--trainer", type=json.loads, default={}, help="`trainer` of the model's file, as JSON"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--gpus", type=int, default=1, help="0 to train on the CPU")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    add_manifest_option(parser)
    args = parser.parse_args()
    model_files = (args.model / name for name in ("model.json", "model.safetensors"))
    check_inputs(args.manifest, [args.dataset, *model_files])
    report = reporter("train_student")
    use_gpus(args.gpus, report)
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
            args.output,
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


if __name__ == "__main__":
    main()
