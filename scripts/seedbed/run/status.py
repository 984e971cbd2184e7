"""The status of a study: its state, finished and failed jobs, losses and spending."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import Field

from seedbed.config.values import JsonObject
from seedbed.endings import ExpectedError
from seedbed.engines.pending_jobs import PLAN, Plan
from seedbed.engines.spending import SpendingRecord, sentence
from seedbed.records import Record
from seedbed.run.owners import RESULTS_FOLDER, seems_alive
from seedbed.run.progress import (
    PLANNING_FOLDER,
    duration,
    last_line,
    named,
    printable,
    waiting,
)
from seedbed.run.record import RUN_FILE, BegunJob, JobNote, RunRecord
from seedbed.run.renames import old_folders, refusal
from seedbed.run.slurm import NoAnswerError, SlurmJob, jobs_of
from seedbed.study.losses import losses, plain, summary
from seedbed.study.spending import Account
from seedbed.study.targets import Targets

SHOWN = 10
"""The most running, waiting or failed jobs that are named."""

_CELLS = ("cell", "judged_cell", "trained_cell")
"""Wildcards that name a cell."""

SILENT_SECONDS = 30.0
"""A run that has not written its record for so long is silent: it writes every few seconds."""


class RunStatus(RunRecord):
    """The record of the last run, with the present states of its SLURM jobs.

    Attributes:
        queued: jobs that wait in SLURM's queue; `running` has the other jobs under way.
    """

    queued: list[BegunJob] = Field(default_factory=list)


class StudyStatus(Record):
    """The status of a study.

    Attributes:
        study: its name.
        state: `not started`, `planned`, `running`, `failed`, `stopped` or `finished`.
        cells: how many cells are finished, and how many there are.
        adapters: the same for adapters.
        datasets: the same for datasets.
        streams: lost queries, by stream.
        losses: the same in sentences.
        spending: the study's spending so far.
        run: its last run; None if there was none.
    """

    study: str
    state: str
    cells: tuple[int, int]
    adapters: tuple[int, int]
    datasets: tuple[int, int]
    streams: JsonObject
    losses: list[str]
    spending: SpendingRecord
    run: RunStatus | None


def status(flow: Targets, root: Path) -> StudyStatus:
    """Return the status of a study.

    Args:
        flow: the study.
        root: the working directory, with `results` and Snakemake's own files.
    """
    results = root / flow.results
    if old_folders(results):
        raise ExpectedError(refusal(results, flow.study.config.spend is not None))
    file = results / RUN_FILE
    noted = RunRecord.read(file) if file.is_file() else None
    # A run that did not succeed may have left older files in place that it was to replace.
    unsure = noted is not None and not noted.well
    plan = Plan(root / flow.state / "pending" / PLAN if unsure else None, root)
    counts = {
        name: (sum(plan.made(Path(path)) for path in paths), len(paths))
        for name, paths in (
            ("cells", flow.evaluations()),
            ("adapters", flow.adapters()),
            ("datasets", flow.datasets()),
        )
    }
    whole = counts["cells"][0] == counts["cells"][1] and (root / flow.page).is_file()
    alive = noted is not None and noted.ended is None and seems_alive(results / RESULTS_FOLDER)
    if alive:
        state = "running"
    elif seems_alive(results / PLANNING_FOLDER):
        state = "planned"
    elif noted is not None and noted.failed:
        state = "failed"
    elif whole:
        state = "finished"
    elif noted is not None:
        state = "stopped"
    else:
        state = "not started" if not any(made for made, _ in counts.values()) else "stopped"
    run = None
    if noted is not None:
        running, queued = _by_place(noted, root, alive)
        run = RunStatus.model_validate({**dict(noted), "running": running, "queued": queued})
    account = Account.of(flow.study, root / flow.ledger)
    lost = losses(flow, root)
    return StudyStatus(
        study=flow.study.name,
        state=state,
        cells=counts["cells"],
        adapters=counts["adapters"],
        datasets=counts["datasets"],
        streams=plain(lost),
        losses=summary(lost, SHOWN),
        spending=account.record(),
        run=run,
    )


def _by_place(run: RunRecord, root: Path, alive: bool) -> tuple[list[BegunJob], list[BegunJob]]:
    """Return a run's running jobs and its waiting jobs, by SLURM's answer or the run's record."""
    jobs = run.running
    if any(job.slurm for job in jobs):
        known = _queue(root)
        if not alive:
            jobs = [job for job in jobs if job.slurm in known]
        jobs = [_now(job, known.get(job.slurm or "")) for job in jobs]
    elif not alive:
        jobs = []
    queued = [job for job in jobs if job.state == "PENDING"]
    return [job for job in jobs if job not in queued], queued


def _now(job: BegunJob, found: SlurmJob | None) -> BegunJob:
    if found is None:
        return job
    reason = found.stuck or found.reason
    return job.model_copy(update={"state": found.state, "reason": reason})


