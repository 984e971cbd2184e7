"""Whether two studies came to the same results."""

from __future__ import annotations

import hashlib
import json

import polars as pl

from project import Clone

# What differs from run to run: how long it took, and where.
PASSING = {"seconds", "started", "host", "versions", "code"}


def results(clone: Clone) -> dict[str, object]:
    """Return what a study came to, by file: rows, weights and scores, without times."""
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
            # An adapter that a run made ahead, and failed before its job took it, stays for a later
            # run of that job.
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
    """Fail with the names of the files that differ, or are in one alone.

    Args:
        clone: one of the two.
        other: the whole study.
        cells: if the first one is a part of it, how many cells it has in some stages.
    """
    ours, theirs = results(clone), results(other)
    for stage, count in (cells or {}).items():
        assert len({name.rpartition("/")[0] for name in ours if name.startswith(stage)}) == count
    assert sorted(ours.keys() - theirs.keys()) == []
    assert cells or sorted(theirs.keys() - ours.keys()) == []
    assert [name for name in ours if ours[name] != theirs[name]] == []
