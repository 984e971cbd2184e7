"""The answers that a judge grades, and the scores from its grades."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from seedbed.engines import UNFINISHED
from seedbed.evaluation.evaluation import SCHEMA
from seedbed.evaluation.judge import Posed, grades, orders_differ
from seedbed.evaluation.record import Judged
from seedbed.evaluation.scorers.judged import answer_of
from seedbed.evaluation.scorers.settings import JudgeOptions
from seedbed.tasks.items import TaskItem

RIGHT = 0.5
"""Lowest grade that counts as right; the same as for a task's own function."""

_TAKEN = ("finish_reason", "prompt_tokens", "completion_tokens")

SHOWN = 3
"""Number of failed requests or unreadable verdicts that a message shows."""


def posed_answers(items: Sequence[TaskItem], answers: pl.DataFrame) -> list[Posed]:
    """Return the answers for a judge to grade.

    Args:
        items: the test items, in order; there may be more items than answers.
        answers: rows from `answer_items`.

    Raises:
        ValueError: if the answers belong to other items.
    """
    taken = items[: answers.height]
    if [item.item_id for item in taken] != answers["item_id"].to_list():
        raise ValueError("the answers are to other items than the task's: answer them again")
    rows = zip(taken, answers["prompt"], answers["output"], strict=True)
    return [
        Posed(
            item.item_id,
            f"{item.conversation}\n\nUser: {prompt}" if item.history else prompt,
            item.answer,
            answer_of(output),
        )
        for item, prompt, output in rows
    ]


def graded_answers(
    options: JudgeOptions,
    items: Sequence[TaskItem],
    answers: pl.DataFrame,
    verdicts: pl.DataFrame,
) -> tuple[pl.DataFrame, Judged]:
    """Return predictions with the judge's grades, and counts of the judge's work.

    Args:
        options: the judge's options.
        items: the test items, in order.
        answers: rows from `answer_items`.
        verdicts: the judge's verdicts on these answers.

    Returns:
        One row per item, with the columns of `seedbed.evaluation.evaluation.SCHEMA` and `score`,
        and the record of the judge.

    Raises:
        ValueError: if a request failed, or a verdict cannot be read and the task has no
            `unreadable` grade.
    """
    check_answered(verdicts)
    found = grades(options, verdicts)
    unread = [key for key, grade in found.items() if grade is None]
    if unread and options.unreadable is None:
        raise ValueError(_unreadable(unread, verdicts))
    rows = []
    for item, row in zip(items, answers.iter_rows(named=True), strict=False):
        grade = found[item.item_id]
        score = options.unreadable if grade is None else grade
        right = score is not None and score >= RIGHT
        extracted = answer_of(row["output"]) or None
        empty = UNFINISHED.get(row["finish_reason"], "empty")
        rows.append(
            {
                "item_id": item.item_id,
                "cluster": item.cluster,
                "prompt": row["prompt"],
                "output": row["output"],
                "extracted": extracted,
                "gold": item.gold,
                **dict.fromkeys(("strict", "flexible", "correct"), right),
                "reason": "" if extracted else empty,
                **{name: row[name] for name in _TAKEN},
                "score": score,
            }
        )
    judged = Judged(
        judge=options.judge,
        asked_again=verdicts.filter(pl.col("attempt") > 1).height,
        unreadable=len(unread),
        orders_differ=None if options.compare is None else orders_differ(verdicts),
    )
    return pl.DataFrame(rows, schema=pl.Schema([*SCHEMA.items(), ("score", pl.Float64)])), judged


def check_answered(verdicts: pl.DataFrame) -> None:
    """Check that no request to a judge failed. A failed request gives no grade and is retried.

    Args:
        verdicts: rows from `judge`.

    Raises:
        ValueError: if requests failed. The message names the first ones.
    """
    failed = verdicts.filter(pl.col("finish_reason") == "failed")["key"].unique(maintain_order=True)
    if failed.len():
        raise ValueError(
            f"{failed.len()} answers have no verdict, as requests to the judge failed in all tries "
            f"({', '.join(failed.head(SHOWN))}). The other grades are kept: start again, and the "
            "judge is asked about these answers alone"
        )


def _unreadable(unread: Sequence[str], verdicts: pl.DataFrame) -> str:
    wrong = verdicts.filter(pl.col("key").is_in(list(unread)) & pl.col("verdict").is_null())
    last = wrong.group_by("key", maintain_order=True).last().head(SHOWN)
    shown = [
        f"  {key} ({reason}): {' '.join(words.split())[-200:]!r}"
        for key, reason, words in last.select("key", "finish_reason", "words").iter_rows()
    ]
    return "\n".join(
        [
            f"{len(unread)} answers have no verdict that can be read, though the judge was asked "
            "again unless its output was empty. Its last outputs end with:",
            *shown,
            "All its outputs are kept. Raise its limit of tokens (scorer.max_tokens, or "
            "thinking_tokens of its engine), make the rubric clearer, or set the grade of such an "
            "answer, from 0 to 1, in the task's file: scorer.unreadable",
        ]
    )
