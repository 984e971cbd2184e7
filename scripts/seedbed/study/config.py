"""The typed content of the files in `config/`.

Each class is one section of one file, and holds what can be checked by looking at that section
alone. What several files must agree on is checked in `seedbed.study.loading`. Values are taken as
they are: text is never read as a number, nor true as 1, and a key that no class knows is refused.
"""

from __future__ import annotations

import glob
import json
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_type_hints
from urllib.parse import urlsplit

from pydantic import (
    Discriminator,
    Field,
    Tag,
    create_model,
    model_validator,
)

from seedbed.config.sections import Section
from seedbed.config.values import (
    ANSWER_PLACEHOLDERS,
    QUESTION_PLACEHOLDERS,
    WORLDS,
    AnswerPrompt,
    Commit,
    Count,
    Counts,
    Date,
    DatedLines,
    Filters,
    Fraction,
    HubId,
    ItemColumn,
    Kind,
    Name,
    Names,
    NotNegative,
    Positive,
    QuestionPrompt,
    Ratios,
    ScorerFunction,
    Seed,
    Sha256,
    Stage,
    TaskFile,
    Text,
    World,
    changes,
    check_inside,
    check_prompt,
    check_template,
    distinct,
    listed,
    problem,
)
from seedbed.engines import VARIABLE

# --- studies/NAME.yaml


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


class Training(Section):
    """How a student is trained: LoRA, with loss on the answers only."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("training",)

    epochs: Count = Field(description="Passes over the dataset.")
    max_steps: Count | None = Field(
        None, description="Most optimiser steps, if that is less than the epochs take."
    )
    learning_rate: Positive = Field(description="Peak learning rate.")
    batch_size: Count = Field(description="Rows in one optimiser step.")
    lora_rank: Count = Field(description="Rank of the adapter.")
    lora_alpha: Positive = Field(description="The adapter is scaled by alpha / rank.")
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Dropout in the adapter."
    )
    warmup_fraction: Fraction = Field(
        0.03, description="Part of the steps in which the learning rate rises."
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="How the learning rate goes on after the warm-up."
    )
    max_length: Count = Field(description="Tokens of a row, prompt and answer together.")
    weight_decay: NotNegative = Field(0.0, description="Weight decay of AdamW.")
    seed: Seed = Field(0, description="Seed of the adapter's start and of the order of rows.")


class _OfTraining(Section):
    """What changes the training."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("training",)


# The same keys and checks as `Training`, each of them optional.
TrainingChanges: type[Section] = create_model(
    "TrainingChanges",
    __base__=_OfTraining,
    __doc__="Keys of `training` that differ for one student.",
    **{
        name: (kind, Field(None, description="Instead of that of `training`."))
        for name, kind in get_type_hints(Training, include_extras=True).items()
        if name in Training.model_fields
    },
)


class Analysis(Section):
    """How results are compared and curves are fitted."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("analysis",)

    bootstrap_samples: Annotated[int, Field(ge=2)] = Field(
        400, description="Bootstrap samples of the test items."
    )
    seed: Seed = Field(0, description="Seed of the bootstrap and of the starts of the fits.")
    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.95, description="Coverage of the intervals."
    )


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


class Block(Section):
    """A part of the grid: every combination of its lists."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("cells",)

    name: Name = Field(description="Name of the block, for messages.", json_schema_extra=changes())
    tasks: Names = Field(description="Files in `tasks/`.")
    methods: Names = Field(description="Files in `methods/`.")
    seeds: Counts = Field(description="Sizes of the seed set.")
    budget_ratios: Ratios | None = Field(
        None,
        description="Budgets as multiples of the size of the seed set; each must come to a whole "
        "number of queries. One of `budget_ratios` and `budgets` is given, unless the methods take "
        "the seeds alone.",
    )
    budgets: Counts | None = Field(None, description="Budgets in teacher queries.")
    augmenters: Names | None = Field(
        None,
        description="Models that write questions. Given exactly if a method of the block writes "
        "questions.",
    )
    teachers: Names | None = Field(
        None,
        description="Models that write answers. Given exactly if a method of the block asks one.",
    )
    students: Names = Field(description="Models that are trained.")
    filters: Filters = Field(("none",), description="Which answers become training rows.")
    replicates: Count = Field(1, description="Draws of the seed set, numbered from 1.")

    @model_validator(mode="after")
    def _one_kind_of_budget(self) -> Block:
        if self.budgets is not None and self.budget_ratios is not None:
            raise problem("has both budgets and budget_ratios; give one of them", "budgets")
        return self


