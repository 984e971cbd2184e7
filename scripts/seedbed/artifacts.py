"""Artifacts: files that are written whole or not at all."""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import polars as pl
    import pyarrow.parquet as pq
    from pydantic import JsonValue

METADATA_KEY = b"seedbed"
_ROW_GROUP = 131_072
_ROW_GROUP_BYTES = 64 * 2**20
"""A row group is written once it has this many rows or bytes."""
_ROWS_AT_A_TIME = 4_096
"""The number of rows of a row group is a multiple of this, except in the last one."""

PROVENANCE = "provenance.json"
"""File next to a Parquet file that has no record: the code and versions that made it."""

PARQUET_MARK = b"PAR1"
"""First and last bytes of a Parquet file: https://parquet.apache.org/docs/file-format."""


def whole_file(text: str) -> Path:
    """Return the path of an input file, for `type=` of an option.

    For speed, only the start and end of the file are checked; JSON is read whole.

    Raises:
        argparse.ArgumentTypeError: if the file is missing, truncated, or does not match its suffix;
            the message says what to do.
    """
    path = Path(text)
    try:
        why = _broken(path)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error.strerror}") from None
    if why is not None:
        raise argparse.ArgumentTypeError(broken(path, why))
    return path


def listed_files(text: str) -> list[Path]:
    """Return the paths that a file lists, one per line, for `type=` of an option.

    Raises:
        argparse.ArgumentTypeError: if the file cannot be read.
    """
    try:
        lines = Path(text).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"{text}: {error.strerror}; `snakemake` writes it before its first job starts, unless "
            "it is run with --no-hooks"
        ) from None
    return [Path(line) for line in lines if line.strip()]


def broken(path: str | os.PathLike[str], why: object) -> str:
    """Return the error message for an artifact that cannot be read."""
    return f"{path} is broken ({why}): delete it, and start snakemake again, to have it made again"


def _broken(path: Path) -> str | None:
    """Return what is wrong with a file; None if nothing is found."""
    if path.suffix == ".json":
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            return str(error)
        return None
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if path.suffix == ".parquet":
            begins = file.read(4)
            file.seek(max(0, size - 4))
            marked = begins == PARQUET_MARK == file.read(4)
            return None if marked and size >= 12 else "not a whole Parquet file"
        if path.suffix == ".safetensors":
            return _broken_tensors(file.read(8), file, size)
    return None


