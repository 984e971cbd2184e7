"""Evaluate a student on a task's test items, with an adapter or as it is.

Answers are greedy; the adapter is not merged. They enter the response cache as they arrive, so a
killed job resumes from there, and another scorer scores them without asking again. Two files are
written: predictions.parquet, a row an item, and evaluation.json with the scores, the cost of the
data, and how everything was made. The JSON is written last: a cell has a score only if its
predictions exist.

If the student had to be loaded, it then answers the same items with the adapters of --sharing too,
whose own evaluations find these answers in their caches.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from seedbed.artifacts import whole_file, write_parquet
from seedbed.command_line import Checked, json_of, json_value, option, optional, run, several
from seedbed.config.words import DATASET_COUNTS, TRAINING_COUNTS, Coordinates
from seedbed.engines import Completion, pending_jobs
from seedbed.engines.pending_jobs import PendingJob, claimed
from seedbed.evaluation.evaluation import check_references, evaluate, item_requests, summarise
from seedbed.evaluation.record import EvaluationRecord
from seedbed.evaluation.scorers import make_scorer, scorer_modules
from seedbed.evaluation.settings import EvaluationSettings
from seedbed.models import adapter_fingerprint, lora_rank, read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import code_digest, provenance
from seedbed.streams.options import Asking, Sharing
from seedbed.streams.record import DatasetCounts, DatasetRecord
from seedbed.streams.response_cache import ResponseCache
from seedbed.tasks.items import read_items
from seedbed.training.record import TrainingRecord


def costs(
    dataset: Path | None, adapter: Path | None
) -> tuple[dict[str, int | None], dict[str, float | None]]:
    """Return what a cell's data and training took: counts, and seconds by stage.

    All are 0 for a student that was not trained.
    """
    made = DatasetRecord.read(dataset) if dataset else DatasetRecord(counts=DatasetCounts())
    trained = TrainingRecord.read(adapter / "training.json") if adapter else TrainingRecord()
    counts: dict[str, int | None] = {
        name: getattr(made.counts, name) or 0 for name in DATASET_COUNTS
    }
    counts |= {name: getattr(trained.counts, name) for name in TRAINING_COUNTS}
    return counts, {"generation": made.seconds.generation, "training": trained.seconds.training}


@dataclass(frozen=True, kw_only=True)
class Options(Asking, Sharing, Checked):
    """Which student to evaluate, on what, and how."""

    cell: Coordinates = option(json_value, "coordinates of the cell, as JSON")
    test: Path = option(whole_file, "test.parquet of the task")
    task: Path = option(whole_file, "task.json of the task")
    task_folder: Path = option(Path, "where the task's file lies")
    settings: EvaluationSettings = option(
        json_of(EvaluationSettings),
        "kind, scorer, score, prompt, answer_tokens and test_items, as JSON",
    )
    adapter: tuple[Path, ...] = several("the adapter's weights, and training.json")
    dataset: Path | None = optional(whole_file, "JSON of the adapter's dataset")
    predictions: Path = option(Path, "Parquet file to write")
    scores: Path = option(Path, "JSON file to write")

    @property
    def adapter_folder(self) -> Path | None:
        """Folder of the adapter, if there is one."""
        return self.adapter[0].parent if self.adapter else None

    def check_inputs(self) -> None:
        """Exit with a message if a file that the scores depend on is damaged."""
        folder = self.adapter_folder
        config = None if folder is None else folder / "adapter_config.json"
        model = (self.model / name for name in ("model.json", "model.safetensors"))
        self.check(self.test, self.task, *self.adapter, config, *model, self.dataset)


def job(args: Options) -> None:
    """Evaluate a student."""
    args.check_inputs()
    report = reporter("evaluate_student")
    settings = args.settings
    adapter = args.adapter_folder
    items = read_items(args.test)[: settings.test_items]
    requests = item_requests(
        items, settings.prompt, settings.answer_tokens, settings.system, settings.stop
    )
    waiting = map(_adapter, pending_jobs.PendingOfModel.read(args.sharing, args.scores).waiting())
    ranks = [lora_rank(path) for path in (adapter, *waiting) if path is not None]
    engine = args.starting(report, lora_rank=max(ranks, default=0))
    # An answer depends on its request and on these, and not on the code that scores it.
    asked = [
        args.engine.identity(read_fingerprint(args.model)),
        code_digest(None, [args.engine.module]),
    ]

    def answers(folder: Path, adapter: Path | None) -> Iterator[Completion]:
        student = json.dumps([*asked, adapter and adapter_fingerprint(adapter)])
        return ResponseCache(folder, student).complete(engine.start, requests, report, adapter)

    def timed(completions: Iterable[Completion]) -> Iterator[Completion]:
        for completion in completions:
            seconds.append(completion.seconds)
            yield completion

    scorer = make_scorer(settings.kind, settings.scorer_options, args.test.parent, args.task_folder)
    seconds: list[float] = []
    try:
        references = check_references(items, scorer, settings.score)
        with claimed(args.cache, args.scores, report):
            completions = timed(answers(args.cache, adapter))
            predictions = evaluate(items, requests, completions, scorer, settings.score, report)
    finally:
        scorer.close()
    write_evaluation(args, predictions, references, round(sum(seconds), 3))
    report(f"{int(predictions['correct'].sum())} of {predictions.height} right")
    engine.share(
        args.sharing,
        args.scores,
        args.runtime,
        lambda job: answers(job.cache, _adapter(job)),
    )


def write_evaluation(
    args: Options, predictions: pl.DataFrame, references: int, seconds: float
) -> None:
    """Write the predictions and then, with what all of it took, the scores.

    Args:
        args: the command line.
        predictions: rows of `seedbed.evaluation.evaluation`.
        references: how many reference answers were scored right.
        seconds: that the student took for its answers.
    """
    settings = args.settings
    adapter = args.adapter_folder
    counts, taken = costs(args.dataset, adapter)
    about: dict[str, Any] = {
        "cell": args.cell,
        "settings": settings.content(),
        "model": read_fingerprint(args.model),
    }
    write_parquet(args.predictions, predictions, about)
    scores = summarise(predictions)
    modules = scorer_modules(settings.kind, settings.scorer_options, args.task_folder)
    record = EvaluationRecord(
        references_right=references,
        counts={**counts},
        seconds={**taken, "evaluation": seconds},
        **about,
        **{name: getattr(scores, name) for name in scores.model_fields_set},
        **provenance(__file__, [*modules, args.engine.module]),
    )
    record.write(args.scores)


def _adapter(job: PendingJob) -> Path | None:
    folder = job.values["adapter"]
    return None if folder is None else Path(folder)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
