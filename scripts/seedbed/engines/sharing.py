"""Sharing: an engine that is up answers, before it goes, what other jobs will ask of its model.

To load a large model takes minutes. Each target keeps its own job, and each job can start the
engine; but the first one to start it fills the journals of the others as well, which then find all
their answers there and load nothing. A job whose journal is being filled waits for that.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedbed.artifacts import write_text

MOST = 32
"""Others that a job answers for: after so many answers, the start of an engine weighs little."""

PLAN = "plan.txt"
"""What a run is to make, beside the files of its jobs by model."""

POLL_SECONDS = 0.2
SAY_SECONDS = 60.0


@dataclass(frozen=True)
class Other:
    """A job that asks the same model.

    Attributes:
        output: the file that it makes.
        journal: folder of its finished answers.
        inputs: files that it asks about.
        values: what else it is told, by name.
    """

    output: Path
    journal: Path
    inputs: tuple[Path, ...]
    values: dict[str, Any]

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Other:
        """Read a line of the file of jobs."""
        rest = dict(fields)
        output, journal, inputs = (rest.pop(name) for name in ("output", "journal", "inputs"))
        return cls(Path(output), Path(journal), tuple(map(Path, inputs)), rest)


class Plan:
    """What the present run of Snakemake is to make, as it wrote down when it started.

    So nobody answers for a job that will not come, or about a file that is still to be made anew.
    """

    def __init__(self, file: Path | None, root: Path | None = None) -> None:
        """Read the plan.

        Args:
            file: the plan; without a file, there is nothing to make.
            root: the folder that paths are relative to; None for the working directory.
        """
        self._root = root or Path()
        self._files: frozenset[str] = frozenset()
        self._since = 0.0
        if file is not None and file.is_file():
            self._files = frozenset(file.read_text(encoding="utf-8").splitlines())
            self._since = file.stat().st_mtime

    def waits(self, other: Other) -> bool:
        """Return whether a job is to come, and all is there that it asks about."""
        return (
            str(other.output) in self._files
            and not self.made(other.output)
            and all(map(self.made, other.inputs))
        )

    def made(self, path: Path) -> bool:
        """Return whether a file is there, and is not an earlier one that the run makes anew."""
        try:
            made = (self._root / path).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return False
        return str(path) not in self._files or made > self._since


def write_plan(file: Path | str, paths: Iterable[object]) -> None:
    """Write down what a run is to make, a path a line."""
    write_text(Path(file), "".join(f"{path}\n" for path in paths))


@dataclass(frozen=True)
class Sharing:
    """Whom a job answers for.

    Attributes:
        plan: what the present run is to make.
        others: jobs that ask the same model.
    """

    plan: Plan
    others: tuple[Other, ...]

    @classmethod
    def read(cls, file: Path | None, own: Path) -> Sharing:
        """Read whom a job answers for: those that come after it in the file, then those before it.

        Args:
            file: jobs that ask the same model, a line of JSON each; it need not be there.
            own: what the job itself makes.
        """
        if file is None or not file.is_file():
            return cls(Plan(None), ())
        lines = file.read_text(encoding="utf-8").splitlines()
        # Without reading all of them: there may be thousands.
        begins = json.dumps({"output": str(own)})[:-1] + ","
        place = next((n for n, line in enumerate(lines) if line.startswith(begins)), len(lines))
        order = lines[place + 1 :] + lines[:place]
        others = (Other.from_json(json.loads(line)) for line in order[:MOST])
        return cls(Plan(file.with_name(PLAN)), tuple(others))

    def waiting(self) -> list[Other]:
        """Return those that are to come, and could."""
        return [other for other in self.others if self.plan.waits(other)]


@contextmanager
def claimed(
    journal: Path, output: Path, progress: Callable[[str], None] | None = None
) -> Iterator[bool]:
    """Hold what is asked for a file, so that no two jobs ask the same; who dies lets go of it.

    Args:
        journal: folder of its finished answers.
        output: the file.
        progress: called with a line of text while another job holds it, which is waited for; None
            does not wait.

    Yields:
        Whether it is held.
    """
    journal.mkdir(parents=True, exist_ok=True)
    lock = journal / f"{output.parent.name}.lock"
    file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield _lock(file, progress)
    finally:
        os.close(file)


def _lock(file: int, progress: Callable[[str], None] | None) -> bool:
    said = -SAY_SECONDS
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if progress is None:
                return False
        except OSError:
            # A file system without locks: answers may be asked for twice, and are none the worse.
            return True
        else:
            return True
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            progress("another job, which has the model loaded, is answering this: waiting for it")
        time.sleep(POLL_SECONDS)


def drain(completions: Iterable[object]) -> None:
    """Take all completions, of which the journal keeps what is needed."""
    deque(completions, maxlen=0)


def serve(
    sharing: Sharing,
    answer: Callable[[Other], None],
    progress: Callable[[str], None],
    until: float = math.inf,
) -> None:
    """Fill the journals of those that wait, one after the other, and leave out those that are held.

    Args:
        sharing: jobs that ask the model that is loaded.
        answer: fills the journal of one.
        progress: called with a line of text for each.
        until: the time, of `time.monotonic`, after which no more are begun.
    """
    for other in sharing.others:
        if time.monotonic() > until:
            return
        # As late as that: the others go on meanwhile.
        if not sharing.plan.waits(other):
            continue
        with claimed(other.journal, other.output) as held:
            if held:
                progress(f"the model is loaded: answering for {other.output.parent}")
                try:
                    answer(other)
                except (OSError, ValueError, RuntimeError) as error:
                    # Its own job will meet that, and say so.
                    progress(f"left to its own job: {error}")
