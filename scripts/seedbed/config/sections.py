"""The base of all sections of the files in `config/`.

Values are not converted: text is never read as a number, nor true as 1. Unknown keys are errors.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from seedbed.config.values import Stage, Text, changes, nearest, problem


class Section(BaseModel):
    """A section of a file: immutable, without unknown keys, and without conversion of values."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    STAGES: ClassVar[tuple[Stage, ...] | None] = None
    """Stages of jobs that a change of a key can make stale, for keys that do not declare their own
    by `changes`. `()` means none. Every key has a declaration, unless its value is a section, whose
    keys have their own."""

    @classmethod
    def unknown_key(cls, key: str) -> str:
        """Return the message on an unknown key."""
        return f"is not a key here; {nearest(key, cls.model_fields, 'keys')}"

    @model_validator(mode="wrap")
    @classmethod
    def _unknown_keys(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Report each unknown key with the nearest valid one, along with all other problems."""
        if not isinstance(value, dict):
            return handler(value)
        found = [
            InitErrorDetails(
                type=problem(cls.unknown_key(str(key))),
                loc=(key,),
                input=value[key],
            )
            for key in value
            if key not in cls.model_fields
        ]
        try:
            made = handler({key: value[key] for key in value if key in cls.model_fields})
        except ValidationError as error:
            found = [_again(detail) for detail in error.errors()] + found
        if found:
            raise ValidationError.from_exception_data(cls.__name__, found)
        return made


class Titled(Section):
    """A section with a display name."""

    title: Text = Field(description="Display name.", json_schema_extra=changes("figures"))


def tag(words: str) -> str:
    """Return the tag of a kind of section in a union of several.

    It appears in Pydantic's paths between a key and the keys below it, but in no message.
    """
    return f"\0{words}"


def is_tag(part: object) -> bool:
    """Return whether a part of a path is a tag."""
    return isinstance(part, str) and part.startswith("\0")


def stages_of(section: type[Section], key: str) -> tuple[Stage, ...] | None:
    """Return the stages of jobs that a change of a key can make stale; None if undeclared."""
    extra = section.model_fields[key].json_schema_extra
    if isinstance(extra, dict) and "stages" in extra:
        return tuple(cast("list[Stage]", extra["stages"]))
    return section.STAGES


def _again(detail: ErrorDetails) -> InitErrorDetails:
    """Return one of Pydantic's errors in a form that can be raised again."""
    kind = detail["type"]
    context = detail.get("ctx", {})
    return InitErrorDetails(
        type=PydanticCustomError("seedbed", "{text}", context) if kind == "seedbed" else kind,
        loc=detail["loc"],
        input=detail["input"],
        ctx=context,
    )
