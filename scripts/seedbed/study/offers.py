"""The resources that a cluster's partitions offer, which a run passes on to its jobs."""

from __future__ import annotations

import json
import os

OFFERS = "SEEDBED_PARTITIONS"
"""Environment variable with the offers of the partitions."""


def within_offers(gpus: int, runtime: int, mem_mb: int, least: tuple[int, int]) -> tuple[int, int]:
    """Return time and memory for a job, at most what a partition with enough GPUs offers.

    Args:
        gpus: GPUs that the job needs.
        runtime: wanted minutes.
        mem_mb: wanted memory.
        least: minutes and memory that the job needs at least.

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
    # Memory first: a job with too little memory fails, a job with too little time may still finish.
    minutes, memory = max(capped, key=lambda pair: (pair[1], pair[0]))
    return int(minutes), int(memory)
