"""Lists of files that are too long for a command line; a job reads them from a file.

A run writes the lists before its first job starts. Their names are digests of their content, so
that a job finds either the list of its own inputs or none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.artifacts import write_text
from seedbed.run.jobs import rule_name

if TYPE_CHECKING:
    from snakemake.jobs import Job

LISTED = {
    "collect_results": "evaluations",
    "plot_diversity": "datasets",
    "write_report": "examples",
}
"""Rules with an input of one file per cell or dataset, and the name of that input."""


class Lists:
    """The lists of a study."""

    def __init__(self, folder: str) -> None:
        """Store the folder of a study's lists.

        Args:
            folder: the folder.
        """
        self._folder = folder

    def file(self, paths: Iterable[object]) -> str:
        """Return the path of the file with a list."""
        digest = hashlib.sha256(_text(paths).encode()).hexdigest()[:16]
        return f"{self._folder}/{digest}.txt"

    def option(self, paths: Iterable[object]) -> str:
        """Return the value of an option whose argument is a list of files."""
        return f"@{self.file(paths)}"

    def write(self, jobs: Iterable[Job]) -> None:
        """Write the lists of a run's jobs, and remove the lists of earlier runs.

        Args:
            jobs: the jobs that are to run.
        """
        listed = [job for job in jobs if rule_name(job) in LISTED]
        if not listed:
            return
        for old in Path(self._folder).glob("*.txt"):
            old.unlink(missing_ok=True)
        for job in listed:
            paths = getattr(job.input, LISTED[rule_name(job)])
            write_text(self.file(paths), _text(paths))


def _text(paths: Iterable[object]) -> str:
    return "".join(f"{path}\n" for path in paths)
