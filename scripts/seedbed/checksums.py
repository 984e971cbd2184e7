"""Checksums: whether the files that a job reads are unchanged since they were made.

Readers often do not notice a flipped byte in a table or an adapter. The manifests next to the
results hold the checksum of every file that a job made; expensive jobs compare them first.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from seedbed.artifacts import broken, file_digest

# Path and digest of an output, as `seedbed.run.manifest` writes them.
_NOTED = re.compile(rb'"((?:[^"\\]|\\.)+)": \["([0-9a-f]{64})"')
_FEW = 16


def check_inputs(manifests: Sequence[Path], files: Iterable[str | os.PathLike[str]]) -> None:
    """Exit with a message if a file has changed since it was made.

    Args:
        manifests: files with the checksums; missing ones are ignored.
        files: the job's inputs, with the paths that the manifests use. Missing files and files
            without a checksum are ignored.

    Raises:
        SystemExit: naming the first file that differs, and what to do.
    """
    paths = [os.fspath(file) for file in files]
    noted: dict[str, str] = {}
    for manifest in manifests:
        try:
            content = manifest.read_bytes()
        except FileNotFoundError:
            continue
        noted |= _last(content, paths) if len(paths) <= _FEW else _all(content)
    for path in paths:
        if path in noted and Path(path).is_file() and file_digest(path) != noted[path]:
            sys.exit(broken(path, "its checksum has changed since it was made"))


def _last(content: bytes, paths: Iterable[str]) -> dict[str, str]:
    """Return the last checksum of some files, without parsing the others."""
    found = {}
    for path in paths:
        key = json.dumps(path, ensure_ascii=False).encode() + b': ["'
        place = content.rfind(key)
        if place >= 0 and (match := _NOTED.match(content, place)):
            found[path] = match[2].decode()
    return found


def _all(content: bytes) -> dict[str, str]:
    """Return the last checksums of all files."""
    return {json.loads(b'"%b"' % match[1]): match[2].decode() for match in _NOTED.finditer(content)}
