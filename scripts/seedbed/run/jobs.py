"""The names of the rules of Snakemake's jobs, and the jobs' inputs by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snakemake.jobs import Job

_NAMES: dict[str, str] = {}


def rename(names: Mapping[str, str]) -> None:
    """Set the rules' names in this project, by their names in a workflow that uses them."""
    _NAMES.update({name: own for name, own in names.items() if name != own})


def own_name(name: str) -> str:
    """Return the name of a rule, or of a target, in the Snakefile of this project."""
    return _NAMES.get(name, name)


def rule_name(job: Job) -> str:
    """Return the name of a job's rule in the Snakefile of this project."""
    return own_name(job.rule.name)


def inputs(job: Job) -> dict[str, tuple[str, ...]]:
    """Return the files that a job reads, by the name of the rule's input."""
    found = {
        name: (value,) if isinstance(value, str) else tuple(value)
        for name, value in job.input.items()
    }
    return {name: tuple(map(str, paths)) for name, paths in found.items() if paths}
