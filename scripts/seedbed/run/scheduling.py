"""Which jobs Snakemake starts, and when: the project's own plan, inside Snakemake.

All private parts of Snakemake that this takes stand here. They are those of version 9.27; whether
the installed version has them is checked on import.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import snakemake as package

# First, as Snakemake's modules import each other. And not from `snakemake.workflow`: Snakefiles run
# in its namespace, where ours puts another `Workflow`.
from snakemake.api import Workflow  # isort: skip
from snakemake.dag import DAG
from snakemake.jobs import Reason
from snakemake.logging import logger
from snakemake.persistence import NO_PARAMS_CHANGE, ParamsChange, PersistenceBase
from snakemake.scheduling.job_scheduler import JobScheduler

from seedbed.run.planning import Cause, Planner, Status

if TYPE_CHECKING:
    from snakemake.jobs import Job

_METHODS = {
    DAG: (
        "update_needrun",
        "finish",
        "toposorted",
        "reason",
        "check_output_mtime",
        "requested_files",
    ),
    Workflow: ("_prepare_dag", "async_run"),
    PersistenceBase: (
        *("params_changed", "code_changed", "input_changed", "software_stack_changed"),
        *("restore_output", "_get_backup_path"),
    ),
    JobScheduler: ("_schedule_reevalutation", "open_jobs"),
    Reason: ("clear", "mark_finished"),
}
_ATTRIBUTES = {
    DAG: (
        *("_needrun", "_finished", "_running", "_ready_jobs", "_n_until_ready", "_len"),
        *("_checkpoint_jobs", "_dependencies", "depending", "forcerules", "forcefiles"),
        *("omitforce", "targetjobs", "targetrules", "targetfiles", "rules_allowed_for_needrun"),
    ),
    JobScheduler: ("_open_jobs", "finished_jobs"),
}


def _check() -> None:
    """Raise an error if the installed Snakemake lacks a part."""
    lacking = [
        f"{owner.__name__}.{name}"
        for owner, names in _METHODS.items()
        for name in names
        if not hasattr(owner, name)
    ]
    lacking += [
        f"{owner.__name__}.{name}"
        for owner, names in _ATTRIBUTES.items()
        for name in names
        if name not in owner.__init__.__code__.co_names
    ]
    if lacking:
        raise ImportError(
            f"Snakemake {package.__version__} does not have {', '.join(lacking)}, which this "
            "project builds on: install the version in envs/cpu.lock (`make env`)"
        )


_check()


def plan_by(
    snakemake: Workflow,
    planner: Planner,
    skipped: Callable[[Job], None],
    before: Callable[[Iterable[Job]], None] | None,
) -> dict[Job, Status]:
    """Let a run plan by content, and skip jobs whose inputs come out as they were.

    Args:
        snakemake: the run, whose jobs are not known yet.
        planner: decides which jobs are needed.
        skipped: called with each job that is skipped.
        before: called with all jobs before it is decided which are needed; None for a run that
            changes nothing, as a dry run.

    Returns:
        Where each job stands, filled when the jobs are known.
    """
    statuses: dict[Job, Status] = {}
    prepare = snakemake._prepare_dag

    def prepare_dag(*args: Any, **kwargs: Any) -> None:
        prepare(*args, **kwargs)
        plan = _Plan(snakemake, planner, statuses, skipped, before)
        snakemake.dag.update_needrun = plan.update_needrun
        snakemake.dag.finish = plan.finish
        _ignore_notes(snakemake.persistence)

    snakemake._prepare_dag = prepare_dag
    return statuses


def ignore_dates(snakemake: Workflow) -> None:
    """Accept outputs of jobs whose inputs are dated later, as other clocks and copies have it."""
    prepare = snakemake._prepare_dag

    def prepare_dag(*args: Any, **kwargs: Any) -> None:
        prepare(*args, **kwargs)

        async def check_output_mtime(job: Any, expanded_output: Any) -> None:
            pass

        snakemake.dag.check_output_mtime = check_output_mtime

    snakemake._prepare_dag = prepare_dag


def look_once_at_a_time(scheduler: JobScheduler) -> None:
    """Let a scheduler have one look ahead of it at a time.

    Each look of Snakemake 9.27 for jobs to start plans another, for the sake of
    `--max-jobs-per-timespan` as long after it as that says (a second by default); and so does the
    look at the end of each job. None of these chains ends while jobs are waiting, so that after a
    thousand jobs there are a thousand looks a second, each at all files that ready jobs read: the
    run's own process takes a whole core. The earliest look that is planned serves all of them: it
    plans the next.

    Args:
        scheduler: the scheduler of a run that has not begun.
    """
    changing = threading.Lock()
    planned: list[tuple[float, threading.Timer]] = []

    def look() -> None:
        with changing:
            planned.clear()
        scheduler._open_jobs.release()

    def look_later(delay: float) -> None:
        due = time.monotonic() + delay
        with changing:
            if planned and planned[0][0] <= due:
                return
            for _, later in planned:
                later.cancel()
            timer = threading.Timer(delay, look)
            # The end of a run need not wait for it.
            timer.daemon = True
            planned[:] = [(due, timer)]
            timer.start()

    scheduler._schedule_reevalutation = look_later


class _Plan:
    """What a run needs, and what becomes of it while jobs end; see `plan_by`."""

    def __init__(
        self,
        snakemake: Workflow,
        planner: Planner,
        statuses: dict[Job, Status],
        skipped: Callable[[Job], None],
        before: Callable[[Iterable[Job]], None] | None,
    ) -> None:
        self._snakemake, self._dag = snakemake, snakemake.dag
        self._planner, self._statuses = planner, statuses
        self._skipped, self._before = skipped, before
        self._finish = snakemake.dag.finish
        self._demand = _Demand(snakemake.dag, planner)

    async def update_needrun(self, create_inventory: bool = False) -> None:
        """Decide which jobs run, in place of `DAG.update_needrun`."""
        if create_inventory:
            await self._snakemake.iocache.mtime_inventory(self._dag.jobs)
        if self._before is not None:
            self._before(self._dag.jobs)
        _plan(self._dag, self._planner, self._statuses, self._demand)
        if self._before is not None:
            self._planner.restate()
        for job in self._dag.needrun_jobs():
            self._planner.foresee(job)
        _say_unrecorded(self._statuses)

    async def finish(self, job: Any, update_checkpoint_dependencies: bool = True) -> Any:
        """Note how a job's outputs were made, before others start that read them."""
        if self._snakemake.dryrun:
            return await self._finish(job, update_checkpoint_dependencies)
        jobs = [*job] if job.is_group() else [job]
        try:
            self._planner.made(jobs)
        except OSError as error:
            # The results are there; without their record the next run makes them again, or keeps
            # them as they are.
            logger.error(f"What {job} was made from cannot be noted: {error}")
        found = await self._finish(job, update_checkpoint_dependencies)
        for one in jobs:
            await self._settle(one)
        if not self._dag._ready_jobs and not self._dag._running:
            # Jobs that wait for each other's decision.
            for one in [*self._demand.held]:
                self._demand.release(one)
        return found

    async def _settle(self, job: Job) -> None:
        """Decide what becomes of the jobs that waited for one that has ended."""
        dag = self._dag
        for other in [*dag.depending[job]]:
            if other not in dag._ready_jobs or other.is_norun:
                continue
            ran = {
                str(path)
                for producer, files in dag._dependencies[other].items()
                if dag.finished(producer)
                for path in files
            }
            if self._planner.unneeded(other, self._statuses[other], ran):
                await self._skip(other)
            else:
                self._demand.release_for(other)
        for producer in self._demand.unwanted(job):
            await self._skip(producer)

    async def _skip(self, job: Job) -> None:
        self._planner.skip(job)
        self._demand.held.discard(job)
        self._dag._ready_jobs.discard(job)
        self._dag._running.add(job)
        self._snakemake.scheduler.finished_jobs += 1
        self._skipped(job)
        await self._finish(job, False)
        await self._settle(job)


