"""A dataset built at once, all of it in memory: what `seedbed.streams.datasets` streams.

Tests hold the streamed one against it, and the benchmark measures both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from seedbed.engines import UNFINISHED
from seedbed.streams.answers import SCHEMA as ANSWERS_SCHEMA
from seedbed.streams.answers import is_whole, was_refused
from seedbed.streams.datasets import Shards
from seedbed.streams.diversity import (
    DISTINCT,
    NEAR_GRAM,
    NEAR_SIMILARITY,
    grams,
    overlap_test,
    words,
)
from seedbed.streams.settings import DatasetSettings
from seedbed.tasks.items import TaskItem

_ROWS_AT_A_TIME = 2048


def build_eagerly(
    settings: DatasetSettings,
    shards: Shards,
    seeds: Sequence[TaskItem],
    test: Sequence[TaskItem],
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return the rows and the record of `seedbed.streams.datasets.build_dataset`."""
    if shards.answers:
        frame = _first_queries(shards.answers, settings.reach)
    else:
        frame = _real_pairs(seeds, settings.prompt)
    frame = _with_column(frame, "problem", shards.checks)
    frame = frame.with_columns(reason=_reason(_overlapping(frame, seeds, test, settings)))
    _check_known(frame, pl.col("reason"))
    if settings.filter != "none":
        frame = _with_column(frame, "verified", shards.labels)
        _check_known(frame.filter(pl.col("reason") == ""), pl.col("verified"))
        wrong = (pl.col("reason") == "") & ~pl.col("verified")
        frame = frame.with_columns(
            reason=pl.when(wrong).then(pl.lit("not_verified")).otherwise(pl.col("reason"))
        )
    used, missing = _used(frame, settings)
    frame = frame[:used]
    kept = frame.filter(pl.col("reason") == "")
    rows = kept.select(
        "query",
        "seed_id",
        "sample",
        "question",
        "answer",
        messages=pl.concat_list(_message("user", "prompt"), _message("assistant", "answer")),
        prompt_tokens="teacher_prompt_tokens",
        completion_tokens="teacher_completion_tokens",
    )
    answered = frame.filter(pl.col("answer").is_not_null())
    dropped = Counter(answered.filter(pl.col("reason") != "")["reason"])
    questions = _first_queries(shards.questions, used) if shards.questions else None
    votes = _votes(shards.samples, used) if shards.samples else None
    failed = Counter(
        reason
        for text in ([] if questions is None else questions["reason"])
        for reason in text.split(",")
        if reason
    )
    counts: dict[str, Any] = {
        "queries": used if shards.answers else 0,
        "rows": rows.height,
        "missing_rows": missing,
        "empty_slots": used - answered.height,
        "dropped": dict(sorted(dropped.items())),
        "failed_questions": dict(sorted(failed.items())),
        "teacher_queries": answered.filter(~was_refused()).height if shards.answers else 0,
        "teacher_thinking_tokens": 0,
        **_tokens("teacher", frame),
        "augmenter_queries": _total(questions, "augmenter_queries"),
        **_tokens("augmenter", questions),
        "verification_queries": 0 if votes is None else votes.height,
        **_tokens("verification", votes),
        "unique_questions": rows["question"].n_unique(),
        "near_seed_rows": _near_rows(rows, [item.question for item in seeds]),
        "near_test_rows": _near_rows(rows, [item.question for item in test]),
    }
    microseconds = sum(
        _microseconds(who, part)
        for who, part in (("teacher", frame), ("augmenter", questions), ("verification", votes))
    )
    varied = {f"distinct_{n}": distinct(rows["question"], n) for n in DISTINCT}
    return rows, {
        "counts": counts,
        "diversity": varied,
        "seconds": {"generation": round(microseconds / 1e6, 3)},
    }


def _first_queries(shards: Sequence[Path], stop: int) -> pl.DataFrame:
    frame = pl.scan_parquet(shards).filter(pl.col("query") < stop).sort("query").collect()
    if frame["query"].to_list() != list(range(stop)):
        raise ValueError(
            f"the shards {', '.join(map(str, shards))} do not hold queries 0 to {stop - 1} "
            "once each; delete them to have them made again"
        )
    return frame


def _with_column(frame: pl.DataFrame, column: str, shards: Sequence[Path]) -> pl.DataFrame:
    """Return the rows with what the shards say of them: null if nothing, "" without any shard."""
    if not shards:
        return frame.with_columns(pl.lit("").alias(column))
    said = pl.scan_parquet(shards).select("query", column).collect()
    return frame.join(said, on="query", how="left", maintain_order="left")


def _real_pairs(seeds: Sequence[TaskItem], prompt: str) -> pl.DataFrame:
    """Return the seeds with their reference answers, in the form of a teacher's answers."""
    rows = [
        {
            "query": number,
            "seed_id": item.item_id,
            "sample": 0,
            "question": item.question,
            "prompt": prompt.format(question=item.question, context=item.context),
            "answer": item.answer,
            "finish_reason": "stop",
            "teacher_prompt_tokens": 0,
            "teacher_completion_tokens": 0,
            "teacher_seconds": 0.0,
        }
        for number, item in enumerate(seeds)
    ]
    return pl.DataFrame(rows, schema=ANSWERS_SCHEMA)


