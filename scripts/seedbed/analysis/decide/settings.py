"""Contrasts: the claims about its results that a study tests, as its YAML states them."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from seedbed.config.sections import Section
from seedbed.config.values import (
    LISTED,
    NOT_EMPTY,
    Filters,
    Name,
    Names,
    Positive,
    Stage,
    Text,
    changes,
    nearest,
    problem,
)
from seedbed.config.words import NONE, Filter

STRONG, WEAK = "strong", "weak"


class ContrastPoint(Section):
    """The coordinates of a cell that differ from the test's."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("analysis",)

    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        1.0, description="Weight of the point's accuracy in the sum of its side."
    )
    method: Name | None = Field(None, description="Null: the test's own.")
    augmenter: Name | None = Field(
        None,
        description="A model; or `weak`, the last augmenter that the blocks name; or `strong`, "
        "the most frequent augmenter of the cells or, if that is the weak one, the first that the "
        "blocks name. Null: the most frequent. Methods without an augmenter take none.",
    )
    teacher: Name | None = Field(None, description="Null: the most frequent teacher of the cells.")
    student: Name | None = Field(None, description="Null: the test's own.")
    filter: Filter | None = Field(None, description="Null: the test's own.")
    seeds_times: Annotated[int, Field(ge=1)] = Field(
        1, description="Size of the point's seed set, as a multiple of the test's."
    )
    budget: Literal["same", "next", "equal_usd"] = Field(
        "same",
        description="`same` is the test's budget; `next` is the next larger budget with results; "
        "`equal_usd` is the budget that costs as much as the test's budget costs for the first "
        "point at the test's own seeds and budget, at the prices in the models' files. If no cell "
        "has exactly that cost, the accuracy is interpolated between the two nearest in the "
        "logarithm of the cost.",
    )
    budget_times: Positive = Field(
        1.0,
        description="The point's budget, as a multiple of the test's. Between two measured "
        "budgets, the accuracy is interpolated in the logarithm of the budget.",
    )

    @model_validator(mode="after")
    def _one_budget(self) -> ContrastPoint:
        if self.budget != "same" and self.budget_times != 1:
            said = f"cannot be combined with budget: {self.budget}; give one of them"
            raise problem(said, "budget_times")
        return self

    @property
    def at_the_test(self) -> bool:
        """Whether its cells have the seeds and the budget of the test."""
        return self.budget == "same" and self.budget_times == self.seeds_times == 1


