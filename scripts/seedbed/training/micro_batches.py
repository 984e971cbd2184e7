"""Micro-batches: how the rows of one optimiser step are cut to fit into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any, Protocol

START_TOKENS = 128
"""What it costs to start a micro-batch, in tokens that could be computed instead: Python and the
launch of kernels. Measured with `tests/benchmarks/training_speed.py`; the optimum is flat."""

CPU_ACTIVATION_BYTES = 2 * 2**30
"""Activations of a micro-batch on a CPU. A constant, and not a share of what is free: the same
training gives the same bits on an empty machine and on a busy one."""

GPU_SHARE = 0.85
"""Of a GPU's free memory that activations are planned to take; the allocator fragments the rest."""

ENOUGH_TOKENS = 4_096
"""Tokens of a micro-batch that keep a GPU busy. With room for as many, nothing is recomputed."""

LONGEST = 2**16
"""Tokens of a micro-batch that are never exceeded: more gains nothing."""


class Config(Protocol):
    """A configuration of Transformers, or what has a model's shape by the same names."""

    def get_text_config(self) -> Any:
        """Return the part of the model that writes text."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How micro-batches are cut.

    Attributes:
        tokens: most tokens of a micro-batch, padding included; a longer row is alone in its own.
        checkpointing: whether activations are recomputed in the backward pass, to save memory.
        padding_free: whether rows lie one after the other, and not each as long as the longest.
    """

    tokens: int
    checkpointing: bool = False
    padding_free: bool = False

    def cut(self, lengths: Sequence[int]) -> list[list[int]]:
        """Return the rows of each micro-batch, by position.

        Args:
            lengths: tokens of each row.
        """
        way = share_out if self.padding_free else cut
        return way(lengths, self.tokens)

    def size(self, lengths: Sequence[int]) -> int:
        """Return the tokens of a micro-batch, padding included.

        Args:
            lengths: tokens of each of its rows.
        """
        return sum(lengths) if self.padding_free else len(lengths) * max(lengths)


def cut(lengths: Sequence[int], tokens: int, start_tokens: int = START_TOKENS) -> list[list[int]]:
    """Return the rows of each micro-batch, by position, the longest rows first.

    Rows are sorted by length, and the sorted list is cut where that costs least: each micro-batch
    costs its rows times its longest row, and `start_tokens`. The longest rows come first, so that
    memory that does not suffice is noticed at once.

    Args:
        lengths: tokens of each row.
        tokens: most tokens of a micro-batch, padding included. A longer row is alone.
        start_tokens: cost of one micro-batch more.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    # best[n]: least cost of the first n rows; before[n]: where the last of their cuts starts.
    best, before = [0.0], [0]
    for stop in range(1, len(order) + 1):
        cost, start = math.inf, stop - 1
        for candidate in range(stop - 1, -1, -1):
            padded = (stop - candidate) * lengths[order[candidate]]
            if padded > tokens and candidate < stop - 1:
                break
            if best[candidate] + padded + start_tokens < cost:
                cost, start = best[candidate] + padded + start_tokens, candidate
        best.append(cost)
        before.append(start)
    batches, stop = [], len(order)
    while stop:
        batches.append(order[before[stop] : stop])
        stop = before[stop]
    return batches[::-1]


def share_out(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Return the rows of each micro-batch without padding, by position: as few, as even as can be.

    Each row, the longest first, goes to the micro-batch with the fewest tokens.

    Args:
        lengths: tokens of each row.
        tokens: most tokens of a micro-batch. A longer row is alone.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    for count in range(math.ceil(sum(lengths) / tokens), len(lengths)):
        filled = [(0, number) for number in range(count)]
        batches: list[list[int]] = [[] for _ in filled]
        for row in order:
            before, number = heappop(filled)
            if batches[number] and before + lengths[row] > tokens:
                break
            batches[number].append(row)
            heappush(filled, (before + lengths[row], number))
        else:
            return batches
    return [[row] for row in order]


def activation_bytes(config: Config, checkpointing: bool, element: int) -> int:
    """Return an estimate of the memory that a token of a micro-batch takes until its backward pass.

    It counts what a decoder layer of Llama's kind keeps for the backward pass, with LoRA on all of
    its linear layers, which keep their inputs in 32 bits for the adapter, and the logits of a token
    with a label, in 32 bits with their gradient. Other architectures differ; memory that does not
    suffice after all has micro-batches halved.

    Args:
        config: of the model.
        checkpointing: whether a layer keeps its input alone and computes the rest again.
        element: bytes of a number, 2 in bfloat16.
    """
    text = config.get_text_config()
    hidden = text.hidden_size
    inner = getattr(text, "intermediate_size", None) or 4 * hidden
    experts = getattr(text, "num_experts_per_tok", None) or 1
    heads = getattr(text, "num_attention_heads", None) or 1
    width = (getattr(text, "head_dim", None) or hidden // heads) * heads
    keys = width * (getattr(text, "num_key_value_heads", None) or heads) // heads
    # Attention: two norms' inputs and results; queries, keys and values, before
    # and after the rotation; what is attended to. Feed-forward: gate, up, activation, product.
    kept = element * (6 * hidden + 3 * width + 4 * keys + 4 * experts * inner)
    # Copies in 32 bits of what is in 16: of both norms' inputs, and of the adapters': q, k, v, o,
    # gate, up, down.
    if element < 4:
        kept += 4 * (5 * hidden + width + experts * (2 * hidden + inner))
    layers = text.num_hidden_layers
    inside = element * hidden * layers + kept if checkpointing else kept * layers
    return inside + 8 * text.vocab_size


def plan(
    config: Config, free_bytes: int | None, element: int, longest: int, stated: int | None
) -> Plan:
    """Return how micro-batches are to be cut.

    Args:
        config: of the model, which is in memory already.
        free_bytes: free memory of the GPU; None on a CPU.
        element: bytes of a number of the model.
        longest: tokens of the longest row.
        stated: most tokens of a micro-batch, if the user says so.
    """
    room = CPU_ACTIVATION_BYTES if free_bytes is None else int(free_bytes * GPU_SHARE)
    plain = room // activation_bytes(config, False, element)
    if stated is not None:
        return Plan(stated, checkpointing=free_bytes is not None and plain < max(stated, longest))
    # A machine without a GPU has memory to swap to, and no time to compute anything twice.
    if free_bytes is None or plain >= max(ENOUGH_TOKENS, longest):
        return Plan(max(1, min(plain, LONGEST)))
    saved = room // activation_bytes(config, True, element)
    return Plan(max(1, min(saved, LONGEST)), checkpointing=True)


def halved(plan: Plan, longest: int) -> Plan | None:
    """Return the plan to try after this one did not fit; None if there is none.

    Args:
        plan: what was tried.
        longest: tokens of the longest row, which no micro-batch can go below.
    """
    if plan.tokens > longest:
        return replace(plan, tokens=max(longest, plan.tokens // 2))
    return None if plan.checkpointing else replace(plan, checkpointing=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory did not suffice, on a GPU or on a CPU."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)
