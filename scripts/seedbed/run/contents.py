"""Contents: what jobs read of a file, so that only a change of that makes them run again."""

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
"""By file name, the records with only some keys as content."""


def content_digest(path: str | os.PathLike[str]) -> str:
    """Return a digest of all that jobs read of a file, 64 hexadecimal digits.

    Jobs read every byte of most files, but only `CONTENT` of a record. So a model from elsewhere
    with the same weights has the same digest, and so has an adapter that another version of a
    library wrote.

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
    # From the file's own keys: defaults of keys that an earlier version did not write stay out.
    content = [record.get(key) for key in RECORDS[path.name].CONTENT]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
