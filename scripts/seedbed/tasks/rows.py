"""Rows of a data set in files: CSV, JSON lines, JSON or Parquet.

Values are not converted: the values of a column may differ in type, and all values of CSV are text.
This module imports no table library, because it also counts rows before any job starts.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """Rows of a split, or of a whole data set.

    Attributes:
        columns: names of the columns.
        values: the rows; a row may lack some of the columns.
        place: returns the position of a row, such as `train.csv:12`, for its number from 0.
        classes: names of the labels, for each column of class labels.
    """

    columns: Sequence[str]
    values: Sequence[Row]
    place: Callable[[int], str]
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)


def read_file(path: Path, wanted: Collection[str] | None = None) -> Rows:
    """Return the rows of a file.

    Args:
        path: the file.
        wanted: the columns to read from a Parquet file; None reads all.

    Raises:
        ValueError: if the file is invalid. The message names the file and, if one line is invalid,
            the line.
    """
    if path.suffix == ".parquet":
        return read_parquet([path], wanted)
    text = _text(path)
    if path.suffix in (".csv", ".tsv"):
        return _read_csv(path, text)
    if path.suffix == ".json":
        return _read_json(path, text)
    return _read_lines(path, text)


def rows_of(values: Sequence[Row], name: str) -> Rows:
    """Return `Rows` of values that were not read from a file, such as a split of the hub."""
    columns = list(dict.fromkeys(column for row in values for column in row))
    return Rows(columns, values, lambda number: f"{name}, row {number + 1}")


def _text(path: Path) -> str:
    content = path.read_bytes()
    for mark, encoding in ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")):
        if content.startswith(mark):
            raise ValueError(f"{path} is {encoding}: save it as UTF-8")
    try:
        # A byte order mark, which spreadsheets write, is not part of the text.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        wrong = content[error.start : error.start + 1]
        raise ValueError(f"{path}:{line}: {wrong!r} is not UTF-8: save the file as UTF-8") from None
    if not text.strip():
        raise ValueError(f"{path} is empty: there are no rows in it")
    return text


def _read_csv(path: Path, text: str) -> Rows:
    lines = text.splitlines(keepends=True)
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(_unbroken(text), delimiter=_delimiter(path, lines), strict=True)
    try:
        header = [name.strip() for name in next(reader)]
        for name in header:
            if not name or header.count(name) > 1:
                what = f"the column {name!r} twice" if name else "a column without a name"
                raise ValueError(f"{path}:1: the header has {what}; it reads {', '.join(header)}")
        values, starts, start = [], [], reader.line_num + 1
        for fields in reader:
            if any(fields):
                if len(fields) != len(header):
                    raise ValueError(
                        f"{path}:{start}: has {len(fields)} fields, and the header has "
                        f"{len(header)} ({', '.join(header)}); text with a comma, a quote or a "
                        "line break must be in double quotes"
                    )
                values.append(dict(zip(header, fields, strict=True)))
                starts.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}:{reader.line_num}: cannot be read as CSV: {error}") from None
    return _checked(path, Rows(header, values, lambda number: f"{path}:{starts[number]}"))


def _unbroken(text: str) -> Iterator[str]:
    """Yield the lines of a text, split only at CSV's line ends, not e.g. at a form feed."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _delimiter(path: Path, lines: Sequence[str]) -> str:
    """Return the delimiter of a CSV file, from its name or its header."""
    if path.suffix == ".tsv":
        return "\t"
    # Spreadsheets write semicolons in locales with a decimal comma.
    return next((sign for sign in ",;\t" if sign in lines[0]), ",")


def _read_lines(path: Path, text: str) -> Rows:
    values, lines = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            values.append(_object(line, f"{path}:{number}"))
            lines.append(number)
    columns = list(dict.fromkeys(column for row in values for column in row))
    return _checked(path, Rows(columns, values, lambda number: f"{path}:{lines[number]}"))


def _object(text: str, place: str) -> Row:
    try:
        row = json.loads(text, parse_constant=_no_number)
    except ValueError as error:
        raise ValueError(f"{place}: is no line of JSON: {error}") from None
    except RecursionError:
        raise ValueError(f"{place}: is no line of JSON: it is nested too deeply") from None
    if not isinstance(row, dict):
        raise ValueError(f"{place}: is no JSON object: a row is written as {{...}}")
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        lone = f"\\u{ord(error.object[error.start]):x}"
        raise ValueError(
            f"{place}: has half of a character ({lone}), which no text may have: write both halves"
        ) from None
    return row


def _read_json(path: Path, text: str) -> Rows:
    try:
        values = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(values, list) or not all(isinstance(row, dict) for row in values):
        raise ValueError(f"{path} is no list of JSON objects: name it .jsonl if it has one a line")
    return _checked(path, rows_of(values, str(path)))


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")


def _checked(path: Path, rows: Rows) -> Rows:
    if not rows.values:
        raise ValueError(f"{path} has no rows below its header")
    return rows


def read_parquet(paths: Sequence[Path], wanted: Collection[str] | None = None) -> Rows:
    """Return the rows of a Parquet file, or of its parts, in order.

    Args:
        paths: the files.
        wanted: the columns to read; None reads all.

    Raises:
        ValueError: if a file cannot be read. The message names it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, None] = {}
    values: list[Row] = []
    places: list[tuple[Path, int]] = []
    classes: dict[str, Sequence[str]] = {}
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                names = file.schema_arrow.names
                classes |= _classes(file.schema_arrow.metadata or {})
                columns |= dict.fromkeys(names)
                read = [name for name in names if wanted is None or name in wanted]
                table = file.read(columns=read)
                rows = table.to_pylist() if read else [{} for _ in range(table.num_rows)]
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path} cannot be read as Parquet: {error}") from error
        values += rows
        places += [(path, number) for number in range(1, len(rows) + 1)]

    def place(number: int) -> str:
        file, row = places[number]
        return f"{file}, row {row}"

    if not values:
        raise ValueError(f"{paths[0]} has no rows")
    return Rows(list(columns), values, place, classes)


def _classes(metadata: Mapping[bytes, bytes]) -> dict[str, Sequence[str]]:
    """Return the names of class labels, by column, in the metadata of the hub's libraries."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return {
        name: about["names"]
        for name, about in features.items()
        if isinstance(about, dict) and about.get("_type") == "ClassLabel" and about.get("names")
    }
