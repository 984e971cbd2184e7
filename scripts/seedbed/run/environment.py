"""The file `.env` beside the Snakefile: environment variables with keys for endpoints."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from seedbed.config.documents import Problem, StudyError

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)", re.DOTALL)


def read_environment(file: Path) -> None:
    """Set the variables of a file of lines NAME=VALUE, but those that are set already.

    Values may be in quotes, and lines may begin with `export` or be comments.

    Raises:
        StudyError: naming the line that is none of these, without what stands in it.
    """
    if not file.is_file():
        return
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        try:
            words = shlex.split(found[2], comments=True) if found else None
        except ValueError:
            words = None
        if found is None or words is None or len(words) > 1:
            said = f"line {number} is not NAME=VALUE, with quotes around a value with spaces"
            raise StudyError(f"{file} cannot be read", [Problem(str(file), (), said)])
        os.environ.setdefault(found[1], words[0] if words else "")
