"""The rounds of a spend, as the rules' inputs: what is asked for once a decision is made.

Snakemake plans no further than to a decision that is still to be made, and goes on from there when
its job has ended.
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
        checkpoints: of the Snakefile.
        flow: the spend.
    """

    def __init__(self, checkpoints: Any, flow: SpendTargets) -> None:
        self._checkpoints, self._flow = checkpoints, flow

    def before(self) -> Files:
        """Return what gives the files of the decisions before one."""
        return lambda wildcards: self._made(int(wildcards.round) - 1)

    def after(self, files: Callable[[int], list[str]]) -> Files:
        """Return what gives files that a decision stands on, once those before it are made."""

        def found(wildcards: Any) -> list[str]:
            self._made(int(wildcards.round) - 1)
            return files(int(wildcards.round))

        return found

    def end(self) -> Files:
        """Return what gives the files of all decisions, the final one's last."""
        return lambda wildcards: self._made(None)

    def at_the_end(self, files: Callable[[], list[str]]) -> Files:
        """Return what gives files that the final decision asks for."""

        def found(wildcards: Any) -> list[str]:
            self._made(None)
            return files()

        return found

    def _made(self, last: int | None) -> list[str]:
        """Return the files of the first decisions, and take note of what follows from them.

        Raises:
            IncompleteCheckpointException: of Snakemake, if one is still to be made.
        """
        files: list[str] = []
        while len(files) != last and not self._flow.ends_with(len(files)):
            number = len(files) + 1
            made = self._checkpoints.decide_purchase.get(round=number)
            files.append(str(made.output.purchase))
            if len(self._flow.purchases) != number:
                self._flow.decided(number)
        return files
