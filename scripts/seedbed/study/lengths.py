"""Checks for names that are too long for a file name, a path, or SLURM's logs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.config.values import Part
from seedbed.config.words import MODELS
from seedbed.snakemake_folder import INCOMPLETE

if TYPE_CHECKING:
    from seedbed.study.cells import Cell
    from seedbed.study.config import Block

NAME_BYTES = 255
"""Longest file name on most file systems, in bytes."""

PATH_BYTES = 4095
"""Longest path on Linux, in bytes."""

_ADDED = len(".0123456789ab.") + len(".replaced")
"""Length of the prefix and suffix of an artifact's name while it is written."""

# Most characters of a path in addition to the study's name and a cell's key.
_AROUND_KEY = _ADDED + len("results//logs/failed/evaluate_student/adapter_model.safetensors")
_COORDINATES = {f"{name}s": name for name in ("task", "method", *MODELS)}


def too_long(
    study: str, index: int, block: Block, cells: Iterable[Cell], folder: Path
) -> Iterator[tuple[str, tuple[Part, ...]]]:
    """Yield problems with the lengths of a block's names, and their places.

    Args:
        study: name of the study.
        index: of the block.
        block: the block.
        cells: its cells, all of them.
        folder: the working directory.
    """
    most = _name_bytes(folder)
    named = [
        (key, place, name)
        for key in _COORDINATES
        for place, name in enumerate(getattr(block, key) or ())
    ]
    found = False
    for key, place, name in named:
        room = most - _ADDED - len(f"{_COORDINATES[key]}=")
        if len(name) > room:
            found = True
            said = f"{_short(name)} is {len(name)} characters long, and {room} fit into the name of"
            yield f"{said} a file here", ("blocks", index, key, place)
    tasks = [name for key, _, name in named if key == "tasks"]
    task = max(tasks, key=len, default="")
    room = most - _ADDED - len(f"augmenter..{task}.jsonl")
    for key, place, name in named:
        if not found and key in ("augmenters", "teachers", "students") and len(name) > room:
            said = f"{_short(name)} is {len(name)} characters long, and {room} fit into the name of"
            yield f"{said} a file beside the task {_short(task)}", ("blocks", index, key, place)
            found = True
    longest = max((cell.key for cell in cells), key=lambda key: (len(key), key), default="")
    if found or not longest:
        return
    key, place, name = max(named, key=lambda one: len(one[2]))
    if len(longest) > NAME_BYTES:
        said = (
            f"the cell {longest} has {len(longest)} characters, and SLURM's log of a job takes "
            f"{NAME_BYTES}: shorten names; the longest is {_short(name)}"
        )
        yield said, ("blocks", index, key, place)
        return
    path = _AROUND_KEY + len(study) + len(longest)
    # Snakemake keeps a marker of each file, named after the file's path in base 64, in pieces.
    note = len(f"{INCOMPLETE}/") + math.ceil(path * 4 / 3 * (1 + 2 / (NAME_BYTES - 2)))
    whole = len(os.fsencode(folder)) + 1 + max(path, note)
    if whole > PATH_BYTES:
        said = (
            f"paths of its files have up to {whole} bytes, {len(os.fsencode(folder))} of them for "
            f"the working directory, and the system takes {PATH_BYTES}: shorten them"
        )
        yield said, ("blocks", index, key, place)


def _name_bytes(folder: Path) -> int:
    """Return the longest name of the file system; encrypted file systems allow fewer bytes."""
    with suppress(OSError, ValueError):
        return min(NAME_BYTES, os.pathconf(folder, "PC_NAME_MAX"))
    return NAME_BYTES


def _short(name: str) -> str:
    return repr(name if len(name) <= 40 else f"{name[:37]}...")
