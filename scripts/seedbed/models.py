"""Model folders: what tells one model's weights from another's."""

from __future__ import annotations

import hashlib
from pathlib import Path

from seedbed.artifacts import read_json

WEIGHTS = ("*.safetensors", "*.bin")


def fingerprint(folder: Path) -> str:
    """Return a digest of a model's configuration, tokenizer and weights, 32 hexadecimal digits.

    Raises:
        FileNotFoundError: if the folder holds no weights.
    """
    weights = sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))
    if not weights:
        raise FileNotFoundError(f"no weights ({' or '.join(WEIGHTS)}) in {folder}")
    digest = hashlib.sha256()
    for path in [folder / "config.json", folder / "tokenizer.json", *weights]:
        if path.is_file():
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


def read_fingerprint(folder: Path) -> str:
    """Return the fingerprint that a model's folder carries in its `model.json`.

    Raises:
        ValueError: if it carries none.
    """
    found = read_json(folder / "model.json").get("fingerprint")
    if not isinstance(found, str):
        raise ValueError(f"{folder / 'model.json'} has no fingerprint; delete {folder}")
    return found
