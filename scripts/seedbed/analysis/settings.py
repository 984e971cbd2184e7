"""Settings for comparing results and fitting curves, and the names that figures use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import Field, TypeAdapter, model_validator

from seedbed.config.messages import parse_json
from seedbed.config.sections import Section
from seedbed.config.values import (
    LISTED,
    JsonObject,
    Name,
    NotNegative,
    Positive,
    Seed,
    Stage,
    problem,
)
from seedbed.engines.settings import TokenPrice

MethodKind = Literal["answers", "rephrased", "new", "other"]
"""The questions that a method asks the teacher: the seeds' own ("answers"), rephrased or new ones,
or unspecified ones ("other")."""


class CrossoverSettings(Section):
    """Settings of `find_crossovers`: the coverage of the intervals."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("analysis",)

    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.95, description="Coverage of the intervals."
    )


class Analysis(CrossoverSettings):
    """How results are compared and curves are fitted."""

    bootstrap_samples: Annotated[int, Field(ge=2)] = Field(
        400,
        description="Number of draws from the posterior of the curves; intervals are their "
        "quantiles.",
    )
    seed: Seed = Field(0, description="Seed of these draws.")


class CompareSettings(CrossoverSettings):
    """Settings of `compare_methods`, in addition to the coverage.

    Attributes:
        methods: the study's methods in order, the reference for differences first; empty means the
            methods of the data in alphabetical order.
    """

    methods: Annotated[tuple[str, ...], LISTED] = ()


class FitSettings(CompareSettings, Analysis):
    """Settings of `fit_decay`: those of `CompareSettings` and of `Analysis`.

    Attributes:
        kinds: by method, the kind of its questions, which selects its priors.
        shares: by mixture, as its cells name it, the share of each method in its budget, from 0 to
            1. Mixtures with real data are absent.
    """

    kinds: Mapping[str, MethodKind] = Field(default_factory=dict)
    shares: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)


class AugmenterSettings(CompareSettings):
    """Settings of `plot_augmenters`, in addition to those of `CompareSettings`.

    Attributes:
        augmenters: the study's augmenters, the strongest first; others follow in alphabetical
            order.
    """

    augmenters: Annotated[tuple[str, ...], LISTED] = ()


class ShareSettings(CompareSettings):
    """Settings of `plot_shares`, in addition to those of `CompareSettings`.

    Attributes:
        shares: by mixture, as its cells name it, the share of each method in its budget, from 0 to
            1. Mixtures with real data are absent.
    """

    shares: Mapping[str, Mapping[str, float]] = {}


class PublishedShift(Section):
    """A published budget ratio at which the first method was overtaken, to draw next to ours."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("figures",)

    source: Annotated[str, Field(min_length=1, max_length=60)] = Field(
        description="Name of the publication, for figures."
    )
    seeds: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Size of its seed set: figures show it with the study's sizes from half to "
        "twice as many. Null: with all sizes.",
    )
    student: Name | None = Field(
        None,
        description="The student of the study to show it with. "
        "Null: all students without a published crossover of their own.",
    )
    low: Positive = Field(description="Its budget ratio, or the lower end of the published range.")
    high: Positive | None = Field(
        None, description="Upper end of the published range. Null: `low` alone."
    )

    @model_validator(mode="after")
    def _order(self) -> PublishedShift:
        if self.high is not None and self.high < self.low:
            raise problem(f"{self.high:g} is below low, {self.low:g}", "high")
        return self


def published_for(
    shifts: Sequence[PublishedShift], student: str, seeds: int
) -> list[PublishedShift]:
    """Return the published crossovers for a student, at most a factor of 2 in seeds away.

    Crossovers without a student are returned only if none names this student.
    """
    of_student = [shift for shift in shifts if shift.student == student]
    return [
        shift
        for shift in of_student or [shift for shift in shifts if shift.student is None]
        if shift.seeds is None or 1 / 2 <= seeds / shift.seeds <= 2
    ]


class Title(Section):
    """The name of a method, task or model in text and figures.

    Attributes:
        title: full name.
        short: name where space is short, a few letters.
    """

    title: str
    short: str = ""


TITLES = 'JSON: {name: {"title": ..., "short": ...}}'
"""Help text of the option `--titles`."""


class Titles:
    """Titles by name. A name without a title is shown with spaces for its underscores."""

    def __init__(self, titles: Mapping[str, Title] | None = None) -> None:
        self._titles = dict(titles or {})

    @classmethod
    def from_json(cls, text: str) -> Titles:
        """Read `{name: {"title": ..., "short": ...}}`."""
        return cls(TypeAdapter(dict[str, Title]).validate_json(text))

    def title(self, name: str) -> str:
        """Return the full title of `name`."""
        found = self._titles.get(name)
        return found.title if found else name.replace("_", " ")

    def short(self, name: str) -> str:
        """Return the short title of `name`, or its full title if it has no short one."""
        found = self._titles.get(name)
        return (found.short or found.title) if found else name.replace("_", " ")


class ModelPrice(TokenPrice):
    """Prices of a model's use in a study, from the `price` of its file.

    Attributes:
        usd_per_request: US dollars per request, in addition to its tokens.
        factor: factor on the prices of requests and tokens through a Batch API; 1 without one.
        usd_per_hour: US dollars per hour of a job that queries the model and runs it itself.
        usd_per_training_hour: US dollars per hour of a job that trains it.
    """

    usd_per_request: NotNegative = 0.0
    factor: Annotated[float, Field(gt=0, le=1)] = 1.0
    usd_per_hour: NotNegative | None = None
    usd_per_training_hour: NotNegative | None = None

    def content(self) -> JsonObject:
        """Return the prices of tokens, and other prices that are set, for JSON."""
        return {
            name: value
            for name, value in self.model_dump().items()
            if name in TokenPrice.model_fields
            or (value and value != ModelPrice.model_fields[name].default)
        }


S = TypeVar("S", bound=Section)


def parse_settings(kind: type[S], text: str) -> S:
    """Read settings of one kind from JSON text.

    Raises:
        ValueError: if the text is not a JSON object, or if a key is unknown or a value is out of
            range. The message names it.
    """
    return parse_json(kind, "--settings", text)
