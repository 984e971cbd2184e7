"""Scorers: whether one model output answers one task item.

There is one scorer for each kind of task. Each gives two scores: `strict` asks for the format that
the prompts ask for, `flexible` takes the answer from free text. Model output is untrusted: any text
of any length is scored, none raises or hangs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from seedbed.tasks.items import TaskItem

KINDS = ("number", "choice", "sql")


@dataclass(frozen=True, slots=True)
class Reading:
    """A final answer as found in a text.

    Attributes:
        value: the answer in canonical form, or None if there is none to be found.
        reason: why there is none, "" if there is one.
    """

    value: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """How one output fared.

    Attributes:
        strict: the output gives the right answer in the format that was asked for.
        flexible: the output gives the right answer in a form that a reader would accept.
        extracted: the answer that the flexible rule found, None if it found none.
        reason: why no answer was found, or could not be judged; "" otherwise.
    """

    strict: bool
    flexible: bool
    extracted: str | None
    reason: str


class Scorer(Protocol):
    """Scores outputs of one task."""

    def score(self, output: str, item: TaskItem) -> Score:
        """Return the score of a model's output as an answer to the item.

        Raises:
            ValueError: if the item itself is at fault, e.g. its gold answer cannot be read.
        """
        ...

    def close(self) -> None:
        """Release what the scorer holds (processes); it can be called more than once."""
        ...


def make_scorer(kind: str, options: Mapping[str, Any], folder: Path) -> Scorer:
    """Return the scorer of a kind of task.

    Args:
        kind: `number`, `choice` or `sql`.
        options: limits of the scorer; only `sql` has any (see `seedbed.evaluation.scorers.sql`).
        folder: the task's folder, which holds `databases/` if the task has any.

    Raises:
        ValueError: for an unknown kind or option.
    """
    return _module(kind).from_options(options, Path(folder))


def answers_equal(
    kind: str,
    first: str,
    second: str,
    first_choices: Sequence[str] = (),
    second_choices: Sequence[str] = (),
) -> bool:
    """Return whether two final answers mean the same.

    Each may be a bare final answer or a worked one. Numbers are compared exactly by value; choices
    by the text behind the label where the choices are given, else by label; SQL as text without
    regard to spacing and letter case outside quotes. Two answers of which one cannot be read are
    not equal.

    Raises:
        ValueError: for an unknown kind.
    """
    module = _module(kind)
    left = module.read_content(first, first_choices)
    right = module.read_content(second, second_choices)
    return left.value is not None and left.value == right.value


def read_answer(kind: str, answer: str, choices: Sequence[str] = ()) -> Reading:
    """Return the final answer of a worked one: a number, a choice's text or label, or a query.

    Args:
        kind: the task's kind.
        answer: what a model wrote.
        choices: texts of the choices in label order, if there are any and they are known.

    Raises:
        ValueError: for an unknown kind.
    """
    return _module(kind).read_answer(answer, choices)


def _module(kind: str) -> Any:
    # Loaded by name, so that the code behind one kind of task does not count as that of another.
    if kind not in KINDS:
        raise ValueError(f"no scorer of kind {kind!r}; there are: {', '.join(KINDS)}")
    return import_module(f"{__name__}.{kind}")
