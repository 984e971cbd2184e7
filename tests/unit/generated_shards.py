"""Streams of short generated questions and answers, as large as a test or benchmark asks for."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from seedbed.analysis.tables.collect import COORDINATES
from seedbed.artifacts import write_json, write_parquet
from seedbed.streams import answers
from seedbed.streams.validity import CHECKS_SCHEMA
from seedbed.tasks.items import TaskItem, to_frame

SEEDS = 1000
PER_SHARD = 500_000
NAMES = ["Tom", "Ann", "Li", "Eva", "Sam"]
THINGS = ["apples", "pears", "books", "coins", "cards", "shells", "stamps"]


def write_items(folder: Path) -> tuple[Path, Path]:
    """Write a seed set and a test split, and return their files."""
    files = []
    question = "Tom has {} apples and finds {}: how many?"
    for split, base in (("seeds", 0), ("test", 5_000)):
        items = [
            TaskItem(f"{split}-{n}", question.format(base + n, n), "", "", "") for n in range(SEEDS)
        ]
        write_parquet(folder / f"{split}.parquet", to_frame(items))
        files.append(folder / f"{split}.parquet")
    return files[0], files[1]


def write_stream(
    folder: Path, rows: int, new: bool, per_shard: int = PER_SHARD
) -> dict[str, list[Path]]:
    """Write the first `rows` answers of a stream and their checks, and return the shards.

    Each is to a `new` question, or the seeds' own questions are asked again and again.
    """
    files: dict[str, list[Path]] = {"answers": [], "checks": []}
    for shard, start in enumerate(range(0, rows, per_shard)):
        count = min(per_shard, rows - start)
        rng = np.random.default_rng(shard)
        query = pl.int_range(start, start + count, eager=True)
        if new:
            drawn = rng.integers(0, 5 * 7 * 10_000 * 500, count)
        else:
            drawn = query.to_numpy() % SEEDS * 7_919
        a, b = drawn % 10_000 + 1, drawn // 10_000 % 500 + 1
        name = pl.Series(NAMES).gather(drawn // 5_000_000 % 5)
        thing = pl.Series(THINGS).gather(drawn // 25_000_000 % 7)
        frame = pl.DataFrame({"query": query, "a": a, "b": b, "name": name, "thing": thing}).select(
            "query",
            pl.format("train-{}", pl.col("query") % SEEDS).alias("seed_id"),
            (pl.col("query") // SEEDS).alias("sample"),
            pl.format("{} has {} {} and finds {}: how many?", "name", "a", "thing", "b").alias(
                "question"
            ),
            pl.lit("").alias("prompt"),
            pl.format("#### {}", pl.col("a") + pl.col("b")).alias("answer"),
            pl.lit("stop").alias("finish_reason"),
            pl.lit(20).cast(pl.Int64).alias("teacher_prompt_tokens"),
            pl.lit(5).cast(pl.Int64).alias("teacher_completion_tokens"),
            pl.lit(0.25).alias("teacher_seconds"),
        )
        frame = frame.with_columns(prompt=pl.format("Solve: {}", "question"))
        checked = frame.select("query", final=pl.lit("1"), problem=pl.lit(""))
        assert frame.schema == answers.SCHEMA and checked.schema == CHECKS_SCHEMA
        for kind, table in (("answers", frame), ("checks", checked)):
            path = folder / kind / f"shard={shard}.parquet"
            write_parquet(path, table)
            files[kind].append(path)
    return files


def write_evaluations(folder: Path, cells: int, items: int) -> list[Path]:
    """Write evaluations with their predictions, and return their files."""
    table = pl.DataFrame({"n": range(items)}).select(
        pl.format("test-{}", "n").alias("item_id"),
        pl.format("test-{}", "n").alias("cluster"),
        (pl.col("n") % 3 == 0).alias("correct"),
    )
    correct = int(table["correct"].sum())
    score = {"correct": correct, "accuracy": correct / items}
    files = []
    for n in range(cells):
        cell = {
            name: f"some-{name}" if kind == pl.String else n for name, kind in COORDINATES.items()
        }
        about = {"cell": cell, "items": items, "unparsed": 0, "truncated": 0, **score}
        path = folder / f"cell={n}" / "evaluation.json"
        write_json(path, about | {"strict": score, "flexible": score})
        write_parquet(path.with_name("predictions.parquet"), table)
        files.append(path)
    return files


def command(folder: Path, files: dict[str, list[Path]], rows: int, output: Path) -> list[str]:
    """Return the command that builds the dataset of all of the stream."""
    seeds, test = write_items(folder)
    settings = {"budget": rows, "filter": "none", "reach": rows, "overlap_words": 13, "prompt": ""}
    given = {kind: list(map(str, paths)) for kind, paths in files.items()}
    return [
        sys.executable,
        str(Path(__file__).parents[2] / "scripts" / "build_dataset.py"),
        *("--dataset", "{}", "--seeds", str(seeds), "--test", str(test)),
        *("--answers", *given["answers"], "--checks", *given["checks"]),
        *("--settings", json.dumps(settings)),
        *("--rows", str(output), "--record", str(output.with_suffix(".json"))),
    ]


# Between the tests and the command: Linux counts in a command's peak that of who starts it.
_MEASURED = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(status)
"""


def run(arguments: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds, and its peak of resident memory in MiB."""
    start = time.monotonic()
    command = [sys.executable, "-c", _MEASURED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - start, float(done.stdout.splitlines()[-1])
