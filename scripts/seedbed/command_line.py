"""Command lines: a script's options are a dataclass, whose fields define how they are read.

    @dataclass(frozen=True, kw_only=True)
    class Options:
        cells: Path = option(whole_file, "table of cells (Parquet)")
        settings: FitSettings = option(json_of(FitSettings), "how curves are fitted, as JSON")
        output: Path = option(Path, "file to write")

    def main() -> None:
        run(Options, job, __doc__)

A field `task_folder` is the option `--task-folder`. An option that takes JSON also takes `@FILE`, a
file with the JSON. Plain dataclasses and argparse read a command line in 20 ms; tyro takes 150 and
pydantic-settings 230, and a study has thousands of jobs that take half a second.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_origin

from seedbed.artifacts import listed_files, whole_file
from seedbed.checksums import check_inputs
from seedbed.endings import INTERRUPTS, ExpectedError

T = TypeVar("T")
Read = Callable[[str], Any]

RENAMED = {
    "--journal": "--cache",
    "--sharing": "--pending",
    "--votes": "--samples",
    "--verdicts": "--labels",
}
"""From the options of earlier versions to their present names."""


def option(read: Read, about: str, default: Any = MISSING) -> Any:
    """Return a field that is an option with one value.

    Args:
        read: returns the value for its text; a `ValueError` says what is wrong with the text.
        about: the help text.
        default: the default value, or its text; without one, the option is required.
    """
    metadata = {"read": read, "about": about, "default": default}
    if default is MISSING:
        return field(metadata=metadata)
    written = isinstance(default, str)
    return field(default_factory=lambda: read(default) if written else default, metadata=metadata)


def optional(read: Read, about: str) -> Any:
    """Return a field that is None if the option is missing or has no value."""
    return field(default=None, metadata={"read": read, "about": about, "nargs": "?"})


def _files(read: Callable[[str], Path]) -> Callable[[str], list[Path]]:
    def files(text: str) -> list[Path]:
        return listed_files(text[1:]) if text.startswith("@") else [read(text)]

    return files


def several(about: str, read: Callable[[str], Path] = whole_file) -> Any:
    """Return a field that is a tuple of files; `@FILE` stands for the files that FILE lists."""
    about = f"{about}; or @FILE, a file with one path a line"
    return field(default=(), metadata={"read": _files(read), "about": about, "nargs": "*"})


def switch(about: str) -> Any:
    """Return a field that is True if the option is given."""
    return field(default=False, metadata={"about": about})


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The option of scripts that first compare the checksums of their inputs."""

    manifest: tuple[Path, ...] = several("files that record the checksums of inputs", Path)

    def check(self, *files: Path | None) -> None:
        """Exit with a message if one of the files has changed since it was made."""
        check_inputs(self.manifest, [file for file in files if file is not None])


def json_value(text: str) -> Any:
    """Return the value of a JSON text; `@FILE` stands for the JSON in FILE."""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"{text[1:]}: {error.strerror}") from None
    return json.loads(text)


def json_of(kind: type[T], explain: Callable[[Any], str] | None = None) -> Callable[[str], T]:
    """Return a function that reads an object of a class from JSON or `@FILE`.

    Args:
        kind: a Pydantic model, a class with `from_json`, a class that takes the keys as arguments,
            or a list or mapping of Pydantic models, such as `dict[str, Title]`.
        explain: returns the message for one of Pydantic's errors; by default, Pydantic's own words.
    """
    return _Json(kind, explain or _explain)