def _queue(root: Path) -> dict[str, SlurmJob]:
    try:
        return {job.number: job for job in jobs_of(root.resolve())}
    except (FileNotFoundError, NoAnswerError):
        return {}


def text(found: StudyStatus, root: Path) -> str:
    """Return a status as text."""
    run, state = found.run, found.state
    lines = [f"Study {found.study}: {state}{_when(run, state)}", ""]
    for name, (made, total) in (
        ("cells", found.cells),
        ("adapters", found.adapters),
        ("datasets", found.datasets),
    ):
        also = _also(run, state) if name == "cells" and run is not None else ""
        lines.append(f"  {name:<10}{made:>6} of {total}{also}")
    if cost := sentence(found.spending):
        lines += ["", f"Cost so far: {cost}."]
    if found.losses:
        lines += ["", *found.losses]
    if run is not None and (state == "running" or run.running or run.queued):
        lines += ["", *_under_way(run, state, root)]
    if run is not None and run.failed:
        lines += ["", *_failed(run, root)]
    lines += ["", _advice(state, run)]
    return "\n".join(lines) + "\n"


def _when(run: RunStatus | None, state: str) -> str:
    if run is None:
        return ""
    now = time.time()
    if state == "running":
        left = f", {run.left}" if run.left else ""
        silent = now - run.noted
        left += f"; no sign of life for {duration(silent)}" if silent > SILENT_SECONDS else ""
        return f" for {duration(now - run.started)} on {run.host}{left}"
    if run.ended is None:
        return f" (the last run was killed; it was alive {duration(now - run.noted)} ago)"
    how = "was interrupted" if run.interrupted else "ended"
    return f" (the last run {how} {duration(now - run.ended)} ago)"


def _also(run: RunStatus, state: str) -> str:
    """Return how many unfinished cells are under way, queued or blocked."""
    parts = []
    if state == "running":
        for name, jobs in (("under way", run.running), ("queued", run.queued)):
            named_by = (next(filter(None, map(job.wildcards.get, _CELLS)), None) for job in jobs)
            cells = {*named_by} - {None}
            if cells or name == "under way":
                parts.append(f"{len(cells)} {name}")
    if run.blocked:
        parts.append(f"{run.blocked} wait for what failed")
    return f" ({', '.join(parts)})" if parts else ""


def _under_way(run: RunStatus, state: str, root: Path) -> list[str]:
    lines = []
    if state == "running":
        stages = ", ".join(
            f"{name} {done} of {total}" for name, (done, total) in run.stages.items()
        )
        lines.append(f"This run: {stages}.")
    lines.append(f"Jobs under way: {len(run.running)}")
    for job in run.running[:SHOWN]:
        lines.append(f"  {_name(job)}, for {_since(job)}{_slurm(job)}")
        waits = (waiting(root / log) for log in job.logs)
        lines += [f"    {said}" for said in waits if said is not None]
    lines += _more(len(run.running))
    if run.queued:
        lines.append(f"Jobs in the queue: {len(run.queued)}")
        for job in run.queued[:SHOWN]:
            why = f": {printable(job.reason)}" if job.reason not in ("", "None") else ""
            lines.append(f"  {_name(job)}, for {_since(job)}{_slurm(job)}{why}")
        lines += _more(len(run.queued))
    return lines


def _since(job: BegunJob) -> str:
    return duration(time.time() - job.since)


def _slurm(job: JobNote) -> str:
    again = f", attempt {job.attempt}" if job.attempt > 1 else ""
    return again + (f", SLURM job {job.slurm}" if job.slurm else "")


def _failed(run: RunStatus, root: Path) -> list[str]:
    lines = [f"Failed: {len(run.failed)}"]
    for job in run.failed[:SHOWN]:
        waits = f"; {job.cells} cells wait for it" if job.cells > 1 else ""
        lines.append(f"  {_name(job)}{_slurm(job)}{waits}")
        for log in job.logs:
            lines.append(f"    log: {log}")
        # The last line of the log, or the recorded line if the log is gone.
        said = next(filter(None, (last_line(root / log) for log in job.logs)), job.said)
        lines += [f"    {text}" for text in (said, job.message and printable(job.message)) if text]
    return lines + _more(len(run.failed))


def _more(count: int) -> list[str]:
    return [f"  and {count - SHOWN} more"] if count > SHOWN else []


def _name(job: JobNote) -> str:
    return " ".join([job.rule, named(job.wildcards)]).rstrip()


def _advice(state: str, run: RunStatus | None) -> str:
    if state in ("failed", "stopped") and run is not None and (run.running or run.queued):
        return "Its SLURM jobs still exist: the next start of snakemake takes them over."
    return {
        "finished": "To see what edits have made stale: snakemake explain all",
        "planned": "A run is planning its jobs: for tens of thousands, that takes minutes.",
        "running": "The run's messages are in .snakemake/log.",
        "failed": "Remove the cause, and start snakemake again: finished results are kept.",
        "stopped": "To continue, start snakemake again: finished results are kept.",
        "not started": "To estimate its cost: make quote. To start it: snakemake all",
    }[state]
