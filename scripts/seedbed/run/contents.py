"""Content digests: digests of the parts of a file that jobs read. Only these cause reruns."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from seedbed.artifacts import broken, file_digest, read_json
from seedbed.models import ModelRecord
from seedbed.records import Record
from seedbed.streams.record import DatasetRecord
from seedbed.tasks.record import TaskRecord
from seedbed.training.record import TrainingRecord

RECORDS: dict[str, type[Record]] = {
    "model.json": ModelRecord,
    "task.json": TaskRecord,
    "dataset.json": DatasetRecord,
    "training.json": TrainingRecord,
}
"""By file name, the records of which jobs read only some keys."""


def content_digest(path: str | os.PathLike[str]) -> str:
    """Return a digest of the parts of a file that jobs read, 64 hexadecimal digits.

    Jobs read most files whole, but only the keys `CONTENT` of a record. Models with the same
    weights from different sources therefore have the same digest, and so do adapters that
    different versions of a library wrote.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if a record is broken, naming the file.
    """
    path = Path(path)
    if path.name not in RECORDS:
        return file_digest(path)
    record = read_json(path)
    if not isinstance(record, dict):
        raise ValueError(broken(path, "not a record"))
    # From the file itself, without defaults of keys that an earlier version did not write.
    content = [record.get(key) for key in RECORDS[path.name].CONTENT]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
