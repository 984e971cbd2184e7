"""What advice is computed from: fits, a table of anyone's runs, or priors alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from seedbed.run.writing import can_write
from seedbed.study.config import RunConfig
from seedbed.study.targets import Targets


class Advising:
    """The inputs of advice, once it is known what is asked for.

    Args:
        run: what `snakemake` runs.
        flow: the study.
        alone: says whether nothing but advice is asked for, when jobs are planned.
        files: the fits of the study.
    """

    def __init__(
        self, run: RunConfig, flow: Targets, alone: Callable[[], bool], files: Sequence[str]
    ) -> None:
        self._run, self._flow, self._alone, self._files = run, flow, alone, list(files)
        self._there = all(Path(file).is_file() for file in files)

    def by_priors(self) -> bool:
        """Return whether there are no results, and none are asked for."""
        if self._there or self._run.results:
            return False
        return self._flow.has_no_results_of(self._run.task, self._alone())

    def fits(self, wildcards: object) -> list[str]:
        """Return the fits that are made first; those that may only be read answer as they are."""
        ready = self._there and not can_write(f"{self._flow.results}/fits")
        return [] if self._run.results or ready or self.by_priors() else self._files
