"""The outcome of a spend: what was bought, its cost, and the accuracy of the student."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from seedbed.amounts import dollars
from seedbed.analysis.decide.purchases import PurchaseRecord, Request
from seedbed.analysis.decide.rounds import noise_of_trainings
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.spend.about import About
from seedbed.analysis.tables.comparisons import PairedDifference, paired_difference
from seedbed.analysis.tables.outcomes import UNTRAINED, Accuracy, Outcomes, mean_accuracy
from seedbed.engines.spending import SpendingRecord, sentence
from seedbed.streams.record import DatasetRecord

CONFIDENCE = 0.95

BOUGHT = "all that was bought"

GAINS_HOLD = "noise of test items and, as the model of accuracy estimates it, of training runs"
"""The noise that intervals of gains cover."""

BLIND = (
    "No student was trained, so this division was not tested on the task: it follows published "
    "results of other tasks."
)
"""Caveat of a spend without a student."""


@dataclass(frozen=True)
class Student:
    """A student that was evaluated.

    Attributes:
        title: title of its training data.
        queries: teacher queries of that data.
        accuracy: accuracy with its interval, fractions.
        cell: its row of the outcomes.
    """

    title: str
    queries: int
    accuracy: Accuracy
    cell: int

    @property
    def label(self) -> str:
        """Its training data, with the number of queries."""
        return f"{self.title}, {self.queries:,} queries" if self.queries else self.title


@dataclass(frozen=True)
class Gain:
    """The gain in accuracy of the final student over another student, a fraction."""

    over: str
    difference: PairedDifference

    @property
    def text(self) -> str:
        """The difference with its interval, in points."""
        found = self.difference
        return say.gain_text(found.difference, found.low, found.high)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a spend.

    Attributes:
        about: task, methods, models and settings.
        purchases: the decisions, the final one last.
        record: record of the data set.
        rows: rows of the data set by method.
        students: the base model, the students of the pilot, and the final student; empty if none
            was trained.
        gains: gains of the final student over the base model and over the best of the pilot.
        spending: cost of the spend; None if nothing was booked.
        left_out: methods that yielded no rows, with the reason.
    """

    about: About
    purchases: Sequence[PurchaseRecord]
    record: DatasetRecord
    rows: dict[str, int]
    students: Sequence[Student]
    gains: Sequence[Gain]
    spending: SpendingRecord | None
    left_out: Mapping[str, str]

    @property
    def request(self) -> Request:
        """The request."""
        return self.purchases[-1].request

    @property
    def final(self) -> PurchaseRecord:
        """The final decision."""
        return self.purchases[-1]

    @property
    def bought(self) -> dict[str, int]:
        """Teacher queries bought for each method, in the study's order."""
        queries = self.final.purchase.queries
        return {name: queries[name] for name in self.about.methods if name in queries}

    @property
    def queries(self) -> int:
        """Teacher queries bought."""
        return sum(self.bought.values())

    @property
    def cost(self) -> str:
        """The cost, in words."""
        said = sentence(self.spending) if self.spending is not None else ""
        return said or "no money, because all models ran in the workflow's own jobs"

    def said(self, reason: str) -> str:
        """Return a reason with the titles of methods in place of their names."""
        for name, title in self.about.methods.items():
            reason = re.sub(rf"\b{re.escape(name)}\b", title.lower(), reason)
        return reason

    def summary(self) -> list[str]:
        """Return the outcome in a few sentences."""
        asked = self.request
        budget = f"{asked.queries:,} queries" if asked.usd is None else dollars(asked.usd)
        said = [
            f"From {asked.seeds:,} seed questions and {budget}: {self.queries:,} teacher queries, "
            f"which became {self.record.counts.rows:,} rows for {self.about.task.title}."
        ]
        for name, why in self.left_out.items():
            spent = f"{self.bought.get(name, 0):,} queries are paid for"
            said.append(f"{self.about.methods[name]} is left out, and its {spent}: {why}.")
        if not self.students:
            return [*said, BLIND, self.said(self.final.purchase.reason)]
        final = self.students[-1]
        said.append(
            "The student trained on all of them answers "
            f"{say.accuracy_text(final.accuracy)} of the test items right."
        )
        said += [f"That is {one.text} over {one.over}." for one in self.gains]
        return said


def outcome(
    about: About,
    purchases: Sequence[PurchaseRecord],
    record: DatasetRecord,
    rows: pl.DataFrame,
    scores: Outcomes | None,
    spending: SpendingRecord | None,
    left_out: Mapping[str, str] | None = None,
) -> Outcome:
    """Return the outcome of a spend.

    Args:
        about: task, methods, models and settings.
        purchases: the decisions.
        record: record of the data set.
        rows: rows of the data set, with a column `method`.
        scores: scores of all students; None if none was trained.
        spending: cost of the spend; None if nothing was booked.
        left_out: methods that yielded no rows, with the reason.
    """
    students = _students(about, scores)
    gains: list[Gain] = []
    if students and scores is not None:
        *others, final = students
        untrained = [one for one in others if not one.queries]
        pilot = [one for one in others if one.queries]
        best = sorted(pilot, key=lambda one: one.accuracy.accuracy)[-1:]
        runs = noise_of_trainings(purchases[-1].request.methods, scores)
        for other in (*untrained, *best):
            reference, own = (scores.correct[[one.cell]] for one in (other, final))
            difference = paired_difference(
                reference,
                own,
                scores.clusters,
                CONFIDENCE,
                runs=runs,
                trained=2 if other.queries else 1,
            )
            gains.append(Gain(other.label, difference))
    counted = dict(rows["method"].value_counts(sort=True).iter_rows())
    return Outcome(
        about, purchases, record, counted, students, gains, spending, dict(left_out or {})
    )


def _students(about: About, scores: Outcomes | None) -> list[Student]:
    if scores is None:
        return []
    found = []
    places = {name: place for place, name in enumerate(about.methods)}
    for cell, (method, queries) in enumerate(scores.cells.select("method", "budget").iter_rows()):
        title = about.methods.get(method, BOUGHT)
        if method == UNTRAINED:
            title = "the base model"
        accuracy = mean_accuracy(scores, [cell], CONFIDENCE)
        place = places.get(method, len(places))
        found.append((queries, place, Student(title, queries, accuracy, cell)))
    # The final student has the most queries: all that was bought.
    return [student for *_, student in sorted(found, key=lambda one: one[:2])]
