"""Make a task: its train and test items as Parquet, and the files that its scorer needs.

The source is a generated world, a data set of the hub, a folder with data sets in the hub's layout,
or files next to the task's own. Writes a folder with train.parquet, test.parquet, databases/ (for
SQL) and task.json, which records the source of the items, and the rows that were excluded.

With --scoring, the task's own scorer first scores every reference answer of both splits. If one is
not right, nothing is written, and the message names all that fail. Reference answers are not scored
if a judge grades answers, because each would cost a query.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from seedbed.artifacts import replacing, write_parquet
from seedbed.command_line import json_of, json_value, option, optional, run
from seedbed.config.values import JsonObject
from seedbed.evaluation.references import describe_failures, failing_references
from seedbed.evaluation.scorers import make_scorer
from seedbed.evaluation.scorers.settings import JUDGED, Scored
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.tasks.items import TaskItem, gold_values, to_frame
from seedbed.tasks.making import make_items
from seedbed.tasks.record import TaskCounts, TaskRecord
from seedbed.tasks.settings import SourceOnly


def get_task(
    source: JsonObject,
    data_dir: Path | None,
    output: Path,
    scoring: Scored | None = None,
    task_folder: Path | None = None,
    prompt_columns: Sequence[str] = (),
) -> TaskCounts:
    """Write the folder of a task.

    Args:
        source: the section `source` of a task's file.
        data_dir: folder with data sets in the hub's layout, or with the task's own files; None
            downloads from the hub.
        output: folder to write.
        scoring: `kind`, `scorer` and `score` of the task, to score its reference answers; None
            leaves them unscored.
        task_folder: folder of the task's own function, if it has one.
        prompt_columns: the data set's columns that prompts name.

    Returns:
        The number of items in each split.

    Raises:
        ValueError: if the data set does not fit `source`, or the task's own scorer rejects a
            reference answer.
    """
    wanted = SourceOnly.of(source)
    with replacing(output) as folder:
        folder.mkdir()
        made = make_items(wanted, data_dir, folder, prompt_columns)
        splits = made.splits
        if scoring is not None and scoring.kind != JUDGED:
            _check_references(splits, scoring, folder, task_folder)
        counts = TaskCounts(train_items=len(splits["train"]), test_items=len(splits["test"]))
        for split, items in splits.items():
            # Without metadata, so that the same items are the same bytes.
            write_parquet(folder / f"{split}.parquet", to_frame(items))
        # Databases are not part of the items. Their digests make changes of them visible.
        databases = {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted((folder / "databases").glob("*.sqlite"))
        }
        record = TaskRecord(
            source=source,
            revision=made.revision,
            counts=counts,
            excluded=made.excluded,
            databases=databases,
            gold_values=gold_values(splits["train"]),
            **provenance(__file__, made.modules),
        )
        record.write(folder / "task.json")
    return counts


def _check_references(
    splits: dict[str, list[TaskItem]],
    scoring: Scored,
    folder: Path,
    task_folder: Path | None,
) -> None:
    scorer = make_scorer(scoring.kind, scoring.scorer_options, folder, task_folder)
    with closing(scorer):
        failing = failing_references(splits, scorer, scoring.score)
    if failing:
        raise ValueError(describe_failures(failing, sum(map(len, splits.values()))))


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which task to get, and from where."""

    source: JsonObject = option(json_value, "`source` of the task's file, as JSON")
    data_dir: Path | None = optional(
        Path,
        "folder with data sets in the hub's layout, or with the task's own files; by default, data "
        "sets are downloaded from the hub",
    )
    scoring: Scored | None = optional(
        json_of(Scored),
        "kind, scorer and score of the task, as JSON, to score its reference answers",
    )
    task_folder: Path | None = optional(Path, "folder of the task's own function")
    prompt_columns: list[str] | None = optional(
        json_value, "the data set's columns that prompts name, as JSON"
    )
    folder: Path = option(Path, "folder to write")


def job(args: Options) -> None:
    """Get a task."""
    report = reporter("get_task")
    counts = get_task(
        args.source,
        args.data_dir,
        args.folder,
        args.scoring,
        args.task_folder,
        args.prompt_columns or (),
    )
    free = args.scoring is None or args.scoring.kind != JUDGED
    said = "" if free else "; reference answers are not scored, because a judge costs money"
    report(f"{counts.train_items} train and {counts.test_items} test items{said}")


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, (ValueError, FileNotFoundError))


if __name__ == "__main__":
    main()
