"""What a model's `config.json` reveals about the model before it is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ATTENTION = "attention"
"""Attention layers have this in their names; `linear_attention`, however, carries a state."""

SOFTCAPPED = frozenset(("gemma2", "gemma2_text"))
WITH_SINKS = frozenset(("gpt_oss",))
WITH_STATES = frozenset(
    (
        *("bamba", "falcon_h1", "falcon_mamba", "granitemoehybrid", "jamba", "kimi_linear", "lfm2"),
        *("lfm2_moe", "mamba", "mamba2", "minimax", "nemotron_h", "qwen3_next", "recurrent_gemma"),
        *("rwkv", "zamba", "zamba2"),
    )
)
"""Kinds of models (`model_type` in `config.json`): with softcapped attention, with attention sinks,
and with layers that carry a state from token to token."""

NF4_CHANNELS = 64
"""Number of weights that share a scale. On a CPU, bitsandbytes needs a multiple of it."""

UNTRAINED = frozenset(("fp8", "fbgemm_fp8"))
BY_GPTQMODEL = frozenset(("awq", "gptq"))
"""Quantization methods (`quant_method`): those that Transformers cannot train, and those for which
it needs the library gptqmodel."""

EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
"""Keys of `config.json` that hold the number of experts per layer."""


class Architecture:
    """A model's `config.json`, or the part of it that the hub reports."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        text = config.get("text_config")
        self._text: Mapping[str, Any] = text if isinstance(text, dict) else config

    @classmethod
    def of_folder(cls, folder: Path) -> Architecture | None:
        """Return the architecture of a model's folder; None if it has no readable `config.json`."""
        with suppress(OSError, ValueError):
            read = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if isinstance(read, dict):
                return cls(read)
        return None

    @property
    def kinds(self) -> set[str]:
        """The kind of the model and the kind of its text part."""
        found = (part.get("model_type") for part in (self._config, self._text))
        return {kind for kind in found if isinstance(kind, str)}

    @property
    def quantized(self) -> str | None:
        """The method by which its weights are already quantized; None if they are not."""
        for part in (self._config, self._text):
            if isinstance(found := part.get("quantization_config"), dict) and found:
                return str(found.get("quant_method", "bitsandbytes"))
        return None

    @property
    def whole_in_transformers(self) -> bool:
        """Whether Transformers, without additional kernels, loads its weights in 16 bits."""
        return self.quantized == "mxfp4"

    def untrained_because(self) -> str | None:
        """Return why adapters cannot be trained on its quantized weights; None if they can."""
        method = self.quantized
        if method in UNTRAINED:
            return f"its weights are quantized by {method}, which Transformers does not train"
        if method in BY_GPTQMODEL and find_spec("gptqmodel") is None:
            return f"its weights are quantized by {method}, for which gptqmodel is not installed"
        return None

    @property
    def has_states(self) -> bool:
        """Whether layers carry a state from token to token, with or without attention."""
        layers = self._text.get("layer_types")
        named = [str(one) for one in layers] if isinstance(layers, list) else []
        other = any(ATTENTION not in one or one.startswith("linear") for one in named)
        return other or bool(self.kinds & WITH_STATES)

    @property
    def has_experts(self) -> bool:
        """Whether layers are mixtures of experts."""
        counts = (self._text.get(key) for key in EXPERTS)
        return any(isinstance(count, int) and count > 1 for count in counts)

    def padded_because(self) -> str | None:
        """Return why rows cannot be concatenated without padding; None if they can."""
        if self._text.get("attn_logit_softcapping") or self.kinds & SOFTCAPPED:
            return "its attention has softcaps, which the kernel for unpadded rows does not support"
        if self.kinds & WITH_SINKS:
            return "its attention has sinks, which the kernel for unpadded rows does not support"
        if self.has_states:
            return "its layers carry a state from one row into the next"
        return None

    def not_in_vllm_on_cpu(self, adapters: bool) -> str | None:
        """Return why vLLM's CPU build cannot run the model; None if no reason is known.

        Args:
            adapters: whether the model runs with adapters.
        """
        if self.has_experts and (adapters or self.kinds & {"deepseek_v3"}):
            return "mixtures of experts need Triton there" + (", with adapters" if adapters else "")
        if self.has_states and not self.kinds & {"lfm2"}:
            return "layers with a state need chunked prefill, which does not work on a CPU"
        return None

    def unquantizable_on_cpu(self) -> str | None:
        """Return why bitsandbytes cannot quantize it to 4 bits on a CPU; None if it can."""
        for key in ("hidden_size", "intermediate_size"):
            width = self._text.get(key)
            if isinstance(width, int) and width % NF4_CHANNELS:
                return (
                    f"on a CPU, layers need a multiple of {NF4_CHANNELS} channels, and {key} in "
                    f"config.json is {width}"
                )
        return None