class _Json:
    def __init__(self, kind: Any, explain: Callable[[Any], str]) -> None:
        self._kind, self._explain = kind, explain

    def __call__(self, text: str) -> Any:
        value = json_value(text)
        try:
            return self._made(value)
        except ValueError as error:
            raise ValueError(self._explain(error) if hasattr(error, "errors") else error) from None

    def _made(self, value: Any) -> Any:
        # Strict models accept a list for a tuple only in JSON.
        if get_origin(self._kind) is not None:
            from pydantic import TypeAdapter

            return TypeAdapter(self._kind).validate_json(json.dumps(value))
        if not isinstance(value, dict):
            raise ValueError(f"must be a JSON object, not {json.dumps(value)[:40]}")
        for name in ("from_json", "model_validate_json"):
            if hasattr(self._kind, name):
                return getattr(self._kind, name)(json.dumps(value))
        try:
            return self._kind(**value)
        except TypeError as error:
            raise ValueError(str(error).partition("() ")[2] or str(error)) from None


def _explain(error: Any) -> str:
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'value'}: {one['msg']}" for one in error.errors()
    )


def read_options(kind: type[T], about: str | None, words: Sequence[str] | None = None) -> T:
    """Parse a command line and return the options.

    Args:
        kind: a dataclass whose fields come from `option`, `optional`, `several` and `switch`.
        about: the script's description in `--help`.
        words: the command line; by default, this process's.

    Raises:
        SystemExit: if an option is wrong, with status 2 and a line that names the option.
    """
    parser = _Parser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for one in fields(kind):  # type: ignore[arg-type]
        name = f"--{one.name.replace('_', '-')}"
        about, read = one.metadata["about"], one.metadata.get("read")
        if read is None:
            parser.add_argument(name, action="store_true", help=about)
            continue
        default, nargs = one.metadata.get("default", ()), one.metadata.get("nargs")
        if isinstance(default, int | float):
            about += f" (default: {default})"
        parser.add_argument(
            name,
            type=_checked(read, empty=nargs == "?"),
            nargs=nargs,
            required=default is MISSING,
            default=argparse.SUPPRESS,
            metavar=_metavar(read, nargs),
            help=about.replace("%", "%%"),
        )
    words = sys.argv[1:] if words is None else words
    known = {f"--{one.name.replace('_', '-')}" for one in fields(kind)}  # type: ignore[arg-type]
    for word in words:
        old = word.partition("=")[0]
        if old not in known and RENAMED.get(old) in known:
            parser.error(f"{old} is called {RENAMED[old]} now")
    found = vars(parser.parse_args(words))
    for one in fields(kind):  # type: ignore[arg-type]
        if one.metadata.get("nargs") == "*" and one.name in found:
            found[one.name] = tuple(path for paths in found[one.name] for path in paths)
    return kind(**found)


def run(
    kind: type[T],
    function: Callable[[T], object],
    about: str | None,
    expected: type[Exception] | tuple[type[Exception], ...] = ExpectedError,
) -> None:
    """Run a script: call its function with the options of the command line.

    An error that the user can fix exits with one line instead of a traceback.

    Args:
        kind: the class of the options: see `read_options`.
        function: takes the options.
        about: the script's description in `--help`.
        expected: errors that the user can fix, in addition to `ExpectedError`.
    """
    try:
        INTERRUPTS.hear()
        function(read_options(kind, about))
    except ExpectedError as error:
        sys.exit(str(error))
    except expected as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: {error}")
    except SystemExit:
        raise
    except BaseException as error:
        if INTERRUPTS.heard or isinstance(error, KeyboardInterrupt):
            sys.exit("ended at Ctrl-C")
        raise


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with one line that says what is wrong."""
        self.exit(2, f"{self.prog}: {message} (--help explains the options)\n")


def _metavar(read: Read, nargs: str | None) -> str:
    if nargs == "*" or read in (whole_file, Path):
        return "FILE"
    if read is json_value or isinstance(read, _Json):
        return "JSON"
    return {int: "N", float: "NUMBER"}.get(read, "TEXT")  # type: ignore[call-overload]


def _checked(read: Read, empty: bool) -> Read:
    """Return a reader whose error messages argparse shows.

    Args:
        read: the reader.
        empty: whether an empty text means None.
    """

    def checked(text: str) -> Any:
        try:
            return None if empty and not text else read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked
