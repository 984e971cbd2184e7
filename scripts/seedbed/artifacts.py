"""Artifacts: files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

METADATA_KEY = b"seedbed"


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` if the block succeeds.

    The caller writes a file, or makes a folder, at the temporary path. Its name is unique, so two
    processes that write the same artifact never write into each other's file; its ending is that of
    `path`, for writers that choose a format by it. A block that raises leaves `path` as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(6)}.{path.name}")
    replaced = path.with_name(f"{temporary.name}.replaced")
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written for {path}")
        if path.is_dir() and not path.is_symlink():
            # A folder cannot be renamed over one that has content; and to delete that one in its
            # place would leave half a folder if the process were killed meanwhile.
            path.rename(replaced)
        temporary.replace(path)
    finally:
        for leftover in (temporary, replaced):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write `content` as indented JSON with sorted keys, whole or not at all.

    Raises:
        ValueError: for NaN and infinities, which JSON has no number for: a missing score must be
            an error where it arises, not a value that readers stumble on.
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
        raise ValueError(
            f"{path} is not valid JSON ({error}); delete it to have it made again"
        ) from None


def write_parquet(
    path: str | os.PathLike[str], frame: pl.DataFrame, metadata: dict[str, Any] | None = None
) -> None:
    """Write a table as Parquet, whole or not at all.

    Args:
        path: the file.
        frame: its rows.
        metadata: what the file says of itself, kept as JSON under the key `seedbed` of the
            schema's metadata, where `read_metadata` finds it.
    """
    import pyarrow.parquet as pq

    table = frame.to_arrow()
    if metadata is not None:
        text = json.dumps(metadata, sort_keys=True, allow_nan=False)
        table = table.replace_schema_metadata({METADATA_KEY: text.encode()})
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a Parquet file says of itself, {} if it says nothing."""
    import pyarrow.parquet as pq

    content = (pq.read_schema(path).metadata or {}).get(METADATA_KEY)
    return json.loads(content) if content else {}
