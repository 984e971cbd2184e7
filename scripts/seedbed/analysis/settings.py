"""Settings of the analysis scripts, checked before any work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Confidence = Annotated[float, Field(gt=0, lt=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CompareSettings(_Settings):
    """Settings of `compare_methods`.

    Attributes:
        methods: the study's methods in order, the reference for differences first; empty means the
            methods of the data in alphabetical order.
        confidence: coverage of the intervals; one minus it is the size of the tests.
    """

    # Strict mode takes JSON lists for tuples only when it reads JSON, hence `parse_settings`.
    methods: tuple[str, ...] = ()
    confidence: Confidence = 0.95


class FitSettings(CompareSettings):
    """Settings of `fit_decay`, beside those of `CompareSettings`.

    Attributes:
        bootstrap_samples: resamples of the test items, each with a refit of the chosen model.
        starts: random starting points of each model's fit.
        seed: seed of the starting points and of the resampling.
    """

    bootstrap_samples: Annotated[int, Field(ge=2)] = 400
    starts: Annotated[int, Field(ge=1)] = 12
    seed: Annotated[int, Field(ge=0)] = 0


class AugmenterSettings(CompareSettings):
    """Settings of `plot_augmenters`, beside those of `CompareSettings`.

    Attributes:
        augmenters: the study's augmenters, the strongest first; others follow in alphabetical
            order.
    """

    augmenters: tuple[str, ...] = ()


class CrossoverSettings(_Settings):
    """Settings of `find_crossovers`: the coverage of the intervals."""

    confidence: Confidence = 0.95


class PublishedShift(_Settings):
    """A budget ratio at which others saw the first method overtaken.

    Attributes:
        source: where it was published.
        seeds: its seed-set size; None if it is not known.
        student: the student it is of; None if it is that of the main results.
        low: the budget ratio, or the lower end of what was given.
        high: the upper end; None for `low` alone.
    """

    source: str
    seeds: int | None = None
    student: str | None = None
    low: float
    high: float | None = None


def published_for(
    shifts: Sequence[PublishedShift], student: str, seeds: int
) -> list[PublishedShift]:
    """Return the shifts to hold against ours: of its student, at most a factor of 2 in seeds away.

    Where one names the student, those that name none are of another.
    """
    of_student = [shift for shift in shifts if shift.student == student]
    return [
        shift
        for shift in of_student or [shift for shift in shifts if shift.student is None]
        if shift.seeds is None or 1 / 2 <= seeds / shift.seeds <= 2
    ]


class Title(_Settings):
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


S = TypeVar("S", bound=_Settings)


def parse_settings(kind: type[S], text: str) -> S:
    """Read settings of one kind from JSON text.

    Raises:
        ValueError: if the text is no JSON object or a value is unknown or out of range, naming it.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(f"--settings: {_problems(error)}") from None


def parse_published(text: str) -> tuple[PublishedShift, ...]:
    """Read a list of published shifts from JSON text.

    Raises:
        ValueError: if the text is not of that form, naming what is wrong.
    """
    try:
        return TypeAdapter(tuple[PublishedShift, ...]).validate_json(text)
    except ValidationError as error:
        raise ValueError(f"--published: {_problems(error)}") from None


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
        raise ValueError(f"--titles: {_problems(error)}") from None


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'value'}: {problem['msg']}"
        for problem in error.errors()
    )
