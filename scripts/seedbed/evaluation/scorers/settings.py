"""The sections of the configuration on how answers are read and scored."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from seedbed.config.sections import Section, tag
from seedbed.config.values import (
    Count,
    JsonObject,
    Kind,
    Positive,
    ScorerFunction,
    Stage,
    changes,
    problem,
)


class ScorerOptions(Section):
    """Options of the scorer of a task's kind: those of SQL and of code have some."""

    STAGES: ClassVar[tuple[Stage, ...]] = (
        "verification",
        "datasets",
        "evaluation",
    )

    timeout: Positive = Field(
        5.0,
        description="SQL and code: CPU seconds for one query or program; twice that and one second "
        "by the clock.",
    )
    max_rows: Count = Field(100_000, description="SQL: most rows of a gold result.")
    max_memory_mb: Count = Field(
        512, description="SQL and code: most memory of a process that runs queries or a program."
    )
    max_processes: Count = Field(
        16, description="Code: most processes and threads of a program at a time."
    )
    max_file_mb: Count = Field(
        16, description="Code: largest file that a program may write; all of them, four times that."
    )
    isolation: Literal["namespaces", "limits"] = Field(
        "namespaces",
        description="Code: whether programs run only where the system lets them be kept from the "
        "network and from files (user namespaces of Linux), or with limits alone where it does "
        "not: what a model wrote can then reach all that you can.",
    )
    column_order: Literal["free", "fixed"] = Field(
        "free",
        description="SQL: whether columns may come in any order, or must in the gold query's.",
    )
    distinct: Literal["count", "ignore"] = Field(
        "count",
        description="SQL: whether DISTINCT counts, or is taken out of both queries before they "
        "run, as the official evaluation of Spider does by default.",
    )


def _scorer_tag(value: Any) -> str:
    """Tell a function's name from options."""
    return tag("function" if isinstance(value, str) else "options")


OF_KIND = {
    "sql": frozenset(["timeout", "max_rows", "max_memory_mb", "column_order", "distinct"]),
    "code": frozenset(["timeout", "max_memory_mb", "max_processes", "max_file_mb", "isolation"]),
}
"""By kind of task, the options that it has."""


class Scoring(Section):
    """How answers are read and compared."""

    kind: Kind = Field(
        description="How answers are read and scored: a number, one of given choices, SQL by its "
        "result, an exact string, a JSON object by its content, or a program by unit tests.",
        json_schema_extra=changes("questions", "verification", "datasets", "evaluation"),
    )
    scorer: Annotated[
        Annotated[ScorerOptions, Tag(tag("options"))]
        | Annotated[ScorerFunction, Tag(tag("function"))],
        Discriminator(_scorer_tag),
    ] = Field(
        default_factory=ScorerOptions,
        description="Options of the scorer of the kind; or MODULE:FUNCTION, a function of "
        "MODULE.py in the task's folder that scores instead.",
        json_schema_extra=changes("verification", "datasets", "evaluation"),
    )

    @model_validator(mode="after")
    def _options_fit_kind(self) -> Self:
        if isinstance(self.scorer, ScorerOptions):
            for key in sorted(self.scorer.model_fields_set - OF_KIND.get(self.kind, frozenset())):
                raise problem(f"has no effect: the kind is {self.kind!r}", "scorer", key)
        return self

    @property
    def scorer_options(self) -> JsonObject | str:
        """The options that are given, or the function, as `make_scorer` wants it."""
        if isinstance(self.scorer, str):
            return self.scorer
        return self.scorer.model_dump(exclude_unset=True)

    def content(self) -> JsonObject:
        """Return all settings for JSON; of those of the scorer, the ones that are given."""
        return self.model_dump(mode="json") | {"scorer": self.scorer_options}


class Checking(Scoring):
    """How the answers to new questions are checked."""

    new_answer: Literal["required", "not_required"] | None = Field(
        None,
        description="Whether a new question is dropped whose answer is the seed's. null: required, "
        "unless the answers are labels: exact strings or choices, at most 20 in the train split, "
        "with at least four items each on average.",
        json_schema_extra=changes("verification"),
    )


class Scored(Scoring):
    """How students are scored."""

    score: Literal["strict", "flexible"] = Field(
        description="Which reading of an output is the accuracy: `strict` wants the format that "
        "was asked for, `flexible` finds the answer in free text.",
        json_schema_extra=changes("evaluation"),
    )
