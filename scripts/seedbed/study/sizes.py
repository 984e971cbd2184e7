"""Sizes of models: from the headers of their weights, from the hub, or from their names."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

from seedbed.architectures import Architecture
from seedbed.study.config import ModelConfig

HALF_GB = 2.0
"""Gigabytes per billion parameters in 16 bits, the form of models that are not quantized."""

FLOATS = {"F64", "F32", "F16", "BF16"}
"""Number types that are loaded in 16 bits; other types stay as they are."""

QUANTIZED_NAMES = (
    (4, r"awq|gptq|[-_](?:4bit|int4|w4a16|nf4|q4)"),
    (8, r"[-_](?:8bit|int8|fp8|w8a8|w8a16|q8)"),
)
"""Bits per weight, and patterns of hub names that indicate them."""


HUB_SECONDS = 3.0
"""Seconds that a plan waits for the hub, once."""

ANSWERS = "SEEDBED_HUB_SIZES"
"""Environment variable that passes the hub's answers to the processes of jobs: JSON, by name and
revision. An empty name means that the hub cannot be reached."""

_BYTES = {"64": 8, "32": 4, "16": 2}
"""Bytes of a type, by the number in its name; other types have one byte."""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a model.

    Attributes:
        parameters: billions, of all experts.
        gigabytes: of its weights, as they are loaded.
    """

    parameters: float
    gigabytes: float


TOLD = ("model_type", "quantization_config")
"""Keys of the hub's copy of `config.json` to keep."""

_Said = tuple[dict[str, int], dict[str, Any]]
"""Counts of numbers in the weights by type, and parts of `config.json`."""


class _Tensor(TypedDict):
    """Description of a tensor in the header of a safetensors file."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def size_of_name(name: str) -> Size | None:
    """Return the size that a hub name indicates; None if it indicates none.

    All experts count: `8x7B` means eight of seven billion. This is an overestimate, because experts
    share some of their parameters.
    """
    name = name.lower()
    # Active parameters do not count, e.g. the 3 of `30B-A3B`.
    found = re.search(r"(?<![\d.])(?<!-a)(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z])", name)
    if found is None:
        return None
    parameters = int(found[1] or 1) * float(found[2])
    bits = next((bits for bits, pattern in QUANTIZED_NAMES if re.search(pattern, name)), 16)
    return Size(parameters, parameters * HALF_GB * bits / 16)


@cache
def size_of_folder(folder: Path) -> Size | None:
    """Return the size of the model in a folder, by the headers of its weights.

    Returns:
        None if the folder holds no whole safetensors file.
    """
    bits = _bits_of_folder(folder)
    parameters = size = 0.0
    try:
        for file in sorted(folder.glob("*.safetensors")):
            # Mistral's own copy of the weights, in addition to those in Transformers' layout.
            if file.name.startswith("consolidated") and (folder / "config.json").is_file():
                continue
            for tensor in _header(file).values():
                count = math.prod(tensor["shape"])
                start, stop = tensor["data_offsets"]
                if tensor["dtype"] in FLOATS:
                    parameters += count
                    size += 2 * count
                else:
                    # Quantized weights; a number may contain several.
                    parameters += 8 * (stop - start) / bits
                    size += stop - start
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return Size(parameters / 1e9, size / 1e9) if parameters else None


def size_of_hub(name: str, revision: str | None) -> Size | None:
    """Return the size of a model from the hub's information on its weights.

    Args:
        name: OWNER/NAME.
        revision: commit; None for the newest.

    Returns:
        None if offline, or if the hub cannot be reached or has no information.
    """
    found = _asked_hub(name, revision)
    return found and size_of_counts(found[0], _bits(found[1]))


def architecture_of_hub(name: str, revision: str | None) -> Architecture | None:
    """Return a model's `config.json` from the hub; None in the cases of `size_of_hub`."""
    found = _asked_hub(name, revision)
    return Architecture(found[1]) if found and found[1] else None


def architecture_of(config: ModelConfig, name: str) -> Architecture | None:
    """Return a model's `config.json` as far as it is available before any job; None if it is not.

    Args:
        config: the model's file.
        name: its stem.
    """
    found = Architecture.of_folder(config.folder(name))
    if found is None and config.hub is not None:
        return architecture_of_hub(config.hub.id, config.hub.revision)
    return found


def _asked_hub(name: str, revision: str | None) -> _Said | None:
    """Return the hub's information on a model, requested once for a run and all its jobs."""
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
    said = os.environ.get(ANSWERS) or "{}"
    known: dict[str, _Said | None] = json.loads(said)
    key = f"{name}@{revision}"
    if key not in known and not offline and "" not in known:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError

        try:
            asked: Any = ["safetensors", "config"]
            info = HfApi().model_info(name, revision=revision, expand=asked, timeout=HUB_SECONDS)
            counts = dict(info.safetensors.parameters) if info.safetensors else {}
            config = info.config or {}
            known[key] = counts, {part: config[part] for part in TOLD if config.get(part)}
        except HfHubHTTPError:
            known[key] = None  # Gated, or not there: the job that fetches it says so.
        except Exception:
            known[""] = None
        os.environ[ANSWERS] = json.dumps(known)
    return known.get(key)


def size_of_counts(counts: Mapping[str, int], bits: int) -> Size | None:
    """Return the size of weights from their counts of numbers by type.

    Args:
        counts: by type, as F16 or I32.
        bits: of a quantized weight.
    """
    parameters = size = 0.0
    for kind, count in counts.items():
        if kind in FLOATS:
            parameters += count
            size += 2 * count
        else:
            taken = count * _BYTES.get(kind[1:], 1)
            parameters += 8 * taken / bits
            size += taken
    return Size(parameters / 1e9, size / 1e9) if parameters else None


def _header(file: Path) -> dict[str, _Tensor]:
    """Return the tensors of a safetensors file: https://huggingface.co/docs/safetensors."""
    with file.open("rb") as content:
        length = int.from_bytes(content.read(8), "little")
        header = json.loads(content.read(length))
    return {name: tensor for name, tensor in header.items() if name != "__metadata__"}


def _bits_of_folder(folder: Path) -> int:
    try:
        return _bits(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError, TypeError):
        return _bits({})


def _bits(config: Mapping[str, Any]) -> int:
    """Return the bits per quantized weight from a model's `config.json`; 8 if it states none."""
    quantization = config.get("quantization_config") or {}
    if quantization.get("load_in_4bit") or quantization.get("quant_method") == "mxfp4":
        return 4
    # In compressed-tensors, each group of layers has its own form of weights.
    groups = quantization.get("config_groups") or {}
    forms = [group.get("weights") or {} for group in groups.values()]
    stated = [form["num_bits"] for form in forms if form.get("num_bits")]
    return int(quantization.get("bits") or min(stated, default=8))