class StudyConfig(Section):
    """`config/studies/NAME.yaml`: what is compared with what."""

    description: Text = Field(description="One sentence.", json_schema_extra=changes("report"))
    test_items: Count | None = Field(
        None,
        description="Test items that each cell is evaluated on, the first of the split; "
        "null takes all.",
        json_schema_extra=changes("evaluation"),
    )
    shard_size: Count = Field(
        32,
        description="Queries in a stream's first shard; the bounds double from there.",
        json_schema_extra=changes("questions", "answers", "verification"),
    )
    generation: Generation = Field(Generation(), description="How text is sampled.")
    verification: Verification = Field(Verification(), description="How answers are verified.")
    training: Training = Field(description="How students are trained.")
    student_training: dict[Name, TrainingChanges] = Field(
        {}, description="By student, the keys of `training` that differ for it."
    )
    analysis: Analysis = Field(Analysis(), description="How results are compared and fitted.")
    published: listed(PublishedShift, least=0) = Field(
        (),
        description="Shifts that others saw, drawn beside the study's own.",
        json_schema_extra=changes("figures"),
    )
    remarks: listed(Text, least=0) = Field(
        (),
        description="What to know in reading its findings; the report has it below them.",
        json_schema_extra=changes("report"),
    )
    blocks: listed(Block) = Field(
        description="Parts of the grid. They may overlap: a cell is run once."
    )

    @model_validator(mode="after")
    def _block_names(self) -> StudyConfig:
        names = [block.name for block in self.blocks]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise problem(f"{name!r} is the name of two blocks", "blocks", index, "name")
        return self

    def training_of(self, student: str) -> Training:
        """Return the training settings of a student: `training`, with the student's changes."""
        changes = self.student_training.get(student)
        if changes is None:
            return self.training
        return self.training.model_copy(update=changes.model_dump(exclude_unset=True))


# --- tasks/NAME/task.yaml


class WorldSource(Section):
    """Items of a generated world."""

    world: World = Field(
        description="Name of the world.", json_schema_extra=changes("tasks", "models")
    )
    train_items: Count = Field(
        description="Items in the train split.", json_schema_extra=changes("tasks")
    )
    test_items: Count = Field(
        description="Items in the test split.", json_schema_extra=changes("tasks")
    )
    seed: Seed = Field(0, description="Seed of the items.", json_schema_extra=changes("tasks"))


class Splits(Section):
    """Names of a data set's splits."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("tasks",)

    train: Text = Field(description="The data set's split that seeds are drawn from.")
    test: Text = Field(description="The data set's split that students are evaluated on.")


class Files(Section):
    """The files of a task's items."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("tasks",)

    train: TaskFile = Field(description="The file that seeds are drawn from.")
    test: TaskFile = Field(description="The file that students are evaluated on.")


class Excluded(Section):
    """What is left out of a data set: an item, or all items of a database."""

    item: Text | None = Field(
        None, description="Id of the item.", json_schema_extra=changes("tasks")
    )
    database: Text | None = Field(
        None,
        description="Name of the database, as in its column.",
        json_schema_extra=changes("tasks"),
    )
    reason: Text = Field(description="Why.", json_schema_extra=changes())

    @model_validator(mode="after")
    def _one_kind(self) -> Excluded:
        if (self.item is None) == (self.database is None):
            raise problem("must have exactly one of the keys item and database")
        return self


class Digests(Section):
    """SHA-256 of the rows of both splits, 64 hexadecimal digits each."""

    STAGES: ClassVar[tuple[Stage, ...]] = ()

    train: Sha256 = Field(description="Of the train split.")
    test: Sha256 = Field(description="Of the test split.")


class DataSource(Section):
    """A data set in rows, wherever it is, and what its columns mean."""

    columns: dict[ItemColumn, Text] = Field(
        description="By field of an item, the data set's column, with a dot before a field of a "
        "structure; `question` at least, and `answer` or `gold`. `labels` are those of `choices`, "
        "which are shown as A, B and so on.",
        json_schema_extra=changes("tasks"),
    )
    gold_after: Text | None = Field(
        None,
        description="Where no column holds the final answer: the mark in `answer` before it.",
        json_schema_extra=changes("tasks"),
    )
    answer: Text | None = Field(
        None,
        description="Where no column holds a worked answer: what a student would learn to say, "
        "with `{gold}` for the final answer.",
        json_schema_extra=changes("tasks"),
    )
    databases: Text | None = Field(
        None,
        description="Where an item's SQLite file lies in the data set's folder, with `{database}` "
        "for its name. The hub has none: with `hub`, `data_dir` must be given.",
        json_schema_extra=changes("tasks"),
    )
    excluded: listed(Excluded) = Field((), description="What is left out, and why.")
    train_items: Count = Field(
        description="Items that the train split must have.", json_schema_extra=changes()
    )
    test_items: Count = Field(
        description="Items that the test split must have.", json_schema_extra=changes()
    )
    license: Text | None = Field(
        None, description="The data set's licence.", json_schema_extra=changes()
    )
    sha256: Digests | None = Field(
        None,
        description="Digests of the splits' rows, for a data set without a commit to take: other "
        "rows are refused, and the message tells their digest.",
    )

    @model_validator(mode="after")
    def _columns_needed(self) -> Self:
        if "question" not in self.columns:
            raise problem("has no column for 'question'", "columns")
        if "answer" not in self.columns and self.answer is None:
            raise problem("has no column for 'answer', and no key 'answer' to write one", "columns")
        if self.answer is not None:
            if "answer" in self.columns:
                raise problem("is given, and a column for 'answer' as well", "answer")
            if "gold" not in self.columns:
                raise problem("has no column for 'gold', which 'answer' is written from", "columns")
            check_template(self.answer, "gold", ("gold",), "answer")
        if (self.databases is None) != ("database" not in self.columns):
            raise problem("needs a column for 'database' and the key 'databases', or neither")
        if self.databases is not None:
            check_template(self.databases, "database", ("database",), "databases")
            check_inside(self.databases, "databases")
        return self

    def folder(self, data_dir: str | Path) -> Path:
        """Return the data set's folder in the folder that it is read from."""
        raise NotImplementedError

    def split_files(self, data_dir: str | Path, split: Literal["train", "test"]) -> list[Path]:
        """Return the files of a split, in order; empty if there are none."""
        raise NotImplementedError

    def database_files(self, data_dir: str | Path) -> list[Path]:
        """Return the databases in a folder, in order; empty if the data set has none."""
        if self.databases is None:
            return []
        pattern = glob.escape(self.databases).format(database="*")
        return sorted(self.folder(data_dir).glob(pattern))


class HubSource(DataSource):
    """A data set on the hub, or in the same layout in a folder."""

    hub: HubId = Field(
        description="Name of the data set, OWNER/NAME.", json_schema_extra=changes("tasks")
    )
    config: Text | None = Field(
        None,
        description="Its configuration; null if it has but one.",
        json_schema_extra=changes("tasks"),
    )
    revision: Commit | None = Field(
        None,
        description="Commit to take; null takes the newest.",
        json_schema_extra=changes("tasks"),
    )
    splits: Splits = Field(description="Which of its splits to use.")

    def folder(self, data_dir: str | Path) -> Path:
        """Return the data set's folder in a folder of the hub's layout."""
        return Path(data_dir) / self.hub / (self.config or "")

    def path(self, data_dir: str | Path, split: Literal["train", "test"]) -> Path:
        """Return where a split lies in a folder of the hub's layout, if it is one Parquet file."""
        return self.folder(data_dir) / f"{getattr(self.splits, split)}.parquet"

    def split_files(self, data_dir: str | Path, split: Literal["train", "test"]) -> list[Path]:
        """Return the files of a split in a folder, in order; empty if there are none.

        A split is one file, SPLIT.parquet or SPLIT.jsonl, or parts as the hub itself has them,
        SPLIT-00000-of-00002.parquet and so on.
        """
        whole = self.path(data_dir, split)
        for file in (whole, whole.with_suffix(".jsonl")):
            if file.is_file():
                return [file]
        return sorted(whole.parent.glob(f"{glob.escape(whole.stem)}-*-of-*.parquet"))


class FilesSource(DataSource):
    """A data set in files beside the task's file."""

    files: Files = Field(
        description="The files of the items, in the task's folder: lines of JSON (`.jsonl`) or "
        "Parquet (`.parquet`)."
    )

    def folder(self, data_dir: str | Path) -> Path:
        """Return the data set's folder, which is the task's own."""
        return Path(data_dir)

    def split_files(self, data_dir: str | Path, split: Literal["train", "test"]) -> list[Path]:
        """Return the one file of a split, whether it is there or not."""
        return [Path(data_dir) / getattr(self.files, split)]


def _source_tag(value: Any) -> str | None:
    """Tell the kinds of source apart by the key that only one of them has."""
    given = [key for key in SOURCES if isinstance(value, dict) and key in value]
    return SOURCES[given[0]] if len(given) == 1 else None


def _scorer_tag(value: Any) -> str:
    """Tell a function's name from options."""
    return SCORER_TAGS[isinstance(value, str)]


# They stand in Pydantic's paths between a key and what is below it.
SOURCES = {"world": "a world", "hub": "a hub", "files": "files of its own"}
SCORER_TAGS = ("options", "a function")
TAGS = (*SOURCES.values(), *SCORER_TAGS)

