"""Micro-batches: the division of an optimiser step's rows into parts that fit into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any, Protocol

START_TOKENS = 128
"""Overhead of a micro-batch (Python and kernel launches), in tokens that could be computed in the
same time. Measured with `tests/benchmarks/training_speed.py`; the optimum is flat."""

CPU_ACTIVATION_BYTES = 2 * 2**30
"""Bytes for a micro-batch's activations on a CPU: constant, not a share of the free memory, so that
the same training gives the same bits on an idle and on a busy machine."""

GPU_SHARE = 0.85
"""Share of a GPU's free memory that is planned for activations. Fragmentation takes the rest."""

ENOUGH_TOKENS = 4_096
"""Tokens of a micro-batch that keep a GPU busy. If so many fit, gradient checkpointing is off."""

LONGEST = 2**16
"""Most tokens of a micro-batch; larger ones are not faster."""


class Config(Protocol):
    """A Transformers configuration, or an object that names a model's shape in the same way."""

    def get_text_config(self) -> Any:
        """Return the configuration of the text decoder."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How micro-batches are cut.

    Attributes:
        tokens: most tokens of a micro-batch, including padding. A longer row is alone in its own.
        checkpointing: whether gradient checkpointing is on: activations are recomputed in the
            backward pass, which saves memory.
        padding_free: whether rows are concatenated, instead of padded to the longest.
    """

    tokens: int
    checkpointing: bool = False
    padding_free: bool = False

    def cut(self, lengths: Sequence[int]) -> list[list[int]]:
        """Return the rows of each micro-batch, by position.

        Args:
            lengths: number of tokens of each row.
        """
        way = share_out if self.padding_free else cut
        return way(lengths, self.tokens)

    def size(self, lengths: Sequence[int]) -> int:
        """Return the number of tokens of a micro-batch, including padding.

        Args:
            lengths: number of tokens of each of its rows.
        """
        return sum(lengths) if self.padding_free else len(lengths) * max(lengths)


def cut(lengths: Sequence[int], tokens: int, start_tokens: int = START_TOKENS) -> list[list[int]]:
    """Return the rows of each micro-batch, by position, the longest rows first.

    Rows are sorted by length, and the sorted list is cut at the lowest total cost. A micro-batch
    costs its number of rows times its longest row, plus `start_tokens`. The longest rows come
    first, so that a lack of memory shows at once.

    Args:
        lengths: number of tokens of each row.
        tokens: most tokens of a micro-batch, including padding. A longer row is alone.
        start_tokens: overhead of each micro-batch.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    # best[n]: lowest cost of the first n rows; before[n]: start of the last micro-batch of these.
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
    """Return the rows of each padding-free micro-batch, by position.

    The micro-batches are few and of similar size: each row, the longest first, is added to the
    micro-batch with the fewest tokens.

    Args:
        lengths: number of tokens of each row.
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

    It counts the activations that a Llama-like decoder layer keeps for the backward pass, with LoRA
    on all linear layers, which keep their inputs in 32 bits for the adapter. It adds the logits of
    a token with a label and their gradient, in 32 bits. Other architectures differ; if memory does
    not suffice after all, micro-batches are halved.

    Args:
        config: configuration of the model.
        checkpointing: whether a layer keeps only its input, and recomputes the rest.
        element: bytes per number, 2 in bfloat16.
    """
    text = config.get_text_config()
    hidden = text.hidden_size
    inner = getattr(text, "intermediate_size", None) or 4 * hidden
    experts = getattr(text, "num_experts_per_tok", None) or 1
    heads = getattr(text, "num_attention_heads", None) or 1
    width = (getattr(text, "head_dim", None) or hidden // heads) * heads
    keys = width * (getattr(text, "num_key_value_heads", None) or heads) // heads
    # Attention: inputs and outputs of two norms; queries, keys and values before and after the
    # rotary embedding; its output. Feed-forward: gate, up, activation, product.
    kept = element * (6 * hidden + 3 * width + 4 * keys + 4 * experts * inner)
    # 32-bit copies of 16-bit tensors: inputs of both norms and of the adapters (q, k, v, o, gate,
    # up, down).
    if element < 4:
        kept += 4 * (5 * hidden + width + experts * (2 * hidden + inner))
    layers = text.num_hidden_layers
    inside = element * hidden * layers + kept if checkpointing else kept * layers
    return inside + 8 * text.vocab_size


def plan(
    config: Config, free_bytes: int | None, element: int, longest: int, stated: int | None
) -> Plan:
    """Plan how micro-batches are cut.

    Args:
        config: configuration of the model, which is already in memory.
        free_bytes: free memory of the GPU; None on a CPU.
        element: bytes per number of the model.
        longest: number of tokens of the longest row.
        stated: most tokens of a micro-batch, if configured.
    """
    room = CPU_ACTIVATION_BYTES if free_bytes is None else int(free_bytes * GPU_SHARE)
    plain = room // activation_bytes(config, False, element)
    if stated is not None:
        return Plan(stated, checkpointing=free_bytes is not None and plain < max(stated, longest))
    # A machine without a GPU can swap, but has no time to recompute activations.
    if free_bytes is None or plain >= max(ENOUGH_TOKENS, longest):
        return Plan(max(1, min(plain, LONGEST)))
    saved = room // activation_bytes(config, True, element)
    return Plan(max(1, min(saved, LONGEST)), checkpointing=True)


def halved(plan: Plan, longest: int) -> Plan | None:
    """Return the next plan after one that did not fit into memory; None if there is none.

    Args:
        plan: the plan that did not fit.
        longest: number of tokens of the longest row, and so the least of a micro-batch.
    """
    if plan.tokens > longest:
        return replace(plan, tokens=max(longest, plan.tokens // 2))
    return None if plan.checkpointing else replace(plan, checkpointing=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is an out-of-memory error of a GPU or a CPU."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)
