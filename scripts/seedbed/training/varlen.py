"""Attention over rows that lie one after the other, without padding between them.

The kernel is PyTorch's own (`torch.nn.attention.varlen`, FlashAttention 2), which every build for
CUDA has. It knows causal attention, sliding windows and grouped heads; it has no softcaps and no
attention sinks. On a CPU, where there is no such kernel, rows are attended to one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "seedbed_varlen"
"""Under which Transformers knows the attention."""

HEAD_MULTIPLE = 8
"""The kernel takes heads whose width is a multiple of this."""

TRIED_LENGTHS = (9, 7)
"""Tokens of the rows with which a model is tried."""

TOLERATED = 0.2
"""Most that rounding may change the logits of rows that lie one after the other, as a share of what
they change where a row sees the row before it."""


def borders(lengths: Sequence[int], device: torch.device) -> dict[str, torch.Tensor | int]:
    """Return what tells a model where rows begin, by the names of Transformers.

    Args:
        lengths: tokens of each row, in their order.
        device: where the model is.
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
    """Return what causal attention gives for each row, 1 x tokens x heads x width, and no weights.

    Transformers calls it in place of its own functions.

    Args:
        module: the layer.
        query: 1 x heads x tokens x width, all rows one after the other.
        key: the same, with as many heads or a divisor of their number.
        value: likewise.
        attention_mask: of no use here; the borders say all.
        scaling: of the scores; None for one over the root of the width.
        sliding_window: tokens that a token sees, itself included; None for all before it.
        softcap: must be None.
        s_aux: attention sinks; must be None.
        cu_seq_lens_q: where each row begins, and the end of the last one.
        max_length_q: tokens of the longest row.

    Raises:
        ValueError: if the layer asks for what this attention does not know.
    """
    if softcap is not None or s_aux is not None:
        raise ValueError(f"attention {'softcaps' if softcap is not None else 'sinks'}")
    if cu_seq_lens_q is None or max_length_q is None or not getattr(module, "is_causal", True):
        raise ValueError("attention layers that do not learn where rows begin")
    width, out_width = query.shape[-1], value.shape[-1]
    scaling = width**-0.5 if scaling is None else scaling
    window = sliding_window if sliding_window and sliding_window < max_length_q else None
    if query.device.type == "cpu":
        lengths = cu_seq_lens_q.diff().tolist()
        parts = (part.split(lengths, dim=2) for part in (query, key, value))
        rows = [_one_row(q, k, v, scaling, window) for q, k, v in zip(*parts, strict=True)]
        return torch.cat(rows, dim=2).transpose(1, 2).contiguous(), None
    # Of MLA, values are narrower than keys.
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
    return pad(part, (0, missing)) if missing else part  # to pad by nothing makes a copy


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
    """Have a model take rows one after the other if it can, and return why not if it cannot.

    It is tried: two short rows must give what each gives alone, and have a backward pass. That
    finds every kind of layer in which a row sees the one before it.

    Args:
        model: a PEFT model on its device, which is left in evaluation mode.
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
        # By token: what leaks into a row may reach its first tokens alone.
        leak, error = ((each - alone).norm(dim=-1).max() for each in (mixed, apart.detach()))
        reason = None if error <= TOLERATED * leak else "a row sees the row before it"
    except (ValueError, TypeError, RuntimeError) as found:
        reason = str(found).partition("\n")[0]
    if reason is not None:
        decoder.set_attn_implementation(before)
    return reason
