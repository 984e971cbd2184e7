"""Counts of a study's files: cluster file systems limit their number as well as their size."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from seedbed.study.cells import QuestionStream
from seedbed.study.paths import Paths

PER_JOB = 2
"""A log, and Snakemake's measurements in `benchmarks`, per job."""

FILES = {
    # With their provenance, like shards.
    "seed sets": 2,
    # With the lock of its response cache.
    "question shards": 2 + 1,
    # A response cache for each round: questions are written and checked until they pass.
    "rounds of questions": 1 - PER_JOB,
    # With the response cache and its lock.
    "answer shards": 2 + 2,
    "sample shards": 2 + 1,
    "check shards": 2,
    "label shards": 2,
    "datasets": 2,
    # Weights, their configuration, the record, and the README of PEFT; and a lock.
    "adapters": 4 + 1,
    # Scores and predictions, and the response cache with its lock.
    "cells": 2 + 2,
}
"""Largest number of files of one artifact in addition to its job's files, by kind."""

NOTES = {"rounds of questions": 0, "datasets": 2, "adapters": 3, "cells": 2}
"""Snakemake's metadata files of an artifact, one per file that a rule names; 1 for other kinds."""


def made(flow: Paths) -> dict[str, int]:
    """Return the numbers of a study's seed sets, shards, datasets, adapters and cells.

    The number of rounds is that of the allowed attempts.
    """
    keys = [dataset.key for dataset in flow.grid.datasets if not dataset.mixed]

    def several(shards: Iterable[list[str]]) -> int:
        return len(set(chain.from_iterable(shards)))

    def rounds(stream: QuestionStream) -> int:
        method = flow.study.methods[stream.method]
        return len(flow.shards(stream.key)) * (method.max_attempts or 0) * (1 + method.self_check)

    return {
        "seed sets": len(flow.grid.seed_sets),
        "question shards": several(map(flow.question_shards, keys)),
        "rounds of questions": sum(map(rounds, flow.grid.question_streams)),
        "answer shards": several(map(flow.answer_shards, keys)),
        "sample shards": several(map(flow.sample_shards, keys)),
        "check shards": several(map(flow.check_shards, keys)),
        "label shards": several(map(flow.label_shards, keys)),
        "datasets": len(flow.grid.datasets),
        "adapters": sum(not cell.untrained for cell in flow.grid.cells),
        "cells": len(flow.grid.cells),
    }


def files(flow: Paths) -> tuple[int, int]:
    """Return the numbers of files in a study's results, and of Snakemake's metadata files.

    Files of models, tasks, figures and tables are left out; any study has some dozens of them.
    """
    counts = made(flow)
    results = sum(count * (FILES[kind] + PER_JOB) for kind, count in counts.items())
    return results, sum(count * NOTES.get(kind, 1) for kind, count in counts.items())


def table(flows: Iterable[Paths]) -> str:
    """Return the counts of some studies as a table in Markdown."""
    flows = [*flows]
    names = [f"`{flow.study.name}`" for flow in flows]
    lines = [
        f"| | files of one | {' | '.join(names)} |",
        f"| --- | ---: |{' ---: |' * len(flows)}",
    ]
    counts = [made(flow) for flow in flows]
    for kind in FILES:
        row = " | ".join(f"{count[kind]:,}" for count in counts)
        lines.append(f"| {kind} | {FILES[kind] + PER_JOB} | {row} |")
    totals = [files(flow) for flow in flows]
    for place, name in enumerate(("files in `results`", "notes in `.snakemake`")):
        lines.append(f"| {name} | | {' | '.join(f'{total[place]:,}' for total in totals)} |")
    return "\n".join(lines)
