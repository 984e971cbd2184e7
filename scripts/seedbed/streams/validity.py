"""Validity checks: whether the answer to a new question is usable, whatever the filter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import polars as pl

from seedbed.evaluation.scorers import Comparing, Scorer, answers_equal, read_answer, scoring_each
from seedbed.streams.answers import is_whole
from seedbed.tasks.choices import choices_of
from seedbed.tasks.items import TaskItem
from seedbed.tasks.record import TaskRecord

CHECKS_SCHEMA = pl.Schema({"query": pl.Int64, "final": pl.String, "problem": pl.String})
LABEL_KINDS = ("exact", "choice")
"""Kinds of task whose answers may be labels."""
MOST_LABELS = 20
FEWEST_ITEMS_A_LABEL = 4


def requires_new_answer(setting: str | None, kind: str, record: TaskRecord) -> bool:
    """Return whether the answer to a new question must differ from its seed's answer.

    With few labels, many sound questions have the seed's answer.

    Args:
        setting: `required` or `not_required`, or None to decide by the number of distinct answers.
        kind: the task's kind.
        record: the task's record.
    """
    if setting is not None:
        return setting == "required"
    values = record.gold_values
    if kind not in LABEL_KINDS or values is None:
        return True
    return values > MOST_LABELS or values * FEWEST_ITEMS_A_LABEL > record.counts.train_items


def check_answers(
    answers: pl.DataFrame,
    seeds: Sequence[TaskItem],
    kind: str,
    scorer: Scorer,
    any_form: bool = False,
    new_answer: bool = True,
) -> pl.DataFrame:
    """Check whether a shard's answers to new questions are usable.

    Args:
        answers: rows of `seedbed.streams.answers`.
        seeds: the seed set, in order.
        kind: the task's kind.
        scorer: the task's scorer.
        any_form: whether answers that the kind cannot read are valid as well, as for a task with
            its own scorer.
        new_answer: whether the final answer must differ from the seed's.

    Returns:
        One row per whole answer, with the columns of `CHECKS_SCHEMA`: `final` is the final answer,
        `problem` is "" for a valid answer, else `same_answer_as_seed`, `unreadable_answer`,
        `query_failed` or `no_rows` (SQL), or `program_failed` (code).
    """

    def problem(one: tuple[int, Judge]) -> str:
        return one[1].problem(any_form, new_answer)

    found = scoring_each(scorer, problem, judges(answers, seeds, kind, scorer))
    rows = [
        {"query": query, "final": judge.final, "problem": said} for (query, judge), said in found
    ]
    return pl.DataFrame(rows, schema=CHECKS_SCHEMA)


def judges(
    answers: pl.DataFrame, seeds: Sequence[TaskItem], kind: str, scorer: Scorer
) -> Iterator[tuple[int, Judge]]:
    """Yield the query and a judge for each whole answer."""
    whole = answers.filter(is_whole()).select("query", "question", "answer")
    for query, question, answer in whole.iter_rows():
        yield query, Judge(kind, scorer, seeds[query % len(seeds)], question, answer)


class Judge:
    """Judges one answer to a new question."""

    def __init__(
        self, kind: str, scorer: Scorer, seed: TaskItem, question: str, answer: str
    ) -> None:
        self._kind = kind
        self._scorer = scorer
        self._seed = seed
        self._question = question
        self._answer = answer
        self._choices = choices_of(question) if seed.choices else ()
        self.final = read_answer(kind, answer, self._choices).value

    def problem(self, any_form: bool, new_answer: bool) -> str:
        """Return why the answer is invalid, or "" if it is valid; see `check_answers`."""
        seed = self._seed
        if new_answer and (
            any(
                answers_equal(self._kind, self._answer, answer, self._choices, seed.choices)
                for answer in (seed.answer, *seed.golds)
            )
            or self._does_as_seed()
        ):
            return "same_answer_as_seed"
        if hasattr(self._scorer, "problem"):
            scorer = cast("Comparing", self._scorer)
            return scorer.problem(self._answer, self._question, seed)
        return "" if any_form or self.final is not None else "unreadable_answer"

    def agrees(self, other: str) -> bool:
        """Return whether another answer to the same question has the same final answer."""
        if hasattr(self._scorer, "same"):
            scorer = cast("Comparing", self._scorer)
            return scorer.same(self._answer, other, self._question, self._seed)
        if self.final is None:
            return False
        return answers_equal(self._kind, self._answer, other, self._choices, self._choices)

    def _does_as_seed(self) -> bool:
        compares = getattr(self._scorer, "same_as_seed", None)
        return compares is not None and compares(self._answer, self._question, self._seed)
