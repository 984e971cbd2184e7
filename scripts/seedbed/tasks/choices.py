"""The choices in the text of a multiple-choice question."""

from __future__ import annotations

import re
from collections.abc import Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Labels of choices, the same as in the scorer."""

_LINE = re.compile(r"\(([A-Z])\) (\S.*)")
_INLINE = re.compile(r"(\S.*) ([A-Z])")


def with_choices(question: str, choices: Sequence[str]) -> str:
    """Return a question with its choices below it, one per line: `(A) text`."""
    lines = (f"({letter}) {text}" for letter, text in zip(LETTERS, choices, strict=False))
    return "\n".join([question, *lines])


def choices_of(question: str) -> tuple[str, ...]:
    """Return the choices at the end of a question, in order; () if there are none.

    Two layouts are read: lines as from `with_choices`, or one line after the question mark,
    `text A, text B, text C`. There must be at least two choices, labelled A, B and so on.
    """
    return split_choices(question)[1]


def split_choices(question: str) -> tuple[str, tuple[str, ...]]:
    """Return the text before the choices of a question, and the choices as `choices_of` does."""
    lines = question.rstrip().split("\n")
    found: list[tuple[str, str]] = []
    while lines and (match := _LINE.fullmatch(lines[-1].strip())):
        found.insert(0, (match[1], match[2].strip()))
        lines.pop()
    # Lines above the first choice may also look like choices.
    first = max((n for n, (label, _) in enumerate(found) if label == LETTERS[0]), default=0)
    lines += [f"({label}) {text}" for label, text in found[:first]]
    found = found[first:]
    before = "\n".join(lines)
    if not found:
        before, _, behind = question.rpartition("?")
        inline = [_INLINE.fullmatch(part.strip()) for part in behind.split(",")]
        found = [(match[2], match[1].strip()) for match in inline if match]
        if len(found) < len(inline):
            return question, ()
    if len(found) < 2 or [label for label, _ in found] != list(LETTERS[: len(found)]):
        return question, ()
    return before, tuple(text for _, text in found)
