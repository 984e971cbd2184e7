"""A cluster as a run meets it: its partitions, and whether they take what the run is to send."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seedbed.run.partitions import Partitions, real_offers
from seedbed.run.snakemake_internals import read_partitions
from seedbed.run.submitting import Site, asked_by

SHOWN = 5


def partitions_of(file: Path | None) -> Partitions:
    """Return the partitions that jobs may go to.

    Args:
        file: that the profile names, by `slurm-partition-config`; None for SLURM's default.

    Raises:
        ValueError: if the file names a partition that is not there.
    """
    listed = None if file is None else read_partitions(file)
    return Partitions(listed, *real_offers())


def check_jobs(jobs: Iterable[Any], partitions: Partitions, site: Site) -> None:
    """Raise an error for jobs that no partition takes, at any of their attempts.

    Args:
        jobs: that are to run.
        partitions: that they may go to.
        site: how the cluster wants to be asked.

    Raises:
        RuntimeError: with what they ask for, and what there is.
    """
    seen: set[str] = set()
    refused: dict[str, str] = {}
    for job in jobs:
        if job.is_local:
            continue
        first = asked_by(job, job.attempt, site)
        key = f"{job.rule.name} {sorted(map(str, first.resources.items()))}"
        if key in seen:
            continue
        seen.add(key)
        for attempt in range(1, job.restart_times + 2):
            try:
                partitions.choose(asked_by(job, attempt, site))
            except ValueError as error:
                which = f" at attempt {attempt}" if attempt > 1 else ""
                refused.setdefault(
                    job.rule.name, f"{job.rule.name} {_wildcards(job)}{which}: {error}"
                )
                break
    if refused:
        more = len(refused) - SHOWN
        raise RuntimeError(
            "\n".join([*refused.values()][:SHOWN])
            + (f"\nand {more} more rules" if more > 0 else "")
            + "\nSet what partitions offer in profiles/slurm/partitions.yaml, or let the jobs ask "
            "for less, as by --set-resources RULE:runtime=MINUTES"
        )


def _wildcards(job: Any) -> str:
    return " ".join(map(str, job.wildcards_dict.values()))
