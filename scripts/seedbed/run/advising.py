"""The inputs of advice: fits, a table of the user's own runs, or priors alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from seedbed.run.writing import can_write
from seedbed.study.config import RunConfig
from seedbed.study.targets import Targets


class Advising:
    """Chooses the inputs of advice once the targets are known.

    Args:
        run: the configuration of the run.
        flow: the study.
        alone: returns whether `advise` is the only target that runs jobs; called during planning.
        files: the fits of the study.
    """

    def __init__(
        self, run: RunConfig, flow: Targets, alone: Callable[[], bool], files: Sequence[str]
    ) -> None:
        self._run, self._flow, self._alone, self._files = run, flow, alone, list(files)
        self._there = all(Path(file).is_file() for file in files)

    def by_priors(self) -> bool:
        """Return whether advice has to use priors alone: no results exist, and none are targets."""
        if self._there or self._run.results:
            return False
        return self._flow.has_no_results_of(self._run.task, self._alone())

    def fits(self, wildcards: object) -> list[str]:
        """Return the fits to make first; none if existing fits are in a read-only folder."""
        ready = self._there and not can_write(f"{self._flow.results}/fits")
        return [] if self._run.results or ready or self.by_priors() else self._files
