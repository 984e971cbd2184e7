"""Measure how many programs of the task small_programs the code scorer tests per second.

PYTHONPATH=scripts python tests/benchmarks/programs.py
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from seedbed.evaluation.scorers.code import CodeScorer
from seedbed.tasks.items import TaskItem

FOLDER = Path(__file__).resolve().parents[2] / "config/tasks/small_programs"
REPEATS = 20


def main() -> None:
    """Print the number of right programs, and the rate."""
    rows = [json.loads(line) for line in (FOLDER / "train.jsonl").open()] * REPEATS
    items = []
    for row in rows:
        gold = json.dumps({"tests": "\n".join(row["tests"])})
        items.append(TaskItem("one", row["question"], "", row["answer"], gold))
    with CodeScorer() as scorer, ThreadPoolExecutor(scorer.parallel) as pool:
        list(pool.map(lambda item: scorer.score(item.answer, item), items[:4]))
        start = time.monotonic()
        right = sum(
            score.strict for score in pool.map(lambda item: scorer.score(item.answer, item), items)
        )
        seconds = time.monotonic() - start
    print(f"{right} of {len(items)} right; {len(items) / seconds:.0f} programs a second")


if __name__ == "__main__":
    main()
