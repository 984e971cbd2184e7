"""The sections of the configuration on how questions and answers are made."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from seedbed.config.sections import Section
from seedbed.config.values import (
    AnswerPrompt,
    Count,
    Kind,
    NotNegative,
    QuestionPrompt,
    Stage,
    Text,
    changes,
    problem,
)


class Generation(Section):
    """How questions and answers are sampled."""

    temperature: NotNegative = Field(
        0.7,
        description="Of answers, and of questions; 0 takes the likeliest token.",
        json_schema_extra=changes("questions", "answers", "verification"),
    )
    question_temperature: NotNegative | None = Field(
        None,
        description="Of questions, where it differs: higher for more varied ones.",
        json_schema_extra=changes("questions"),
    )
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="Probability mass that tokens are sampled from.",
        json_schema_extra=changes("questions", "answers", "verification"),
    )


class Verification(Section):
    """How answers are verified, for the filters `verified` and `verified_matched`."""

    samples: Annotated[int, Field(ge=2)] = Field(
        3,
        description="Teacher answers to a question of which more than half must agree, where no "
        "seed's answer applies; the row's own is one of them.",
        json_schema_extra=changes("verification"),
    )
    reach: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(
        1.5,
        description="How far along its stream `verified_matched` goes for right answers, as a "
        "multiple of the budget.",
        json_schema_extra=changes("questions", "answers", "verification", "datasets"),
    )


class MethodPrompts(Section):
    """What an augmenter is asked, for one kind of task."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("questions",)

    question: QuestionPrompt = Field(description="Asks for a question, from a seed.")
    self_check: AnswerPrompt | None = Field(
        None, description="Asks whether the question that was written is sound."
    )


class MethodConfig(Section):
    """`config/methods/NAME.yaml`: a way of spending teacher queries."""

    title: Text = Field(
        description="Name for people to read.", json_schema_extra=changes("figures")
    )
    short: Text = Field(
        description="Abbreviation for tables and figures.", json_schema_extra=changes("figures")
    )
    writes_questions: bool = Field(
        description="Whether an augmenter writes the questions; if not, the seeds' are used.",
        json_schema_extra=changes("cells"),
    )
    keeps_answer: bool = Field(
        True,
        description="Whether the seed's answer stays right, so that answers can be verified "
        "against it. If not, a row is dropped whose answer is the seed's or, in SQL, finds "
        "nothing.",
        json_schema_extra=changes("questions", "verification", "datasets"),
    )
    real_pairs: Literal["seeds", "budget"] | None = Field(
        None,
        description="A baseline that asks no teacher, and trains on real pairs: those of the "
        "seed set, or as many as the budget.",
        json_schema_extra=changes("cells"),
    )
    self_check: bool = Field(
        False,
        description="Whether the augmenter must find its own question sound.",
        json_schema_extra=changes("questions"),
    )
    max_attempts: Count | None = Field(
        None,
        description="Tries at a question before its slot stays empty. Given exactly if "
        "`writes_questions`.",
        json_schema_extra=changes("questions"),
    )
    prompts: dict[Kind, MethodPrompts] = Field(
        {}, description="By kind of task, what the augmenter is asked."
    )

    @model_validator(mode="after")
    def _consistent(self) -> MethodConfig:
        if self.writes_questions and self.max_attempts is None:
            raise problem("is missing: the method writes questions", "max_attempts")
        if not self.writes_questions:
            for key in ("self_check", "max_attempts", "prompts"):
                if getattr(self, key):
                    raise problem("has no effect: the method writes no questions", key)
            if not self.keeps_answer:
                raise problem("must be true: the questions are the seeds' own", "keeps_answer")
        elif self.real_pairs is not None:
            raise problem("must be null: the method writes questions", "real_pairs")
        for kind, prompts in self.prompts.items():
            if self.self_check and prompts.self_check is None:
                raise problem("is missing: self_check is true", "prompts", kind, "self_check")
            if not self.self_check and prompts.self_check is not None:
                raise problem("has no effect: self_check is false", "prompts", kind, "self_check")
        return self
