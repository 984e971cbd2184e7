"""The base of all sections of the files in `config/`.

Values are taken as they are: text is never read as a number, nor true as 1, and a key that no class
knows is refused.
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
    """A section of a file: nothing unknown in it, nothing converted, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    STAGES: ClassVar[tuple[Stage, ...] | None] = None
    """Stages of jobs that a change of a key can make stale, with what follows from them, where the
    key itself does not say so by `changes`. `()` is none. Every key has such a statement, unless
    its value is a section, whose keys have their own."""

    @classmethod
    def unknown_key(cls, key: str) -> str:
        """Return what is wrong with a key that the section does not have."""
        return f"is not a key here; {nearest(key, cls.model_fields, 'keys')}"

    @model_validator(mode="wrap")
    @classmethod
    def _unknown_keys(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Say of each unknown key which one is nearest, along with all else that is wrong."""
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
    """What has a name for people."""

    title: Text = Field(description="Display name.", json_schema_extra=changes("figures"))


def tag(words: str) -> str:
    """Return the tag of a kind of section in a union of several.

    It stands in Pydantic's paths between a key and what is below it, and in no message.
    """
    return f"\0{words}"


def is_tag(part: object) -> bool:
    """Return whether a part of a path is a tag."""
    return isinstance(part, str) and part.startswith("\0")


def stages_of(section: type[Section], key: str) -> tuple[Stage, ...] | None:
    """Return the stages of jobs that a change of a key can make stale; None if nobody says."""
    extra = section.model_fields[key].json_schema_extra
    if isinstance(extra, dict) and "stages" in extra:
        return tuple(cast("list[Stage]", extra["stages"]))
    return section.STAGES


def _again(detail: ErrorDetails) -> InitErrorDetails:
    """Return an error of Pydantic's in the form in which it can be raised again."""
    kind = detail["type"]
    context = detail.get("ctx", {})
    return InitErrorDetails(
        type=PydanticCustomError("seedbed", "{text}", context) if kind == "seedbed" else kind,
        loc=detail["loc"],
        input=detail["input"],
        ctx=context,
    )
