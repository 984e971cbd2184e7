"""The outcome of a study's queries: rows, and losses by stream, with warnings."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import polars as pl

from seedbed.config.values import JsonObject
from seedbed.config.words import NONE
from seedbed.engines.settings import OpenAISettings
from seedbed.streams.losses import Losses, repeats
from seedbed.streams.record import DatasetRecord
from seedbed.study.cells import Dataset
from seedbed.study.paths import Paths


def losses(paths: Paths, root: Path = Path()) -> dict[str, Losses]:
    """Return the outcome of the queries of each stream that has any.

    It comes from the record of the dataset with the largest budget, or else from the answers.

    Args:
        paths: those of the study.
        root: the folder that they are relative to.
    """
    results, grid = root / paths.results, paths.grid
    largest: dict[str, list[Dataset]] = {}
    for dataset in grid.datasets:
        if dataset.stream is not None:
            largest.setdefault(dataset.stream.key, []).append(dataset)
    found = {}
    for key, datasets in largest.items():
        datasets.sort(key=lambda one: (one.filter == NONE, one.budget), reverse=True)
        records = (results / "datasets" / one.key / "dataset.json" for one in datasets)
        record = next((path for path in records if path.is_file()), None)
        # A file of an earlier version, or one that is being replaced, is skipped.
        with suppress(OSError, ValueError, pl.exceptions.PolarsError):
            if record is not None:
                found[key] = Losses.of_dataset(DatasetRecord.read(record).counts)
            teacher = grid.stream_by_key[key].teacher
            hosted = isinstance(paths.study.engine(teacher), OpenAISettings)
            if record is None or hosted:
                files = sorted((results / "answers" / key).glob("shard=*/answers.parquet"))
                if files:
                    names = ["prompt", "answer", "finish_reason"]
                    answers = pl.concat(pl.read_parquet(file, columns=names) for file in files)
                    lost = found.get(key) or Losses.of_answers(answers)
                    further, repeated = repeats(answers) if hosted else (0, 0)
                    found[key] = replace(lost, further=further, repeated=repeated)
    return found


def summary(found: dict[str, Losses], shown: int) -> list[str]:
    """Return lines of text: the outcome of all queries, and the warnings of streams.

    Args:
        found: result of `losses`.
        shown: the most warnings.
    """
    if not found:
        return []
    lost: Counter[str] = Counter()
    for one in found.values():
        lost.update(one.lost)
    queries = sum(one.queries for one in found.values())
    made = [one for one in found.values() if one.rows is not None]
    rows = sum(one.rows or 0 for one in made)
    reasons = ", ".join(f"{count:,} {name}" for name, count in lost.most_common() if count)
    streams = f"{len(found):,} stream{'s' * (len(found) != 1)}"
    said = f"Of {queries:,} queries in {streams}, {rows:,} became rows"
    waiting = sum(one.queries for one in found.values() if one.rows is None)
    if waiting:
        said += f", and {waiting:,} wait for their dataset"
    lines = [f"{said}; lost: {reasons or 'none'}."]
    if failed := lost["failed"]:
        count = f"{failed:,} quer{'y' if failed == 1 else 'ies'}"
        lines.append(f"{count} failed in all tries: start again, and only these are asked again.")
    warnings = [f"warning: {key}: {text}." for key, one in found.items() for text in one.warnings()]
    lines += warnings[:shown]
    if len(warnings) > shown:
        lines.append(f"warning: the same or similar of {len(warnings) - shown} more (make status).")
    return lines


def plain(found: dict[str, Losses]) -> JsonObject:
    """Return it as plain values."""
    return {
        key: {
            "queries": one.queries,
            "rows": one.rows,
            "lost": dict(one.lost),
            "further": one.further,
            "repeated": one.repeated,
        }
        for key, one in found.items()
    }
