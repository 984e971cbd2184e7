"""The record of a study's fits, `decay.json`: cell means, fitted accuracies and noise."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, JsonValue

from seedbed.analysis.settings import FitSettings, MethodKind
from seedbed.analysis.tables.outcomes import Accuracy, Group
from seedbed.records import Part, Record


class CellMean(Accuracy):
    """The mean over the replicates of a method, seed-set size and budget.

    Attributes:
        fitted: the fitted accuracy, a fraction.
        fitted_low: lower end of its interval.
        fitted_high: upper end.
        usd: its cost in US dollars, if a table states it in place of tokens and prices.

    Counts, tokens and seconds are means as well; None if they were not counted.
    """

    method: str
    seeds: int
    budget: int
    budget_ratio: float
    replicates: int
    replicate_sd: float | None
    fitted: float
    fitted_low: float
    fitted_high: float
    augmenter_queries: float | None = None
    teacher_queries: float | None = None
    verification_queries: float | None = None
    empty_slots: float | None = None
    missing_rows: float | None = None
    teacher_prompt_tokens: float | None = None
    teacher_completion_tokens: float | None = None
    augmenter_prompt_tokens: float | None = None
    augmenter_completion_tokens: float | None = None
    verification_prompt_tokens: float | None = None
    verification_completion_tokens: float | None = None
    generation_seconds: float | None = None
    training_seconds: float | None = None
    usd: float | None = None


class NoiseRecord(Part):
    """Standard deviations of accuracy, as fractions, at the mean slope of the cells.

    Attributes:
        training_runs: standard deviation between training runs.
        draws_of_seeds: standard deviation between draws of the smallest seed sets.
        missed: standard deviation of the curve's model discrepancy.
        shared_luck: mean correlation of two cells' sampling errors from the test items.
    """

    training_runs: float
    draws_of_seeds: float
    missed: float
    shared_luck: float


class FarCell(Part):
    """An outlying cell, with the probability that its training failed."""

    cell: str
    probability: float


class FitRecord(Part):
    """The fit to the cells of one task, student, teacher, filter and augmenter.

    `kinds` has the kind of each method's questions. `grade_variance` is the ratio of the variance
    of grades to the binomial variance with the same means; 1 if answers are right or wrong.
    `mixtures` has the shares of the methods in each measured mixture, and `mixed` the cells of the
    mixtures. `unmeasured` are methods of the study without a cell here.
    """

    fit: str
    task: str
    student: str
    teacher: str
    filter: str
    augmenter: str
    methods: tuple[str, ...]
    kinds: tuple[MethodKind, ...]
    seeds: tuple[int, ...]
    items: int
    clusters: int
    grade_variance: float = 1.0
    untrained: Accuracy | None
    noise: NoiseRecord
    far_off: tuple[FarCell, ...]
    cells: tuple[CellMean, ...]
    mixtures: dict[str, dict[str, float]] = Field(default_factory=dict)
    mixed: tuple[CellMean, ...] = ()
    unmeasured: tuple[str, ...] = ()

    @property
    def group(self) -> Group:
        """The coordinates that all of its cells share."""
        return Group(self.task, self.student, self.teacher, self.filter, self.augmenter)


class FitsRecord(Record):
    """`decay.json`."""

    FORMAT: ClassVar[int] = 2
    format: int = 2
    about: str
    settings: FitSettings
    fits: tuple[FitRecord, ...]
    provenance: dict[str, JsonValue] | None = None