Source = Annotated[
    Annotated[WorldSource, Tag(SOURCES["world"])]
    | Annotated[HubSource, Tag(SOURCES["hub"])]
    | Annotated[FilesSource, Tag(SOURCES["files"])],
    Discriminator(
        _source_tag,
        custom_error_type="seedbed",
        custom_error_message="{text}",
        custom_error_context={
            "text": "must have exactly one of the keys world, hub and files",
            "at": (),
        },
    ),
]


class ScorerOptions(Section):
    """Options of the scorer of a task's kind; so far, only that of SQL has any."""

    STAGES: ClassVar[tuple[Stage, ...]] = (
        "verification",
        "datasets",
        "evaluation",
    )

    timeout: Positive = Field(
        5.0, description="SQL: CPU seconds for one query; twice that and one second by the clock."
    )
    max_rows: Count = Field(100_000, description="SQL: most rows of a gold result.")
    max_memory_mb: Count = Field(
        512, description="SQL: most memory of the process that runs queries."
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


class MaxTokens(Section):
    """The longest outputs, in tokens."""

    question: Count = Field(
        description="Of an augmenter that writes a question.",
        json_schema_extra=changes("questions"),
    )
    answer: Count = Field(
        description="Of a teacher, and of a student in evaluation.",
        json_schema_extra=changes("answers", "verification", "evaluation"),
    )
    check: Count = Field(description="Of a self-check.", json_schema_extra=changes("questions"))


class TaskConfig(Section):
    """`config/tasks/NAME/task.yaml`: everything that changes a score."""

    title: Text = Field(
        description="Name for people to read.", json_schema_extra=changes("figures")
    )
    kind: Kind = Field(
        description="How answers are read and scored: a number, one of given choices, SQL by its "
        "result, or an exact string.",
        json_schema_extra=changes("questions", "verification", "datasets", "evaluation"),
    )
    version: Count = Field(
        description="Goes up by one with each change that changes scores.",
        json_schema_extra=changes(),
    )
    source: Source = Field(description="Where the items come from.")
    score: Literal["strict", "flexible"] = Field(
        description="Which reading of an output is the accuracy: `strict` wants the format that "
        "was asked for, `flexible` finds the answer in free text.",
        json_schema_extra=changes("evaluation"),
    )
    scorer: Annotated[
        Annotated[ScorerOptions, Tag(SCORER_TAGS[0])]
        | Annotated[ScorerFunction, Tag(SCORER_TAGS[1])],
        Discriminator(_scorer_tag),
    ] = Field(
        ScorerOptions(),
        description="Options of the scorer of the kind; or MODULE:FUNCTION, a function of "
        "MODULE.py in the task's folder that scores instead.",
        json_schema_extra=changes("verification", "datasets", "evaluation"),
    )
    new_answer: Literal["required", "not_required"] | None = Field(
        None,
        description="Whether a new question is dropped whose answer is the seed's. null: required, "
        "unless the answers are labels: exact strings or choices, at most 20 in the train split, "
        "with at least four items each on average.",
        json_schema_extra=changes("verification"),
    )
    max_tokens: MaxTokens = Field(description="The longest outputs.")
    overlap_words: Count | None = Field(
        13,
        description="A row is dropped whose question shares so many words in a row with a "
        "question of the test split, or is one; null: only if it is one.",
        json_schema_extra=changes("datasets"),
    )
    prompts: dict[Name, str] = Field(
        description="`answer` is what teacher and student are asked. Optional: under the name of a "
        "method, its prompt to write a question for this task; and `self_check`.",
        json_schema_extra=changes(
            "models", "questions", "answers", "verification", "datasets", "evaluation"
        ),
    )
    changes: DatedLines = Field(
        description="One dated line for each version.", json_schema_extra=changes()
    )

    @model_validator(mode="after")
    def _prompts_are_sound(self) -> TaskConfig:
        if "answer" not in self.prompts:
            raise problem("has no prompt 'answer', which teacher and student are asked", "prompts")
        for key, prompt in self.prompts.items():
            writes = key not in ("answer", "self_check")
            check_prompt(
                prompt, QUESTION_PLACEHOLDERS if writes else ANSWER_PLACEHOLDERS, "prompts", key
            )
        return self

    @model_validator(mode="after")
    def _options_fit_kind(self) -> TaskConfig:
        if isinstance(self.scorer, ScorerOptions) and self.kind != "sql":
            for key in sorted(self.scorer.model_fields_set):
                raise problem(f"has no effect: the kind is {self.kind!r}", "scorer", key)
        return self

    @property
    def scorer_options(self) -> dict[str, Any] | str:
        """The options that are given, or the function, as `make_scorer` wants it."""
        if isinstance(self.scorer, str):
            return self.scorer
        return self.scorer.model_dump(exclude_unset=True)

    @model_validator(mode="after")
    def _kind_fits_world(self) -> TaskConfig:
        if isinstance(self.source, WorldSource) and WORLDS[self.source.world] != self.kind:
            kind = WORLDS[self.source.world]
            raise problem(
                f"is {self.kind!r}, but the world {self.source.world!r} is of the kind {kind!r}",
                "kind",
            )
        return self


# --- methods/NAME.yaml


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


# --- models/NAME.yaml


class Pretrain(Section):
    """A small model, trained from scratch on a generated world by the workflow itself."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("models",)

    role: Literal["teacher", "student_a", "student_b"] = Field(
        description="What it gets to see: `teacher` everything, `student_a` and `student_b` each "
        "a part of the forms."
    )
    steps: Count = Field(description="Optimiser steps.")
    batch_size: Count = Field(description="Examples in one step.")
    learning_rate: Positive = Field(description="Peak learning rate.")
    hidden_size: Count = Field(description="Width.")
    layers: Count = Field(description="Number of layers.")
    heads: Count = Field(description="Attention heads; `hidden_size` / `heads` must be even.")
    intermediate_size: Count = Field(description="Width of the feed-forward part.")
    checkpoints: distinct(Count, least=0) = Field(
        (), description="Steps after which the model is kept as well, for weaker models."
    )
    seed: Seed = Field(0, description="Seed of the weights and of the examples.")

    @model_validator(mode="after")
    def _consistent(self) -> Pretrain:
        # Rotary position embeddings turn pairs of a head's channels.
        if self.hidden_size % (2 * self.heads):
            raise problem(
                f"{self.hidden_size} does not divide into {self.heads} heads of even width",
                "hidden_size",
            )
        for index, step in enumerate(self.checkpoints):
            if step >= self.steps:
                raise problem(f"{step} is not below steps, {self.steps}", "checkpoints", index)
        return self


class Checkpoint(Section):
    """A model as it was during the training of another."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("models",)

    of: Name = Field(description="A model with `pretrain`.")
    step: Count = Field(description="One of its `checkpoints`.")


class HubModel(Section):
    """A model on the hub."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("models",)

    id: HubId = Field(description="Name of the model, OWNER/NAME.")
    revision: Commit | None = Field(None, description="Commit to take; null takes the newest.")


class Engine(Section):
    """What runs a model to generate text."""

    STAGES: ClassVar[tuple[Stage, ...]] = ()

    kind: Literal["transformers", "vllm", "openai"] = Field(
        "transformers",
        description="`transformers` and `vllm` run it in the job itself, on a CPU or on GPUs; "
        "`openai` asks an endpoint that takes the OpenAI API's chat completions: a hosted one, or "
        "a vLLM server.",
    )
    batch_size: Count = Field(
        256,
        description="transformers, vllm: the most prompts that are generated from together.",
    )
    gpus: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="transformers, vllm: GPUs that a job which runs the model asks for, and that "
        "vLLM spreads it over; with `transformers` at most one. With null, none for a model that "
        "the workflow trains and Transformers runs; else as many of 80 GB as its size needs, by "
        "its weights, its name on the hub, or `size`, and one if nothing tells.",
    )
    gpu_memory: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="vllm: share of a GPU's memory that it may take."
    )
    context: Count | None = Field(
        None,
        description="vllm: tokens of prompt and answer that it makes room for; null takes what the "
        "model can, which may be more than the GPU has memory for.",
    )
    eager: bool = Field(
        False,
        description="vllm: whether to go without compiling the model first, which takes a minute "
        "or two and makes it faster.",
    )
    base_url: Text | None = Field(
        None, description="openai: address of the endpoint, as `http://localhost:8000/v1`."
    )
    model: Text | None = Field(
        None, description="openai: the model's name there; null takes that of `api` or `hub`."
    )
    key_variable: Text | None = Field(
        None,
        description="openai: the environment variable that holds the key; null sends none. The key "
        "itself must not stand in any file.",
    )
    concurrency: Count = Field(
        64,
        description="openai: the most requests under way at once; fewer when the endpoint has too "
        "much to do.",
    )
    timeout: Positive = Field(
        600.0, description="openai: seconds after which a request is given up, and asked again."
    )
    limit_field: Text | None = Field(
        "max_tokens",
        description="openai: the endpoint's name for the most tokens of an answer; some models "
        "take only `max_completion_tokens`. Null leaves it out.",
        json_schema_extra=changes("questions", "answers", "verification", "evaluation"),
    )
    temperature_field: Text | None = Field(
        "temperature",
        description="openai: the endpoint's name for the temperature. Null leaves it out, for "
        "models that refuse it.",
        json_schema_extra=changes("questions", "answers", "verification", "evaluation"),
    )
    top_p_field: Text | None = Field(
        "top_p",
        description="openai: the endpoint's name for `generation.top_p`. Null leaves it out.",
        json_schema_extra=changes("questions", "answers", "verification", "evaluation"),
    )
    seed_field: Text | None = Field(
        "seed",
        description="openai: the endpoint's name for the sampling seed, a number of 31 bits, as "
        "`random_seed`. Null leaves it out.",
        json_schema_extra=changes("questions", "answers", "verification", "evaluation"),
    )
    stop_field: Text | None = Field(
        "stop",
        description="openai: the endpoint's name for the texts of `stop`. Null leaves it out.",
        json_schema_extra=changes("questions", "answers", "verification", "evaluation"),
    )
    send_defaults: bool = Field(
        False,
        description="openai: whether a temperature or `top_p` of 1 is sent as well. Needed for "
        "servers whose defaults are others, as vLLM, llama.cpp and Ollama; hosted models may "
        "refuse it.",
        json_schema_extra=changes("questions", "answers", "verification", "evaluation"),
    )
    body: dict[Text, Any] = Field(
        {},
        description="openai: further fields of each request, as `{reasoning_effort: low}` or "
        "`{chat_template_kwargs: {enable_thinking: false}}`.",
        json_schema_extra=changes("questions", "answers", "verification", "evaluation"),
    )
    headers: dict[Text, Text] = Field(
        {},
        description="openai: further headers of each request. A secret stands in them as "
        "`${NAME}`, the environment variable that holds it.",
    )
    query: dict[Text, Text] = Field(
        {},
        description="openai: parameters of the address, as `{api-version: 2024-10-21}`; secrets as "
        "in `headers`.",
    )
    stream: bool = Field(
        False,
        description="openai: whether answers are sent while they are written, for gateways that "
        "close a connection on which nothing happens.",
    )
    ends: dict[Text, Literal["stop", "length", "content_filter", "again"]] = Field(
        {},
        description="openai: what a `finish_reason` means that is not known here: `stop` (the "
        "answer is whole), `length` (cut off), `content_filter`, or `again` (the endpoint failed: "
        "the request is retried).",
    )
    options: dict[Text, Any] = Field(
        {},
        description="vllm: arguments of vLLM's engine by its own names, as `{quantization: fp8, "
        "max_num_seqs: 64}`, and `chat_template_kwargs`. They take precedence over the keys above.",
        json_schema_extra=changes("questions", "answers", "verification", "evaluation"),
    )
    thinking_tokens: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Tokens that the model may think before it answers, added to every limit. "
        "Thinking is never part of an answer.",
        json_schema_extra=changes("questions", "answers", "verification", "evaluation"),
    )

    @model_validator(mode="after")
    def _consistent(self) -> Engine:
        keys = ENGINE_KEYS[self.kind]
        for key in self.model_fields_set - {"kind"}:
            if key not in keys:
                raise problem(f"has no effect with kind: {self.kind}", key)
        if self.kind == "transformers" and (self.gpus or 0) > 1:
            raise problem("must be 0 or 1 with kind: transformers; vllm takes more", "gpus")
        if self.kind == "openai":
            self._check_endpoint()
        return self

    def _check_endpoint(self) -> None:
        if self.base_url is None:
            raise problem("is missing: the address of the endpoint", "base_url")
        # Of what may hold a secret, the message shows nothing.
        try:
            address = urlsplit(self.base_url)
            sound = address.scheme in ("http", "https") and bool(address.hostname)
        except ValueError:
            sound = False
        if not sound or address.query or address.fragment:
            raise problem("must be an address as http://localhost:8000/v1", "base_url")
        if "@" in address.netloc:
            raise problem("must not hold a password; give key_variable", "base_url")
        if self.key_variable is not None and not re.fullmatch(
            r"[A-Z_][A-Z0-9_]*", self.key_variable
        ):
            said = "must be the name of an environment variable, as OPENAI_API_KEY, not a key"
            raise problem(said, "key_variable")
        self._check_fields()
        for key in ("headers", "query"):
            for name, text in getattr(self, key).items():
                if _SECRET.search(name) and not VARIABLE.search(text):
                    said = (
                        "must name the environment variable that holds the secret, as "
                        "${SOME_API_KEY}: a secret must not stand in any file"
                    )
                    raise problem(said, key, name)

    def _check_fields(self) -> None:
        """Check that no field of a request is given twice."""
        given = ["model", "messages", "stream", "n"]
        for key in FIELD_KEYS:
            name = getattr(self, key)
            if name is None:
                continue
            if name in given:
                raise problem(f"{name!r} is the name of another field of a request", key)
            given.append(name)
        for name, value in self.body.items():
            if name in given:
                said = f"{name!r} is sent already: rename or leave out that one first"
                raise problem(said, "body", name)
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                said = f"cannot be written as JSON: {value!r}; put it in quotes"
                raise problem(said, "body", name) from None


FIELD_KEYS = ("limit_field", "temperature_field", "top_p_field", "seed_field", "stop_field")
_SECRET = re.compile(r"key|token|secret|auth|password|credential|cookie", re.IGNORECASE)
ENGINE_KEYS = {
    "transformers": ("batch_size", "gpus", "thinking_tokens"),
    "vllm": (
        *("batch_size", "gpus", "gpu_memory", "context", "eager"),
        *("options", "thinking_tokens"),
    ),
    "openai": (
        *("base_url", "model", "key_variable", "concurrency", "timeout", "limit_field"),
        *FIELD_KEYS[1:],
        *("send_defaults", "body", "headers", "query", "stream", "ends", "thinking_tokens"),
    ),
}
"""By kind, the keys that have an effect."""
ALWAYS_TOLD = frozenset(
    ("batch_size", "gpus", "gpu_memory", "context", "eager", "base_url", "model", "key_variable")
) | {"concurrency", "timeout", "limit_field"}
"""Keys that a job is told whatever they are; all others, where they differ from their default."""


class Trainer(Section):
    """How the training of a student is run, which changes no result."""

    STAGES: ClassVar[tuple[Stage, ...]] = ()

    save_minutes: Positive = Field(
        15.0,
        description="Minutes between two saves of a training under way, from the last of which it "
        "goes on after a kill.",
    )
    micro_batch_tokens: Count | None = Field(
        None,
        description="Most tokens, padding included, that go through the model at once; the rows of "
        "an optimiser step are cut accordingly. Null takes what the GPU's free memory allows.",
    )


class ApiModel(Section):
    """A model that only an endpoint has."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("models",)

    name: Text = Field(
        description="Its name there; one with a date, if there is, as others may move to a newer "
        "model."
    )
    version: Text | None = Field(
        None, description="Whatever tells it from an older model of that name, in your words."
    )


class Price(Section):
    """What a model's tokens cost."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("analysis",)

    usd_per_million_prompt_tokens: NotNegative | None = Field(None, description="null: not known.")
    usd_per_million_completion_tokens: NotNegative | None = Field(
        None, description="null: not known."
    )
    date: Date | None = Field(
        None, description="When the price was read, as 2026-01-31. Given if a price is."
    )

    @model_validator(mode="after")
    def _dated(self) -> Price:
        known = (self.usd_per_million_prompt_tokens, self.usd_per_million_completion_tokens)
        if known != (None, None) and self.date is None:
            raise problem("is missing: prices change, so one needs the day it was read", "date")
        return self


SOURCES_OF_MODELS = ("pretrain", "checkpoint", "hub", "path", "api")


class ModelConfig(Section):
    """`config/models/NAME.yaml`: a model, and what runs it."""

    title: Text = Field(
        description="Name for people to read.", json_schema_extra=changes("figures")
    )
    pretrain: Pretrain | None = Field(None, description="Trained from scratch by the workflow.")
    checkpoint: Checkpoint | None = Field(
        None, description="Kept during the training of another model."
    )
    hub: HubModel | None = Field(None, description="Taken from the hub.")
    path: Text | None = Field(
        None, description="A folder with a Transformers model.", json_schema_extra=changes("models")
    )
    api: ApiModel | None = Field(
        None, description="Behind an endpoint, which `engine` names; it cannot be a student."
    )
    worlds: dict[Name, World] = Field(
        {},
        description="Only with `pretrain`: by task, the generated world that its model is trained "
        "on. Needed for tasks with real data; by default the task's own world.",
        json_schema_extra=changes("models"),
    )
    system: Text | None = Field(
        None,
        description="Message that sets it up, before each question; null sends none.",
        json_schema_extra=changes("questions", "answers", "verification", "training", "evaluation"),
    )
    stop: distinct(Text, least=0) = Field(
        (),
        description="Texts that end what it writes, where it writes one of them; they are cut off.",
        json_schema_extra=changes("questions", "answers", "verification", "evaluation"),
    )
    size: Positive | None = Field(
        None,
        description="Billions of parameters, where its name on the hub and the headers of its "
        "weights do not tell: GPUs, memory and time of its jobs follow.",
        json_schema_extra=changes(),
    )
    chat_template: Text | None = Field(
        None,
        description="With `hub` or `path`: a file with a chat template in Jinja in place of the "
        "model's own, seen from `models/`. Base models need one: `templates/plain.jinja`.",
        json_schema_extra=changes("models"),
    )
    template: dict[Annotated[str, Field(pattern=r"^[a-z_]+$")], bool | int | float | str] = Field(
        {},
        description="With `hub` or `path`: variables of the chat template that have a value, "
        "whoever renders it, as `{enable_thinking: false}`.",
        json_schema_extra=changes("models"),
    )
    engine: Engine = Field(Engine(), description="What runs it.")
    trainer: Trainer = Field(
        Trainer(), description="How its training is run. A change makes no result stale."
    )
    price: Price = Field(Price(), description="What its tokens cost.")

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        given = [key for key in SOURCES_OF_MODELS if getattr(self, key) is not None]
        if len(given) != 1:
            found = f"both {' and '.join(given)}" if given else "none of them"
            raise problem(f"must have exactly one of {', '.join(SOURCES_OF_MODELS)}, not {found}")
        if self.hub is None and self.path is None:
            for key in ("chat_template", "template"):
                if getattr(self, key):
                    raise problem("has no effect: only a model with hub or path has one", key)
        if self.worlds and self.pretrain is None:
            raise problem(
                "has no effect: only a model with pretrain is trained on a world", "worlds"
            )
        return self


# --- config.yaml


class RunConfig(Section):
    """`config/config.yaml`: which study to run, where the real data lies, and what it runs in."""

    study: Name = Field(
        description="Name of a file in `studies/`.", json_schema_extra=changes("cells")
    )
    data_dir: Text | None = Field(
        default=None,
        description="Folder with data sets in the hub's layout, OWNER/NAME/CONFIG/SPLIT.parquet.",
        json_schema_extra=changes("tasks"),
    )
    environment: Literal["cpu", "gpu"] = Field(
        default="cpu",
        description="Which of the files in `envs/` jobs run in with `--sdm conda`. A change makes "
        "no result stale.",
        json_schema_extra=changes(),
    )
    engines: dict[Name, Engine] = Field(
        default={},
        description="By model, what runs it here, in place of its own `engine`, with the same "
        "keys. A change makes no result stale.",
    )
    trainers: dict[Name, Trainer] = Field(
        default={},
        description="By model, how its training is run here, in place of its own `trainer`, with "
        "the same keys. A change makes no result stale.",
    )
    gpu_model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = Field(
        default=None,
        description="The kind of GPU that jobs on a SLURM cluster ask for, as the cluster calls "
        "it; null for any. A change makes no result stale.",
        json_schema_extra=changes(),
    )
    gpu_request: Literal["gpus", "gres"] = Field(
        default="gpus",
        description="How jobs on a SLURM cluster ask for GPUs: `--gpus=KIND:2`, or "
        "`--gres=gpu:KIND:2`. A change makes no result stale.",
        json_schema_extra=changes(),
    )
    cores_per_gpu: Annotated[int, Field(ge=1)] = Field(
        default=4,
        description="Cores that a job on a SLURM cluster gets with each of its GPUs. A change "
        "makes no result stale.",
        json_schema_extra=changes(),
    )
    max_teacher_queries: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="The most queries that teachers of the study are asked, answers and votes, by "
        "all jobs together; those that were asked before count, and so do tries that failed and "
        "may have been answered. Null for no limit. A change makes no result stale.",
        json_schema_extra=changes(),
    )
    max_usd: NotNegative | None = Field(
        default=None,
        description="The most dollars that teachers and augmenters behind endpoints cost, by the "
        "prices of their files. Null for no limit. A change makes no result stale.",
        json_schema_extra=changes(),
    )
    partial: bool = Field(
        default=False,
        description="Whether tables, figures and report are made of the evaluations that are "
        "there, and say what is missing, instead of making the rest.",
        json_schema_extra=changes("analysis"),
    )
    task: Name | None = Field(
        default=None,
        description="For `snakemake advise`: the task that is asked about.",
        json_schema_extra=changes("advice"),
    )
    seeds: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="For `snakemake advise`: how many seed questions there are.",
        json_schema_extra=changes("advice"),
    )
    queries: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="For `snakemake advise`: teacher queries, the budget.",
        json_schema_extra=changes("advice"),
    )
    usd: Positive | None = Field(
        default=None,
        description="For `snakemake advise`, in place of `queries`: US dollars, the budget, by the "
        "prices of the models' files.",
        json_schema_extra=changes("advice"),
    )
    target_accuracy: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="For `snakemake advise`, in place of `queries`: the accuracy to reach at the "
        "least cost, as a fraction.",
        json_schema_extra=changes("advice"),
    )

    @property
    def goal(self) -> tuple[str, float | None]:
        """What `snakemake advise` is asked for: "queries", "usd" or "target", and how much."""
        if self.target_accuracy is not None:
            return "target", self.target_accuracy
        return ("queries", self.queries) if self.usd is None else ("usd", self.usd)
