"""The rows of a mixture: the rows of several datasets without duplicates, in a fixed order."""

from __future__ import annotations

import json
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
"""Reason for leaving out a row whose messages an earlier part has as well."""

_ROWS_AT_A_TIME = 32_768


def _read(messages: pl.Series) -> pl.Series:
    """Return a digest of each row's messages."""
    texts = (json.dumps(one.to_list(), sort_keys=True).encode() for one in messages)
    return pl.Series([blake2b(text, digest_size=16).digest() for text in texts], dtype=pl.Binary)


def mix(
    settings: DatasetSettings,
    parts: Sequence[tuple[Path, DatasetRecord]],
    seeds: Sequence[TaskItem],
    test: Sequence[TaskItem],
    keep: Callable[[pl.DataFrame], None],
) -> tuple[DatasetFacts, tuple[DatasetPart, ...]]:
    """Mix the rows of datasets, and return the mixture's counts and its parts.

    Among rows with the same messages, the first in the order of the parts is kept. The same
    question about two texts is no duplicate. The costs of the parts are added up, because
    duplicates were paid for too. Rows are sorted by a digest of method and query, so the order does
    not depend on the budget.

    Args:
        settings: settings of the overlap with the test split.
        parts: the rows of each dataset, and its record.
        seeds: the seed set, in order.
        test: items of the test split, all of them.
        keep: called with the rows, some at a time and in order: the columns of a dataset, and
            `method`.
    """
    frames = [
        pl.read_parquet(path, hive_partitioning=False).with_columns(
            method=pl.lit(record.dataset["method"])
        )
        for path, record in parts
    ]
    # If a study keeps its teachers' thinking, real data lacks these columns.
    rows = pl.concat(frames, how="diagonal_relaxed")
    once = rows.filter(_read(rows["messages"]).is_first_distinct())
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
