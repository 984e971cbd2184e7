"""How results are compared and curves are fitted, and how figures name what they show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from seedbed.config.messages import parse_json, problems
from seedbed.config.sections import Section
from seedbed.config.values import LISTED, Name, Positive, Seed, Stage, problem

MethodKind = Literal["answers", "rephrased", "new", "other"]
"""What a method asks the teacher: the seeds' own questions, these in other words, new ones, or what
nobody says."""


class CrossoverSettings(Section):
    """Settings of `find_crossovers`: the coverage of the intervals."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("analysis",)

    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.95, description="Coverage of the intervals."
    )


class Analysis(CrossoverSettings):
    """How results are compared and curves are fitted."""

    bootstrap_samples: Annotated[int, Field(ge=2)] = Field(
        400, description="Draws of the posterior of the curves; intervals are their quantiles."
    )
    seed: Seed = Field(0, description="Seed of these draws.")


class CompareSettings(CrossoverSettings):
    """Settings of `compare_methods`, beside the coverage.

    Attributes:
        methods: the study's methods in order, the reference for differences first; empty means the
            methods of the data in alphabetical order.
    """

    methods: Annotated[tuple[str, ...], LISTED] = ()


class FitSettings(CompareSettings, Analysis):
    """Settings of `fit_decay`: those of `CompareSettings` and of `Analysis`.

    Attributes:
        kinds: by method, what it asks the teacher; its priors depend on that.
        shares: by mixture, as its cells name it, the share of each method in its budget, from 0 to
            1; mixtures with real data have none.
    """

    kinds: Mapping[str, MethodKind] = Field(default_factory=dict)
    shares: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)


class AugmenterSettings(CompareSettings):
    """Settings of `plot_augmenters`, beside those of `CompareSettings`.

    Attributes:
        augmenters: the study's augmenters, the strongest first; others follow in alphabetical
            order.
    """

    augmenters: Annotated[tuple[str, ...], LISTED] = ()


class ShareSettings(CompareSettings):
    """Settings of `plot_shares`, beside those of `CompareSettings`.

    Attributes:
        shares: by mixture, as its cells name it, the share of each method in its budget, from 0 to
            1; mixtures with real data have none.
    """

    shares: Mapping[str, Mapping[str, float]] = {}


class PublishedShift(Section):
    """A budget ratio at which others saw the first method overtaken, to be drawn beside ours."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("figures",)

    source: Annotated[str, Field(min_length=1, max_length=60)] = Field(
        description="Where it was published, as figures name it."
    )
    seeds: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Its seed-set size: it is drawn with the study's sizes of at most twice and at "
        "least half as many. Null: with any.",
    )
    student: Name | None = Field(None, description="The student it is of. Null: any without one.")
    low: Positive = Field(description="Budget ratio, or the lower end of what was given.")
    high: Positive | None = Field(None, description="The upper end. Null: `low` alone.")

    @model_validator(mode="after")
    def _order(self) -> PublishedShift:
        if self.high is not None and self.high < self.low:
            raise problem(f"{self.high:g} is below low, {self.low:g}", "high")
        return self


def published_for(
    shifts: Sequence[PublishedShift], student: str, seeds: int
) -> list[PublishedShift]:
    """Return published crossovers of a student, at most a factor of 2 in seeds away.

    Where one names the student, those without a student are of another.
    """
    of_student = [shift for shift in shifts if shift.student == student]
    return [
        shift
        for shift in of_student or [shift for shift in shifts if shift.student is None]
        if shift.seeds is None or 1 / 2 <= seeds / shift.seeds <= 2
    ]


class Title(Section):
    """How a method, task or model is called in text and figures.

    Attributes:
        title: full name.
        short: name where space is short, a few letters.
    """

    title: str
    short: str = ""


class Titles:
    """Titles by name; a name without one is shown with its underscores as spaces."""

    def __init__(self, titles: Mapping[str, Title] | None = None) -> None:
        self._titles = dict(titles or {})

    def title(self, name: str) -> str:
        """Return the full title of `name`."""
        found = self._titles.get(name)
        return found.title if found else name.replace("_", " ")

    def short(self, name: str) -> str:
        """Return the short title of `name`, or its full title if it has no short one."""
        found = self._titles.get(name)
        return (found.short or found.title) if found else name.replace("_", " ")


S = TypeVar("S", bound=Section)


def parse_settings(kind: type[S], text: str) -> S:
    """Read settings of one kind from JSON text.

    Raises:
        ValueError: if the text is no JSON object or a value is unknown or out of range, naming it.
    """
    return parse_json(kind, "--settings", text)


def parse_published(text: str) -> tuple[PublishedShift, ...]:
    """Read a list of published crossovers from JSON text.

    Raises:
        ValueError: if the text is not of that form, naming what is wrong.
    """
    try:
        return TypeAdapter(tuple[PublishedShift, ...]).validate_json(text)
    except ValidationError as error:
        raise ValueError(f"--published: {problems(error)}") from None


def parse_titles(text: str) -> Titles:
    """Read `{name: {"title": ..., "short": ...}}` from JSON text.

    Raises:
        ValueError: if the text is not of that form, naming what is wrong.
    """
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError(f"--titles: expected an object, not {text!r}")
        return Titles({name: Title.model_validate(value) for name, value in content.items()})
    except json.JSONDecodeError as error:
        raise ValueError(f"--titles: {error}") from None
    except ValidationError as error:
        raise ValueError(f"--titles: {problems(error)}") from None
