"""Evaluate a student on a task's test items, with an adapter or as it is.

Answers are greedy; the adapter is not merged. They are kept in the journal as they arrive, so a run
that was killed goes on from there, and another scorer scores them without asking again. Two files
are written: predictions.parquet, a row an item, and evaluation.json with the scores, what the data
cost, and how everything was made. The JSON is written last: a cell has a score only if its
predictions are there.

If the student had to be loaded, it then answers the same items with the adapters of --sharing too,
whose own evaluations find these answers in their journals.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from seedbed.artifacts import whole_file, write_parquet
from seedbed.checksums import add_manifest_option, check_inputs
from seedbed.config.words import DATASET_COUNTS, TRAINING_COUNTS
from seedbed.endings import run
from seedbed.engines import Completion
from seedbed.engines.command_line import EngineStart, add_engine_options, add_sharing_option
from seedbed.engines.sharing import Other, Sharing, claimed, drain
from seedbed.evaluation.evaluation import check_references, evaluate, item_requests, summarise
from seedbed.evaluation.record import EvaluationRecord
from seedbed.evaluation.scorers import make_scorer, scorer_modules
from seedbed.models import adapter_fingerprint, lora_rank, read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import code_digest, provenance
from seedbed.streams.journal import Journal
from seedbed.streams.record import DatasetCounts, DatasetRecord
from seedbed.tasks.items import read_items
from seedbed.training.record import TrainingRecord


@dataclass(frozen=True)
class EvaluationSettings:
    """How a task is asked and scored; see `config/README.md` for each.

    Attributes:
        kind: `number`, `choice`, `sql` or `exact`.
        scorer: options of the scorer of that kind, or the task's own function.
        score: which reading is the accuracy, `strict` or `flexible`.
        prompt: template of the question, as in training.
        answer_tokens: the longest answer, in tokens.
        system: message that sets the student up, as in training, or None.
        stop: texts that end an answer.
        manner: how the student is asked otherwise than by default; the engine's settings say so
            too.
        test_items: how many items to take, the first; None takes all.
    """

    kind: str
    scorer: dict[str, Any] | str
    score: str
    prompt: str
    answer_tokens: int
    test_items: int | None
    system: str | None = None
    stop: tuple[str, ...] = ()
    manner: dict[str, Any] | None = None

    @classmethod
    def from_json(cls, text: str) -> EvaluationSettings:
        """Read settings from JSON."""
        return cls(**json.loads(text))


def costs(dataset: Path | None, adapter: Path | None) -> tuple[dict[str, int], dict[str, float]]:
    """Return what a cell's data and training took: counts, and seconds by stage.

    All are 0 for a student that was not trained.
    """
    made = DatasetRecord.read(dataset) if dataset else DatasetRecord(counts=DatasetCounts())
    trained = TrainingRecord.read(adapter / "training.json") if adapter else TrainingRecord()
    counts = {name: getattr(made.counts, name) or 0 for name in DATASET_COUNTS}
    counts |= {name: getattr(trained.counts, name) for name in TRAINING_COUNTS}
    return counts, {"generation": made.seconds.generation, "training": trained.seconds.training}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell", type=json.loads, required=True, help="coordinates, as JSON")
    parser.add_argument("--test", type=whole_file, required=True, help="test.parquet of the task")
    parser.add_argument(
        "--task-folder", type=Path, required=True, help="where the task's file lies"
    )
    parser.add_argument(
        "--settings",
        type=EvaluationSettings.from_json,
        required=True,
        help="kind, scorer, score, prompt, answer_tokens and test_items, as JSON",
    )
    add_engine_options(parser, "the student")
    parser.add_argument(
        "--adapter", type=whole_file, nargs="*", default=[], help="its weights, and training.json"
    )
    parser.add_argument(
        "--dataset", type=whole_file, nargs="?", help="JSON of the adapter's dataset"
    )
    parser.add_argument("--predictions", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--journal", type=Path, required=True, help="folder of finished answers")
    add_sharing_option(parser)
    add_manifest_option(parser)
    args = parser.parse_args()
    check_inputs(args.manifest, _files(args))
    report = reporter("evaluate_student")
    settings = args.settings
    adapter = args.adapter[0].parent if args.adapter else None
    items = read_items(args.test)[: settings.test_items]
    requests = item_requests(
        items, settings.prompt, settings.answer_tokens, settings.system, settings.stop
    )
    waiting = map(_adapter, Sharing.read(args.sharing, args.output).waiting())
    ranks = [lora_rank(path) for path in (adapter, *waiting) if path is not None]
    engine = EngineStart(args, report, lora_rank=max(ranks, default=0))
    # What determines an answer besides its request: not the code that scores it.
    asked = [
        args.engine.identity(read_fingerprint(args.model)),
        code_digest(None, [args.engine.module]),
    ]

    def answers(journal: Path, adapter: Path | None) -> Iterator[Completion]:
        student = json.dumps([*asked, adapter and adapter_fingerprint(adapter)])
        return Journal(journal, student).complete(engine.start, requests, report, adapter)

    scorer = make_scorer(settings.kind, settings.scorer, args.test.parent, args.task_folder)
    seconds: list[float] = []
    try:
        references = check_references(items, scorer, settings.score)
        with claimed(args.journal, args.output, report):
            completions = (
                seconds.append(completion.seconds) or completion
                for completion in answers(args.journal, adapter)
            )
            predictions = evaluate(items, requests, completions, scorer, settings.score, report)
    finally:
        scorer.close()
    write_evaluation(args, predictions, references, round(sum(seconds), 3))
    report(f"{int(predictions['correct'].sum())} of {predictions.height} right")
    engine.share(lambda other: drain(answers(other.journal, _adapter(other))))


def write_evaluation(
    args: argparse.Namespace, predictions: pl.DataFrame, references: int, seconds: float
) -> None:
    """Write the predictions and then, with what all of it took, the scores.

    Args:
        args: the command line.
        predictions: rows of `seedbed.evaluation.evaluation`.
        references: how many reference answers were scored right.
        seconds: that the student took for its answers.
    """
    settings = args.settings
    adapter = args.adapter[0].parent if args.adapter else None
    counts, taken = costs(args.dataset, adapter)
    told = asdict(settings)
    if told["manner"] is None:
        del told["manner"]
    about = {"cell": args.cell, "settings": told, "model": read_fingerprint(args.model)}
    write_parquet(args.predictions, predictions, about)
    modules = scorer_modules(settings.kind, settings.scorer, args.task_folder)
    record = EvaluationRecord(
        references_right=references,
        counts=counts,
        seconds=taken | {"evaluation": seconds},
        **about,
        **dict(summarise(predictions)),
        **provenance(__file__, [*modules, args.engine.module]),
    )
    record.write(args.output)


def _files(args: argparse.Namespace) -> list[Path]:
    """Return all files that the scores depend on."""
    files = [args.test, args.test.with_name("task.json"), *args.adapter]
    files += [args.adapter[0].with_name("adapter_config.json")] if args.adapter else []
    files += [args.model / name for name in ("model.json", "model.safetensors")]
    return files + ([args.dataset] if args.dataset else [])


def _adapter(other: Other) -> Path | None:
    folder = other.values["adapter"]
    return None if folder is None else Path(folder)


if __name__ == "__main__":
    run(main)