def _ignore_notes(persistence: PersistenceBase) -> None:
    """Let what Snakemake itself noted of jobs decide nothing."""
    persistence.params_changed = lambda job, file=None: NO_PARAMS_CHANGE
    persistence.code_changed = lambda job, file=None: []
    persistence.input_changed = lambda job, file=None: []
    persistence.software_stack_changed = lambda job, file=None: []
    # It would hash the inputs of each job once more.
    persistence.max_checksum_file_size = 0
    restore = persistence.restore_output

    def restore_output(path: Path) -> bool:
        # A failed job on a cluster has put back the old version itself, and used up its copy.
        put_back = path.exists() and not persistence._get_backup_path(path).exists()
        return put_back or restore(path)

    persistence.restore_output = restore_output


class _Demand:
    """Jobs that run only if those turn out to, which want their outputs.

    An output that is gone need not be made again for a job that waits, before it is known whether
    that one runs.

    Attributes:
        held: such jobs, while that is open.
    """

    def __init__(self, dag: DAG, planner: Planner) -> None:
        self.held: set[Job] = set()
        self._dag, self._planner = dag, planner
        self._wanted: dict[Job, set[Job]] = {}

    def count(self, needed: set[Job], statuses: dict[Job, Status]) -> None:
        """Count for each job the jobs that it has to wait for, and hold those on demand."""
        found = {job for job in needed if statuses[job].on_demand and not statuses[job].certain}
        # A dry run shows them as if they ran.
        self.held = set() if self._dag.workflow.dryrun else found
        self._wanted = {job: set() for job in self.held}
        for job in needed:
            count = int(job in self.held)
            for producer, files in self._dag._dependencies[job].items():
                if producer not in needed:
                    continue
                waits = not statuses[job].certain and job.output
                if producer in self.held and waits and self._missing(files):
                    self._wanted[producer].add(job)
                else:
                    count += 1
            self._dag._n_until_ready[job] = count

    def release_for(self, job: Job) -> None:
        """Let the jobs run that make what a job lacks, which runs after all."""
        for producer in [*self._dag._dependencies[job]]:
            if producer in self.held and job in self._wanted[producer]:
                self.release(producer)

    def release(self, job: Job) -> None:
        """Let a job run, and those wait for it that want its outputs."""
        if job not in self.held:
            return
        dag = self._dag
        self.held.discard(job)
        for other in self._wanted[job]:
            if not dag.finished(other):
                dag._n_until_ready[other] += 1
                dag._ready_jobs.discard(other)
        self.release_for(job)
        dag._n_until_ready[job] -= 1
        dag.update_ready([job])

    def unwanted(self, job: Job) -> list[Job]:
        """Return the jobs that nobody wants any more now that a job has ended."""
        return [
            producer
            for producer in self._dag._dependencies[job]
            if producer in self.held and all(map(self._dag.finished, self._wanted[producer]))
        ]

    def _missing(self, files: Iterable[Any]) -> bool:
        return not all(self._planner.exists(str(file)) for file in files)


