"""Model folders: what tells one model's weights from another's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seedbed.artifacts import read_json

WEIGHTS = ("*.safetensors", "*.bin")
# Configuration, tokenizer, chat template, default ends of generation: all that a completion depends
# on beside the weights. Some tokenizers are plain text files or SentencePiece models.
SETTINGS = ("*.json", "*.jinja", "*.txt", "*.model")
RECORD = "model.json"
ADAPTER_SETTINGS = "adapter_config.json"
_NO_PART_OF_ADAPTERS = ("base_model_name_or_path", "inference_mode", "peft_version", "revision")
"""Keys of an adapter's settings that say where its base model lay, and who wrote them down."""


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

    It is the same for the same adapter that was trained again: how long that took, and the order in
    which PEFT writes sets of names down, have no part in it.

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
    """Return what stands for the fingerprint of a model whose weights nobody sees.

    Args:
        name: at the endpoint.
        version: as its user tells it from others of that name.
    """
    return hashlib.sha256(json.dumps(["api", name, version]).encode()).hexdigest()[:32]


def lora_rank(adapter: Path) -> int:
    """Return the rank of an adapter in the PEFT layout.

    Raises:
        FileNotFoundError: if the folder holds none. A library would take its path for a name on the
            hub, and ask there.
    """
    return int(_adapter_settings(adapter)["r"])


def _adapter_settings(adapter: Path) -> dict[str, Any]:
    file = adapter / ADAPTER_SETTINGS
    if not file.is_file():
        raise FileNotFoundError(f"no {file.name} in {adapter}")
    return read_json(file)


def read_fingerprint(folder: Path) -> str:
    """Return the fingerprint that a model's folder carries in its `model.json`.

    Raises:
        ValueError: if it carries none.
    """
    record = read_json(folder / RECORD)
    found = record.get("fingerprint") if isinstance(record, dict) else None
    if not isinstance(found, str):
        raise ValueError(f"{folder / RECORD} has no fingerprint; delete {folder}")
    return found