def _broken_tensors(head: bytes, file: BinaryIO, size: int) -> str | None:
    """Return what is wrong with a safetensors file, whose header states its length.

    Source: https://huggingface.co/docs/safetensors, "Format".
    """
    length = int.from_bytes(head, "little")
    if len(head) < 8 or 8 + length > size:
        return "not a whole file of tensors"
    try:
        header = json.loads(file.read(length))
        ends = [value["data_offsets"][1] for key, value in header.items() if key != "__metadata__"]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return "not a file of tensors"
    return None if 8 + length + max(ends, default=0) == size else "not a whole file of tensors"


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` if the block succeeds.

    The caller creates a file or folder at the temporary path. Its name is unique, so two processes
    that write the same artifact never write into each other's file. It has the suffix of `path`,
    because some writers choose their format by the suffix. If the block raises, `path` stays as it
    was. The umask decides the artifact's permissions, whatever the writer chose.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(6)}.{path.name}")
    replaced = path.with_name(f"{temporary.name}.replaced")
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written for {path}")
        grant(temporary)
        if path.is_dir() and not path.is_symlink():
            # A folder cannot be renamed over a folder that is not empty, and a process killed while
            # it deletes the old folder in place would leave half of it.
            path.rename(replaced)
        temporary.replace(path)
    finally:
        for leftover in (temporary, replaced):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def grant(path: Path) -> None:
    """Give a file, or a folder and its content, the permissions that the umask allows.

    Some writers, such as safetensors, create files that only their owner can read. Executable files
    stay executable.
    """
    hidden = _umask()
    for one in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if one.is_symlink():
            continue
        mode = stat.S_IMODE(one.stat().st_mode)
        kept = mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX)
        allowed = 0o777 if one.is_dir() or mode & 0o111 else 0o666
        wanted = kept | (allowed & ~hidden)
        if _has_access_list(one.parent):
            # The folder's access list replaces the umask: only add permissions.
            wanted |= mode
        if wanted != mode:
            with suppress(PermissionError):  # somebody else's file is renamed as it is
                one.chmod(wanted)


def _umask() -> int:
    """Return the umask. `os.umask` would set it for a moment, for all threads."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _has_access_list(folder: Path) -> bool:
    try:
        return "system.posix_acl_default" in os.listxattr(folder)
    except (OSError, AttributeError):
        return False


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write `content` as indented JSON with sorted keys, whole or not at all.

    Raises:
        ValueError: for NaN and infinities, which JSON cannot represent: a missing score must be an
            error where it arises, not where it is read.
    """
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: if the file is not valid JSON, naming the file.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(broken(path, error)) from None


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ParquetRows:
    """A Parquet file that is written part by part: see `parquet_rows`.

    Attributes:
        metadata: the file's metadata, as for `write_parquet`. It can be set until the file is
            closed.
    """

    def __init__(self, path: Path) -> None:
        self.metadata: Mapping[str, object] | None = None
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        # Rows that are not yet `_ROWS_AT_A_TIME`; and as many each, for the next row group.
        self._rest: list[pl.DataFrame] = []
        self._waiting: list[pl.DataFrame] = []
        self._bytes = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Write some more rows. All parts have the same columns, and one at least is needed."""
        self._rest.append(frame)
        if sum(part.height for part in self._rest) < _ROWS_AT_A_TIME:
            return
        import polars as pl

        # The bounds of row groups do not depend on the parts in which rows are added.
        rows = pl.concat(self._rest)
        whole = rows.height - rows.height % _ROWS_AT_A_TIME
        self._rest = [rows[whole:]]
        for unit in rows[:whole].iter_slices(_ROWS_AT_A_TIME):
            self._waiting.append(unit)
            self._bytes += _size(unit)
            count = _ROWS_AT_A_TIME * len(self._waiting)
            if count >= _ROW_GROUP or self._bytes >= _ROW_GROUP_BYTES:
                self._write()

    def _write(self) -> None:
        import polars as pl
        import pyarrow.parquet as pq

        # Rechunked, because the chunks decide where pages end.
        table = pl.concat(self._waiting).rechunk().to_arrow()
        self._waiting, self._bytes = [], 0
        if self._writer is None:
            # The schema is stored at the end, when its metadata is known.
            self._writer = pq.ParquetWriter(
                self._path, table.schema, compression="zstd", store_schema=False
            )
        self._writer.write_table(table)

    def _finish(self) -> None:
        self._waiting += self._rest
        if self._writer is None or any(part.height for part in self._waiting):
            self._write()
        writer = self._writer
        assert writer is not None, "no rows were added"
        schema, about = writer.schema, {}
        if self.metadata is not None:
            text = json.dumps(self.metadata, sort_keys=True, allow_nan=False)
            about = {METADATA_KEY: text.encode()}
            schema = schema.with_metadata(about)
        # Arrow's own encoding of a schema, in which readers find large strings and the metadata.
        stored = base64.b64encode(schema.serialize().to_pybytes())
        writer.add_key_value_metadata(about | {b"ARROW:schema": stored})


@contextmanager
def parquet_rows(path: str | os.PathLike[str]) -> Iterator[ParquetRows]:
    """Yield a writer that takes a table part by part, and writes the file whole or not at all.

    At most one row group is in memory. The bytes of the file depend only on its rows and metadata,
    not on the parts in which the rows are added.
    """
    with replacing(path) as temporary:
        rows = ParquetRows(temporary)
        try:
            yield rows
            rows._finish()
        finally:
            if rows._writer is not None:
                rows._writer.close()


def write_parquet(
    path: str | os.PathLike[str], frame: pl.DataFrame, metadata: Mapping[str, object] | None = None
) -> None:
    """Write a table as Parquet, whole or not at all.

    Args:
        path: the file.
        frame: its rows.
        metadata: stored as JSON under the key `seedbed` of the schema's metadata; `read_metadata`
            returns it.
    """
    with parquet_rows(path) as rows:
        rows.metadata = metadata
        rows.add(frame)


def _size(table: pl.DataFrame) -> int:
    """Return the size of a table's texts and numbers in bytes, however they are stored."""

    def of(column: pl.Series) -> int:
        import polars as pl

        if column.dtype == pl.String:
            return int(column.str.len_bytes().sum())
        if isinstance(column.dtype, pl.List):
            return of(column.explode())
        if isinstance(column.dtype, pl.Struct):
            return sum(map(of, column.struct.unnest()))
        return 8 * len(column)

    return sum(map(of, table))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, JsonValue]:
    """Return the metadata that `write_parquet` stored in a file; {} if there is none."""
    import pyarrow.parquet as pq

    content = (pq.read_schema(path).metadata or {}).get(METADATA_KEY)
    return json.loads(content) if content else {}
