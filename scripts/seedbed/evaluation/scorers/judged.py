"""Answers in any form, which a judge grades: how two of them are compared, without asking it.

Grades themselves are the work of `seedbed.evaluation.judge`.
"""

from __future__ import annotations

from collections.abc import Sequence

from seedbed.evaluation.scorers import PlainScorer, Reading, Score
from seedbed.evaluation.scorers.outputs import final_part
from seedbed.tasks.items import TaskItem


class JudgedScorer(PlainScorer):
    """Stands for a judge where nothing is paid."""

    def score(self, output: str, item: TaskItem) -> Score:
        """Refuse to score: a judge is asked by jobs of its own.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"the answer to item {item.item_id!r} is graded by a judge alone")


from_options = JudgedScorer.from_options


def read_content(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's content: its words, without regard to letter case and spacing."""
    text = " ".join(answer_of(answer).casefold().split())
    return Reading(text) if text else Reading(None, "empty")


def read_answer(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's final answer, which is all of it."""
    text = answer_of(answer)
    return Reading(text) if text else Reading(None, "empty")


def answer_of(output: str) -> str:
    """Return the part of an output that is the answer: no thinking, and no next question."""
    return final_part(output, lambda head, tail: bool(head.strip())).strip()
