"""How a study stands: finished, running, stopped or broken; what failed, and where its log is."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from seedbed.artifacts import read_json
from seedbed.study.owners import RESULTS_FOLDER, seems_alive
from seedbed.study.watching import duration, named
from seedbed.study.workflow import Workflow

SHOWN = 10
"""Jobs that are named, of those that run or failed."""

_TAIL = 65536
_LONGEST_LINE = 300


def status(flow: Workflow, root: Path) -> dict[str, Any]:
    """Return how a study stands.

    Args:
        flow: the study.
        root: the folder that holds `results` and Snakemake's own files.

    Returns:
        `state` (`not started`, `running`, `failed`, `stopped`, `finished`), `cells`, `adapters` and
        `datasets` (made, all), `run`: what the last run noted of itself (None if none did).
    """
    results = root / flow.results
    file = results / "journal" / "run.json"
    run = read_json(file) if file.is_file() else None
    counts = {
        name: [sum((root / path).is_file() for path in paths), len(paths)]
        for name, paths in (
            ("cells", flow.evaluations()),
            ("adapters", flow.adapters()),
            ("datasets", flow.datasets()),
        )
    }
    whole = counts["cells"][0] == counts["cells"][1] and (results / "report/index.html").is_file()
    if run is not None and run["ended"] is None and _alive(results):
        state = "running"
    elif run is not None and run["failed"]:
        state = "failed"
    elif whole:
        state = "finished"
    elif run is not None:
        state = "stopped"
    else:
        state = "not started" if not any(made for made, _ in counts.values()) else "stopped"
    return {"study": flow.study.name, "state": state, **counts, "run": run}


def text(found: dict[str, Any], root: Path) -> str:
    """Return `status` for a person."""
    run, state = found["run"], found["state"]
    lines = [f"Study {found['study']}: {state}{_when(run, state)}", ""]
    for name in ("cells", "adapters", "datasets"):
        made, total = found[name]
        also = _also(run, state) if name == "cells" and run is not None else ""
        lines.append(f"  {name:<10}{made:>6} of {total}{also}")
    if state == "running":
        lines += ["", *_running(run)]
    if run is not None and run["failed"]:
        lines += ["", *_failed(run, root)]
    lines += ["", _advice(state)]
    return "\n".join(lines) + "\n"


def _when(run: dict[str, Any] | None, state: str) -> str:
    if run is None:
        return ""
    now = time.time()
    if state == "running":
        left = f", {run['left']}" if run["left"] else ""
        return f" for {duration(now - run['started'])} on {run['host']}{left}"
    if run["ended"] is None:
        return f" (the last run was killed; it was alive {duration(now - run['noted'])} ago)"
    return f" (the last run ended {duration(now - run['ended'])} ago)"


def _also(run: dict[str, Any], state: str) -> str:
    """Return what becomes of the cells that are not made."""
    parts = []
    if state == "running":
        cells = {
            job["wildcards"].get("cell", job["wildcards"].get("trained_cell"))
            for job in run["running"]
        } - {None}
        parts.append(f"{len(cells)} under way")
    if run["blocked"]:
        parts.append(f"{run['blocked']} wait for what failed")
    return f" ({', '.join(parts)})" if parts else ""


def _running(run: dict[str, Any]) -> list[str]:
    stages = ", ".join(f"{name} {done} of {total}" for name, (done, total) in run["stages"].items())
    lines = [f"This run: {stages}.", f"Jobs under way: {len(run['running'])}"]
    for job in run["running"][:SHOWN]:
        lines.append(f"  {_name(job)}, for {duration(time.time() - job['since'])}")
    return lines + _more(len(run["running"]))


def _failed(run: dict[str, Any], root: Path) -> list[str]:
    lines = [f"Failed: {len(run['failed'])}"]
    for job in run["failed"][:SHOWN]:
        waits = f"; {job['cells']} cells wait for it" if job["cells"] > 1 else ""
        lines.append(f"  {_name(job)}{waits}")
        for log in job["logs"]:
            lines.append(f"    log: {log}")
            if (said := _last_line(root / log)) is not None:
                lines.append(f"    {said}")
    return lines + _more(len(run["failed"]))


def _more(count: int) -> list[str]:
    return [f"  and {count - SHOWN} more"] if count > SHOWN else []


def _name(job: dict[str, Any]) -> str:
    return " ".join([job["rule"], named(job["wildcards"])]).rstrip()


def _last_line(path: Path) -> str | None:
    """Return the last line of a log that says something, made safe for a terminal."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    said = next((line.strip() for line in reversed(lines) if line.strip()), None)
    if said is None:
        return None
    # What a model wrote may stand in it.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in said)[
        :_LONGEST_LINE
    ]


def _advice(state: str) -> str:
    return {
        "finished": "What an edit since then would make again: snakemake explain all",
        "running": "It goes on by itself. What it says is in .snakemake/log.",
        "failed": "Start snakemake again when the cause is gone: what is made stays.",
        "stopped": "Start snakemake again to go on: what is made stays.",
        "not started": "Its costs: make quote. To start it: snakemake all",
    }[state]


def _alive(results: Path) -> bool:
    """Return whether a run of a study is alive."""
    return seems_alive(results / RESULTS_FOLDER)
