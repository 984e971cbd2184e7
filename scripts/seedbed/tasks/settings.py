"""The sections of the configuration that define a task."""

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
    TASK_FILES,
    Count,
    DatedLines,
    HubId,
    Name,
    Revision,
    Seed,
    SeveralColumns,
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
    placeholders_of,
    problem,
)
from seedbed.config.words import OWN_PROMPTS, WORLDS
from seedbed.evaluation.scorers.settings import JUDGED, Checking, Scored
from seedbed.streams.settings import Overlap
from seedbed.tasks.item import COLUMNS


class WorldSource(Section):
    """Items of a generated world."""

    world: World = Field(
        description="Name of the generated world.", json_schema_extra=changes("tasks", "models")
    )
    train_items: Count = Field(
        description="Items in the train split.", json_schema_extra=changes("tasks")
    )
    test_items: Count = Field(
        description="Items in the test split.", json_schema_extra=changes("tasks")
    )
    seed: Seed = Field(0, description="Seed of the items.", json_schema_extra=changes("tasks"))


class Parts(Section):
    """The two splits of a data set, or one part that is divided into both."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("tasks",)

    train: Text | None = Field(None, description="The split that seeds are drawn from.")
    test: Text | None = Field(None, description="The split that students are evaluated on.")
    all: Text | None = Field(
        None, description="In place of both: one split to divide, with `test_share`."
    )
    test_share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="With `all`: the share of rows that become the test split. A hash of a row's "
        "`item_id` or, without one, of its question decides, so a row never moves to the other "
        "split.",
    )

    @model_validator(mode="after")
    def _whole_or_parts(self) -> Self:
        given = [key for key in ("train", "test", "all", "test_share") if getattr(self, key)]
        for pair in (("train", "test"), ("all", "test_share")):
            if len(given) == 1 and given[0] in pair:
                raise problem("is missing", *(key for key in pair if key not in given))
        if given not in (["train", "test"], ["all", "test_share"]):
            raise problem(
                "must have the keys train and test, or all and test_share; it has: "
                f"{', '.join(given) or 'none of them'}"
            )
        return self

    def of(self, split: Literal["train", "test"]) -> str:
        """Return the name of the part that contains a split's rows, perhaps with the other's."""
        return self.all or getattr(self, split)

    @property
    def names(self) -> list[str]:
        """The names, each once."""
        return list(dict.fromkeys((self.of("train"), self.of("test"))))


class Splits(Parts):
    """Names of a data set's splits."""


class Files(Parts):
    """The files of a task's items."""

    train: TaskFile | None = Field(None, description="The file that seeds are drawn from.")
    test: TaskFile | None = Field(None, description="The file that students are evaluated on.")
    all: TaskFile | None = Field(
        None, description="In place of both: one file to divide, with `test_share`."
    )


class Excluded(Section):
    """An exclusion from a data set: an item, or all items of a database."""

    item: Text | None = Field(
        None, description="Id of the item.", json_schema_extra=changes("tasks")
    )
    database: Text | None = Field(
        None,
        description="Name of the database, as in its column.",
        json_schema_extra=changes("tasks"),
    )
    reason: Text = Field(description="Reason for leaving it out.", json_schema_extra=changes())

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
"""Parts of the gold of code: unit tests, the function that they call, and code run before them."""
_MADE = ("history", "columns")
SOURCE_COLUMNS = (
    *(name for name in COLUMNS if name not in _MADE),
    *("messages", "labels", *CODE_COLUMNS),
)
"""Keys of `columns`: columns of items, the messages of a conversation, the labels of choices (which
the gold may use), and the parts of the gold of code."""

SourceColumn = Annotated[
    str, AfterValidator(_column), WithJsonSchema({"enum": [*SOURCE_COLUMNS], "type": "string"})
]


class Digests(Section):
    """SHA-256 of the rows of both splits, 64 hexadecimal digits each."""

    STAGES: ClassVar[tuple[Stage, ...]] = ()

    train: Sha256 = Field(description="Digest of the train split.")
    test: Sha256 = Field(description="Digest of the test split.")