def _plan(dag: DAG, planner: Planner, statuses: dict[Job, Status], demand: _Demand) -> None:
    """Decide which jobs run, as `DAG.update_needrun` does by dates."""
    levels = [[job for job in level if not dag.finished(job)] for level in dag.toposorted()]
    jobs = [job for level in levels for job in level]
    statuses.clear()
    allowed = dag.rules_allowed_for_needrun
    for job in jobs:
        dag.reason(job).clear()
        statuses[job] = _alone(dag, planner, job)
        if allowed and job.rule.name not in allowed:
            statuses[job] = Status()
            dag.reason(job).clear()
    changed = True
    while changed:
        changed = _spread(dag, planner, jobs, statuses, allowed)
    needed = dag._needrun
    needed.clear()
    dag._checkpoint_jobs.clear()
    dag._n_until_ready.clear()
    dag._ready_jobs.clear()
    needed.update(job for job in jobs if statuses[job].needed)
    demand.count(needed, statuses)
    dag._len = len(dag._finished | needed)


def _say_unrecorded(statuses: Mapping[Job, Status]) -> None:
    """Say that some results are taken as they are."""
    kept = [job for job, status in statuses.items() if not (status.recorded or status.needed)]
    count = sum(1 for job in kept if job.output)
    if count:
        logger.info(
            f"The results of {count} jobs have no record of what they were made from. They count "
            "as finished as they are, and edits are not seen; `make adopt STUDY=...` notes them."
        )


