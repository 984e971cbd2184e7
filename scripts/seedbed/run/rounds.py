"""The rounds of a spend, as input functions of rules.

Each decision is a checkpoint. Snakemake plans up to the next decision, and extends the DAG when the
checkpoint's job has finished.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seedbed.study.spend import SpendTargets

Files = Callable[[Any], list[str]]
"""A function of a job's wildcards, as a rule's input."""


class Rounds:
    """The decisions of a spend, one after the other.

    Args:
        checkpoints: the Snakefile's global `checkpoints`.
        flow: the spend.
    """

    def __init__(self, checkpoints: Any, flow: SpendTargets) -> None:
        self._checkpoints, self._flow = checkpoints, flow

    def before(self) -> Files:
        """Return an input function for the files of all decisions before a round's."""
        return lambda wildcards: self._made(int(wildcards.round) - 1)

    def after(self, files: Callable[[int], list[str]]) -> Files:
        """Return an input function for a round's files, after the earlier decisions are made."""

        def found(wildcards: Any) -> list[str]:
            self._made(int(wildcards.round) - 1)
            return files(int(wildcards.round))

        return found

    def end(self) -> Files:
        """Return an input function for the files of all decisions, in order."""
        return lambda wildcards: self._made(None)

    def at_the_end(self, files: Callable[[], list[str]]) -> Files:
        """Return an input function for files that are known after the final decision."""

        def found(wildcards: Any) -> list[str]:
            self._made(None)
            return files()

        return found

    def _made(self, last: int | None) -> list[str]:
        """Return the files of the first decisions, and apply these decisions to the study.

        Args:
            last: how many decisions; None for all.

        Raises:
            IncompleteCheckpointException: Snakemake's, if a decision is not made yet.
        """
        files: list[str] = []
        while len(files) != last and not self._flow.ends_with(len(files)):
            number = len(files) + 1
            made = self._checkpoints.decide_purchase.get(round=number)
            files.append(str(made.output.purchase))
            if len(self._flow.purchases) != number:
                self._flow.decided(number)
        return files
