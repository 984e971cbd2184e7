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

from seedbed.artifacts import parquet_rows, whole_file
from seedbed.checksums import add_manifest_option, check_inputs
from seedbed.endings import ExpectedError, run
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.datasets import DatasetSettings, Shards, build_dataset
from seedbed.streams.record import DatasetCounts, DatasetRecord
from seedbed.tasks.items import read_items

CAUSES = {
    "truncated": "cut off: raise max_tokens.answer of the task, or engine.thinking_tokens",
    "content_filter": "refused for their content by the provider",
    "rejected": "refused by the endpoint, as too long or otherwise wrong",
    "not_finished": "ended in a way that is not known: see the key engine.ends",
    "blank": "without a text: a model that thinks needs engine.thinking_tokens",
    "not_verified": "found wrong by the filter",
    "unreadable_answer": "without a final answer that the task's kind can read",
    "empty_slots": "without a usable question",
}
"""By why rows were left out, what that means and what to change."""


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
    with parquet_rows(args.output) as rows:
        facts = build_dataset(
            settings,
            Shards(**{name: getattr(args, name) for name in shards}),
            read_items(args.seeds),
            read_items(args.test),
            rows.add,
        )
        if not facts.counts.rows:
            raise ExpectedError(no_rows(facts.counts))
        rows.metadata = {"dataset": args.dataset}
    record = DatasetRecord(
        dataset=args.dataset, settings=asdict(settings), **dict(facts), **provenance(__file__)
    )
    record.write(args.record)
    report(f"{facts.counts.rows} rows from {facts.counts.teacher_queries} teacher queries")


def no_rows(counts: DatasetCounts) -> str:
    """Return why a dataset has no rows, and what to change."""
    lost = {"empty_slots": counts.empty_slots, **(counts.dropped or {})}
    reasons = [
        f"{number:,} {name} ({CAUSES[name]})" if name in CAUSES else f"{number:,} {name}"
        for name, number in sorted(lost.items(), key=lambda pair: -pair[1])
        if number
    ]
    failed = ", ".join(f"{number:,} {name}" for name, number in counts.failed_questions.items())
    if failed:
        reasons.append(f"of the questions: {failed}")
    return (
        f"none of {counts.queries:,} queries became a row, so there is nothing to train on: "
        f"{'; '.join(reasons) or 'there are no queries'}"
    )


if __name__ == "__main__":
    run(main)
