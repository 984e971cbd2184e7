"""The rows of a mixture: those of several datasets, each once, in a fixed order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

import polars as pl

from seedbed.config.words import SPENDING
from seedbed.streams.datasets import Questions
from seedbed.streams.record import (
    DatasetCounts,
    DatasetFacts,
    DatasetPart,
    DatasetRecord,
    DatasetSeconds,
)
from seedbed.streams.settings import DatasetSettings
from seedbed.tasks.items import TaskItem

DUPLICATE = "duplicate"
"""Why a row is left out whose question and answer an earlier part has."""

_ROWS_AT_A_TIME = 32_768


def mix(
    settings: DatasetSettings,
    parts: Sequence[tuple[Path, DatasetRecord]],
    seeds: Sequence[TaskItem],
    test: Sequence[TaskItem],
    keep: Callable[[pl.DataFrame], None],
) -> tuple[DatasetFacts, tuple[DatasetPart, ...]]:
    """Mix the rows of datasets, and return what was counted.

    Of rows with the same question and answer the first is kept, by the order of the parts. What the
    parts took is added up: a duplicate was paid for. The order is that of a digest of method and
    query, so that the rows of two budgets are in the same order.

    Args:
        settings: how words are compared.
        parts: the rows of each dataset, and its record.
        seeds: the seed set, in order.
        test: items of the test split, all of them.
        keep: called with the rows, some at a time and in order: those of a dataset, and `method`.
    """
    frames = [
        pl.read_parquet(path, hive_partitioning=False).with_columns(
            method=pl.lit(record.dataset["method"])
        )
        for path, record in parts
    ]
    rows = pl.concat(frames)
    once = rows.unique(["question", "answer"], keep="first", maintain_order=True)
    order = pl.Series(
        [
            blake2b(f"{method}/{query}".encode(), digest_size=8).digest()
            for method, query in once.select("method", "query").iter_rows()
        ],
        dtype=pl.Binary,
    ).arg_sort()
    mixed = once[order]
    questions = Questions(seeds, test, settings.overlap_words)
    for part in mixed.iter_slices(_ROWS_AT_A_TIME):
        keep(part)
        questions.count(questions.split(part), pl.repeat(True, part.height, eager=True))
    if not mixed.height:
        keep(mixed)
    used = dict(once["method"].value_counts().iter_rows())
    found = tuple(
        DatasetPart(
            method=str(record.dataset["method"]),
            budget=int(record.dataset["budget"]),
            rows=frame.height,
            used=used.get(record.dataset["method"], 0),
        )
        for frame, (_, record) in zip(frames, parts, strict=True)
    )
    counts = [record.counts for _, record in parts]
    dropped, failed = Counter({DUPLICATE: rows.height - once.height}), Counter[str]()
    for one in counts:
        dropped.update(one.dropped or {})
        failed.update(one.failed_questions)
    added = ("missing_rows", "empty_slots", *SPENDING)
    return (
        DatasetFacts(
            counts=DatasetCounts(
                queries=sum(one.queries or 0 for one in counts),
                rows=mixed.height,
                dropped=dict(sorted((+dropped).items())),
                failed_questions=dict(sorted(failed.items())),
                **{name: sum(getattr(one, name) for one in counts) for name in added},
                **questions.counts(),
            ),
            diversity=questions.diversity(),
            seconds=DatasetSeconds(
                generation=round(sum(record.seconds.generation for _, record in parts), 3)
            ),
        ),
        found,
    )
