"""Comparison of the results of two studies."""

from __future__ import annotations

import hashlib
import json

import polars as pl

from project import Clone

# Values that differ from run to run: times and places.
PASSING = {"seconds", "started", "host", "versions", "code"}


def results(clone: Clone) -> dict[str, object]:
    """Return a study's results by file: rows, weights and scores, without times."""
    found: dict[str, object] = {}
    root = clone.folder / "results/micro"
    for stage in (
        "questions",
        "answers",
        "samples",
        "datasets",
        "adapters",
        "evaluations",
        "tables",
    ):
        for path in sorted((root / stage).rglob("[!.]*")):
            name = str(path.relative_to(root))
            # An adapter that a run made ahead stays for a later run of its job, if the run fails
            # before that job takes it.
            if "/." in name:
                continue
            if path.suffix == ".parquet":
                frame = pl.read_parquet(path)
                timed = [column for column in frame.columns if "seconds" in column]
                found[name] = frame.drop(timed).write_json()
            elif path.suffix == ".safetensors":
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            elif path.name in ("evaluation.json", "dataset.json", "training.json"):
                content = json.loads(path.read_text())
                found[name] = {key: content[key] for key in content.keys() - PASSING}
    return found


def assert_same(clone: Clone, other: Clone, cells: dict[str, int] | None = None) -> None:
    """Fail with the names of the files that differ, or that only one study has.

    Args:
        clone: one of the two studies.
        other: the other, which is complete.
        cells: if the first is a part of the other, the number of its cells in some stages.
    """
    ours, theirs = results(clone), results(other)
    for stage, count in (cells or {}).items():
        assert len({name.rpartition("/")[0] for name in ours if name.startswith(stage)}) == count
    assert sorted(ours.keys() - theirs.keys()) == []
    assert cells or sorted(theirs.keys() - ours.keys()) == []
    assert [name for name in ours if ours[name] != theirs[name]] == []
