"""Build the dataset of a budget: the first queries of a stream, as rows to train on.

The Parquet file has a `messages` column in chat form, which TRL and `datasets` load as it is. What
was counted on the way (queries, tokens, empty slots) lies in its metadata and in the JSON file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from seedbed.artifacts import write_json, write_parquet
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.datasets import build_dataset


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=Path, nargs="+", required=True, help="answer shards")
    parser.add_argument("--questions", type=Path, nargs="*", default=[], help="question shards")
    parser.add_argument("--budget", type=int, required=True, help="teacher queries to take")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--counts", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    report = reporter("build_dataset")
    rows, counts = build_dataset(args.answers, args.questions, args.budget)
    about = {"settings": {"budget": args.budget}, "counts": counts} | provenance(__file__)
    write_parquet(args.output, rows, about)
    write_json(args.counts, about)
    report(f"{counts['rows']} rows from {counts['queries']} queries")


if __name__ == "__main__":
    main()
