"""The sections of the configuration on how questions and answers are generated and verified."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from seedbed.config.sections import Section, Titled
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
from seedbed.config.words import NONE
from seedbed.engines.settings import Asked


class Sampling(Section):
    """How text is sampled."""

    temperature: NotNegative = Field(
        0.7,
        description="Sampling temperature of answers and questions; 0 always takes the likeliest "
        "token.",
        json_schema_extra=changes("questions", "answers", "verification"),
    )
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="Probability mass of the tokens to sample from (nucleus sampling).",
        json_schema_extra=changes("questions", "answers", "verification"),
    )


class Generation(Sampling):
    """How questions and answers are sampled."""

    question_temperature: NotNegative | None = Field(
        None,
        description="Sampling temperature of questions; higher values give more varied questions. "
        "Null takes `temperature`.",
        json_schema_extra=changes("questions"),
    )


class Samples(Section):
    """How many self-consistency samples are drawn."""

    samples: Annotated[int, Field(ge=2)] = Field(
        3,
        description="Teacher answers to each question, including the row's own. If the seed's "
        "answer does not apply, more than half of them must agree.",
        json_schema_extra=changes("verification"),
    )


class Verification(Samples):
    """How answers are verified, for the filters `verified` and `verified_matched`."""

    reach: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(
        1.5,
        description="How far `verified_matched` may go along the stream to find right answers, as "
        "a multiple of the budget.",
        json_schema_extra=changes("questions", "answers", "verification", "datasets"),
    )


class MethodPrompts(Section):
    """Prompts for the augmenter, for one kind of task."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("questions",)

    question: QuestionPrompt = Field(description="Asks the augmenter for a question, from a seed.")
    self_check: AnswerPrompt | None = Field(
        None, description="Asks the augmenter whether its question is sound."
    )


class QuestionWriting(Section):
    """How a method's questions are written."""

    keeps_answer: bool = Field(
        True,
        description="Whether the seed's answer remains right, so that answers can be verified "
        "against it. If not, rows are dropped if their answer is the seed's, or if their SQL "
        "query returns no rows.",
        json_schema_extra=changes("questions", "verification", "datasets"),
    )
    max_attempts: Count | None = Field(
        None,
        description="Attempts to write a question before its slot stays empty. Required if "
        "`writes_questions`; otherwise not allowed.",
        json_schema_extra=changes("questions"),
    )


class MethodConfig(QuestionWriting, Titled):
    """`config/methods/NAME.yaml`: a way of spending teacher queries."""

    short: Text = Field(
        description="Abbreviation for tables and figures.", json_schema_extra=changes("figures")
    )
    writes_questions: bool = Field(
        description="Whether an augmenter writes the questions; if not, the teacher answers the "
        "seeds' questions.",
        json_schema_extra=changes("cells"),
    )
    real_pairs: Literal["seeds", "budget"] | None = Field(
        None,
        description="For a baseline that queries no teacher: train on the real pairs of the seed "
        "set (`seeds`), or on as many real pairs as the budget (`budget`).",
        json_schema_extra=changes("cells"),
    )
    self_check: bool = Field(
        False,
        description="Whether the augmenter must judge its own question sound before the question "
        "is used.",
        json_schema_extra=changes("questions"),
    )
    prompts: dict[Kind, MethodPrompts] = Field(
        {}, description="By kind of task, the prompts for the augmenter."
    )

    @property
    def asks(self) -> Literal["answers", "rephrased", "new"]:
        """The questions for the teacher: the seeds' own, the seeds' in other words, or new ones."""
        if not self.writes_questions:
            return "answers"
        return "rephrased" if self.keeps_answer else "new"

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


class Overlap(Section):
    """When a row counts as overlapping with the test split."""

    overlap_words: Count | None = Field(
        13,
        description="A row is dropped if its question shares this many consecutive words with a "
        "question of the test split, or equals one; null: only if it equals one.",
        json_schema_extra=changes("datasets"),
    )


# --- what jobs get


class Prompted(Section):
    """The prompt for teacher and student.

    Attributes:
        prompt: `prompts.answer` of the task, or another template of that form.
    """

    prompt: str


class Answering(Asked):
    """Limits of a model's answers.

    Attributes:
        answer_tokens: `max_tokens.answer` of the task.
    """

    answer_tokens: int


class QuestionSettings(Asked, Sampling, QuestionWriting):
    """How the questions of a stream are written.

    Attributes:
        stream: key of the question stream; scripts take it as an option of its own.
        prompt: `question` of the method's prompts.
        check_prompt: template of the self-check, or None if there is none.
        question_tokens: `max_tokens.question` of the task.
        check_tokens: `max_tokens.check` of the task.
    """

    stream: str = ""
    prompt: str
    check_prompt: str | None
    question_tokens: int
    check_tokens: int


class AnswerSettings(Answering, Prompted, Sampling):
    """How the answers of a stream are sampled.

    Attributes:
        stream: key of the stream; scripts take it as an option of its own.
        keep_thinking: whether rows keep the teacher's thinking.
    """

    stream: str = ""
    keep_thinking: bool = False


class SampleSettings(Answering, Sampling, Samples):
    """How the self-consistency samples of a stream are drawn.

    Attributes:
        stream: key of the stream; scripts take it as an option of its own.
    """

    stream: str = ""


class DatasetSettings(Prompted, Overlap):
    """How a dataset is cut from its stream; `prompt` is for real data.

    Attributes:
        budget: teacher queries; 0 for real data.
        filter: see `FILTERS`.
        reach: queries of the stream that may be used: the budget, or more for `verified_matched`.
        may_be_empty: whether a dataset may have no rows, whatever the filter: `snakemake spend`
            continues with its other methods.
    """

    budget: int
    filter: str
    reach: int
    may_be_empty: bool = False

    @property
    def empty_is_a_result(self) -> bool:
        """Whether a dataset without rows is a valid result, which leaves its student untrained."""
        return self.may_be_empty or self.filter != NONE
