"""Comparison of free-form answers without a judge.

`seedbed.evaluation.judge` grades such answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from seedbed.evaluation.scorers import PlainScorer, Reading, Score
from seedbed.evaluation.scorers.outputs import final_part
from seedbed.tasks.items import TaskItem


class JudgedScorer(PlainScorer):
    """Placeholder for a judge, used where no judge may be paid."""

    def score(self, output: str, item: TaskItem) -> Score:
        """Refuse to score: separate jobs ask the judge.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"only a judge grades the answer to item {item.item_id!r}")


from_options = JudgedScorer.from_options


def read_content(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read the content of an answer: its words, ignoring letter case and spacing."""
    text = " ".join(answer_of(answer).casefold().split())
    return Reading(text) if text else Reading(None, "empty")


def read_answer(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's final answer, which is all of it."""
    text = answer_of(answer)
    return Reading(text) if text else Reading(None, "empty")


def answer_of(output: str) -> str:
    """Return an output's answer, without thinking and without a next question."""
    return final_part(output, lambda head, tail: bool(head.strip())).strip()
