"""Compare rows per second and peak memory of streamed and eager builds of datasets.

Run by hand: `python tests/benchmarks/large_data.py --rows 200000 --large 5000000`. The eager build
is `build_eagerly` in tests/unit/eager_dataset.py: it reads everything with Polars at once, and
counts n-grams in Python sets. Both make the same rows, each in a new process, whose start counts;
the larger stream is only built by streaming. Then collects many evaluations into the tables of
cells and items, which has no alternative to compare.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "unit")]

from generated_shards import command, run, write_evaluations, write_stream  # noqa: E402

TEST_ITEMS = 1319
"""Items per evaluation, as in GSM8K, https://huggingface.co/datasets/openai/gsm8k."""

EAGER = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
import build_dataset
from eager_dataset import build_eagerly
def build(settings, shards, seeds, test, keep):
    rows, record = build_eagerly(settings, shards, seeds, test)
    keep(rows)
    return record
build_dataset.build_dataset = build
sys.argv = sys.argv[2:]
build_dataset.main()
"""


def measure(rows: int, new: bool, eager: bool) -> list[tuple[float, float]]:
    """Build a dataset by streaming and, if asked, eagerly; return seconds and MiB of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = command(
            folder, write_stream(folder, rows, new), rows, folder / "dataset.parquet"
        )
        streamed = run(arguments)
        if not eager:
            return [streamed]
        record = json.loads((folder / "dataset.json").read_text())
        other = run([sys.executable, "-c", EAGER, json.dumps(sys.path[:2]), *arguments[1:]])
        again = json.loads((folder / "dataset.json").read_text())
        if any(record[name] != again[name] for name in ("counts", "diversity", "seconds")):
            raise SystemExit(f"the two differ: {record} {again}")
        return [streamed, other]


def collect(cells: int) -> tuple[float, float]:
    """Collect a number of evaluations, and return the seconds and MiB that this takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = folder / "list.txt"
        listed.write_text("\n".join(map(str, write_evaluations(folder, cells, TEST_ITEMS))))
        files = {"cells": folder / "cells.parquet", "items": folder / "items.parquet"}
        options = [f"--{option}={file}" for option, file in files.items()]
        script = str(ROOT / "scripts/collect_results.py")
        return run([sys.executable, script, f"--evaluations-list={listed}", *options])


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="rows for both ways")
    parser.add_argument("--large", type=int, default=0, help="rows for streaming alone")
    parser.add_argument("--cells", type=int, default=1000, help="evaluations to collect")
    args = parser.parse_args()
    print("| questions | rows | way | rows per second | peak MiB | speed ratio | memory ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for rows, eager in ((args.rows, True), (args.large, False)):
        for new in (True, False) if rows else ():
            measured = measure(rows, new, eager)
            (base_seconds, base_memory) = measured[-1]
            for way, (seconds, memory) in zip(("streamed", "eager"), measured, strict=False):
                ratios = f"{base_seconds / seconds:.2f} | {memory / base_memory:.2f}"
                print(
                    f"| {'new' if new else 'repeated'} | {rows} | {way} | {rows / seconds:.0f} "
                    f"| {memory:.0f} | {ratios if eager else '- | -'} |",
                    flush=True,
                )
    seconds, memory = collect(args.cells)
    rows = args.cells * TEST_ITEMS
    print(f"| collected | {rows} | streamed | {rows / seconds:.0f} | {memory:.0f} | - | - |")


if __name__ == "__main__":
    main()
