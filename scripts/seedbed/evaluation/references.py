"""Reference answers, scored by the task's own scorer before any model is asked or paid.

If the scorer rejects an item's reference answer, no model can be right on that item.
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
    """A reference answer that its task's scorer rejects.

    Attributes:
        split: `train` or `test`.
        item_id: the item's id.
        gold: the item's final answer.
        reason: the scorer's reason, or SQLite's error.
    """

    split: str
    item_id: str
    gold: str
    reason: str


def failing_references(
    splits: Mapping[str, Sequence[TaskItem]], scorer: Scorer, reading: str = "flexible"
) -> list[FailingReference]:
    """Score all reference answers, and return the rejected ones in order.

    Args:
        splits: items by split name.
        scorer: the task's scorer.
        reading: the task's `score`, `strict` or `flexible`.
    """
    found = []
    for split, items in splits.items():
        for item, reason in scoring_each(scorer, partial(_problem, scorer, reading), items):
            if reason:
                found.append(FailingReference(split, item.item_id, item.gold, reason))
    return found


def describe_failures(failing: Sequence[FailingReference], scored: int) -> str:
    """Return a message with one line per rejected reference answer, and YAML that excludes them.

    Args:
        failing: the rejected reference answers, at least one.
        scored: number of reference answers that were scored.
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
    """Return YAML, to paste into a task's file, that excludes the items."""
    lines = ["source:", "  excluded:"]
    reasons: dict[str, str] = {}
    for one in failing:
        # If both splits have the id, one line excludes it from both.
        reasons.setdefault(one.item_id, one.reason)
    for item_id, reason in reasons.items():
        # A JSON string is also a YAML string.
        text = json.dumps(f"the reference answer fails: {_short(reason)}", ensure_ascii=False)
        lines += [f"    - item: {json.dumps(item_id, ensure_ascii=False)}", f"      reason: {text}"]
    return "\n".join(lines)


def _problem(scorer: Scorer, reading: str, item: TaskItem) -> str:
    """Return the reason why the scorer rejects an item's reference answer, "" if it accepts it."""
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
