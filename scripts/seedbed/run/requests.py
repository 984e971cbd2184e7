"""The resources that jobs ask SLURM for, and whether a cluster's partitions allow them."""

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
    """The form in which a cluster expects resource requests.

    Attributes:
        gpu_request: the option of sbatch that requests GPUs: `gpus` or `gres`.
        cores_per_gpu: cores per GPU.
    """

    gpu_request: str = "gpus"
    cores_per_gpu: int = 4


class _Resources(dict):
    """Resources of a job; each is both an entry and an attribute."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def view(name: str, threads: int, resources: Any, site: Site) -> SimpleNamespace:
    """Return the resources that a job asks SLURM for, in the form that the executor reads.

    A job with GPUs gets cores for each GPU. With `mem_mb_per_cpu`, a job gets enough cores for its
    memory. GPUs in `gres` replace `gpu`.

    Args:
        name: name of the job.
        threads: its threads.
        resources: its resources from the rule, the profile and the command line.
        site: the site's form of resource requests.
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
    """Return sbatch's option for GPUs or other generic resources; empty if none are needed."""
    if resources.get("gres"):
        return [f"--gres={resources['gres']}"]
    if not resources.get("gpu"):
        return []
    count = f"{resources['gpu']}"
    if kind := resources.get("gpu_model"):
        count = f"{kind}:{count}"
    return [f"--gres=gpu:{count}" if site.gpu_request == "gres" else f"--gpus={count}"]


def asked_by(job: Job, attempt: int, site: Site) -> SimpleNamespace:
    """Return the resources that a job would ask SLURM for at an attempt."""
    resources = resources_at(job, attempt)
    return view(job.name, resources.get("_cores", 1), resources, site)


def partitions_of(file: Path | None) -> Partitions:
    """Return the partitions for jobs.

    Args:
        file: the profile's `slurm-partition-config`; None for SLURM's default partition.

    Raises:
        ValueError: if the file names a partition that SLURM lacks.
    """
    listed = None if file is None else read_partitions(file)
    return Partitions(listed, *real_offers())


def check_jobs(jobs: Iterable[Job], partitions: Partitions, site: Site) -> None:
    """Check that a partition accepts each job, at each of its attempts.

    Args:
        jobs: the jobs that are to run.
        partitions: the partitions for jobs.
        site: the site's form of resource requests.

    Raises:
        RuntimeError: with the resources that jobs ask for, and the partitions' limits.
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
