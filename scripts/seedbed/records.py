"""Records: typed and versioned JSON files that one script writes and others read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from seedbed.artifacts import broken, write_json


def _plain(value: Any, info: ValidationInfo) -> Any:
    """Return a value as JSON would hold it, with lists instead of tuples."""
    return value if info.mode == "json" else json.loads(json.dumps(value))


Settings = Annotated[dict[str, JsonValue], BeforeValidator(_plain)]
"""A job's settings, as its rule states them."""

T = TypeVar("T")


def _from_pairs(value: Any) -> Any:
    """Return a list of pairs as a mapping, and any other value unchanged."""
    if isinstance(value, list) and all(isinstance(one, list) and len(one) == 2 for one in value):
        return dict(value)
    return value


def _pairs(value: dict[str, T]) -> list[tuple[str, T]]:
    return list(value.items())


Ordered = Annotated[dict[str, T], BeforeValidator(_from_pairs), PlainSerializer(_pairs)]
"""A mapping that keeps its order. In JSON it is a list of pairs, because keys are sorted there."""


class Part(BaseModel):
    """A part of a record. Unknown keys are errors, and values are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Record(Part):
    """A JSON file with one class for its writer and its readers.

    Attributes:
        FORMAT: the version of the class's keys. It increases when a key's name or meaning changes.
        CONTENT: the keys that later jobs read; only changes of these make a job stale. The other
            keys record how the file was made. Empty if all keys count.
        format: the version of the file's keys; files without this key have version 1.
    """

    FORMAT: ClassVar[int] = 1
    CONTENT: ClassVar[tuple[str, ...]] = ()
    format: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _known_format(self) -> Self:
        if self.format != self.FORMAT:
            raise ValueError(f"has format {self.format}, and this version reads {self.FORMAT}")
        return self

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a record.

        Raises:
            ValueError: if the file is not such a record; the message names the file and the key.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "record"
            why = f"{place}: {first['msg']}"
            if not isinstance(first["input"], dict | list | bytes):
                why += f", not {first['input']!r}"
            raise ValueError(broken(path, why)) from None

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the record with sorted keys, whole or not at all.

        Raises:
            ValueError: for NaN and infinities, which JSON cannot represent.
        """
        write_json(path, self.model_dump(mode="json"))


class MadeRecord(Record):
    """A record that names the code and versions that made it.

    The file contains `format` and the keys that its maker sets.

    Attributes:
        code: digest of the code.
        versions: versions of Python, SQLite and the libraries that results depend on.
    """

    code: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write `format` and the keys that were set, sorted, whole or not at all.

        Raises:
            ValueError: for NaN and infinities, which JSON cannot represent.
        """
        content = self.model_dump(mode="json", exclude_unset=True)
        write_json(path, content | {"format": self.FORMAT})