class CrossoverPair(Section):
    """Two methods. The second becomes better as the budget grows."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("analysis",)

    before: Name = Field(description="The method that is better with few queries per seed.")
    after: Name = Field(description="The method that is better with many queries per seed.")


class ContrastTest(Section):
    """One claim, tested wherever the study has the cells for it.

    The claim is true if the weighted sum of the accuracies in `better` is above the sum in `worse`,
    or less than `margin` below it. With `crossover`, the claim is that the crossover comes at a
    larger budget ratio with the fewest seeds than with each other number of seeds.
    """

    STAGES: ClassVar[tuple[Stage, ...]] = ("analysis",)

    claim: Text = Field(
        description="The claim as a sentence. It may contain {seeds}, {budget}, {budget_ratio}, "
        "{method}, {filter} and {student}; the claim of a crossover, {few}, {many} and "
        "{student}."
    )
    better: Annotated[tuple[ContrastPoint, ...], LISTED] = Field(
        (), description="The side of the contrast that is better if the claim is true."
    )
    worse: Annotated[tuple[ContrastPoint, ...], LISTED] = Field(
        (), description="The other side of the contrast."
    )
    crossover: CrossoverPair | None = Field(
        None, description="A crossover to test, in place of two sides."
    )
    margin: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Largest loss of accuracy that still supports the claim, as a fraction."
    )
    budget: Literal["each", "lowest", "highest"] = Field(
        "each",
        description="Budgets to test, of those that all points share: `each`, or the `lowest` or "
        "`highest` for each seed-set size, which then needs at least two budgets.",
    )
    methods: Names | None = Field(None, description="Methods: the test is run for each.")
    filters: Filters = Field((NONE,), description="Filters: the test is run for each.")
    student: Literal["main", "others"] = Field(
        "main",
        description="`main` tests the student of most cells; `others` runs the test for "
        "each other student.",
    )
    pooled: bool = Field(
        False,
        description="Whether to run a single test, of the mean over all methods, seed-set sizes "
        "and budgets.",
    )
    measured: Annotated[tuple[ContrastPoint, ...], LISTED] = Field(
        (), description="Further points that must have results: a place without them is not tested."
    )

    @model_validator(mode="after")
    def _one_form(self) -> ContrastTest:
        if self.crossover is None and not (self.better and self.worse):
            missing = "worse" if self.better else "better"
            raise problem(f"is missing: a test has better and worse, or crossover; no {missing}")
        if self.crossover is not None and (self.better or self.worse or self.measured):
            raise problem("cannot be combined with better or worse; give one of them", "crossover")
        for side in ("better", "worse", "measured"):
            for index, point in enumerate(getattr(self, side)):
                if point.method is None and self.methods is None:
                    said = "is missing: the test has no methods either"
                    raise problem(said, side, index, "method")
        points = (*self.better, *self.worse, *self.measured)
        if points and not any(point.at_the_test for point in points):
            said = "or in measured, one point must have the seeds and the budget of the test"
            raise problem(said, "worse")
        return self

    @model_validator(mode="after")
    def _placeholders(self) -> ContrastTest:
        known = ["student", "filter"]
        if self.crossover is not None:
            known = ["student", "few", "many"]
        elif not self.pooled:
            known += ["seeds", "budget", "budget_ratio", *(["method"] if self.methods else [])]
        try:
            fields = [name for _, name, *_ in string.Formatter().parse(self.claim) if name]
        except ValueError as error:
            said = f"cannot be read ({error}); double each brace in the text"
            raise problem(said, "claim") from None
        for name in fields:
            if name not in known:
                hint = nearest(name, known, "valid here")
                raise problem(f"has an unknown placeholder {{{name}}}; {hint}", "claim")
        return self


class Contrast(Section):
    """`config/contrasts/NAME.yaml`: something that a study may show, with its tests."""

    sentence: Text = Field(
        description="The subject, as a heading of the report.",
        json_schema_extra=changes("analysis"),
    )
    tests: Annotated[tuple[ContrastTest, ...], LISTED, NOT_EMPTY] = Field(
        description="Tests of the contrast."
    )

    @property
    def needs_prices(self) -> bool:
        """Whether one of its points is at equal dollars."""
        points = (
            point for test in self.tests for point in (*test.better, *test.worse, *test.measured)
        )
        return any(point.budget == "equal_usd" for point in points)

    def names(self) -> Iterator[tuple[str, str, tuple[str | int, ...]]]:
        """Yield the methods and models that it names: the kind, the name, and the key's path."""
        for place, test in enumerate(self.tests):
            at: tuple[str | int, ...] = ("tests", place)
            for index, name in enumerate(test.methods or ()):
                yield "methods", name, (*at, "methods", index)
            if test.crossover is not None:
                yield "methods", test.crossover.before, (*at, "crossover", "before")
                yield "methods", test.crossover.after, (*at, "crossover", "after")
            for side in ("better", "worse", "measured"):
                for index, point in enumerate(getattr(test, side)):
                    for key in ("method", "augmenter", "teacher", "student"):
                        name = getattr(point, key)
                        if name not in (None, STRONG, WEAK):
                            kind = "methods" if key == "method" else "models"
                            yield kind, name, (*at, side, index, key)


class NamedContrast(Contrast):
    """A contrast with the name of its file, as scripts receive it."""

    name: Name
