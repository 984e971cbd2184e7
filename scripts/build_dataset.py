"""Build the dataset of a budget: the first queries of a stream, or real pairs, as rows to train on.

The Parquet file has a `messages` column in chat form, which TRL and `datasets` load as it is. Its
metadata name the dataset and nothing else, so that the same rows are the same bytes. What was
counted on the way (queries, tokens, rows left out, how varied the questions are) and how it was
made lies in the JSON file.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from seedbed.artifacts import parquet_rows, whole_file, write_json
from seedbed.checksums import add_manifest_option, check_inputs
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.datasets import DatasetSettings, Shards, build_dataset
from seedbed.tasks.items import read_items


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--dataset", type=json.loads, required=True, help="the dataset's coordinates, as JSON"
    )
    parser.add_argument(
        "--seeds", type=whole_file, required=True, help="seeds.parquet of the seed set"
    )
    parser.add_argument("--test", type=whole_file, required=True, help="test.parquet of the task")
    shards = ("answers", "questions", "votes", "checks", "verdicts")
    for name in shards:
        parser.add_argument(
            f"--{name}",
            type=whole_file,
            nargs="*",
            default=[],
            help=f"the stream's {name}, by shard",
        )
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="budget, filter and what it takes, as JSON: see the class DatasetSettings",
    )
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--record", type=Path, required=True, help="JSON file to write")
    add_manifest_option(parser)
    args = parser.parse_args()
    read = [path for name in shards for path in getattr(args, name)]
    check_inputs(args.manifest, [args.seeds, args.test, *read])
    report = reporter("build_dataset")
    settings = DatasetSettings(**args.settings)
    about = {"dataset": args.dataset, "settings": asdict(settings)}
    with parquet_rows(args.output) as rows:
        record = build_dataset(
            settings,
            Shards(**{name: getattr(args, name) for name in shards}),
            read_items(args.seeds),
            read_items(args.test),
            rows.add,
        )
        rows.metadata = {"dataset": args.dataset}
    write_json(args.record, about | record | provenance(__file__))
    counts = record["counts"]
    report(f"{counts['rows']} rows from {counts['teacher_queries']} teacher queries")


if __name__ == "__main__":
    main()
