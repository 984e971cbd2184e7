"""What jobs ask SLURM for, and whether the partitions of a cluster take it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from seedbed.config.values import JsonObject
from seedbed.run.partitions import Partitions, real_offers
from seedbed.run.snakemake_internals import read_partitions, resources_at

if TYPE_CHECKING:
    from snakemake.jobs import Job

SHOWN = 5


@dataclass(frozen=True)
class Site:
    """How a cluster wants to be asked.

    Attributes:
        gpu_request: `gpus` or `gres`: by which option of sbatch.
        cores_per_gpu: cores with each GPU.
    """

    gpu_request: str = "gpus"
    cores_per_gpu: int = 4


class _Resources(dict):
    """Resources of a job, by name as an entry and as an attribute."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def view(name: str, threads: int, resources: Any, site: Site) -> SimpleNamespace:
    """Return what a job asks SLURM for, as the executor's functions read it.

    A job with GPUs gets cores for each of them. Where memory comes with cores, by
    `mem_mb_per_cpu`, it gets as many cores as its memory takes. What asks for GPUs by `gres` takes
    the place of `gpu`.

    Args:
        name: of the job.
        threads: that it uses.
        resources: what its rule, the profile and the command line say.
        site: how the cluster wants to be asked.
    """
    found = _Resources((key, value) for key, value in resources.items() if value is not None)
    gpus = int(found.get("gpu") or 0)
    if re.search(r"\bgpu\b", str(found.get("gres") or "")):
        found.pop("gpu", None)
        found.pop("gpu_model", None)
    elif gpus == 0:
        found.pop("gpu_model", None)
    cores = int(found.get("cpus_per_task") or threads or 1)
    if gpus and not found.get("cpus_per_task") and not found.get("cpus_per_gpu"):
        cores = max(cores, gpus * site.cores_per_gpu)
    if per_core := int(found.get("mem_mb_per_cpu") or 0):
        cores = max(cores, math.ceil(int(found.get("mem_mb") or 0) / per_core))
    if not found.get("cpus_per_gpu"):
        found["cpus_per_task"] = cores
    return SimpleNamespace(name=name, threads=threads, resources=found)


def gpu_option(resources: JsonObject, site: Site) -> list[str]:
    """Return the option of sbatch that asks for GPUs and the like, if any is needed."""
    if resources.get("gres"):
        return [f"--gres={resources['gres']}"]
    if not resources.get("gpu"):
        return []
    count = f"{resources['gpu']}"
    if kind := resources.get("gpu_model"):
        count = f"{kind}:{count}"
    return [f"--gres=gpu:{count}" if site.gpu_request == "gres" else f"--gpus={count}"]


def asked_by(job: Job, attempt: int, site: Site) -> SimpleNamespace:
    """Return what a job would ask SLURM for at an attempt."""
    resources = resources_at(job, attempt)
    return view(job.name, resources.get("_cores", 1), resources, site)


def partitions_of(file: Path | None) -> Partitions:
    """Return the partitions that jobs may go to.

    Args:
        file: that the profile names, by `slurm-partition-config`; None for SLURM's default.

    Raises:
        ValueError: if the file names a partition that is not there.
    """
    listed = None if file is None else read_partitions(file)
    return Partitions(listed, *real_offers())


def check_jobs(jobs: Iterable[Job], partitions: Partitions, site: Site) -> None:
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


def _wildcards(job: Job) -> str:
    return " ".join(map(str, job.wildcards_dict.values()))
