"""Model folders: what tells one model's weights from another's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from seedbed.artifacts import read_json

WEIGHTS = ("*.safetensors", "*.bin")
# Configuration, tokenizer, chat template, default ends of generation: all that a completion depends
# on beside the weights. Some tokenizers are plain text files or SentencePiece models.
SETTINGS = ("*.json", "*.jinja", "*.txt", "*.model")
RECORD = "model.json"


def fingerprint(folder: Path) -> str:
    """Return a digest of a model's settings, tokenizer and weights, 32 hexadecimal digits.

    Raises:
        FileNotFoundError: if the folder holds no weights.
    """
    weights = sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))
    if not weights:
        raise FileNotFoundError(f"no weights ({' or '.join(WEIGHTS)}) in {folder}")
    settings = sorted(path for pattern in SETTINGS for path in folder.glob(pattern))
    digest = hashlib.sha256()
    for path in [*settings, *weights]:
        if path.name != RECORD:
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


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
    file = adapter / "adapter_config.json"
    if not file.is_file():
        raise FileNotFoundError(f"no {file.name} in {adapter}")
    return int(read_json(file)["r"])


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
