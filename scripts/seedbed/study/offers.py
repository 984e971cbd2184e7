"""What the partitions of a cluster offer, as a run of Snakemake passes it on to its jobs."""

from __future__ import annotations

import json
import os

OFFERS = "SEEDBED_PARTITIONS"
"""The variable by which a run tells its jobs what the partitions offer."""


def within_offers(gpus: int, runtime: int, mem_mb: int, least: tuple[int, int]) -> tuple[int, int]:
    """Return time and memory for a job, no more than a partition with such GPUs offers.

    Args:
        gpus: that it needs.
        runtime: minutes that it should get.
        mem_mb: memory that it should get.
        least: minutes and memory without which it cannot be done.

    Returns:
        Minutes and memory; as given if no partition offers the least, which is an error later.
    """
    rows = json.loads(os.environ.get(OFFERS, "[]"))
    capped = [
        (min(runtime, minutes), min(mem_mb, memory))
        for count, minutes, memory in rows
        if count >= gpus and minutes >= least[0] and memory >= least[1]
    ]
    if not capped:
        return runtime, mem_mb
    # Memory first: a job without it fails, and one without time may be done before.
    minutes, memory = max(capped, key=lambda pair: (pair[1], pair[0]))
    return int(minutes), int(memory)
