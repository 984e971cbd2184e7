"""Build the dataset of a budget: the first queries of a stream, or real data, as training rows.

Or mix the datasets of several methods: each row once, in a fixed order, with its `method`.

The Parquet file has a `messages` column in chat format, which TRL and `datasets` load as it is. Its
metadata contain only the dataset's coordinates, so that the same rows are the same bytes. The JSON
file records counts (queries, tokens, excluded rows, the diversity of the questions) and provenance.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from seedbed.artifacts import parquet_rows, whole_file
from seedbed.command_line import Checked, json_of, json_value, option, run, several
from seedbed.config.words import Coordinates
from seedbed.endings import ExpectedError
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.datasets import Shards, build_dataset
from seedbed.streams.losses import no_rows
from seedbed.streams.mixing import mix
from seedbed.streams.record import DatasetPart, DatasetRecord
from seedbed.streams.settings import DatasetSettings
from seedbed.tasks.items import read_items


@dataclass(frozen=True, kw_only=True)
class Options(Checked):
    """Which dataset to build, and from what."""

    dataset: Coordinates = option(json_value, "the dataset's coordinates, as JSON")
    seeds: Path = option(whole_file, "seeds.parquet of the seed set")
    test: Path = option(whole_file, "test.parquet of the task")
    answers: tuple[Path, ...] = several("the stream's answers, by shard")
    questions: tuple[Path, ...] = several("the stream's questions, by shard")
    samples: tuple[Path, ...] = several("the stream's self-consistency samples, by shard")
    checks: tuple[Path, ...] = several("the stream's validity checks, by shard")
    labels: tuple[Path, ...] = several("the stream's verification labels, by shard")
    parts: tuple[Path, ...] = several("for a mixture, dataset.parquet of each of its datasets")
    records: tuple[Path, ...] = several("dataset.json of each of `parts`")
    settings: DatasetSettings = option(
        json_of(DatasetSettings), "budget, filter and other settings, as JSON: see DatasetSettings"
    )
    rows: Path = option(Path, "Parquet file to write")
    record: Path = option(Path, "JSON file to write")


def job(args: Options) -> None:
    """Build a dataset."""
    shards = Shards(args.answers, args.questions, args.samples, args.checks, args.labels)
    shard_files = chain.from_iterable(vars(shards).values())
    args.check(args.seeds, args.test, *args.parts, *args.records, *shard_files)
    report = reporter("build_dataset")
    settings = args.settings
    seeds, test = read_items(args.seeds), read_items(args.test)
    parts: tuple[DatasetPart, ...] = ()
    with parquet_rows(args.rows) as rows:
        if args.parts:
            records = map(DatasetRecord.read, args.records)
            mixed = list(zip(args.parts, records, strict=True))
            facts, parts = mix(settings, mixed, seeds, test, rows.add)
        else:
            facts = build_dataset(settings, shards, seeds, test, rows.add)
        if not facts.counts.rows and not settings.empty_is_a_result:
            raise ExpectedError(f"there is nothing to train on: {no_rows(facts.counts)}")
        rows.metadata = {"dataset": args.dataset}
    record = DatasetRecord(
        dataset=args.dataset,
        # Only a spend sets it. Datasets of studies leave it out, as earlier versions did.
        settings=settings.model_dump(
            mode="json", exclude=None if settings.may_be_empty else {"may_be_empty"}
        ),
        parts=parts,
        **dict(facts),
        **provenance(__file__),
    )
    record.write(args.record)
    report(f"{facts.counts.rows} rows from {facts.counts.teacher_queries} teacher queries")
    if not facts.counts.rows:
        report(no_rows(facts.counts))


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