def _overlapping(
    frame: pl.DataFrame,
    seeds: Sequence[TaskItem],
    test: Sequence[TaskItem],
    settings: DatasetSettings,
) -> pl.Series:
    """Return for each row whether its question overlaps with one of the test split."""
    overlaps = overlap_test(
        [item.context for item in test], [item.question for item in test], settings.overlap_words
    )
    asked = frame.select("query", "question").iter_rows()
    return pl.Series(
        [
            question is not None and overlaps(seeds[query % len(seeds)].context, question)
            for query, question in asked
        ],
        dtype=pl.Boolean,
    )


def _reason(overlapping: pl.Series) -> pl.Expr:
    """Return the expression for why a row is left out, whatever the filter: "" if it is not."""
    return (
        pl.when(pl.col("answer").is_null())
        .then(pl.lit("empty_slot"))
        .when(pl.col("finish_reason") != "stop")
        .then(pl.col("finish_reason").replace_strict(UNFINISHED, default="not_finished"))
        .when(~is_whole())
        .then(pl.lit("blank"))
        .when(pl.lit(overlapping))
        .then(pl.lit("test_overlap"))
        .otherwise(pl.col("problem"))
    )


def _check_known(frame: pl.DataFrame, column: pl.Expr) -> None:
    """Check that a column that comes from the checks has a value in every row."""
    unknown = frame.filter(column.is_null())["query"]
    if len(unknown):
        raise ValueError(
            f"the answer to query {unknown[0]} was not checked; delete the checks to have them "
            "made again"
        )


def _used(frame: pl.DataFrame, settings: DatasetSettings) -> tuple[int, int]:
    """Return how many queries are used, and how many rows could not be found."""
    if settings.filter != "verified_matched":
        return frame.height, 0
    # As many rows as there would be without the filter.
    target = frame[: settings.budget]["reason"].is_in(["", "not_verified"]).sum()
    found = (frame["reason"] == "").cum_sum()
    enough = (found >= target).arg_true()
    if not len(enough):
        return frame.height, int(target - found[-1])
    return max(settings.budget, int(enough[0]) + 1), 0


def _votes(shards: Sequence[Path], stop: int) -> pl.DataFrame:
    return pl.scan_parquet(shards).filter(pl.col("query") < stop).collect()


def _total(frame: pl.DataFrame | None, column: str) -> Any:
    return 0 if frame is None else frame[column].sum()


def _tokens(who: str, frame: pl.DataFrame | None) -> dict[str, int]:
    names = (f"{who}_prompt_tokens", f"{who}_completion_tokens")
    return {name: int(_total(frame, name)) for name in names}


def _microseconds(who: str, part: pl.DataFrame | None) -> int:
    """Return the time that was spent on some rows, each to the microsecond."""
    return 0 if part is None else sum(round(s * 1e6) for s in part[f"{who}_seconds"])


def _near_rows(rows: pl.DataFrame, others: Sequence[str]) -> int:
    """Return how many rows have a question that is nearly one of the others."""
    questions = rows["question"].value_counts()
    alike = near(questions["question"].to_list(), others)
    return int(questions.filter(pl.Series(alike, dtype=pl.Boolean))["count"].sum())


def _message(role: str, column: str) -> pl.Expr:
    return pl.struct(role=pl.lit(role), content=pl.col(column))


def distinct(texts: Iterable[str], length: int) -> float | None:
    """Return distinct-n: different runs of `length` words over all such runs (Li et al. 2016).

    It falls as texts are added, so it compares sets of the same size. None if there is no run.
    """
    seen: set[tuple[str, ...]] = set()
    total = 0
    for text in texts:
        found = words(text)
        runs = [tuple(found[i : i + length]) for i in range(len(found) - length + 1)]
        seen.update(runs)
        total += len(runs)
    return len(seen) / total if total else None


def near(questions: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Return for each question whether it is nearly the same as one of the others.

    Returns:
        Booleans, shape (len(questions),).
    """
    number: dict[tuple[str, ...], int] = {}
    left, right = _incidence(questions, number), _incidence(others, number)
    width = len(number)
    result = np.zeros(len(questions), dtype=bool)
    if not width or not len(others):
        return result
    left.resize((len(questions), width))
    right.resize((len(others), width))
    sizes = np.asarray(right.sum(axis=1)).ravel()
    own = np.asarray(left.sum(axis=1)).ravel()
    for start in range(0, len(questions), _ROWS_AT_A_TIME):
        shared = (left[start : start + _ROWS_AT_A_TIME] @ right.T).tocoo()
        union = own[start + shared.row] + sizes[shared.col] - shared.data
        result[start + shared.row[shared.data >= NEAR_SIMILARITY * union]] = True
    return result


def _incidence(texts: Sequence[str], number: dict[tuple[str, ...], int]) -> csr_matrix:
    """Return which text has which run of words, and give each new run a number."""
    columns: list[int] = []
    bounds = [0]
    for text in texts:
        columns += [number.setdefault(gram, len(number)) for gram in grams(text, NEAR_GRAM)]
        bounds.append(len(columns))
    return csr_matrix(
        (np.ones(len(columns), dtype=np.int32), columns, bounds), shape=(len(texts), len(number))
    )
