"""The sections of the configuration on how answers are read and scored."""

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


_OF_GRADES = ("reference", "lowest", "highest")
"""Options of a judge that gives grades."""

MOST_GRADES = 100
"""The highest grade that a judge may be asked for."""


class JudgeOptions(Section):
    """A model that grades answers by a rubric, as the scorer of tasks of the kind `judged`."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("evaluation",)

    judge: Name = Field(description="The model to ask, a file in `config/models`.")
    rubric: Text = Field(description="What makes an answer good, in words for the judge.")
    compare: Literal["reference"] | None = Field(
        None,
        description="`reference`: the judge says which is better, the answer or the reference "
        "answer, or that neither is. It is asked twice, with either first, and the grade is the "
        "mean: 1 for an answer that is better both times, 0.5 for a tie. null: it gives a grade.",
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
        512, description="The longest verdict with its explanation, in tokens, without thinking."
    )
    unreadable: Fraction | None = Field(
        None,
        description="The grade, from 0 to 1, of an answer whose verdict cannot be read when the "
        "judge was asked for it again. null: there is none, and the job fails and shows them.",
    )
    labels: TaskFile | None = Field(
        None,
        description="A file in the task's folder with answers that were graded by hand, in the "
        "columns `question`, `answer`, `grade` and, if the judge sees it, `reference`; the judge "
        "grades them too, and evaluations say how far it agrees.",
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
        """Return what a job gets of it, for JSON: its labels are a file, and so an input."""
        unused = _OF_GRADES if self.compare is not None else ()
        return self.model_dump(mode="json", exclude={"labels", *unused})


JUDGED = "judged"
"""The kind of tasks whose answers a judge grades."""


def _scorer_tag(value: Any) -> str:
    """Tell a function's name, a judge's options and those of a kind from each other."""
    if isinstance(value, str):
        return tag("function")
    judged = isinstance(value, JudgeOptions) or (isinstance(value, Mapping) and "judge" in value)
    return tag("judge" if judged else "options")


OF_KIND = {
    "sql": frozenset(["timeout", "max_rows", "max_memory_mb", "column_order", "distinct"]),
    "code": frozenset(["timeout", "max_memory_mb", "max_processes", "max_file_mb", "isolation"]),
}
"""By kind of task, the options that it has."""


class Scoring(Section):
    """How answers are read and compared."""

    kind: Kind = Field(
        description="How answers are read and scored: a number, one of given choices, SQL by its "
        "result, an exact string, a JSON object by its content, a program by unit tests, or any "
        "text that a model judges.",
        json_schema_extra=changes("questions", "verification", "datasets", "evaluation"),
    )
    scorer: Annotated[
        Annotated[ScorerOptions, Tag(tag("options"))]
        | Annotated[ScorerFunction, Tag(tag("function"))]
        | Annotated[JudgeOptions, Tag(tag("judge"))],
        Discriminator(_scorer_tag),
    ] = Field(
        default_factory=ScorerOptions,
        description="Options of the scorer of the kind; or MODULE:FUNCTION, a function of "
        "MODULE.py in the task's folder that scores instead; or a judge.",
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
        """The options that are given, or the function, as `make_scorer` wants it; none of a judge,
        which is asked by a job of its own.
        """
        if isinstance(self.scorer, str):
            return self.scorer
        if isinstance(self.scorer, JudgeOptions):
            return {}
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

    @property
    def judge(self) -> JudgeOptions | None:
        """The judge that grades answers, if one does."""
        return self.scorer if isinstance(self.scorer, JudgeOptions) else None

    score: Literal["strict", "flexible"] = Field(
        description="Which reading of an output is the accuracy: `strict` wants the format that "
        "was asked for, `flexible` finds the answer in free text.",
        json_schema_extra=changes("evaluation"),
    )
