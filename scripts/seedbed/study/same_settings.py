"""Settings that differ and mean the same, by what a job says that it took."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seedbed.artifacts import read_json


def same_settings(rule: str, params: Mapping[str, Any], outputs: Iterable[str]) -> dict[str, Any]:
    """Return tracked settings of a job as they could stand too, by name.

    A revision of null takes the newest commit. To pin it to that commit later changes nothing.

    Args:
        rule: name of the job's rule.
        params: its parameters.
        outputs: its files, which are there.
    """
    if rule == "get_model":
        (record,) = outputs
        made = read_json(Path(record))
        if made.get("hub") and made.get("revision"):
            words = ["--hub", made["hub"], "--revision", made["revision"]]
            return {"source": shlex.join(words)}
    return {}
