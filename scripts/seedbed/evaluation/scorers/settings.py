"""The sections of the configuration that determine how answers are read and scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from seedbed.config.sections import Section, tag
from seedbed.config.values import (
    Count,
    Fraction,
    JsonObject,
    Kind,
    Name,
    Positive,
    ScorerFunction,
    Stage,
    TaskFile,
    Text,
    changes,
    problem,
)


class ScorerOptions(Section):
    """Options of the scorers of the kinds SQL and code; the other kinds have none."""

    STAGES: ClassVar[tuple[Stage, ...]] = (
        "verification",
        "datasets",
        "evaluation",
    )

    timeout: Positive = Field(
        5.0,
        description="SQL and code: limit of CPU seconds for one query or program. The wall-clock "
        "limit is twice that plus one second.",
    )
    max_rows: Count = Field(100_000, description="SQL: maximum number of rows of a gold result.")
    max_memory_mb: Count = Field(
        512, description="SQL and code: memory limit of a process that runs queries or a program."
    )
    max_processes: Count = Field(
        16, description="Code: maximum number of processes and threads of a program at a time."
    )
    max_file_mb: Count = Field(
        16,
        description="Code: largest file that a program may write; all its files, four times that.",
    )
    isolation: Literal["namespaces", "limits"] = Field(
        "namespaces",
        description="Code: `namespaces` runs programs only where user namespaces of Linux can keep "
        "them from the network and from files. `limits` also runs them where there are none, with "
        "resource limits alone: a model's program can then access everything that you can.",
    )
    column_order: Literal["free", "fixed"] = Field(
        "free",
        description="SQL: whether columns may be in any order, or must be in the gold query's.",
    )
    distinct: Literal["count", "ignore"] = Field(
        "count",
        description="SQL: whether DISTINCT counts, or is removed from both queries before they "
        "run, as in the official evaluation of Spider by default.",
    )


_OF_GRADES = ("reference", "lowest", "highest")
"""Options that only a judge that gives grades has."""

MOST_GRADES = 100
"""Highest grade that the options may set."""


class JudgeOptions(Section):
    """A model that grades answers by a rubric: the scorer of tasks of the kind `judged`."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("evaluation",)

    judge: Name = Field(description="The model that judges, a file in `config/models`.")
    rubric: Text = Field(description="Criteria for a good answer, as text for the judge.")
    compare: Literal["reference"] | None = Field(
        None,
        description="`reference`: the judge says whether the answer or the reference answer is "
        "better, or neither. It is asked twice, with either first, and the grade is the mean: 1 "
        "for an answer that is better both times, 0.5 for a tie. null: the judge gives a grade.",
    )
    reference: bool = Field(
        True, description="Without `compare`: whether the judge sees the reference answer."
    )
    lowest: Annotated[int, Field(ge=0, lt=MOST_GRADES)] = Field(
        1, description="Without `compare`: the grade of the worst answer, which counts as 0."
    )
    highest: Annotated[int, Field(ge=1, le=MOST_GRADES)] = Field(
        5, description="Without `compare`: the grade of the best answer, which counts as 1."
    )
    max_tokens: Count = Field(
        512, description="Maximum tokens of a verdict with its explanation, without thinking."
    )
    unreadable: Fraction | None = Field(
        None,
        description="The grade, from 0 to 1, of an answer whose verdict cannot be read even after "
        "the judge was asked again. null: the job fails, and its message shows such verdicts.",
    )
    labels: TaskFile | None = Field(
        None,
        description="A file in the task's folder with answers that were graded by hand, in the "
        "columns `question`, `answer`, `grade` and, if the judge sees it, `reference`. The judge "
        "grades them too, and evaluations report its agreement with them.",
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.compare is not None:
            for key in _OF_GRADES:
                if key in self.model_fields_set:
                    raise problem("has no effect: the judge compares", key)
        if self.lowest >= self.highest:
            raise problem(f"must be more than lowest, {self.lowest}", "highest")
        return self

    def content(self) -> JsonObject:
        """Return the options that a job receives, for JSON, without the labels, an input."""
        unused = _OF_GRADES if self.compare is not None else ()
        return self.model_dump(mode="json", exclude={"labels", *unused})


JUDGED = "judged"
"""The kind of tasks whose answers a judge grades."""


def _scorer_tag(value: Any) -> str:
    """Return the tag that distinguishes a function's name, a judge's and a kind's options."""
    if isinstance(value, str):
        return tag("function")
    judged = isinstance(value, JudgeOptions) or (isinstance(value, Mapping) and "judge" in value)
    return tag("judge" if judged else "options")


OF_KIND = {
    "sql": frozenset(["timeout", "max_rows", "max_memory_mb", "column_order", "distinct"]),
    "code": frozenset(["timeout", "max_memory_mb", "max_processes", "max_file_mb", "isolation"]),
}
"""Options of each kind of task."""


class Scoring(Section):
    """How answers are read and compared."""

    kind: Kind = Field(
        description="How answers are read and scored: as a number, one of given choices, SQL by "
        "execution accuracy, an exact match of strings, a JSON object by its content, a program by "
        "unit tests, or any text by a judge.",
        json_schema_extra=changes("questions", "verification", "datasets", "evaluation"),
    )
    scorer: Annotated[
        Annotated[ScorerOptions, Tag(tag("options"))]
        | Annotated[ScorerFunction, Tag(tag("function"))]
        | Annotated[JudgeOptions, Tag(tag("judge"))],
        Discriminator(_scorer_tag),
    ] = Field(
        default_factory=ScorerOptions,
        description="Options of the kind's scorer; or MODULE:FUNCTION, a function of MODULE.py in "
        "the task's folder that scores instead; or a judge.",
        json_schema_extra=changes("verification", "datasets", "evaluation"),
    )

    @model_validator(mode="after")
    def _options_fit_kind(self) -> Self:
        if isinstance(self.scorer, ScorerOptions):
            for key in sorted(self.scorer.model_fields_set - OF_KIND.get(self.kind, frozenset())):
                raise problem(f"has no effect: the kind is {self.kind!r}", "scorer", key)
        if isinstance(self.scorer, JudgeOptions) and self.kind != JUDGED:
            raise problem(f"has no effect: the kind is {self.kind!r}", "scorer", "judge")
        return self

    @property
    def scorer_options(self) -> JsonObject | str:
        """The options that the task sets, or its function, as arguments of `make_scorer`; empty for
        a judge, because separate jobs ask it.
        """
        if isinstance(self.scorer, str):
            return self.scorer
        if isinstance(self.scorer, JudgeOptions):
            return {}
        return self.scorer.model_dump(exclude_unset=True)

    def content(self) -> JsonObject:
        """Return all settings for JSON, with only those scorer options that the task sets."""
        return self.model_dump(mode="json") | {"scorer": self.scorer_options}


class Checking(Scoring):
    """How the answers to new questions are checked."""

    new_answer: Literal["required", "not_required"] | None = Field(
        None,
        description="`required` drops a new question whose answer is the seed's. null: required, "
        "unless the answers are labels: exact strings or choices, at most 20 in the train split, "
        "with at least four items each on average.",
        json_schema_extra=changes("verification"),
    )


class Scored(Scoring):
    """How students are scored."""

    @property
    def judge(self) -> JudgeOptions | None:
        """The judge that grades answers, or None."""
        return self.scorer if isinstance(self.scorer, JudgeOptions) else None

    score: Literal["strict", "flexible"] = Field(
        description="The reading of outputs that the accuracy uses: `strict` requires the "
        "requested format, `flexible` finds the answer in free text.",
        json_schema_extra=changes("evaluation"),
    )
