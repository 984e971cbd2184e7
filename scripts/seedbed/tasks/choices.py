"""Choices of a multiple-choice question, as they stand in its text."""

from __future__ import annotations

import re
from collections.abc import Sequence

LETTERS = "ABCDEFGH"
"""Labels of choices, as the scorer knows them."""

_LINE = re.compile(r"\(([A-H])\) (\S.*)")
_INLINE = re.compile(r"(\S.*) ([A-H])")


def with_choices(question: str, choices: Sequence[str]) -> str:
    """Return a question with its choices below it, a line each: `(A) text`."""
    lines = (f"({letter}) {text}" for letter, text in zip(LETTERS, choices, strict=False))
    return "\n".join([question, *lines])


def choices_of(question: str) -> tuple[str, ...]:
    """Return the choices that stand at the end of a question, in order; () if there are none.

    They are read from either layout: lines as of `with_choices`, or behind the question mark on
    one line, `text A, text B, text C`. There must be at least two, with the labels A, B and so on.
    """
    lines = []
    for line in reversed(question.rstrip().split("\n")):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            break
        lines.append((match[1], match[2].strip()))
    found = lines[::-1]
    if not found:
        behind = question.rpartition("?")[2].strip()
        inline = [_INLINE.fullmatch(part.strip()) for part in behind.split(",")]
        found = [(match[2], match[1].strip()) for match in inline if match]
        if len(found) < len(inline):
            return ()
    if len(found) < 2 or [label for label, _ in found] != list(LETTERS[: len(found)]):
        return ()
    return tuple(text for _, text in found)
