"""Make a task: its train and test items as Parquet, and the files that its scorer needs.

The source is a generated world, a data set of the hub, a folder with data sets in the hub's layout,
or files beside the task's own. The folder that is written holds train.parquet, test.parquet,
databases/ (for SQL) and task.json, which says where everything came from, and what was left out.

With scoring, every reference answer of both splits is scored first: if the task's own scorer does
not find one right, nothing is written, and the message names all that fail.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedbed.artifacts import replacing, write_parquet
from seedbed.command_line import json_value, option, optional, run
from seedbed.evaluation.references import describe_failures, failing_references
from seedbed.evaluation.scorers import make_scorer
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.tasks.data_sets import database_file, items_of, read_rows
from seedbed.tasks.databases import copy_database
from seedbed.tasks.items import TaskItem, gold_values, to_frame
from seedbed.tasks.record import TaskCounts, TaskRecord
from seedbed.tasks.settings import DataSource, HubSource, SourceOnly, WorldSource
from seedbed.tasks.worlds import load_world


def get_task(
    source: dict[str, Any],
    data_dir: Path | None,
    output: Path,
    scoring: dict[str, Any] | None = None,
    task_folder: Path | None = None,
) -> TaskCounts:
    """Write the folder of a task.

    Args:
        source: the section `source` of a task's file.
        data_dir: folder with data sets in the hub's layout, or with the task's own files; None
            asks the hub.
        output: folder to write.
        scoring: `kind`, `scorer` and `score` of the task, to score its reference answers by; None
            leaves them unscored.
        task_folder: folder of the task's own function, if it has one.

    Returns:
        Counts: items of each split.

    Raises:
        ValueError: if the data set does not fit what the source says of it, or a reference answer
            is not right by the task's own scorer.
    """
    modules: tuple[str, ...] = ()
    excluded: dict[str, dict[str, str]] = {}
    revision = None
    wanted = SourceOnly.of(source)
    with replacing(output) as folder:
        folder.mkdir()
        if isinstance(wanted, WorldSource):
            modules = (f"seedbed.tasks.worlds.{wanted.world}",)
            world = load_world(wanted.world)
            world.write_files(folder)
            splits = {
                "train": world.items("train", wanted.train_items, wanted.seed),
                "test": world.items("test", wanted.test_items, wanted.seed),
            }
        else:
            rows = revision_taken(wanted) if data_dir is None else wanted
            found = {
                split: items_of(rows, read_rows(rows, split, data_dir), split, data_dir)
                for split in ("train", "test")
            }
            unknown = found["train"].not_found & found["test"].not_found
            if unknown:
                raise ValueError(
                    f"{rows.name}: {min(unknown)!r} was to be excluded, but is not there"
                )
            if data_dir is None and isinstance(rows, HubSource):
                revision = rows.revision
            splits = {split: part.items for split, part in found.items()}
            excluded = {split: part.excluded for split, part in found.items()}
            for name in sorted({item.database for part in splits.values() for item in part} - {""}):
                file = database_file(rows, name.removesuffix(".sqlite"), data_dir)
                (folder / "databases").mkdir(exist_ok=True)
                copy_database(file, folder / "databases" / name)
        if scoring is not None:
            _check_references(splits, scoring, folder, task_folder)
        counts = TaskCounts(train_items=len(splits["train"]), test_items=len(splits["test"]))
        for split, items in splits.items():
            # Of the items alone, and so the same bytes, whatever else `source` says.
            write_parquet(folder / f"{split}.parquet", to_frame(items))
        # A database is no part of the items; with its digest here, a change of one is seen.
        databases = {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted((folder / "databases").glob("*.sqlite"))
        }
        record = TaskRecord(
            source=source,
            revision=revision,
            counts=counts,
            excluded=excluded,
            databases=databases,
            gold_values=gold_values(splits["train"]),
            **provenance(__file__, modules),
        )
        record.write(folder / "task.json")
    return counts


def _check_references(
    splits: dict[str, list[TaskItem]],
    scoring: dict[str, Any],
    folder: Path,
    task_folder: Path | None,
) -> None:
    scorer = make_scorer(scoring["kind"], scoring["scorer"], folder, task_folder)
    with closing(scorer):
        failing = failing_references(splits, scorer, scoring["score"])
    if failing:
        raise ValueError(describe_failures(failing, sum(map(len, splits.values()))))


def revision_taken(source: DataSource) -> DataSource:
    """Return a data set of the hub with the commit that is taken now.

    A branch may move, and later nobody could say which commit the items are of. Without a network,
    the hub's own library knows what it has at hand, and the revision stays as it is.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if not isinstance(source, HubSource):
        return source
    try:
        found = HfApi().dataset_info(source.hub, revision=source.revision).sha
    except (OfflineModeIsEnabled, HfHubHTTPError, OSError):
        return source
    return source.model_copy(update={"revision": found})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which task to get, and from where."""

    source: dict[str, Any] = option(json_value, "`source` of the task's file, as JSON")
    data_dir: Path | None = optional(
        Path,
        "folder with data sets in the hub's layout, or with the task's own files; without, the hub "
        "is asked",
    )
    scoring: dict[str, Any] | None = optional(
        json_value,
        "kind, scorer and score of the task, as JSON, to score its reference answers by",
    )
    task_folder: Path | None = optional(Path, "folder of the task's own function")
    folder: Path = option(Path, "folder to write")


def job(args: Options) -> None:
    """Get a task."""
    report = reporter("get_task")
    counts = get_task(args.source, args.data_dir, args.folder, args.scoring, args.task_folder)
    report(f"{counts.train_items} train and {counts.test_items} test items")


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ValueError)


if __name__ == "__main__":
    main()
