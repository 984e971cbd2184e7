"""Padding-free attention: over rows that are concatenated without padding between them.

The kernel is PyTorch's own (`torch.nn.attention.varlen`, FlashAttention 2), which every CUDA build
has. It supports causal attention, sliding windows and grouped heads, but no softcaps and no
attention sinks. A CPU has no such kernel, so attention is computed row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "seedbed_varlen"
"""Name of this attention in Transformers."""

HEAD_MULTIPLE = 8
"""The kernel accepts head widths that are multiples of this."""

TRIED_LENGTHS = (9, 7)
"""Numbers of tokens of the rows with which a model is tested."""

TOLERATED = 0.2
"""Most error from rounding in the logits of concatenated rows, as a share of their change when a
row sees the row before it."""


def borders(lengths: Sequence[int], device: torch.device) -> dict[str, torch.Tensor | int]:
    """Return the model arguments of Transformers that tell where rows start.

    Args:
        lengths: number of tokens of each row, in order.
        device: device of the model.
    """
    counts = torch.tensor(lengths, device=device, dtype=torch.int32)
    ends = counts.cumsum(0, dtype=torch.int32)
    starts = pad(ends, (1, 0))
    positions = torch.arange(sum(lengths), device=device)
    positions = positions - torch.repeat_interleave(starts[:-1], counts, output_size=sum(lengths))
    longest = max(lengths)
    return {
        "position_ids": positions[None],
        "cu_seq_lens_q": starts,
        "cu_seq_lens_k": starts,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Return the causal attention output of each row, 1 x tokens x heads x width, and no weights.

    Transformers calls it in place of its own functions.

    Args:
        module: the layer.
        query: 1 x heads x tokens x width, with all rows concatenated.
        key: like `query`; its number of heads may be a divisor of the query's.
        value: like `key`.
        attention_mask: ignored, because the borders determine the mask.
        scaling: factor of the scores; None for 1 / sqrt(width).
        sliding_window: number of tokens that a token sees, including itself; None for all before
            it.
        softcap: must be None.
        s_aux: attention sinks; must be None.
        cu_seq_lens_q: start of each row, and the end of the last one.
        max_length_q: number of tokens of the longest row.

    Raises:
        ValueError: if the layer needs a feature that this attention does not support.
    """
    if softcap is not None or s_aux is not None:
        raise ValueError(f"attention {'softcaps' if softcap is not None else 'sinks'}")
    if cu_seq_lens_q is None or max_length_q is None or not getattr(module, "is_causal", True):
        raise ValueError("attention layers that do not receive the borders of rows")
    width, out_width = query.shape[-1], value.shape[-1]
    scaling = width**-0.5 if scaling is None else scaling
    window = sliding_window if sliding_window and sliding_window < max_length_q else None
    if query.device.type == "cpu":
        lengths = cu_seq_lens_q.diff().tolist()
        parts = (part.split(lengths, dim=2) for part in (query, key, value))
        rows = [_one_row(q, k, v, scaling, window) for q, k, v in zip(*parts, strict=True)]
        return torch.cat(rows, dim=2).transpose(1, 2).contiguous(), None
    # In MLA, values are narrower than keys.
    room = -(-max(width, out_width) // HEAD_MULTIPLE) * HEAD_MULTIPLE
    dtype = torch.bfloat16 if query.dtype == torch.float32 else query.dtype
    q, k, v = (_widened(part[0].transpose(0, 1).to(dtype), room) for part in (query, key, value))
    from torch.nn.attention.varlen import varlen_attn

    found = varlen_attn(
        *(q, k, v, cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q),
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=q.shape[1] != k.shape[1],
    )
    assert isinstance(found, torch.Tensor)
    return found[None, ..., :out_width], None


def _widened(part: torch.Tensor, width: int) -> torch.Tensor:
    missing = width - part.shape[-1]
    return pad(part, (0, missing)) if missing else part  # padding by 0 would copy the tensor


def _one_row(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, window: int | None
) -> torch.Tensor:
    length = query.shape[2]
    mask = None
    if window is not None and window < length:
        mask = torch.ones(length, length, dtype=torch.bool).tril().triu(1 - window)
    return scaled_dot_product_attention(
        *(query, key, value, mask),
        is_causal=mask is None,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def use(model: Any) -> str | None:
    """Switch a model to padding-free attention, if it supports that.

    A trial decides: two short concatenated rows must give the same logits as each row alone, and
    the backward pass must work. This detects every type of layer in which a row sees the row before
    it.

    Args:
        model: a PEFT model on its device, which is left in evaluation mode.

    Returns:
        None if the model is switched; otherwise the reason why it does not support it.
    """
    AttentionInterface.register(NAME, attend)
    decoder = model.get_base_model().get_decoder()
    before = decoder.config._attn_implementation
    device = model.get_input_embeddings().weight.device
    vocabulary = model.config.get_text_config().vocab_size
    ids = torch.arange(sum(TRIED_LENGTHS), device=device)[None] * 7 % vocabulary
    model.eval()

    def logits(part: torch.Tensor, **more: Any) -> torch.Tensor:
        found: torch.Tensor = model(input_ids=part, use_cache=False, **more).logits
        return found[0].float()

    try:
        with torch.no_grad():
            alone = torch.cat([logits(part) for part in ids.split(TRIED_LENGTHS, dim=1)])
            mixed = logits(ids)
        decoder.set_attn_implementation(NAME)
        apart = logits(ids, **borders(TRIED_LENGTHS, device))
        apart.sum().backward()
        model.zero_grad()
        # Compared by token, because a leak may reach only the first tokens of a row.
        leak, error = ((each - alone).norm(dim=-1).max() for each in (mixed, apart.detach()))
        reason = None if error <= TOLERATED * leak else "a row sees the row before it"
    except (ValueError, TypeError, RuntimeError) as found:
        reason = str(found).partition("\n")[0]
    if reason is not None:
        decoder.set_attn_implementation(before)
    return reason
