"""The sections of the configuration that say what a task is."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from seedbed.config.messages import problems
from seedbed.config.sections import Section, Titled, tag
from seedbed.config.values import (
    ANSWER_PLACEHOLDERS,
    LISTED,
    QUESTION_PLACEHOLDERS,
    Commit,
    Count,
    DatedLines,
    HubId,
    Name,
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
    nearest,
    problem,
)
from seedbed.config.words import OWN_PROMPTS, WORLDS
from seedbed.evaluation.scorers.settings import Checking, Scored
from seedbed.streams.settings import Overlap
from seedbed.tasks.item import COLUMNS


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


def _column(value: str) -> str:
    if value not in SOURCE_COLUMNS:
        raise problem(f"{value!r} is not valid; {nearest(value, SOURCE_COLUMNS)}")
    return value


CODE_COLUMNS = ("tests", "entry", "setup")
"""Unit tests of programs, the function that they call, and what runs before: the gold of code."""
SOURCE_COLUMNS = (*COLUMNS, "labels", *CODE_COLUMNS)
"""What a data set's columns may hold: columns of items, the labels of the choices, by which it may
name the gold one, and what makes the gold of code."""

SourceColumn = Annotated[
    str, AfterValidator(_column), WithJsonSchema({"enum": [*SOURCE_COLUMNS], "type": "string"})
]


class Digests(Section):
    """SHA-256 of the rows of both splits, 64 hexadecimal digits each."""

    STAGES: ClassVar[tuple[Stage, ...]] = ()

    train: Sha256 = Field(description="Of the train split.")
    test: Sha256 = Field(description="Of the test split.")


class DataSource(Section):
    """A data set in rows, wherever it is, and what its columns mean."""

    columns: dict[SourceColumn, Text] = Field(
        description="By field of an item, the data set's column, with a dot before a field of a "
        "structure; `question` at least, and `answer` or `gold`. `labels` are those of `choices`, "
        "which are shown as A, B and so on. Code has `tests`, and may have `entry`, the function "
        "that they call, and `setup`, code that runs before them.",
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
    excluded: Annotated[tuple[Excluded, ...], LISTED] = Field(
        (), description="What is left out, and why."
    )
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

    complete: ClassVar[bool] = False
    """Whether every item must be counted; if not, the first are taken of more."""

    @property
    def name(self) -> str:
        """What messages call it."""
        raise NotImplementedError

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

    @property
    def name(self) -> str:
        """Its name on the hub."""
        return self.hub

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

    # Whoever counts their own items wants to know of a slip.
    complete: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The names of its files."""
        return f"{self.files.train} and {self.files.test}"

    def folder(self, data_dir: str | Path) -> Path:
        """Return the data set's folder, which is the task's own."""
        return Path(data_dir)

    def split_files(self, data_dir: str | Path, split: Literal["train", "test"]) -> list[Path]:
        """Return the one file of a split, whether it is there or not."""
        return [Path(data_dir) / getattr(self.files, split)]


def _source_tag(value: Any) -> str | None:
    """Tell the kinds of source apart by the key that only one of them has."""
    given = [key for key in SOURCES if isinstance(value, dict) and key in value]
    return tag(given[0]) if len(given) == 1 else None


SOURCES = ("world", "hub", "files")
"""Keys of `source` that only one kind has."""

AnySource = WorldSource | HubSource | FilesSource

Source = Annotated[
    Annotated[WorldSource, Tag(tag("world"))]
    | Annotated[HubSource, Tag(tag("hub"))]
    | Annotated[FilesSource, Tag(tag("files"))],
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


class SourceOnly(Section):
    """The section `source` of a task's file alone, as a job gets it."""

    source: Source

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> AnySource:
        """Return the source that a section describes.

        Raises:
            ValueError: naming the key, if it describes none.
        """
        try:
            return cls.model_validate({"source": dict(content)}).source
        except ValidationError as error:
            raise ValueError(problems(error)) from None


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


class TaskConfig(Overlap, Checking, Scored, Titled):
    """`config/tasks/NAME/task.yaml`: everything that changes a score."""

    version: Count = Field(
        description="Goes up by one with each change that changes scores.",
        json_schema_extra=changes(),
    )
    source: Source = Field(description="Where the items come from.")
    max_tokens: MaxTokens = Field(description="The longest outputs.")
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
            writes = key not in OWN_PROMPTS
            check_prompt(
                prompt, QUESTION_PLACEHOLDERS if writes else ANSWER_PLACEHOLDERS, "prompts", key
            )
        return self

    @model_validator(mode="after")
    def _tests_fit_kind(self) -> TaskConfig:
        columns = self.source.columns if isinstance(self.source, DataSource) else {}
        at = ("source", "columns")
        if self.kind == "code" and "tests" not in columns:
            raise problem("has no column for 'tests', which programs must pass", *at)
        for name in CODE_COLUMNS:
            if name in columns and self.kind != "code":
                raise problem(f"has no effect: the kind is {self.kind!r}", *at, name)
        if "tests" in columns and "gold" in columns:
            raise problem("is given, and a column for 'tests' as well", *at, "gold")
        return self

    @model_validator(mode="after")
    def _kind_fits_world(self) -> TaskConfig:
        if isinstance(self.source, WorldSource) and WORLDS[self.source.world] != self.kind:
            kind = WORLDS[self.source.world]
            raise problem(
                f"is {self.kind!r}, but the world {self.source.world!r} is of the kind {kind!r}",
                "kind",
            )
        return self
