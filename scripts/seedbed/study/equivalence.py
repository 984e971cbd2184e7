"""Recognises changed settings and inputs that lead to the same result.

Data and models may come from the hub or from a folder, the folder may have moved, and a revision
may be null or the commit that null resolved to: the result is the same. If settings or inputs
differ, the functions here compare them with the records of the existing results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seedbed.artifacts import file_digest
from seedbed.config.values import JsonObject
from seedbed.models import ModelRecord, fingerprint
from seedbed.tasks.record import TaskRecord

Params = Mapping[str, Any]
"""Parameters of a job by name, as Snakemake holds them."""

# Keys of `source` that do not influence the items: the licence, and digests that are only checked.
_WORDS = ("license", "sha256")
# Keys that earlier versions did not have: at their defaults, they change nothing.
_ADDED = ("gold_form", "gold_words")


def same_result(rule: str, params: Params, outputs: Mapping[str, Path]) -> bool:
    """Return whether a job with changed settings or inputs would make its existing outputs again.

    Args:
        rule: name of the job's rule.
        params: its present parameters.
        outputs: its existing output files by name.
    """
    same = _RULES.get(rule)
    if same is None:
        return False
    try:
        return same(params, outputs)
    except Exception:
        return False  # Whatever is wrong with them, the job itself says it.


def items_source(source: Mapping[str, Any], prompt_columns: Sequence[str] = ()) -> JsonObject:
    """Return the parts of a task's `source` that its items depend on.

    Args:
        source: the section `source`, as JSON would have it.
        prompt_columns: the data set's columns that prompts name.
    """
    found = {
        key: value
        for key, value in source.items()
        if key not in _WORDS and not (key in _ADDED and value is None)
    }
    for key in ("files", "splits"):
        if key in found:
            found[key] = {name: value for name, value in found[key].items() if value is not None}
    if prompt_columns:
        found["prompt_columns"] = list(prompt_columns)
    if "excluded" in found:
        found["excluded"] = [
            {key: value for key, value in one.items() if key != "reason"}
            for one in found["excluded"]
        ]
    if "files" in found:
        # For files, these numbers are only a check.
        for key in ("train_items", "test_items"):
            found.pop(key, None)
    return found


def _same_task(params: Params, outputs: Mapping[str, Path]) -> bool:
    # Imported here because a table library takes half a second to import.
    import polars as pl

    from seedbed.tasks.data_sets import database_file, items_of
    from seedbed.tasks.items import read_items, to_frame
    from seedbed.tasks.selection import SPLITS, select_all
    from seedbed.tasks.settings import DataSource, SourceOnly

    source, data_dir = params["source"], params["data_dir"]
    named = list(params.get("prompt_columns", ()))
    about = TaskRecord.read(outputs["record"])
    if "world" in source:
        return False
    if not data_dir:
        # The task now comes from the hub, whose commit the record has.
        made, now = items_source(about.source), items_source(source)
        made["revision"] = about.revision or made["revision"]
        first = read_items(outputs["train"])[0] if "train" in outputs else None
        known = [] if first is None else [name for name, _ in first.columns]
        return made == now and sorted(known) == sorted(named)
    found = SourceOnly.of(source)
    assert isinstance(found, DataSource)
    databases: set[str] = set()
    chosen = select_all(found, Path(data_dir), named)
    for split in SPLITS:
        items = items_of(found, chosen[split], split, Path(data_dir))
        if not to_frame(items).equals(pl.read_parquet(outputs[split])):
            return False
        databases |= {item.database for item in items} - {""}
    digests = {
        name: file_digest(database_file(found, name.removesuffix(".sqlite"), Path(data_dir)))
        for name in databases
    }
    return digests == about.databases


def _same_model(params: Params, outputs: Mapping[str, Path]) -> bool:
    now, about = params["source"], ModelRecord.read(outputs["record"])
    if "template" in now:
        return False  # The record does not say which values the template had.
    if "path" in now:
        return fingerprint(Path(now["path"])) == about.fingerprint
    if "api" in now:
        return [now["api"], now.get("revision")] == [about.api, about.version]
    return [now["hub"], now.get("revision")] == [about.hub, about.revision]


_RULES: dict[str, Callable[[Params, Mapping[str, Path]], bool]] = {
    "get_task": _same_task,
    "get_model": _same_model,
}
