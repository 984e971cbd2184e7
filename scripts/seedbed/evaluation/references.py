"""Reference answers, scored by the task's own scorer before anything is asked or paid.

A model can never be right on an item whose reference answer is wrong by the scorer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from seedbed.evaluation.scorers import Scorer, scoring_each
from seedbed.tasks.items import TaskItem

# A gold query can be as long as a page.
_MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class FailingReference:
    """A reference answer that its task's scorer does not find right.

    Attributes:
        split: `train` or `test`.
        item_id: of the item.
        gold: its final answer.
        reason: why, in the words of the scorer, or of SQLite.
    """

    split: str
    item_id: str
    gold: str
    reason: str


def failing_references(
    splits: Mapping[str, Sequence[TaskItem]], scorer: Scorer, reading: str = "flexible"
) -> list[FailingReference]:
    """Score every reference answer, and return those that are not right, in order.

    Args:
        splits: items by the name of their split.
        scorer: the task's scorer.
        reading: `strict` or `flexible`, as the task's `score` says.
    """
    found = []
    for split, items in splits.items():
        for item, reason in scoring_each(scorer, partial(_problem, scorer, reading), items):
            if reason:
                found.append(FailingReference(split, item.item_id, item.gold, reason))
    return found


def describe_failures(failing: Sequence[FailingReference], scored: int) -> str:
    """Return what is wrong with reference answers, a line each, and how to leave them out.

    Args:
        failing: the failing ones, at least one.
        scored: how many were scored.
    """
    lines = [
        f"the reference answers of {len(failing)} of {scored} items are wrong by the task's own "
        "scorer, and no model could be right on them:"
    ]
    lines += [
        f"  {one.split} {one.item_id}: gold {_short(one.gold)!r}: {one.reason}" for one in failing
    ]
    lines += ["Mend them, or leave them out by these lines in the task's file:", ""]
    return "\n".join([*lines, excluded_block(failing)])


def excluded_block(failing: Sequence[FailingReference]) -> str:
    """Return the YAML that leaves items out of a task, to paste into its file."""
    lines = ["source:", "  excluded:"]
    reasons: dict[str, str] = {}
    for one in failing:
        # An id that both splits have is left out of both.
        reasons.setdefault(one.item_id, one.reason)
    for item_id, reason in reasons.items():
        # JSON's strings are YAML's, too.
        text = json.dumps(f"the reference answer fails: {_short(reason)}", ensure_ascii=False)
        lines += [f"    - item: {json.dumps(item_id, ensure_ascii=False)}", f"      reason: {text}"]
    return "\n".join(lines)


def _problem(scorer: Scorer, reading: str, item: TaskItem) -> str:
    """Return why an item's reference answer is not right, "" if it is."""
    try:
        score = scorer.score(item.answer, item)
    except ValueError as error:
        return _short(str(error))
    if getattr(score, reading):
        return ""
    if score.flexible:
        return "right by the flexible reading, but not in the format of the strict one"
    if score.reason:
        return _short(score.reason)
    if score.grade is not None:
        return f"the scorer gives it the grade {score.grade:g}, and from 0.5 on it would be right"
    return f"the scorer reads {_short(score.extracted or '')!r}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 3]}..."
