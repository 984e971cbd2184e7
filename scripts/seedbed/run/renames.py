"""Finds, refuses and renames results of earlier versions, whose folders had other names.

Each step is one rename, and the folders that a run checks come last. If the process is killed, the
next run still finds an old folder, and the same command finishes the work.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.artifacts import replacing
from seedbed.run.manifest import NAME
from seedbed.run.owners import FOLDER, living, owners
from seedbed.run.slurm import await_jobs

if TYPE_CHECKING:
    from pydantic import JsonValue

FOLDERS = {
    "logs/sample_votes": "logs/sample_answers",
    "benchmarks/sample_votes": "benchmarks/sample_answers",
    "journal/votes": "journal/samples",
    "journal/sharing": "journal/pending",
    "votes": "samples",
    "verdicts": "labels",
    "journal": "state",
}
"""Old and new paths in a study's results, in the order of renaming: `journal` comes last."""

STAGES = ("votes", "verdicts")
"""Folders whose files have the same name as the folder."""

RULES = {"sample_votes": "sample_answers"}

_NOTES = (NAME, "journal/begun.jsonl", "journal/run.json")
"""JSON files that name files and rules; in `.jsonl`, each line is JSON."""


def old_folders(results: Path) -> list[str]:
    """Return the folders in a study's results that have names of an earlier version."""
    return [old for old in FOLDERS if "/" not in old and (results / old).is_dir()]


def refusal(results: Path, spends: bool) -> str:
    """Return the error that results have old names, with the command that renames them.

    Args:
        results: the study's results.
        spends: whether the study is a spend.
    """
    pairs = [f"{old} is {FOLDERS[old]} now" for old in old_folders(results)]
    command = f"make adopt STUDY={results.name} CONFIRM=yes"
    if spends:
        command = "snakemake adopt_confirmed, with the options of the spend"
    return (
        f"an earlier version made {results}, with other folders: {', '.join(pairs)}. To rename "
        f"these and keep all results: {command}"
    )


def rename_folders(results: Path, root: Path, progress: Callable[[str], None]) -> list[str]:
    """Give the files and folders of a study's results their present names.

    Args:
        results: the study's results, relative to the working directory.
        root: the working directory.
        progress: called with lines of text while waiting for jobs on a cluster.

    Returns:
        The old names of the folders.

    Raises:
        RuntimeError: if a living run writes these results, or a new name is taken.
        OSError: if a file or folder cannot be renamed.
    """
    found = [old for old in FOLDERS if (results / old).is_dir()]
    for old in found:
        new = results / FOLDERS[old]
        if new.is_dir() and any(new.iterdir()):
            raise RuntimeError(f"{results / old} is {new} now, and both exist: remove one")
    _refuse_living(results, root, progress)
    for name in _NOTES:
        _rewrite(results / name, results)
    for stage in STAGES:
        for file in sorted((results / stage).rglob(f"{stage}.parquet")):
            file.rename(file.with_name(f"{FOLDERS[stage]}.parquet"))
    for old in found:
        (results / old).rename(results / FOLDERS[old])
    return found


def _refuse_living(results: Path, root: Path, progress: Callable[[str], None]) -> None:
    """Refuse results that a living run writes, and wait for the SLURM jobs of dead runs."""
    folders = (root / FOLDER, results / "journal/owners")
    known = owners(*folders)
    alive = living(known, *folders)
    for run in alive:
        if run.study == results.name:
            raise RuntimeError(f"a run of {run.study} is alive: {run.title}. Wait for its end")
    names = {run.slurm for run in known if run.slurm and run not in alive}
    spared = {run.slurm for run in alive if run.slurm}
    await_jobs(root, progress, names, spared, patient=bool(names))


def _rewrite(file: Path, results: Path) -> None:
    """Rewrite the names in a JSON file; lines truncated by a kill are not changed."""
    if not file.is_file():
        return
    lines = []
    content = file.read_bytes()
    for line in content.splitlines() if file.suffix == ".jsonl" else [content.strip()]:
        try:
            found = json.loads(line)
        except ValueError:
            lines.append(line)
            continue
        renamed = _renamed(found, f"{results}/")
        same = renamed == found
        lines.append(line if same else json.dumps(renamed, ensure_ascii=False).encode())
    with replacing(file) as temporary:
        temporary.write_bytes(b"".join(b"%b\n" % line for line in lines))


def _renamed(value: JsonValue, results: str) -> JsonValue:
    """Return JSON with the present names of files and rules."""
    if isinstance(value, str):
        if not value.startswith(results):
            return RULES.get(value, value)
        return results + _path(value.removeprefix(results))
    if isinstance(value, list):
        return [_renamed(part, results) for part in value]
    if isinstance(value, dict):
        return {str(_renamed(key, results)): _renamed(part, results) for key, part in value.items()}
    return value


def _path(path: str) -> str:
    """Return the present path of a file, relative to the results."""
    folder, name = os.path.split(path)
    for stage in STAGES:
        if path.startswith(f"{stage}/") and name == f"{stage}.parquet":
            path = f"{folder}/{FOLDERS[stage]}.parquet"
    for old, new in FOLDERS.items():
        if path.startswith(f"{old}/"):
            path = new + path.removeprefix(old)
    return path
