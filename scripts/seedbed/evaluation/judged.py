"""From a student's answers to those that a judge grades, and from its grades to scores."""

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
"""The least grade of an answer that counts as right, as with a task's own function."""

_TAKEN = ("finish_reason", "prompt_tokens", "completion_tokens")

SHOWN = 3
"""Verdicts that cannot be read, in a message."""


def posed_answers(items: Sequence[TaskItem], answers: pl.DataFrame) -> list[Posed]:
    """Return what a judge is to grade.

    Args:
        items: the test items, in order; there may be more than answers.
        answers: rows of `answer_items`.

    Raises:
        ValueError: if the answers are to other items.
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
    """Return the grades of answers as predictions, and what the judge did.

    Args:
        options: of the judge.
        items: the test items, in order.
        answers: rows of `answer_items`.
        verdicts: what the judge said of them.

    Returns:
        A row an item, with the columns of `seedbed.evaluation.evaluation` and `score`.

    Raises:
        ValueError: if verdicts cannot be read, and the task does not say what they count as; or if
            requests failed.
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
    """Check that no request to a judge failed: it says nothing of an answer, and is asked again.

    Args:
        verdicts: rows of `judge`.

    Raises:
        ValueError: if one did, with the first of them.
    """
    failed = verdicts.filter(pl.col("finish_reason") == "failed")["key"].unique(maintain_order=True)
    if failed.len():
        raise ValueError(
            f"{failed.len()} answers have no verdict, as requests to the judge failed in all tries "
            f"({', '.join(failed.head(SHOWN))}). Its grades of the others are kept: start again, "
            "and it is asked about these alone"
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
            "again where it had said anything. It said in the end:",
            *shown,
            "All that it said is kept. Let it write more (scorer.max_tokens, or thinking_tokens of "
            "its engine), make the rubric clearer, or say in the task's file what such an answer "
            "counts as, from 0 to 1: scorer.unreadable",
        ]
    )
