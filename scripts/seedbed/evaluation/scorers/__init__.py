"""Scorers: whether one model output answers one task item.

There is one scorer for each kind of task. Each gives two scores: `strict` asks for the format that
the prompts ask for, `flexible` takes the answer from free text. Model output is untrusted: any text
of any length is scored, none raises or hangs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    if kind == "number":
        from seedbed.evaluation.scorers.number import NumberScorer

        _refuse_options(kind, options)
        return NumberScorer()
    if kind == "choice":
        from seedbed.evaluation.scorers.choice import ChoiceScorer

        _refuse_options(kind, options)
        return ChoiceScorer()
    if kind == "sql":
        from seedbed.evaluation.scorers.sql import SqlScorer

        return SqlScorer(Path(folder) / "databases", **_limits(options))
    raise ValueError(f"no scorer of kind {kind!r}; there are: {', '.join(KINDS)}")


def answers_equal(
    kind: str,
    first: str,
    second: str,
    first_choices: tuple[str, ...] = (),
    second_choices: tuple[str, ...] = (),
) -> bool:
    """Return whether two final answers mean the same.

    Each may be a bare final answer or a worked one. Numbers are compared exactly by value; choices
    by the text behind the label where the choices are given, else by label; SQL as text without
    regard to spacing and letter case outside quotes. Two answers of which one cannot be read are
    not equal.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind == "number":
        from seedbed.evaluation.scorers.number import read_number

        left, right = read_number(first), read_number(second)
    elif kind == "choice":
        from seedbed.evaluation.scorers.choice import read_content

        left = read_content(first, first_choices)
        right = read_content(second, second_choices)
    elif kind == "sql":
        from seedbed.evaluation.scorers.sql import plain_text, read_sql

        left, right = plain_text(read_sql(first)), plain_text(read_sql(second))
    else:
        raise ValueError(f"no scorer of kind {kind!r}; there are: {', '.join(KINDS)}")
    return left.value is not None and left.value == right.value


def _refuse_options(kind: str, options: Mapping[str, Any]) -> None:
    if options:
        raise ValueError(f"scorer {kind!r} takes no options, got: {', '.join(sorted(options))}")


def _limits(options: Mapping[str, Any]) -> dict[str, Any]:
    from seedbed.evaluation.scorers.sql import LIMITS

    unknown = sorted(set(options) - set(LIMITS))
    if unknown:
        raise ValueError(
            f"scorer 'sql' has no option {', '.join(unknown)}; there are: {', '.join(LIMITS)}"
        )
    return dict(options)
