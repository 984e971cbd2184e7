"""Evaluate a student on a task's test items, with or without an adapter.

Decoding is greedy, and the adapter is not merged. Answers enter the response cache as they arrive,
so a killed job resumes from there, and another scorer scores them without new queries. Writes two
files: predictions.parquet, one row per item, and evaluation.json with the scores, the cost of the
data, and provenance. The JSON is written last: a cell has a score only if its predictions exist.

If the student had to be loaded, the job then also answers the same items with the adapters in
--pending. Their own evaluations find these answers in their caches.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.artifacts import whole_file, write_parquet
from seedbed.command_line import Checked, json_of, json_value, option, optional, run
from seedbed.config.words import Coordinates
from seedbed.evaluation.evaluation import check_references, evaluate, item_requests, summarise
from seedbed.evaluation.record import EvaluationRecord
from seedbed.evaluation.scorers import make_scorer, scorer_modules
from seedbed.evaluation.settings import EvaluationSettings
from seedbed.evaluation.students import Student, StudentOptions, costs
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.tasks.items import read_items


@dataclass(frozen=True, kw_only=True)
class Options(StudentOptions, Checked):
    """Which student to evaluate, on what, and how."""

    cell: Coordinates = option(json_value, "coordinates of the cell, as JSON")
    task: Path = option(whole_file, "task.json of the task")
    task_folder: Path = option(Path, "folder of the task's file")
    settings: EvaluationSettings = option(
        json_of(EvaluationSettings),
        "kind, scorer, score, prompt, answer_tokens and test_items, as JSON",
    )
    dataset: Path | None = optional(whole_file, "JSON of the adapter's dataset")
    predictions: Path = option(Path, "Parquet file to write")
    scores: Path = option(Path, "JSON file to write")

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
    items = read_items(args.test)[: settings.test_items]
    requests = item_requests(
        items, settings.prompt, settings.answer_tokens, settings.system, settings.stop
    )
    student = Student(args, args.scores, requests, report)
    scorer = make_scorer(settings.kind, settings.scorer_options, args.test.parent, args.task_folder)
    try:
        references = check_references(items, scorer, settings.score)
        answers = student.answers()
        predictions = evaluate(items, requests, answers, scorer, settings.score, report)
    finally:
        scorer.close()
    write_evaluation(args, predictions, references, round(student.seconds, 3))
    report(f"{int(predictions['correct'].sum())} of {predictions.height} right")
    student.share()


def write_evaluation(
    args: Options, predictions: pl.DataFrame, references: int, seconds: float
) -> None:
    """Write the predictions, and then the scores with the counts and durations.

    Args:
        args: the command line.
        predictions: rows of `seedbed.evaluation.evaluation`.
        references: how many reference answers were scored right.
        seconds: how long the student took to answer.
    """
    settings = args.settings
    folder = args.adapter_folder
    counts, taken = costs(args.dataset, folder and folder / "training.json")
    content, model = settings.content(), read_fingerprint(args.model)
    about = {"cell": args.cell, "settings": content, "model": model}
    write_parquet(args.predictions, predictions, about)
    scores = summarise(predictions)
    modules = scorer_modules(settings.kind, settings.scorer_options, args.task_folder)
    record = EvaluationRecord(
        references_right=references,
        counts={**counts},
        seconds={**taken, "evaluation": seconds},
        cell=args.cell,
        settings=content,
        model=model,
        **{name: getattr(scores, name) for name in scores.model_fields_set},
        **provenance(__file__, [*modules, args.engine.module]),
    )
    record.write(args.scores)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
