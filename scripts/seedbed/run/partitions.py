"""The limits of a cluster's partitions, and the choice of a partition for a job.

The profile's file of partitions and SLURM itself both set limits. A job has to fit both.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

from seedbed.study.offers import OFFERS

ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Offer:
    """The limits of a partition for one job.

    Attributes:
        name: name of the partition.
        runtime: minutes.
        mem_mb: memory of a node.
        cpus: cores of a node.
        gpus: GPUs of a node.
    """

    name: str
    runtime: float = math.inf
    mem_mb: float = math.inf
    cpus: float = math.inf
    gpus: float = math.inf

    def within(self, other: Offer) -> Offer:
        """Return the stricter limits of the two."""
        return Offer(
            self.name,
            min(self.runtime, other.runtime),
            min(self.mem_mb, other.mem_mb),
            min(self.cpus, other.cpus),
            min(self.gpus, other.gpus),
        )

    def lacks(self, asked: Asked) -> list[str]:
        """Return the limits that a job exceeds, in words."""
        pairs = (
            ("runtime", "minutes"),
            ("mem_mb", "MB of memory"),
            ("cpus", "cores"),
            ("gpus", "GPUs"),
        )
        return [
            f"{getattr(self, name):g} {unit}"
            for name, unit in pairs
            if getattr(asked, name) > getattr(self, name)
        ]


@dataclass(frozen=True)
class Asked:
    """The resources that a job asks for: minutes, MB of memory, cores, GPUs."""

    runtime: float = 0
    mem_mb: float = 0
    cpus: float = 1
    gpus: int = 0

    def __str__(self) -> str:
        parts = [f"{self.runtime:g} minutes"] if self.runtime else []
        parts += [f"{self.mem_mb:g} MB of memory"] if self.mem_mb else []
        parts += [f"{self.cpus:g} cores"] if self.cpus > 1 else []
        parts += [f"{self.gpus} GPUs"] if self.gpus else []
        return ", ".join(parts) or "1 core"


class Partitions:
    """The partitions for the jobs of a run.

    Args:
        listed: the partitions of the profile's file, as Snakemake's executor read them. None if
            there is no file: SLURM's default partition is then the only one.
        real: the partitions and limits of SLURM, by name; empty if unknown.
        default: the name of SLURM's default partition; None if there is none.

    Raises:
        ValueError: if SLURM lacks a partition of the file.
    """

    def __init__(
        self, listed: Sequence[Any] | None, real: Mapping[str, Offer], default: str | None = None
    ) -> None:
        self._listed = {} if listed is None else {part.name: part for part in listed}
        self._real = dict(real)
        self._default = default
        there = [part for part in self._listed.values() if part.partition_cluster is None]
        absent = sorted({part.name for part in there} - self._real.keys()) if real else []
        if absent:
            raise ValueError(
                f"SLURM has no partition {', '.join(map(repr, absent))}: its partitions are "
                f"{', '.join(sorted(self._real))}. They are named in profiles/slurm/partitions.yaml"
            )

    @property
    def offers(self) -> list[Offer]:
        """The limits of each partition for jobs."""
        if self._listed:
            return [self._offer(name) for name in self._listed]
        if self._default in self._real:
            return [self._real[self._default]]
        return []

    def choose(self, view: SimpleNamespace) -> str | None:
        """Return the partition for a job; None leaves the choice to SLURM.

        Jobs without a GPU avoid partitions with GPUs. Among the remaining partitions, the closest
        fit is chosen.

        Args:
            view: the job, with its `name`, `threads` and `resources`.

        Raises:
            ValueError: if no partition accepts the job, with the limits of each.
        """
        asked = asked_of(view)
        wanted = view.resources.get("slurm_partition")
        if wanted:
            self._check(str(wanted), asked)
            return str(wanted)
        if not self._listed:
            if self._default is not None:
                self._check(self._default, asked)
            return self._default
        fitting = []
        for place, (name, part) in enumerate(self._listed.items()):
            score = part.score_job_fit(view)
            if score is not None and not self._offer(name).lacks(asked):
                spared = asked.gpus == 0 and part.limits.max_gpu > 0
                fitting.append((not spared, score, -place, name))
        if fitting:
            return max(fitting)[-1]
        raise ValueError(
            f"no partition takes it: it asks for {_words(view, asked)}; "
            + "; ".join(
                f"{name} offers {' and '.join(self._offer(name).lacks(asked)) or _other(part)}"
                for name, part in self._listed.items()
            )
        )

    def _offer(self, name: str) -> Offer:
        limits = self._listed[name].limits
        given = Offer(
            name, limits.max_runtime, limits.max_mem_mb, limits.max_threads, limits.max_gpu
        )
        return given.within(self._real[name]) if name in self._real else given

    def _check(self, name: str, asked: Asked) -> None:
        if self._real and name not in self._real:
            raise ValueError(
                f"SLURM has no partition {name!r}: its partitions are {', '.join(self._real)}"
            )
        lacking = self._real[name].lacks(asked) if name in self._real else []
        if lacking:
            raise ValueError(
                f"partition {name} does not take it: it asks for {asked}; {name} offers "
                f"{' and '.join(lacking)}"
            )


def _words(view: SimpleNamespace, asked: Asked) -> str:
    kinds = [
        f"{name} {view.resources[name]}"
        for name in ("gpu_model", "constraint", "slurm_cluster")
        if view.resources.get(name)
    ]
    return ", ".join([str(asked), *kinds])


def _other(part: Any) -> str:
    kinds = part.limits.available_gpu_models
    return f"GPUs of the kinds {', '.join(kinds)}" if kinds else "none such"


def asked_of(view: SimpleNamespace) -> Asked:
    """Return the resources that a job asks for.

    Args:
        view: the job, with its `threads` and `resources`.
    """
    resources = view.resources
    cpus = _number(resources.get("cpus_per_task")) or _number(view.threads) or 1
    memory = _number(resources.get("mem_mb"))
    if per_cpu := _number(resources.get("mem_mb_per_cpu")):
        memory = per_cpu * cpus
    gpus = int(_number(resources.get("gpu")))
    if found := re.search(r"\bgpu(?::[^:,]+)?:(\d+)", str(resources.get("gres") or "")):
        gpus = int(found[1])
    return Asked(_number(resources.get("runtime")), memory, cpus, gpus)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0


def real_offers() -> tuple[dict[str, Offer], str | None]:
    """Return SLURM's limits of its partitions, by name, and the name of the default partition.

    The limits are empty, and the name is None, if SLURM does not answer.
    """
    said = _said("scontrol", "--all", "show", "partition", "--oneliner")
    offers: dict[str, Offer] = {}
    default = None
    for line in said.splitlines():
        facts = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if "PartitionName" not in facts:
            continue
        name = facts["PartitionName"]
        offers[name] = Offer(
            name,
            runtime=_minutes(facts.get("MaxTime", "UNLIMITED")),
            mem_mb=_limit(facts.get("MaxMemPerNode", "UNLIMITED")),
            cpus=_limit(facts.get("MaxCPUsPerNode", "UNLIMITED")),
        )
        if facts.get("Default") == "YES":
            default = name
    nodes: dict[str, Offer] = {}
    for line in _said("sinfo", "--all", "--noheader", "--format=%R|%m|%c|%G").splitlines():
        name, memory, cores, gres = (*line.split("|"), "", "", "", "")[:4]
        # SLURM shows 1 MB if the site has not configured the memory of a node.
        known = _limit(memory) if _limit(memory) > 1 else math.inf
        found = Offer(name, math.inf, known, _limit(cores), _gpus(gres))
        other = nodes.get(name, found)
        nodes[name] = replace(
            found,
            mem_mb=max(found.mem_mb, other.mem_mb),
            cpus=max(found.cpus, other.cpus),
            gpus=max(found.gpus, other.gpus),
        )
    for name, found in nodes.items():
        if name in offers:
            offers[name] = offers[name].within(found)
    return offers, default


def _said(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _minutes(text: str) -> float:
    """Return the minutes of `[days-]hours:minutes:seconds`; infinity for other texts."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text)
    if found is None:
        return math.inf
    days, hours, minutes = (int(part or 0) for part in found.groups()[:3])
    return (days * 24 + hours) * 60 + minutes


def _limit(text: str) -> float:
    """Return a number with an optional suffix ("64000+"); infinity for 0 and other texts."""
    found = re.match(r"\d+", text)
    return int(found[0]) if found and int(found[0]) else math.inf


def _gpus(text: str) -> float:
    """Return the number of GPUs in a node's generic resources: `gpu:h200:2(S:0-1),...`."""
    counts = re.findall(r"\bgpu(?::[^:,(]+)?:(\d+)", text)
    return sum(map(int, counts)) if counts else 0


def write_offers(offers: Iterable[Offer]) -> None:
    """Pass the partitions' limits to this process and its jobs, in the environment."""
    rows = [[offer.gpus, offer.runtime, offer.mem_mb] for offer in offers]
    os.environ[OFFERS] = json.dumps(rows)  # With Infinity, which Python reads again.
