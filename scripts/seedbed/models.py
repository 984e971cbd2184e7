"""Model folders: fingerprints, records and loading of models and adapters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from seedbed.artifacts import read_json
from seedbed.records import MadeRecord, Settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Quantization = Literal["nf4", "int8"]
"""The form in which bitsandbytes loads the weights of linear layers, if they are quantized."""

WEIGHTS = ("*.safetensors", "*.bin")
# Configuration, tokenizer, chat template and default stop tokens: what a completion depends on in
# addition to the weights. Some tokenizers are plain text files or SentencePiece models.
SETTINGS = ("*.json", "*.jinja", "*.txt", "*.model")
RECORD = "model.json"
ADAPTER_SETTINGS = "adapter_config.json"
_NO_PART_OF_ADAPTERS = ("base_model_name_or_path", "inference_mode", "peft_version", "revision")
"""Keys of an adapter's settings that only record its base model's path and PEFT's own state."""


class ModelRecord(MadeRecord):
    """`model.json`, in a model's folder.

    Attributes:
        fingerprint: digest of the weights, or of an endpoint's name for the model.
        hub: OWNER/NAME on the hub, if the model comes from there.
        revision: commit on the hub.
        path: the folder from which the model was copied, if any.
        api: its name at an endpoint, if the model is only there.
        version: distinguishes models with the same name at the endpoint.
        world: the generated world, if the model was trained here. Only such models have the
            attributes below.
        settings: how it was trained.
        prompts: prompt of each skill.
        step: optimiser steps before it was saved.
        loss: training loss of the steps before, in nats per token.
        parameters: number of parameters.
        vocabulary: number of tokens in the vocabulary.
    """

    CONTENT: ClassVar[tuple[str, ...]] = ("fingerprint",)
    fingerprint: str
    hub: str | None = None
    revision: str | None = None
    path: str | None = None
    api: str | None = None
    version: str | None = None
    world: str | None = None
    settings: Settings = Field(default_factory=dict)
    prompts: dict[str, str] = Field(default_factory=dict)
    step: int | None = None
    loss: float | None = None
    parameters: int | None = None
    vocabulary: int | None = None


def fingerprint(folder: Path) -> str:
    """Return a digest of a model's settings, tokenizer and weights, 32 hexadecimal digits.

    Raises:
        FileNotFoundError: if the folder holds no weights.
    """
    weights = _weights(folder)
    settings = sorted(path for pattern in SETTINGS for path in folder.glob(pattern))
    files = [path for path in (*settings, *weights) if path.name != RECORD]
    return _digest(files).hexdigest()[:32]


def adapter_fingerprint(folder: Path) -> str:
    """Return a digest of an adapter's weights and settings, 32 hexadecimal digits.

    An adapter that is trained again in the same way has the same digest: the digest excludes
    training time and the order in which PEFT writes sets of names.

    Raises:
        FileNotFoundError: if the folder holds no weights or no settings.
        ValueError: if its settings are not valid JSON.
    """
    digest = _digest(_weights(folder))
    settings = {
        key: sorted(value, key=str) if isinstance(value, list) else value
        for key, value in _adapter_settings(folder).items()
        if key not in _NO_PART_OF_ADAPTERS
    }
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()[:32]


def _weights(folder: Path) -> list[Path]:
    weights = sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))
    if not weights:
        raise FileNotFoundError(f"no weights ({' or '.join(WEIGHTS)}) in {folder}")
    return weights


