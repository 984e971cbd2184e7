"""LoRA layers with fewer operations than PEFT's, and the same weights and results."""

from __future__ import annotations

import types
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import nn


class _LoraLinear(torch.autograd.Function):
    """x W^T + bias + scaling x A^T B^T, where A and B are trained, and W and the bias are frozen.

    PEFT's layers create and keep several tensors of the output's size. With small models on a CPU,
    that takes as long as the matrix products themselves.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        """Return the layer's output, ... x out.

        Args:
            ctx: context that keeps tensors for the backward pass.
            x: ... x in.
            weight: out x in.
            bias: out, or None.
            a: rank x in.
            b: out x rank.
            scaling: the adapter's scaling factor.
        """
        flat = x.reshape(-1, x.shape[-1])
        inner = flat @ a.T
        out = flat @ weight.T if bias is None else torch.addmm(bias, flat, weight.T)
        out.addmm_(inner, b.T, alpha=scaling)
        ctx.save_for_backward(flat, inner, weight, a, b)
        ctx.scaling, ctx.shape = scaling, x.shape
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of `x`, `a` and `b`."""
        flat, inner, weight, a, b = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        grad_inner = (grad @ b).mul_(ctx.scaling)
        grad_b = (grad.T @ inner).mul_(ctx.scaling)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ weight).addmm_(grad_inner, a).view(ctx.shape)
        return grad_x, None, None, grad_inner.T @ flat, grad_b, None


def lighten(model: nn.Module) -> int:
    """Replace the forward pass of a PEFT model's plain LoRA layers on a CPU by a faster one.

    Layers with dropout, other types, other precisions, or trained base weights stay as they are.

    Returns:
        Number of changed layers.
    """
    found = 0
    for layer in model.modules():
        if isinstance(layer, Linear) and _is_plain(layer):
            # An instance attribute takes precedence over the class's method.
            vars(layer)["forward"] = types.MethodType(_forward, layer)
            found += 1
    return found


def _is_plain(layer: Linear) -> bool:
    base, names = layer.get_base_layer(), list(layer.lora_A)
    if type(base) is not nn.Linear or len(names) != 1 or layer.lora_variant:
        return False
    (name,) = names
    a, b = layer.lora_A[name], layer.lora_B[name]
    tensors = [part for part in (base.weight, base.bias, a.weight, b.weight) if part is not None]
    return (
        isinstance(layer.lora_dropout[name], nn.Identity)
        and a.bias is None
        and b.bias is None
        and not base.weight.requires_grad
        and all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
    )


def _forward(self: Linear, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    base, (name,) = self.get_base_layer(), self.lora_A
    a, b = self.lora_A[name].weight, self.lora_B[name].weight
    return _LoraLinear.apply(x, base.weight, base.bias, a, b, self.scaling[name])
