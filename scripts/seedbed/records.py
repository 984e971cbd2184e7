"""Records: JSON files that one script writes and others read, typed and versioned."""

from __future__ import annotations

import os
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seedbed.artifacts import broken, read_json, write_json


class Part(BaseModel):
    """A part of a record. Keys are closed, and values are taken as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Record(Part):
    """A JSON file with one class for its writer and its readers.

    Attributes:
        FORMAT: the version of the class's keys. It goes up when a key changes its name or meaning.
        format: the version of the file's keys; files without it are of version 1.
    """

    FORMAT: ClassVar[int] = 1
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
            ValueError: if the file is not such a record, naming the file and the key.
        """
        content = read_json(path)
        try:
            # JSON has lists where a record has tuples, which only JSON mode takes.
            return cls.model_validate(content, strict=False)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "record"
            raise ValueError(broken(path, f"{place}: {first['msg']}")) from None

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the record with sorted keys, whole or not at all.

        Raises:
            ValueError: for NaN and infinities, for which JSON has no number.
        """
        write_json(path, self.model_dump(mode="json"))