def _alone(dag: DAG, planner: Planner, job: Job) -> Status:
    """Return where a job stands whatever happens to its producers, and say why to Snakemake."""
    reason = dag.reason(job)
    if (job not in dag.omitforce and job.rule in dag.forcerules) or not dag.forcefiles.isdisjoint(
        job.output
    ):
        reason.forced = True
        return Status(needed=True, forced=True, recorded=_recorded(planner, job))
    status = planner.status(job) if job.output else Status()
    if job in dag.targetjobs:
        if not job.has_products(include_logfiles=False):
            missing = [file for file in job.input if not planner.exists(str(file))]
            if not job.input:
                reason.noio = status.needed = True
            elif not job.rule.norun:
                reason.nooutput = status.needed = True
            elif missing:
                reason.updated_input_run.update(missing)
                status.needed = True
        else:
            missing = [file for file in _targets(dag, job) if not planner.exists(str(file))]
            if missing:
                reason.missing_output.update(missing)
                status.needed = status.missing = True
    if status.causes:
        status.needed = True
        _say(reason, status.causes, str(job.output[0]))
    return status


def _say(reason: Reason, causes: Iterable[Cause], file: str) -> None:
    """Tell Snakemake why a job runs, for its own words; `explain` has better ones."""
    for cause in causes:
        if cause.paths:
            reason.updated_input.update(cause.paths)
        elif cause.kind in ("code", "engine"):
            reason.code_changed = True
        elif cause.kind == "inputs":
            reason.input_changed = True
        else:
            name = cause.name or cause.kind
            change = ParamsChange({f"{name} {cause.was}"}, {f"{name} {cause.now}"}, {file})
            reason.params_changed = reason.params_changed | change


def _recorded(planner: Planner, job: Job) -> bool:
    return bool(job.output) and planner.record(job) is not None


def _targets(dag: DAG, job: Job) -> set[Any]:
    """Return the files that are asked for of a job that is a target."""
    if job.rule in dag.targetrules or job.rule.name in dag.target_jobs_rules:
        return {*job.products(include_logfiles=False)}
    files = {*chain(*dag.depending[job].values())}
    return files | {file for file in job.products() if file in (dag.targetfiles or ())}


def _spread(
    dag: DAG, planner: Planner, jobs: list[Job], statuses: dict[Job, Status], allowed: Any
) -> bool:
    """Let jobs that run need others: those that make what they lack, and those that read theirs.

    Args:
        jobs: all jobs, producers first.

    Returns:
        Whether another job came to be needed.
    """
    changed = False
    for job in jobs:
        status = statuses[job]
        for producer, files in dag._dependencies[job].items():
            before = statuses.get(producer)
            if before is None or not before.needed:
                continue
            if allowed and job.rule.name not in allowed:
                continue
            if planner.triggers(before, job, files):
                dag.reason(job).updated_input_run.update(files)
                changed |= not status.needed
                status.needed = status.waits = True
    for job in reversed(jobs):
        if not statuses[job].needed:
            continue
        certain = statuses[job].certain or not job.output
        for producer, files in dag._dependencies[job].items():
            status = statuses.get(producer)
            if status is None or (allowed and producer.rule.name not in allowed):
                continue
            missing = [file for file in files if not planner.exists(str(file))]
            if not missing:
                continue
            dag.reason(producer).missing_output.update(missing)
            changed |= not status.needed or (certain and not status.missing)
            status.needed = True
            if certain:
                status.missing = True
            else:
                status.on_demand = True
    return changed
