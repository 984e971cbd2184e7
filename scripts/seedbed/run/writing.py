"""Checks whether files can be written, and temporary folders for use in read-only ones."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def can_write(path: str | os.PathLike[str]) -> bool:
    """Return whether a file or folder can be written, or created if it does not exist."""
    path = Path(path).absolute()
    while not os.path.lexists(path):
        path = path.parent
    return os.access(path, os.W_OK | os.X_OK if path.is_dir() else os.W_OK)


def answer_folder(results: str, *files: str) -> str:
    """Return the folder for the logs and outputs of targets such as `advise`.

    Args:
        results: folder of the study's results.
        files: the files that are written, relative to the folder.

    Returns:
        The results if the files can be written there. Otherwise a temporary folder that is removed
        when this process ends.
    """
    if all(can_write(f"{results}/{file}") for file in files):
        return results
    return str(temporary_folder())


def temporary_folder() -> Path:
    """Return a new folder that is removed when this process ends."""
    folder = tempfile.mkdtemp(prefix="seedbed-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
