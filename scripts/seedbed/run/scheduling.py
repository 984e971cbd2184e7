"""Replaces Snakemake's decision about which jobs run, and when, by the project's planner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from snakemake.logging import logger

from seedbed.run.planning import Cause, Planner, Status
from seedbed.run.snakemake_internals import (
    Jobs,
    Workflow,
    changed_setting,
    ignore_notes,
    with_jobs,
)

if TYPE_CHECKING:
    from snakemake.jobs import Job, Reason


def plan_by(
    workflow: Workflow,
    planner: Planner,
    skipped: Callable[[Job], None],
    before: Callable[[Iterable[Job]], bool],
    planned: Callable[[Iterable[Job]], None],
) -> dict[Job, Status]:
    """Make a run plan by content, and skip jobs whose inputs come out unchanged.

    Args:
        workflow: a workflow without a DAG yet.
        planner: compares jobs with the manifest.
        skipped: called with each job that is skipped.
        before: called with all jobs before planning; returns whether this run may write.
        planned: called with the jobs that are needed.

    Returns:
        The status of each job, empty until the run is planned.
    """
    statuses: dict[Job, Status] = {}

    def change() -> None:
        plan = _Plan(Jobs(workflow), planner, statuses, skipped, before, planned)
        plan.jobs.decide_by(plan.decide, plan.finish)
        ignore_notes(workflow)

    with_jobs(workflow, change)
    return statuses


class _Plan:
    """The plan of a run, updated as jobs end; see `plan_by`."""

    def __init__(
        self,
        jobs: Jobs,
        planner: Planner,
        statuses: dict[Job, Status],
        skipped: Callable[[Job], None],
        before: Callable[[Iterable[Job]], bool],
        planned: Callable[[Iterable[Job]], None],
    ) -> None:
        self.jobs = jobs
        self._planner, self._statuses = planner, statuses
        self._skipped, self._before, self._planned = skipped, before, planned
        self._demand = _Demand(jobs, planner)

    async def decide(self) -> None:
        """Decide which jobs run, instead of Snakemake."""
        changes = self._before(self.jobs.all())
        _plan(self.jobs, self._planner, self._statuses, self._demand)
        if changes:
            self._planner.restate()
        for job in self.jobs.needed():
            self._planner.foresee(job)
        _say_unrecorded(self._statuses)
        if self.jobs.numbered:
            self._planned(self.jobs.needed())

    async def finish(self, job: Any, update_checkpoint_dependencies: bool = True) -> Any:
        """Record how a job's outputs were made, before jobs that read them start."""
        if self.jobs.dry:
            return await self.jobs.finish(job, update_checkpoint_dependencies)
        jobs = [*job] if job.is_group() else [job]
        try:
            self._planner.made(jobs)
        except OSError as error:
            # The results exist. Without their record, the next run makes them again, or keeps them
            # unchecked.
            logger.error(f"The record of {job} cannot be written: {error}")
        found = await self.jobs.finish(job, update_checkpoint_dependencies)
        for one in jobs:
            await self._settle(one)
        if self.jobs.idle:
            # The remaining jobs wait for each other's decision.
            self._demand.release_all()
        return found

    async def _settle(self, job: Job) -> None:
        """Run or skip the jobs that waited for a job that has ended."""
        for other in [*self.jobs.consumers(job)]:
            if not self.jobs.ready(other) or other.is_norun:
                continue
            ran = {
                str(path)
                for producer, files in self.jobs.producers(other).items()
                if self.jobs.finished(producer)
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
        self._skipped(job)
        await self.jobs.finish_unrun(job)
        await self._settle(job)


class _Demand:
    """Jobs that run only if a job that requires their missing outputs runs.

    While a job waits, it is unknown whether it runs. Its missing inputs need not be made until
    then.

    Attributes:
        held: the jobs on demand about which nothing is decided yet.
    """

    def __init__(self, jobs: Jobs, planner: Planner) -> None:
        self.held: set[Job] = set()
        self._jobs, self._planner = jobs, planner
        self._wanted: dict[Job, set[Job]] = {}
        self._alone: set[Job] = set()  # Jobs that wait only for held jobs.

    def count(self, needed: set[Job], statuses: Mapping[Job, Status]) -> None:
        """Count how many jobs each job has to wait for, and hold the jobs on demand."""
        found = {job for job in needed if statuses[job].on_demand and not statuses[job].certain}
        # A dry run shows held jobs as if they ran.
        counts = self._counts(needed, statuses, set() if self._jobs.dry else found)
        if self.held and 0 not in counts.values():
            # All jobs wait for each other's decision.
            counts = self._counts(needed, statuses, set())
        for job, count in counts.items():
            self._jobs.set_count(job, count)

    def _counts(
        self, needed: set[Job], statuses: Mapping[Job, Status], held: set[Job]
    ) -> dict[Job, int]:
        self.held, self._alone = held, set()
        self._wanted = {job: set() for job in held}
        counts = {}
        for job in needed:
            count, wants = int(job in held), False
            for producer, files in self._jobs.producers(job).items():
                if producer not in needed:
                    continue
                waits = not statuses[job].certain and job.output
                if producer in held and waits and self._missing(files):
                    self._wanted[producer].add(job)
                    wants = True
                else:
                    count += 1
            if wants and not count:
                self._alone.add(job)
                count = 1
            counts[job] = count
        return counts

    def release_for(self, job: Job) -> None:
        """Release the held jobs that make missing inputs of a job that runs."""
        for producer in [*self._jobs.producers(job)]:
            if producer in self.held and job in self._wanted[producer]:
                self.release(producer)

    def release(self, job: Job) -> None:
        """Let a held job run, and make the jobs that require its outputs wait for it."""
        if job not in self.held:
            return
        self.held.discard(job)
        for other in self._wanted[job]:
            if not self._jobs.finished(other):
                self._jobs.wait_for_one_more(other)
        self.release_for(job)
        self._jobs.wait_for_one_less(job)

    def release_all(self) -> None:
        """Let all held jobs run, and then the jobs that wait only for them."""
        for job in [*self.held]:
            self.release(job)
        alone, self._alone = self._alone, set()
        for job in alone:
            self._jobs.wait_for_one_less(job)

    def unwanted(self, job: Job) -> list[Job]:
        """Return the held jobs that no unfinished job requires, now that a job has ended."""
        return [
            producer
            for producer in self._jobs.producers(job)
            if producer in self.held and all(map(self._jobs.finished, self._wanted[producer]))
        ]

    def _missing(self, files: Iterable[Any]) -> bool:
        return not all(self._planner.exists(str(file)) for file in files)


def _plan(jobs: Jobs, planner: Planner, statuses: dict[Job, Status], demand: _Demand) -> None:
    """Decide which jobs run, as Snakemake does by modification times."""
    unfinished = jobs.unfinished()
    statuses.clear()
    for job in unfinished:
        jobs.reason(job).clear()
        statuses[job] = _alone(jobs, planner, job)
        if jobs.allowed and job.rule.name not in jobs.allowed:
            statuses[job] = Status()
            jobs.reason(job).clear()
    while _spread(jobs, planner, unfinished, statuses):
        pass
    needed = {job for job in unfinished if statuses[job].needed}
    jobs.set_needed(needed)
    demand.count(needed, statuses)


def _say_unrecorded(statuses: Mapping[Job, Status]) -> None:
    """Log how many results without a record are kept unchecked."""
    kept = [job for job, status in statuses.items() if not (status.recorded or status.needed)]
    count = sum(1 for job in kept if job.output)
    if count:
        logger.info(
            f"The results of {count} jobs have no record of how they were made. They count as "
            "finished, and edits do not make them stale; `make adopt STUDY=...` records them."
        )


def _alone(jobs: Jobs, planner: Planner, job: Job) -> Status:
    """Return a job's status regardless of its producers, and give Snakemake the reason."""
    reason = jobs.reason(job)
    if jobs.forced(job):
        reason.forced = True
        recorded = bool(job.output) and planner.record(job) is not None
        return Status(needed=True, forced=True, recorded=recorded)
    status = planner.status(job) if job.output else Status()
    if job in jobs.targets:
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
            missing = [file for file in jobs.asked_files(job) if not planner.exists(str(file))]
            if missing:
                reason.missing_output.update(missing)
                status.needed = status.missing = True
    if status.causes:
        status.needed = True
        _say(reason, status.causes, str(job.output[0]))
    return status


def _say(reason: Reason, causes: Iterable[Cause], file: str) -> None:
    """Set Snakemake's reason for running a job. The target `explain` prints a better one."""
    for cause in causes:
        if cause.paths:
            reason.updated_input.update(cause.paths)
        elif cause.kind in ("code", "engine"):
            reason.code_changed = True
        elif cause.kind == "inputs":
            reason.input_changed = True
        else:
            name = cause.name or cause.kind
            changed_setting(reason, f"{name} {cause.was}", f"{name} {cause.now}", file)


def _spread(
    jobs: Jobs, planner: Planner, unfinished: list[Job], statuses: dict[Job, Status]
) -> bool:
    """Mark the jobs that follow from those that run: consumers, and producers of missing inputs.

    Args:
        jobs: all jobs.
        planner: the run's planner.
        unfinished: jobs that have not finished, producers first.
        statuses: the status of each of these.

    Returns:
        Whether a status has changed, so that another pass is needed.
    """
    changed, allowed = False, jobs.allowed
    for job in unfinished:
        status = statuses[job]
        for producer, files in jobs.producers(job).items():
            before = statuses.get(producer)
            if before is None or not before.needed:
                continue
            if allowed and job.rule.name not in allowed:
                continue
            if planner.triggers(before, job, files):
                jobs.reason(job).updated_input_run.update(files)
                changed |= not status.needed
                status.needed = status.waits = True
    for job in reversed(unfinished):
        if not statuses[job].needed:
            continue
        certain = statuses[job].certain or not job.output
        for producer, files in jobs.producers(job).items():
            if producer not in statuses or (allowed and producer.rule.name not in allowed):
                continue
            status = statuses[producer]
            missing = [file for file in files if not planner.exists(str(file))]
            if not missing:
                continue
            jobs.reason(producer).missing_output.update(missing)
            changed |= not status.needed or (certain and not status.missing)
            status.needed = True
            if certain:
                status.missing = True
            else:
                status.on_demand = True
    return changed
