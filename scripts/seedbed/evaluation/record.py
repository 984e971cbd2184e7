"""The record of an evaluation, `evaluation.json`: a student's scores, and what they took."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from seedbed.config.words import Coordinates
from seedbed.records import MadeRecord, Part, Settings

Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Score(Part):
    """How many answers are right by one reading, and their share of all items."""

    correct: Count
    accuracy: Fraction


class Scores(Score):
    """The scores of a student.

    Attributes:
        items: test items.
        correct: right answers by the reading that the task names; if they are graded, those with a
            grade that counts as right.
        accuracy: their share; if they are graded, the mean grade.
        standard_error: of the accuracy: binomial, or of the mean grade.
        graded: whether answers are graded.
        strict: the score by the strict reading.
        flexible: the score by the flexible reading.
        unparsed: outputs without a final answer.
        unparsed_reasons: the same, by reason.
        truncated: outputs that end at the limit of tokens.
    """

    items: Annotated[int, Field(ge=1)]
    standard_error: Number | None = None
    strict: Score
    flexible: Score
    unparsed: Count
    unparsed_reasons: dict[str, Count] = Field(default_factory=dict)
    truncated: Count
    graded: bool = False

    @model_validator(mode="after")
    def _agree(self) -> Self:
        counted = {"correct": self.correct, "unparsed": self.unparsed, "truncated": self.truncated}
        for name, count in counted.items():
            if count > self.items:
                raise ValueError(f"{name} is {count}, not a count of at most {self.items}")
        if self.graded:
            return self
        for name, score in (("", self), ("strict.", self.strict), ("flexible.", self.flexible)):
            if abs(score.correct / self.items - score.accuracy) > 1e-9:
                raise ValueError(
                    f"{name}accuracy {score.accuracy} is not {score.correct}/{self.items}"
                )
        return self


class Agreement(Part):
    """How far a judge agrees with grades that were given by hand, all from 0 to 1.

    Attributes:
        labels: answers with a grade by hand.
        unreadable: those of them whose verdict could not be read; the others count below.
        same: share with the same grade.
        difference: mean of the judge's grade less that by hand.
        kappa: Cohen's kappa with quadratic weights; None if all grades are the same.
        kappa_low: lower end of its 95% bootstrap interval.
        kappa_high: upper end.
    """

    labels: Count
    unreadable: Count
    same: Fraction | None = None
    difference: Number | None = None
    kappa: Number | None = None
    kappa_low: Number | None = None
    kappa_high: Number | None = None


class Judged(Part):
    """What a judge did in an evaluation.

    Attributes:
        judge: its name in the study.
        asked_again: requests for a verdict that was missing.
        unreadable: answers without a verdict in the end, which count as the task says.
        orders_differ: answers that were found better in one order, and worse in the other; None
            where the judge does not compare.
        agreement: with the task's labels; None without labels.
    """

    judge: str
    asked_again: Count
    unreadable: Count
    orders_differ: Count | None = None
    agreement: Agreement | None = None


class EvaluationRecord(MadeRecord, Scores):
    """`evaluation.json`, beside the predictions of a student.

    Attributes:
        cell: coordinates of the cell.
        settings: how the task was asked and scored.
        model: fingerprint of the base model.
        references_right: reference answers that the scorer finds right: all of them; None where
            a judge would have to be paid for each.
        judged: what a judge did, where answers are judged.
        counts: what data and training took, by name; 0 for a base model.
        seconds: the same by stage, and of the evaluation itself.
    """

    cell: Coordinates
    settings: Settings = Field(default_factory=dict)
    model: str | None = None
    references_right: int | None = None
    judged: Judged | None = None
    counts: dict[str, Count | None] = Field(default_factory=dict)
    seconds: dict[str, Number | None] = Field(default_factory=dict)