def _digest(files: Iterable[Path]) -> hashlib._Hash:
    """Return a digest of the names and contents of files, to which more can be added."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest


def api_fingerprint(name: str, version: str | None) -> str:
    """Return the fingerprint of a model behind an endpoint, whose weights are unknown.

    Args:
        name: the model's name at the endpoint.
        version: distinguishes models with the same name there.
    """
    return hashlib.sha256(json.dumps(["api", name, version]).encode()).hexdigest()[:32]


SAMPLING_DEFAULTS = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "min_length": 0,
    "num_beams": 1,
}
"""Keys of a generation_config that change a greedy answer, with the value that has no effect."""

SAMPLING_LISTS = (
    "bad_words_ids",
    "suppress_tokens",
    "begin_suppress_tokens",
    "sequence_bias",
    "min_new_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "exponential_decay_length_penalty",
)
"""Further such keys, which have no effect if they are null."""


def answers_identity(folder: Path, engine: str) -> str:
    """Return the model's part of the keys of its cached answers.

    It is the fingerprint. Earlier versions of the Transformers engine applied a model's own
    sampling defaults; for models with such defaults it differs, so that old answers are not used.

    Args:
        folder: the model's.
        engine: kind of the engine that answers.

    Raises:
        ValueError: if the folder has no fingerprint.
    """
    found = read_fingerprint(folder)
    file = folder / "generation_config.json"
    if engine != "transformers":
        return found
    own = read_json(file) if file.is_file() else {}
    changed = any(own.get(key) not in (None, same) for key, same in SAMPLING_DEFAULTS.items())
    changed = changed or any(own.get(key) is not None for key in SAMPLING_LISTS)
    return f"{found}, sampled by the request alone" if changed else found


def lora_rank(adapter: Path) -> int:
    """Return the rank of an adapter in the PEFT layout: the highest, if layers differ.

    Raises:
        FileNotFoundError: if the folder holds no adapter. (PEFT would look up its path on the hub.)
    """
    settings = _adapter_settings(adapter)
    patterns = settings.get("rank_pattern") or {}
    return max(map(int, (settings["r"], *patterns.values())))


def _adapter_settings(adapter: Path) -> dict[str, Any]:
    file = adapter / ADAPTER_SETTINGS
    if not file.is_file():
        raise FileNotFoundError(f"no {file.name} in {adapter}")
    return read_json(file)


def positions(config: Any) -> int | None:
    """Return the number of positions that a model supports; None if it has no limit.

    Args:
        config: the model's configuration, in Transformers' class.
    """
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def read_fingerprint(folder: Path) -> str:
    """Return the fingerprint in the `model.json` of a model's folder.

    Raises:
        ValueError: if there is none.
    """
    return ModelRecord.read(folder / RECORD).fingerprint


def load_model(
    folder: Path, quantization: Quantization | None = None, fsdp_size: int = 1
) -> PreTrainedModel:
    """Return a model on the GPU in 16 bits, or on the CPU in 32, for the engine and the trainer.

    Args:
        folder: the model's, in the Transformers layout.
        quantization: form in which to quantize the weights of linear layers, if any.
        fsdp_size: number of processes that share the weights; they must have joined already.

    Raises:
        ModuleNotFoundError: if quantization is requested and bitsandbytes is not installed.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    on_gpu = torch.cuda.is_available()
    dtype = torch.bfloat16 if on_gpu else torch.float32
    options: dict[str, Any] = {}
    if quantization is not None:
        if find_spec("bitsandbytes") is None:
            raise ModuleNotFoundError(
                f"quantization: {quantization} needs bitsandbytes, which is not installed: "
                "envs/gpu.lock has it"
            )
        form = (
            BitsAndBytesConfig(load_in_8bit=True)
            if quantization == "int8"
            else BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
            )
        )
        options = {"quantization_config": form, "device_map": {"": 0 if on_gpu else "cpu"}}
    if fsdp_size > 1:
        from transformers.distributed import DistributedConfig

        options["distributed_config"] = DistributedConfig(fsdp_size=fsdp_size)
    found: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention_of(folder), **options
    )
    return found


def attention_of(folder: Path) -> str | None:
    """Return the implementation of attention that a model needs; None for the library's choice.

    Scaled dot product attention, which Transformers chooses, ignores attention softcaps.

    Args:
        folder: the model's.
    """
    config = read_json(folder / "config.json")
    parts = [config, config.get("text_config") or {}]
    return "eager" if any(part.get("attn_logit_softcapping") for part in parts) else None