class DataSource(Section):
    """A data set of rows, anywhere, and the meaning of its columns."""

    columns: dict[SourceColumn, Text | SeveralColumns] = Field(
        description="By field of an item, the data set's column; a dot separates a column from a "
        "field in it. Required: `question` or `messages` (a conversation), and `answer`, `gold` "
        "or `golds` (a list of answers that are all right). `choices` may be a list of columns; "
        "`labels` holds the labels of `choices`, which prompts show as A, B and so on. Code needs "
        "`tests`, and may have `entry`, the function that the tests call, and `setup`, code that "
        "runs before them.",
        json_schema_extra=changes("tasks"),
    )
    gold_form: Literal["label", "text", "index_from_0", "index_from_1"] | None = Field(
        None,
        description="For choices: the form of the gold. Null: a label or a text, if no gold could "
        "be both, or an index.",
        json_schema_extra=changes("tasks"),
    )
    gold_words: dict[str, Text] | None = Field(
        None,
        description='By value of the gold\'s column, the final answer in words, e.g. `{"true": '
        'yes, "false": no}`. Required if the column holds true and false.',
        json_schema_extra=changes("tasks"),
    )
    gold_after: str | None = Field(
        None,
        description="If no column holds the final answer: the mark that precedes it in `answer`; "
        '`""` takes the whole answer.',
        json_schema_extra=changes("tasks"),
    )
    answer: Text | None = Field(
        None,
        description="If no column holds a worked answer: the answer to train students on, with "
        "`{gold}` for the final answer.",
        json_schema_extra=changes("tasks"),
    )
    databases: Text | None = Field(
        None,
        description="Path of an item's SQLite file in the data set's folder, with `{database}` "
        "for its name. The hub has no databases: with `hub`, `data_dir` is required.",
        json_schema_extra=changes("tasks"),
    )
    excluded: Annotated[tuple[Excluded, ...], LISTED] = Field(
        (), description="Items to leave out, and the reasons."
    )
    train_items: Count | None = Field(
        None,
        description="Number of items that the train split must have. Null (only with `files`): "
        "any number.",
        json_schema_extra=changes(),
    )
    test_items: Count | None = Field(
        None,
        description="Number of items that the test split must have. Null (only with `files`): any "
        "number.",
        json_schema_extra=changes(),
    )
    license: Text | None = Field(
        None, description="The data set's licence.", json_schema_extra=changes()
    )
    sha256: Digests | None = Field(
        None,
        description="Digests of the splits' rows, for a data set without a commit. Other rows are "
        "refused, with a message that shows their digest.",
    )

    @model_validator(mode="after")
    def _columns_needed(self) -> Self:
        given = {key for key in ("question", "messages") if key in self.columns}
        if not given:
            raise problem("has no column for 'question'", "columns")
        if len(given) > 1:
            raise problem("has columns for 'question' and 'messages', which are one", "columns")
        for key, column in self.columns.items():
            if key != "choices" and not isinstance(column, str):
                raise problem("is a list: only choices may be in several columns", "columns", key)
        if "answer" not in self.columns and self.answer is None and "messages" not in given:
            raise problem("has no column for 'answer', and no key 'answer' to write one", "columns")
        if "choices" not in self.columns and self.gold_form is not None:
            raise problem("has no effect: there is no column for 'choices'", "gold_form")
        if not {"gold", "golds"} & self.columns.keys() and self.gold_words is not None:
            raise problem("has no effect: there is no column for 'gold'", "gold_words")
        if self.answer is not None:
            if "answer" in self.columns:
                raise problem("is given, and a column for 'answer' as well", "answer")
            if not {"gold", "golds"} & self.columns.keys():
                raise problem("has no column for 'gold', which 'answer' is written from", "columns")
            check_template(self.answer, "gold", ("gold",), "answer")
        if (self.databases is None) != ("database" not in self.columns):
            raise problem("needs a column for 'database' and the key 'databases', or neither")
        if self.databases is not None:
            check_template(self.databases, "database", ("database",), "databases")
            check_inside(self.databases, "databases")
        return self

    complete: ClassVar[bool] = False
    """Whether more items than configured are an error; if not, the first ones are taken."""

    @property
    def name(self) -> str:
        """The data set's name in messages."""
        raise NotImplementedError

    @property
    def parts(self) -> Parts:
        """Its splits."""
        raise NotImplementedError

    @property
    def whole(self) -> bool:
        """Whether one part of the data set is divided into both splits."""
        return self.parts.test_share is not None

    def columns_of(self, key: str) -> list[str]:
        """Return the data set's columns for a field of an item; empty if there are none."""
        column = self.columns.get(key, ())
        return [column] if isinstance(column, str) else list(column)

    def folder(self, data_dir: str | Path) -> Path:
        """Return the data set's folder, given the folder of all data sets."""
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
        description="Configuration of the data set; null if it has only one.",
        json_schema_extra=changes("tasks"),
    )
    revision: Revision = Field(None, json_schema_extra=changes("tasks"))
    splits: Splits = Field(description="The data set's splits to use.")

    @model_validator(mode="after")
    def _counted(self) -> Self:
        for key in ("train_items", "test_items"):
            if getattr(self, key) is None:
                raise problem("is missing: a data set of the hub needs it", key)
        return self

    @property
    def name(self) -> str:
        """Its name on the hub."""
        return self.hub

    @property
    def parts(self) -> Parts:
        """Its splits."""
        return self.splits

    def folder(self, data_dir: str | Path) -> Path:
        """Return the data set's folder in a folder of the hub's layout."""
        return Path(data_dir) / self.hub / (self.config or "")

    def path(self, data_dir: str | Path, split: Literal["train", "test"]) -> Path:
        """Return the path of a split in a folder of the hub's layout, if it is one Parquet file."""
        return self.folder(data_dir) / f"{self.splits.of(split)}.parquet"

    def split_files(self, data_dir: str | Path, split: Literal["train", "test"]) -> list[Path]:
        """Return the files of a split in a folder, in order; empty if there are none.

        A split is one file, SPLIT.parquet (or .jsonl, .json, .csv, .tsv), or several as on the hub,
        SPLIT-00000-of-00002.parquet and so on.
        """
        whole = self.path(data_dir, split)
        for ending in TASK_FILES:
            file = whole.with_name(f"{self.splits.of(split)}{ending}")
            if file.is_file():
                return [file]
        return sorted(whole.parent.glob(f"{glob.escape(whole.stem)}-*-of-*.parquet"))


class FilesSource(DataSource):
    """A data set in files in the task's folder."""

    files: Files = Field(
        description="The files of the items, in the task's folder: CSV (`.csv`, `.tsv`), lines of "
        "JSON (`.jsonl`), a list in JSON (`.json`) or Parquet (`.parquet`)."
    )

    # If a user states how many items their files have, any other number is a mistake.
    complete: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The names of its files."""
        return " and ".join(self.files.names)

    @property
    def parts(self) -> Parts:
        """Its splits."""
        return self.files

    def folder(self, data_dir: str | Path) -> Path:
        """Return the data set's folder, which is the task's own."""
        return Path(data_dir)

    def split_files(self, data_dir: str | Path, split: Literal["train", "test"]) -> list[Path]:
        """Return the one file of a split, whether or not it exists."""
        return [Path(data_dir) / self.files.of(split)]


def _source_tag(value: Any) -> str | None:
    """Return the kind of a source: the key that only this kind has."""
    given = [key for key in SOURCES if isinstance(value, dict) and key in value]
    return tag(given[0]) if len(given) == 1 else None


SOURCES = ("world", "hub", "files")
"""Keys of `source` that identify its kind."""

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
    """Only the section `source` of a task's file, as a job receives it."""

    source: Source

    @classmethod
    def of(cls, content: Mapping[str, object]) -> AnySource:
        """Return the source that a section describes.

        Raises:
            ValueError: if the section is invalid. The message names the key.
        """
        try:
            return cls.model_validate({"source": dict(content)}).source
        except ValidationError as error:
            raise ValueError(problems(error)) from None


class MaxTokens(Section):
    """Maximum lengths of outputs, in tokens."""

    question: Count = Field(
        description="Most tokens of a question.",
        json_schema_extra=changes("questions"),
    )
    answer: Count = Field(
        description="Most tokens of an answer, of teachers and of students in evaluation.",
        json_schema_extra=changes("answers", "verification", "evaluation"),
    )
    check: Count = Field(
        description="Most tokens of a self-check.", json_schema_extra=changes("questions")
    )


class TaskConfig(Overlap, Checking, Scored, Titled):
    """`config/tasks/NAME/task.yaml`: everything that changes a score."""

    version: Count = Field(
        1,
        description="Version of the task. Increase it by one with each change that changes scores.",
        json_schema_extra=changes(),
    )
    source: Source = Field(description="Where the items come from.")
    max_tokens: MaxTokens = Field(description="Most tokens of each kind of output.")
    prompts: dict[Name, str] = Field(
        description="`answer` is the prompt for teacher and student. Optional: under the name of "
        "a method, its prompt for writing a question for this task; and `self_check`. "
        "Placeholders are `{question}`, `{context}`, `{answer}` (only in prompts that write a "
        "question), and `{NAME}` for any column of the data set.",
        json_schema_extra=changes(
            "models", "questions", "answers", "verification", "datasets", "evaluation"
        ),
    )
    changes: DatedLines = Field(
        (), description="One dated line for each version.", json_schema_extra=changes()
    )

    @model_validator(mode="after")
    def _prompts_are_sound(self) -> TaskConfig:
        if "answer" not in self.prompts:
            raise problem("has no prompt 'answer', which teacher and student are asked", "prompts")
        for key, prompt in self.prompts.items():
            valid = QUESTION_PLACEHOLDERS if key not in OWN_PROMPTS else ANSWER_PLACEHOLDERS
            if not isinstance(self.source, DataSource):
                check_prompt(prompt, valid, "prompts", key)
                continue
            # Any other placeholder names a column of the rows.
            check_prompt(prompt, None, "prompts", key)
            telling = {
                column
                for name in ("answer", "gold", "golds")
                for column in self.source.columns_of(name)
            }
            # A placeholder for a column of structures shows all their fields.
            telling |= {column.partition(".")[0] for column in telling}
            for name in placeholders_of(prompt):
                if key in OWN_PROMPTS and name in telling | {"answer"}:
                    raise problem(
                        f"has the placeholder {{{name}}}, which gives the answer away",
                        "prompts",
                        key,
                    )
        return self

    @property
    def train_items(self) -> int:
        """Number of items in the train split; for own files, known once their rows are counted."""
        assert self.source.train_items is not None
        return self.source.train_items

    @property
    def test_items(self) -> int:
        """Number of items in the test split; for own files, known once their rows are counted."""
        assert self.source.test_items is not None
        return self.source.test_items

    @property
    def prompt_columns(self) -> list[str]:
        """The data set's columns that prompts use."""
        names = {name for prompt in self.prompts.values() for name in placeholders_of(prompt)}
        known = {"question", "answer"}
        if isinstance(self.source, DataSource):
            mapped = self.source.columns.keys()
            known |= {"context"} if mapped & {"context", "database"} else set()
            known |= {"conversation"} if "messages" in mapped else set()
        else:
            known.add("context")
        return sorted(names - known)

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
    def _judged_by_someone(self) -> TaskConfig:
        if self.kind == JUDGED and self.judge is None:
            raise problem("must have a judge and its rubric: the kind is 'judged'", "scorer")
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
