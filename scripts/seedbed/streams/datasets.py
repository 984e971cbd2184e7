"""Datasets: the first queries of a stream, as rows to train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl


def build_dataset(
    answers: Sequence[Path], questions: Sequence[Path], budget: int
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return the dataset of a budget, and what was counted while it was built.

    It has the answered queries among the first `budget` of the stream, whole answers only: an
    answer cut at the token limit would teach the student to stop in the middle, and a blank one
    to say nothing.

    Args:
        answers: the stream's answer shards, in order.
        questions: its question shards, in order; empty where the seeds' own questions were asked.
        budget: queries to take.

    Returns:
        The rows (`query`, `seed_id`, `sample`, `question`, `answer`, `messages`, token counts),
        and the counts: `queries` (the budget), `rows`, `empty_slots`, `truncated_answers`,
        `blank_answers`, `teacher_queries`, `augmenter_queries`, tokens of both,
        `unique_questions`, and `failed_questions` by reason.

    Raises:
        ValueError: if the shards do not hold queries 0 to `budget` - 1, each once.
    """
    frame = _first_queries(answers, budget)
    answered = frame.filter(pl.col("answer").is_not_null())
    finished = answered.filter(pl.col("finish_reason") == "stop")
    whole = finished.filter(pl.col("answer").str.strip_chars() != "")
    counts: dict[str, Any] = {
        "queries": budget,
        "rows": whole.height,
        "empty_slots": budget - answered.height,
        "truncated_answers": answered.height - finished.height,
        "blank_answers": finished.height - whole.height,
        "unique_questions": whole["question"].n_unique(),
        "teacher_queries": answered.height,
        "teacher_prompt_tokens": int(frame["teacher_prompt_tokens"].sum()),
        "teacher_completion_tokens": int(frame["teacher_completion_tokens"].sum()),
        "augmenter_queries": 0,
        "augmenter_prompt_tokens": 0,
        "augmenter_completion_tokens": 0,
        "failed_questions": {},
    }
    if questions:
        asked = _first_queries(questions, budget)
        for column in (
            "augmenter_queries",
            "augmenter_prompt_tokens",
            "augmenter_completion_tokens",
        ):
            counts[column] = int(asked[column].sum())
        reasons = Counter(r for text in asked["reason"] for r in text.split(",") if r)
        counts["failed_questions"] = dict(sorted(reasons.items()))
    rows = whole.select(
        "query",
        "seed_id",
        "sample",
        "question",
        "answer",
        messages=pl.concat_list(_message("user", "prompt"), _message("assistant", "answer")),
        prompt_tokens="teacher_prompt_tokens",
        completion_tokens="teacher_completion_tokens",
    )
    return rows, counts


def _first_queries(shards: Sequence[Path], budget: int) -> pl.DataFrame:
    frame = pl.scan_parquet(shards).filter(pl.col("query") < budget).sort("query").collect()
    if frame["query"].to_list() != list(range(budget)):
        raise ValueError(
            f"the shards {', '.join(map(str, shards))} do not hold queries 0 to {budget - 1} "
            "once each; delete them to have them made again"
        )
    return frame


def _message(role: str, column: str) -> pl.Expr:
    return pl.struct(role=pl.lit(role), content=pl.col(column))
