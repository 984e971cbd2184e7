"""The record of an evaluation, `evaluation.json`: a student's scores, counts and durations."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from seedbed.config.words import Coordinates
from seedbed.records import MadeRecord, Part, Settings

Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Score(Part):
    """The number of answers that are right by one reading, and the accuracy."""

    correct: Count
    accuracy: Fraction


class Scores(Score):
    """The scores of a student.

    Attributes:
        items: number of test items.
        correct: number of right answers by the task's reading; if answers are graded, those with a
            grade that counts as right.
        accuracy: share of right answers; if answers are graded, the mean grade.
        standard_error: standard error of the accuracy: binomial, or of the mean grade.
        graded: whether answers are graded.
        strict: the score by the strict reading.
        flexible: the score by the flexible reading.
        unparsed: number of outputs without a final answer.
        unparsed_reasons: number of these outputs by reason.
        truncated: number of outputs that were cut off at the limit of tokens.
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
    """A judge's agreement with grades given by hand. All grades are from 0 to 1.

    Attributes:
        labels: number of answers graded by hand.
        unreadable: number of these answers whose verdict could not be read. The other attributes
            leave them out.
        same: share of answers with the same grade.
        difference: mean of the judge's grade minus the grade given by hand.
        kappa: Cohen's kappa with quadratic weights; None if all grades are the same.
        kappa_low: lower end of the 95% bootstrap interval of kappa.
        kappa_high: upper end of the interval.
    """

    labels: Count
    unreadable: Count
    same: Fraction | None = None
    difference: Number | None = None
    kappa: Number | None = None
    kappa_low: Number | None = None
    kappa_high: Number | None = None


class Judged(Part):
    """A judge's part in an evaluation.

    Attributes:
        judge: the judge's name in the study.
        asked_again: number of second requests, for a missing verdict.
        unreadable: number of answers without a readable verdict after all requests. They get the
            task's `unreadable` grade.
        orders_differ: number of answers that the judge called better in one order and worse in the
            other; None if the judge does not compare.
        agreement: agreement with the task's labels; None without labels.
    """

    judge: str
    asked_again: Count
    unreadable: Count
    orders_differ: Count | None = None
    agreement: Agreement | None = None


class EvaluationRecord(MadeRecord, Scores):
    """`evaluation.json`, in the same folder as the student's predictions.

    Attributes:
        cell: coordinates of the cell.
        settings: settings of asking and scoring.
        model: fingerprint of the base model.
        references_right: number of reference answers that the scorer accepts, which is the number
            of items; None if a judge grades, because each would cost a request.
        judged: the judge's part, if a judge grades.
        counts: counts of the data and the training by name; 0 for a base model.
        seconds: seconds of generation, training and evaluation.
    """

    cell: Coordinates
    settings: Settings = Field(default_factory=dict)
    model: str | None = None
    references_right: int | None = None
    judged: Judged | None = None
    counts: dict[str, Count | None] = Field(default_factory=dict)
    seconds: dict[str, Number | None] = Field(default_factory=dict)
