"""Saves of a running training, from which it resumes after its process was stopped or killed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from seedbed.artifacts import read_json, replacing, write_json, write_text

SAVE = "checkpoint-"
ADAPTER = "adapter"
LOG = "log.txt"
SEAL = "whole.json"
TASK = "task.json"
STOPPED = 128 + signal.SIGTERM
"""Exit status of a script that SIGTERM stopped, by the shell's convention. It is a failure, so
Snakemake and SLURM start the job again, which then resumes from its save."""


class StoppedError(Exception):
    """SIGTERM stopped the training."""


class Saves:
    """The saves of one training, in a hidden folder next to its output.

    The folder belongs to one training, and contains its description. If that differs from the
    description of the present training, the folder is emptied.
    """

    def __init__(
        self, output: Path, task: Mapping[str, object], progress: Callable[[str], None]
    ) -> None:
        """Prepare the folder, and remove the remains of killed processes.

        Args:
            output: output folder of the training.
            task: JSON description of everything that determines the training's result.
            progress: called with a line of text when a save fails.
        """
        self.folder = output.with_name(f".{output.name}.unfinished")
        self._output = output
        self._progress = progress
        self._clear_leftovers()
        self._ready = ready_folder(output)
        text = json.dumps(task, sort_keys=True)
        if not _is_of(self._ready, text):
            shutil.rmtree(self._ready, ignore_errors=True)
            write_text(self._ready / TASK, text)
        if not _is_of(self.folder, text):
            shutil.rmtree(self.folder, ignore_errors=True)
            write_text(self.folder / TASK, text)

    def __enter__(self) -> Saves:
        """Return itself. The folder is removed after the block, unless it failed and has a save."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or self.last() is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.ready.is_dir():
                shutil.rmtree(self._ready, ignore_errors=True)

    @property
    def ready(self) -> Path:
        """Folder of the trained adapter until its own job takes it."""
        return self._ready / ADAPTER

    def take(self) -> bool:
        """Move a ready adapter to the output folder, and return whether there was one."""
        if not self.ready.is_dir():
            return False
        with replacing(self._output) as temporary:
            self.ready.rename(temporary)
            # If the files are older than the run, Snakemake would make them again.
            for path in temporary.iterdir():
                os.utime(path)
        shutil.rmtree(self._ready, ignore_errors=True)
        return True

    def last(self) -> Path | None:
        """Return the newest complete save, and remove the others; None if there is none."""
        found = None
        for folder in sorted(self.folder.glob(f"{SAVE}*"), key=_step, reverse=True):
            if found is None and _is_whole(folder):
                found = folder
            else:
                shutil.rmtree(folder, ignore_errors=True)
        return found

    def write(self, step: int, save: Callable[[], None]) -> bool:
        """Write a save and remove the older ones; return whether that succeeded.

        A save that fails, e.g. on a full disk, is reported and removed. The training continues, and
        keeps the previous save.

        Args:
            step: number of completed optimiser steps.
            save: writes the save's folder, `checkpoint-STEP`.
        """
        folder = self.folder / f"{SAVE}{step}"
        if (folder / SEAL).is_file():
            return True
        try:
            save()
            _seal(folder)
        # Each library reports a full disk with its own error.
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            self._progress(f"step {step} could not be saved, and training goes on: {error}")
            return False
        for other in self.folder.glob(f"{SAVE}*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        return True

    def _clear_leftovers(self) -> None:
        """Remove temporary folders of killed processes that were writing the output."""
        for path in self._output.parent.glob(f".{'[0-9a-f]' * 12}.{self._output.name}*"):
            if path.name.split(".", 2)[2] in (self._output.name, f"{self._output.name}.replaced"):
                shutil.rmtree(path, ignore_errors=True)


def ready_folder(output: Path) -> Path:
    """Return the hidden folder for an adapter that another job has trained, and for its log."""
    return output.with_name(f".{output.name}.ready")


def _is_of(folder: Path, task: str) -> bool:
    """Return whether a folder belongs to a training, by its description."""
    try:
        return (folder / TASK).read_text(encoding="utf-8") == task
    except (OSError, UnicodeDecodeError):
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def stopped_by_sigterm() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets while the block runs, instead of ending the process."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # Only the main thread may handle signals.
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def _step(folder: Path) -> int:
    number = folder.name.removeprefix(SAVE)
    return int(number) if number.isdigit() else -1


def _seal(folder: Path) -> None:
    """Record the checksums of a save's files once all are on the disk."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
            digests[str(path.relative_to(folder))] = _digest(path)
    write_json(folder / SEAL, digests)


def _is_whole(folder: Path) -> bool:
    try:
        digests = read_json(folder / SEAL)
        return all(_digest(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, AttributeError):
        return False
