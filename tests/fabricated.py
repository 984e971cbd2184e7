"""Makes a study look finished: small files without meaning, and the manifest of a finished run.

    python tests/fabricated.py [TARGET] --config study=NAME

Run it in the folder of a copy of the project. It writes rule, inputs and outputs of all jobs to
jobs.json.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from snakemake.cli import main

sys.path.insert(0, str(Path("scripts").resolve()))
from seedbed.run.snakemake_internals import Jobs, Workflow, defined, when_planned


def fabricate(workflow: Workflow) -> None:
    """Make the files of all jobs, record them in the manifest, and exit."""
    jobs = Jobs(workflow).unfinished()
    for job in jobs:
        for path in map(Path, job.output):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content(path))
    defined(workflow, "HOOKS").planner.made(jobs)
    named = [[job.rule.name, list(map(str, job.input)), list(map(str, job.output))] for job in jobs]
    Path("jobs.json").write_text(json.dumps(named))
    os._exit(0)


def content(path: Path) -> bytes:
    """Return content that planning can read, and that differs for each file."""
    if path.suffix == ".json":
        return json.dumps({"fingerprint": str(path), "databases": {}, "counts": {}}).encode()
    if "shard=" in str(path):
        import polars as pl

        from seedbed.artifacts import write_parquet

        write_parquet(path, pl.DataFrame({"query": []}, schema={"query": int}), {"path": str(path)})
        return path.read_bytes()
    return str(path).encode()


if __name__ == "__main__":
    when_planned(fabricate)
    main([*sys.argv[1:], "--dry-run", "--quiet", "all"])
