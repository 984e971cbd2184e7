"""Types of the values in `config/`, and how wrong values are reported."""

from __future__ import annotations

import datetime
import difflib
import re
import string
from collections.abc import Collection, Hashable
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, WithJsonSchema
from pydantic_core import PydanticCustomError

from seedbed.config.words import FILTERS, WORLDS

TASK_FILES = (".parquet", ".jsonl", ".json", ".csv", ".tsv")
"""Endings of files with rows."""

Stage = Literal[
    "tasks",
    "models",
    "questions",
    "answers",
    "verification",
    "datasets",
    "training",
    "evaluation",
    "analysis",
    "figures",
    "report",
    "cells",
    "advice",
]
"""Stages of jobs: those of the rule files, in the order of the data; `cells` is the list of cells,
and `advice` the answer of `snakemake advise`, which no other job reads."""

QUESTION_PLACEHOLDERS = ("question", "context", "answer")
# Only a prompt that writes a question may show the seed's answer: in the prompt that teacher and
# student get, it would give the answer away.
ANSWER_PLACEHOLDERS = ("question", "context")

JsonObject = dict[str, JsonValue]
"""A JSON object of no fixed type."""

Part = str | int
"""One step of a path into a file: a key, or an index into a list."""


def changes(*stages: Stage) -> JsonObject:
    """Return the `json_schema_extra` of a key's `Field` that declares the stages of its changes.

    Args:
        stages: stages whose jobs a change can make stale, along with later stages; none if it
            changes no result.
    """
    return {"stages": list(stages)}


def problem(text: str, *at: Part) -> PydanticCustomError:
    """Return a validation error with a message of seedbed's own.

    Args:
        text: the problem and the remedy, with the value if it helps.
        at: path from the section that is being checked.
    """
    return PydanticCustomError("seedbed", "{text}", {"text": text, "at": at})


