"""The memory that micro-batches are planned to take, against a count of tensors without data."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import LlamaConfig

from seedbed.training import varlen
from seedbed.training.micro_batches import activation_bytes, plan

LLAMA_2_7B = LlamaConfig()
"""Its shape is what the library takes by default."""


def tracked_peak(rows, width, labelled, checkpointing, padding_free=False):
    """Most bytes that a step of Llama 2 7B with LoRA has beside its weights, without any data.

    Attention is a kernel's, which keeps what goes in and comes out, and no scores.

    Args:
        rows: of the micro-batch.
        width: tokens of each.
        labelled: the last ones of these that have a label, and so logits.
        checkpointing: whether activations are computed twice.
        padding_free: whether rows lie one after the other, for PyTorch's kernel.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import AttentionInterface, LlamaForCausalLM

    AttentionInterface.register("kernel", varlen.attend if padding_free else kernel)
    with torch.device("meta"):
        model = LlamaForCausalLM._from_config(LLAMA_2_7B, attn_implementation="kernel")
        lora = LoraConfig(r=64, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(model.to(torch.bfloat16), lora).train()
    if checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable()
    weights = {part.untyped_storage()._cdata for part in (*model.parameters(), *model.buffers())}
    ids = torch.zeros((rows, width), dtype=torch.long, device="meta")
    borders = {}
    if padding_free:
        ids, labelled = ids.view(1, -1), rows * labelled
        borders = varlen.borders([width] * rows, ids.device)
    with Tracker(weights) as tracker:
        base = model.get_base_model()
        seen = base.model(input_ids=ids, use_cache=False, **borders).last_hidden_state
        logits = base.lm_head(seen[:, -labelled:]).float().flatten(0, 1)
        labels = ids[:, -labelled:].flatten()
        torch.nn.functional.cross_entropy(logits, labels, reduction="sum").backward()
    return tracker.peak


class Tracker(TorchDispatchMode):
    """Counts the memory of tensors that are made while it is on, until they are gone."""

    def __init__(self, known):
        super().__init__()
        self.now = self.peak = 0
        self._known = set(known)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if not isinstance(tensor, torch.Tensor):
                continue
            storage = tensor.untyped_storage()
            if storage._cdata not in self._known:
                self._known.add(storage._cdata)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
        return found

    def _gone(self, key, size):
        self._known.discard(key)
        self.now -= size


class Kernel(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *inputs):
        out = torch.empty_like(inputs[0])
        ctx.save_for_backward(*inputs, out)
        return out

    @staticmethod
    def backward(ctx, _):
        return tuple(torch.empty_like(part) for part in ctx.saved_tensors[:3])


def kernel(module, query, key, value, mask, **_):
    return Kernel.apply(query, key, value).transpose(1, 2).contiguous(), None


# Widths of 128 rows of GSM8K, ARC-Challenge and Spider, and rows of 1,536 tokens; with all tokens
# labelled, which is the most that a row can have, and with half of them.
@pytest.mark.slow
@pytest.mark.parametrize("share", [1, 2])
@pytest.mark.parametrize(
    ("rows", "width", "checkpointing"),
    [(128, 533, True), (128, 366, True), (128, 1_215, True), (8, 1_536, True), (8, 1_536, False)],
)
def test_the_planned_memory_of_llama_2_is_what_a_tracker_finds(rows, width, checkpointing, share):
    found = tracked_peak(rows, width, width // share, checkpointing)
    planned = activation_bytes(LLAMA_2_7B, checkpointing, element=2) * rows * width
    assert found <= planned <= 1.6 * found


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [True, False])
def test_rows_without_padding_take_what_is_planned_for_their_tokens(checkpointing):
    found = tracked_peak(8, 1_536, 1_536, checkpointing, padding_free=True)
    planned = activation_bytes(LLAMA_2_7B, checkpointing, element=2) * 8 * 1_536
    assert found <= planned <= 1.6 * found


@pytest.mark.slow
@pytest.mark.parametrize("gigabytes", [24, 80])
def test_what_is_planned_for_a_gpu_fits_into_it(gigabytes):
    # Less the weights in 16 bits, and the adapter with its gradients and both moments of Adam.
    free = int(gigabytes * 1e9 - 2 * 6.74e9 - 4 * 4 * 160e6)
    made = plan(LLAMA_2_7B, free, 2, 1_668, None)
    found = tracked_peak(max(1, made.tokens // 1_215), 1_215, 1_215, made.checkpointing)
    assert 0.4 * free < found < free
    # All rows of Spider in one: what was planned before.
    assert tracked_peak(128, 1_215, 600, True) > free
