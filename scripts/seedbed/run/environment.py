"""The environment of a run: keys for endpoints from `.env`, and configfiles of a profile."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from snakemake.utils import update_config

from seedbed.config.documents import Problem, StudyError
from seedbed.run.snakemake_internals import add_configfiles, profile_configfiles

_LINE = re.compile(
    r"""\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=
    \s*(?:'([^']*)'|"((?:[^"\\]|\\.)*)"|([^\s'"\#][^\s'"]*))?  # a value, if there is one
    (?:\s+\#.*|\s*)  # and a comment""",
    re.VERBOSE,
)


def read_environment(file: Path) -> None:
    """Set the environment variables of a file of lines NAME=VALUE, unless they are already set.

    Values may be in quotes. Lines may start with `export`, or be comments.

    Raises:
        StudyError: if a line has another form, with its number but not its content.
    """
    if not file.is_file():
        return
    try:
        # Some editors start a file with a byte order mark.
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        said = "it is not UTF-8 text: save it as that"
        raise StudyError(f"{file} cannot be read", [Problem(str(file), (), said)]) from None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            said = f"line {number} is not NAME=VALUE, with quotes around a value with spaces"
            raise StudyError(f"{file} cannot be read", [Problem(str(file), (), said)])
        name, single, double, plain = found.groups()
        value = single or re.sub(r"\\(.)", r"\1", double or "") or plain or ""
        os.environ.setdefault(name, value)


def keep_profile_configfiles(
    workflow: Any,
    config: MutableMapping[str, object],
    words: Sequence[str],
    progress: Callable[[str], None],
) -> None:
    """Use the configfiles of a profile in addition to those of the command line.

    If the command line names a `--configfile`, Snakemake ignores the `configfile` of a profile,
    which holds the site's settings. The command line takes precedence.

    Args:
        workflow: the workflow that is being read; its jobs receive the files too.
        config: its configuration, as read so far.
        words: the command line.
        progress: called with a line of text for each file.
    """
    files = _profile_configfiles(words)
    for path in add_configfiles(workflow, config, files, update_config):
        progress(f"{path} is used in addition to --configfile, which takes precedence")


def _profile_configfiles(words: Sequence[str]) -> list[Path]:
    """Return the configfiles of the profiles that a command line names."""
    names: list[str] = []
    for place, word in enumerate(words):
        if word in ("--profile", "--workflow-profile"):
            names += words[place + 1 : place + 2]
        elif word.startswith(("--profile=", "--workflow-profile=")):
            names.append(word.partition("=")[2])
    if not names:
        names = os.environ.get("SNAKEMAKE_PROFILE", "").split(",")
    return [path for name in filter(None, names) for path in profile_configfiles(name)]