def nearest(word: str, valid: Collection[str], noun: str = "valid") -> str:
    """Return a hint for an invalid word: the nearest valid word, or all of them."""
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if not valid:
        return "there are none"
    return f"{noun}: {', '.join(sorted(valid))}"


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", value):
        raise problem(
            f"{value!r} cannot be a name: it becomes a part of paths, so only a-z, 0-9, '_', '.' "
            "and '-' may stand in it, and the first must be a letter or digit"
        )
    return value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _distinct(values: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    seen = set()
    for index, value in enumerate(values):
        if value in seen:
            raise problem(f"{value!r} stands in the list twice", index)
        seen.add(value)
    return values


def _world(value: str) -> str:
    if value not in WORLDS:
        raise problem(f"there is no generated world {value!r}; {nearest(value, WORLDS, 'worlds')}")
    return value


def _filter(value: str) -> str:
    if value not in FILTERS:
        raise problem(f"there is no filter {value!r}; {nearest(value, FILTERS, 'filters')}")
    return value


def _commit(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}", value):
        raise problem(
            f"{value!r} is not a commit: give its 40 hexadecimal digits (a branch or a tag may "
            "move), or null for the newest"
        )
    return value


def _sha256(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise problem(f"{value!r} is not a SHA-256 digest: give its 64 hexadecimal digits")
    return value


def _hub_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", value):
        raise problem(f"{value!r} is not a name on the hub: it must read OWNER/NAME")
    return value


def _scorer_function(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*", value):
        raise problem(
            f"{value!r} names no function: write MODULE:FUNCTION, for a function of MODULE.py in "
            "the task's folder"
        )
    return value


def check_inside(value: str, *at: Part) -> None:
    """Check that a path stays in the folder that it is relative to.

    Raises:
        PydanticCustomError: if it does not, with `at` as the place.
    """
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise problem(f"{value!r} leads out of the folder: give a path inside it", *at)


def _task_file(value: str) -> str:
    check_inside(value)
    if PurePosixPath(value).suffix not in TASK_FILES:
        raise problem(f"{value!r} ends in none of {', '.join(TASK_FILES)}")
    return value


def _date(value: str) -> str:
    try:
        if datetime.date.fromisoformat(value).isoformat() == value:
            return value
    except ValueError:
        pass
    raise problem(f"{value!r} is not a date: write it as in 2026-01-31")


def _dated_line(value: str) -> str:
    date, colon, text = value.partition(": ")
    if not colon or not text.strip():
        raise problem(f"{value!r} is not a dated line: write it as in '2026-01-31: what changed'")
    _date(date)
    return value


def check_prompt(value: str, placeholders: tuple[str, ...] | None, *at: Part) -> None:
    """Check that a prompt has `{question}`, and no placeholder but the given ones, or any.

    Raises:
        PydanticCustomError: if it has not, with `at` as the place.
    """
    check_template(value, "question", placeholders, *at)


def placeholders_of(template: str) -> list[str]:
    """Return the names of a template's placeholders, each once, in order."""
    pieces = string.Formatter().parse(template)
    return list(dict.fromkeys(name for _, name, _, _ in pieces if name is not None))


def check_template(
    value: str, needed: str, placeholders: tuple[str, ...] | None, *at: Part
) -> None:
    """Check that a text has the placeholder that it needs, and none but the given ones, or any.

    Raises:
        PydanticCustomError: if it has not, with `at` as the place.
    """
    try:
        fields = [piece[1:] for piece in string.Formatter().parse(value) if piece[1] is not None]
    except ValueError as error:
        raise problem(f"cannot be read ({error}); a brace in the text is doubled", *at) from None
    for name, form, conversion in fields:
        if not name or (placeholders is not None and name not in placeholders):
            hint = nearest(str(name), placeholders or (needed,), "valid here")
            raise problem(f"has an unknown placeholder {{{name}}}; {hint}", *at)
        if form or conversion:
            raise problem(f"has a format in the placeholder {{{name}}}, which takes none", *at)
    if needed not in {name for name, _, _ in fields}:
        raise problem(f"has no placeholder {{{needed}}}", *at)


def _answer_prompt(value: str) -> str:
    check_prompt(value, ANSWER_PLACEHOLDERS)
    return value


def _question_prompt(value: str) -> str:
    check_prompt(value, QUESTION_PLACEHOLDERS)
    return value


Name = Annotated[
    str,
    AfterValidator(_name),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]*$"}),
]
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
# NumPy, which the libraries seed together with PyTorch, accepts no larger seed.
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Commit = Annotated[str, AfterValidator(_commit)]
Revision = Annotated[Commit | None, Field(description="Commit to take; null takes the newest.")]
Sha256 = Annotated[str, AfterValidator(_sha256)]
HubId = Annotated[str, AfterValidator(_hub_id)]
Date = Annotated[str, AfterValidator(_date)]
World = Annotated[str, AfterValidator(_world), WithJsonSchema({"enum": [*WORLDS]})]
Kind = Literal["number", "choice", "sql", "exact", "json", "code", "judged"]
Role = Literal["teacher", "student_a", "student_b"]
"""The part of its world that a model trained from scratch sees."""
ScorerFunction = Annotated[str, AfterValidator(_scorer_function)]
TaskFile = Annotated[str, AfterValidator(_task_file)]
AnswerPrompt = Annotated[str, AfterValidator(_answer_prompt)]
QuestionPrompt = Annotated[str, AfterValidator(_question_prompt)]


LISTED = BeforeValidator(_as_tuple)
"""Reads a list of YAML or JSON as a tuple."""
NOT_EMPTY = Field(min_length=1)
DISTINCT = AfterValidator(_distinct)
"""Refuses duplicates in a list."""

SeveralColumns = Annotated[tuple[Text, ...], LISTED, Field(min_length=2, max_length=26), DISTINCT]
"""Columns of a data set with one choice each."""

Names = Annotated[tuple[Name, ...], LISTED, NOT_EMPTY, DISTINCT]
Counts = Annotated[tuple[Count, ...], LISTED, NOT_EMPTY, DISTINCT]
Ratios = Annotated[tuple[Positive, ...], LISTED, NOT_EMPTY, DISTINCT]
Filters = Annotated[
    tuple[Annotated[str, AfterValidator(_filter), WithJsonSchema({"enum": [*FILTERS]})], ...],
    LISTED,
    NOT_EMPTY,
    DISTINCT,
]
DatedLines = Annotated[tuple[Annotated[str, AfterValidator(_dated_line)], ...], LISTED]
