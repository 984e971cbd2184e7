"""The GPU memory that a model takes, by its size.

A plan knows a model's parameters, and its shape if its folder exists. The job itself measures the
free memory of its GPU and sizes micro-batches accordingly: `seedbed.training.micro_batches`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from seedbed.models import Quantization
from seedbed.study.sizes import Size
from seedbed.training.micro_batches import activation_bytes

LINEAR_BITS = {"nf4": 4.5, "int8": 8.0}
"""Bits of a quantized weight. In 4 bits, 64 weights share a scale of 32 bits: QLoRA, section 3,
https://arxiv.org/abs/2305.14314, without its double quantization. In 8, a row has one scale."""

OTHER_SHARE, OTHER_PARAMETERS = 0.15, 2.1
"""Share of a model's parameters outside its linear layers, which stay in 16 bits, and the most
billions of them: embeddings and output layer are 1.05 of 8.03 billion in Llama 3.1 8B, and 2.10 of
70.6 in 70B, by their config.json."""

ADAPTER_BYTES = 16
"""Bytes per adapter parameter: itself, its gradient and both moments of Adam, in 32 bits."""

CUDA_GB = 1.0
"""For CUDA's context and the workspaces of its libraries; assumed."""

HALF_BYTES = 2


class _TextConfig(TypedDict, total=False):
    """The keys of a model's `config.json` that give its shape."""

    hidden_size: int
    intermediate_size: int | None
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int | None
    vocab_size: int
    head_dim: int | None
    num_experts_per_tok: int | None


@dataclass(frozen=True)
class Shape:
    """The shape of a model, by the names of Transformers' configurations."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    head_dim: int
    num_experts_per_tok: int = 1

    def get_text_config(self) -> Shape:
        """Return itself, like the configuration of a text model."""
        return self

    @classmethod
    def of_folder(cls, folder: Path) -> Shape | None:
        """Return the shape from a folder's `config.json`; None if it gives none."""
        try:
            read = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            text: _TextConfig = read.get("text_config") or read
            hidden, heads = int(text["hidden_size"]), int(text["num_attention_heads"])
            return cls(
                hidden,
                int(text.get("intermediate_size") or 4 * hidden),
                int(text["num_hidden_layers"]),
                heads,
                int(text.get("num_key_value_heads") or heads),
                int(text["vocab_size"]),
                int(text.get("head_dim") or hidden // heads),
                int(text.get("num_experts_per_tok") or 1),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
            return None

    @classmethod
    def of_size(cls, parameters: float) -> Shape:
        """Return the shape of a Llama-like model with this many billions of parameters.

        A layer has about 12 times the square of the width in parameters, and there is one for each
        128 channels: Llama 2 7B has 32 of 4,096. Its vocabulary is that of Llama 3, as are four
        heads to each of keys and values.
        """
        layers = max(1, round((parameters * 1e9 / 12 / 128**2) ** (1 / 3)))
        hidden = 128 * layers
        return cls(hidden, round(2.7 * hidden), layers, layers, -(-layers // 4), 128_256, 128)

    def adapter_parameters(self, rank: int) -> int:
        """Return the parameters of an adapter on the seven linear layers of each decoder layer."""
        width, keys = (
            self.head_dim * heads for heads in (self.num_attention_heads, self.num_key_value_heads)
        )
        sides = 4 * self.hidden_size + 2 * width + 2 * keys
        sides += 3 * (self.hidden_size + self.intermediate_size)
        return rank * self.num_hidden_layers * sides


@dataclass(frozen=True)
class TrainingMemory:
    """Memory for training a student on each of its GPUs, in gigabytes.

    Attributes:
        weights: as they are loaded.
        buffers: for weights that are dequantized, or gathered from several GPUs.
        adapter: with gradients and Adam's moments.
        row: activations of one row of maximum length, with checkpointing.
    """

    weights: float
    buffers: float
    adapter: float
    row: float

    @property
    def gigabytes(self) -> float:
        """The sum, with CUDA's own memory."""
        return self.weights + self.buffers + self.adapter + self.row + CUDA_GB

    def __str__(self) -> str:
        parts = [f"{self.weights:.1f} GB of weights"]
        parts += [f"{self.buffers:.1f} to make weights whole"] if self.buffers else []
        parts += [
            f"{self.adapter:.1f} of adapter, gradients and Adam's moments",
            f"{self.row:.1f} of activations for one row",
            f"{CUDA_GB:.1f} of CUDA's own",
        ]
        return f"{', '.join(parts[:-1])} and {parts[-1]}: {self.gigabytes:.1f} GB"


def loaded_gigabytes(size: Size, quantization: Quantization | None) -> float:
    """Return the gigabytes of a model's weights as they are loaded.

    Args:
        size: of the model.
        quantization: form of the weights of its linear layers, if they are quantized.
    """
    if quantization is None:
        return size.gigabytes
    other = min(OTHER_SHARE * size.parameters, OTHER_PARAMETERS)
    linear = size.parameters - other
    quantized = other * HALF_BYTES + linear * LINEAR_BITS[quantization] / 8
    return min(size.gigabytes, quantized)


def training_memory(
    size: Size,
    shape: Shape | None,
    quantization: Quantization | None,
    rank: int,
    row_tokens: int,
    fsdp_size: int = 1,
) -> TrainingMemory:
    """Return the memory for training a student on each of its GPUs.

    Args:
        size: of the student.
        shape: of the student; None for that of a Llama of its size.
        quantization: form of the weights of its linear layers, if they are quantized.
        rank: of the adapter.
        row_tokens: most tokens of a row.
        fsdp_size: GPUs over which its weights are divided.
    """
    shape = shape or Shape.of_size(size.parameters)
    buffers = 0.0
    if quantization is not None:
        buffers = shape.hidden_size * shape.intermediate_size * HALF_BYTES / 1e9
    elif fsdp_size > 1:
        # Two layers, as the next one's weights come while one computes, and both ends of the model.
        other = min(OTHER_SHARE * size.parameters, OTHER_PARAMETERS)
        layer = (size.parameters - other) / shape.num_hidden_layers
        buffers = (other + 2 * layer) * HALF_BYTES
    activations = activation_bytes(shape, checkpointing=True, element=HALF_BYTES)
    return TrainingMemory(
        weights=loaded_gigabytes(size, quantization) / fsdp_size,
        buffers=buffers,
        adapter=shape.adapter_parameters(rank) * ADAPTER_BYTES / 1e9,
        row=activations * row_tokens / 1e9,
    )
