"""All uses of private parts of Snakemake and of its SLURM executor.

`snakemake_parts` lists these parts. When a workflow starts, it refuses a version that lacks one.
The rest of the project calls the functions below, and reads only the listed attributes of jobs and
rules.

Public interfaces are not listed. `progress` reads the log events that logger plugins receive, but
as a handler of Snakemake's logger: a logger plugin is an installed package named on the command
line, so a workflow cannot bring one.
"""

from __future__ import annotations

import getpass
import inspect
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# First, because it refuses versions that lack a name imported below.
from seedbed.run.snakemake_parts import Workflow  # isort: skip
import snakemake.workflow as workflow_module
import snakemake_executor_plugin_slurm as slurm_plugin
import snakemake_executor_plugin_slurm_jobstep as slurm_step
from snakemake import cli, common, io
from snakemake.common import configfile
from snakemake.jobs import Job, Reason
from snakemake.logging import DefaultFilter
from snakemake.persistence import NO_PARAMS_CHANGE, ParamsChange
from snakemake.rules import Rule
from snakemake_executor_plugin_slurm import partitions as slurm_partitions
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from seedbed.snakemake_folder import INCOMPLETE, METADATA

# --- reading a workflow


def is_main(workflow: Workflow) -> bool:
    """Return whether this is the main process of a run, which plans and starts the jobs."""
    return workflow.is_main_process


def is_job(workflow: Workflow) -> bool:
    """Return whether this process runs a job that was submitted to a cluster."""
    return workflow.remote_exec


def shows_only(workflow: Workflow) -> bool:
    """Return whether the command line asks for a dry run."""
    return workflow.output_settings.dryrun


def targets_of(workflow: Workflow) -> list[str]:
    """Return the targets on the command line: names of rules, and files."""
    settings = workflow.dag_settings
    return [str(target) for target in (settings and settings.targets) or ()]


def is_forced(workflow: Workflow) -> bool:
    """Return whether the command line forces jobs to run."""
    settings = workflow.dag_settings
    return bool(settings.forceall or settings.forcerun or settings.forcetargets)


def rules_of(workflow: Workflow) -> list[Rule]:
    """Return the rules that Snakemake has read so far."""
    return [*workflow.rules]


def can_make(rule: Rule, target: str) -> bool:
    """Return whether a file matches an output of a rule."""
    return rule.is_producer(target)


def resource_limits(workflow: Workflow) -> Mapping[str, object]:
    """Return the limit of each resource for all jobs together."""
    return workflow.global_resources


def add_configfiles(
    workflow: Workflow, config: Any, files: Iterable[Path], add: Callable[[Any, Any], None]
) -> list[Path]:
    """Add configfiles to a workflow; those of the command line take precedence over them.

    Args:
        workflow: the workflow that is being read; its jobs receive the files too.
        config: its configuration, as read so far.
        files: the configfiles.
        add: merges the second configuration into the first.

    Returns:
        The files that the workflow did not have yet.
    """
    settings = workflow.config_settings
    missing = [path for path in files if path not in settings.configfiles]
    if missing:
        for path in missing:
            add(config, configfile.load_configfile(path))
        add(config, settings.overwrite_config)
        settings.configfiles[:0] = missing
    return missing


def rule_that_runs() -> str | None:
    """Return the name of the rule whose `shell:` is being evaluated, None outside a job.

    Only the expression in the `shell:` may call this. Snakemake runs a job in a function with an
    argument `rule`, which is two frames up from here.
    """
    found = sys._getframe(2).f_locals.get("rule")
    return found if isinstance(found, str) else None


def keep_signatures(workflow: Workflow) -> None:
    """Inspect the signatures of the rules' functions once, instead of once per job.

    This saves a tenth of the planning time.
    """
    for rule in workflow.rules:
        for function in filter(callable, [*rule.input, *rule.params]):
            parameters = inspect.signature(function).parameters
            common.overwrite_function_params(function, parameters)


def command_of(rule: Rule) -> Any:
    """Return the value of a rule's `shell:`."""
    return rule.shellcmd


def log_of(rule: Rule) -> str:
    """Return the path of a rule's first log, with wildcards."""
    return io.strip_wildcard_constraints(str(rule.log[0]))


def show_names(workflow: Workflow, names: Mapping[str, str]) -> None:
    """Give rules without a message their names as messages.

    Args:
        workflow: a workflow whose rules have been read.
        names: the messages, by the rules' names in the whole workflow.
    """
    for rule in workflow.rules:
        if rule.message is None and rule.name in names:
            rule.message = names[rule.name]


def complete_rule(
    rule: Any, *, command: str, environment: str, message: str, benchmark: str | None
) -> None:
    """Set the directives of a rule that follow from its other directives."""
    rule.shellcmd, rule.conda_env, rule.message = command, environment, message
    if benchmark is not None:
        rule.benchmark_modifier = rule.log_modifier
        rule.benchmark = benchmark


def set_cores(rule: Rule, cores: Callable[[Mapping[str, str]], int]) -> None:
    """Set the cores of a rule's jobs to a function of their wildcards."""
    rule.resources["_cores"] = lambda wildcards: cores(wildcards)


def limit(workflow: Workflow, resource: str, most: int) -> None:
    """Limit a resource for all jobs together, unless the command line or profile limits it."""
    if resource not in workflow.global_resources:
        workflow.global_resources[resource] = most


def is_module(workflow: Workflow) -> bool:
    """Return whether another workflow includes the current Snakefile as a module."""
    return not workflow.modifier.is_main_snakefile()


def has_prefix(workflow: Workflow) -> bool:
    """Return whether the including workflow changes this module's paths."""
    modifier = workflow.modifier.path_modifier
    return modifier.prefix is not None or modifier._prefix_replacements is not None


def names_of_rules(rules: Any) -> dict[str, str]:
    """Return the rules' names in their own Snakefile, by their names in the whole workflow.

    Args:
        rules: the Snakefile's global `rules`.
    """
    return {proxy.rule.name: name for name, proxy in rules._rules.items()}


def profile_configfiles(profile: str) -> list[Path]:
    """Return the existing configfiles that a profile names."""
    import yaml

    found = cli.get_profile_dir(profile) or cli.get_profile_dir(f"profiles/{profile}")
    if found is None:
        return []
    content = yaml.safe_load(Path(found[1]).read_text()) or {}
    listed = content.get("configfile", content.get("configfiles")) or []
    paths = [Path(file).absolute() for file in ([listed] if isinstance(listed, str) else listed)]
    return [path for path in paths if path.exists()]


# --- before a run, and at its end


def before_plan(workflow: Workflow, check: Callable[[], None]) -> None:
    """Call a function before a workflow builds its DAG."""
    prepare = workflow._prepare_dag

    def prepare_dag(*args: Any, **kwargs: Any) -> None:
        check()
        prepare(*args, **kwargs)

    workflow._prepare_dag = prepare_dag


def with_jobs(workflow: Workflow, change: Callable[[], None]) -> None:
    """Call a function when a workflow's DAG exists, before it is known which jobs run."""
    prepare = workflow._prepare_dag

    def prepare_dag(*args: Any, **kwargs: Any) -> None:
        prepare(*args, **kwargs)
        change()

    workflow._prepare_dag = prepare_dag


def when_planned(do: Callable[[Workflow], None]) -> None:
    """Call a function with each workflow, once it is known which of its jobs run.

    For tests, which have no access to the workflow while it is read.
    """
    build = Workflow._build_dag

    def build_dag(workflow: Workflow) -> None:
        build(workflow)
        do(workflow)

    Workflow._build_dag = build_dag


def defined(workflow: Workflow, name: str) -> Any:
    """Return a global variable of the Snakefile, for tests."""
    return workflow.globals[name]


def note_finished(workflow: Workflow, jobs: Iterable[Job]) -> None:
    """Make Snakemake record in its metadata that jobs have succeeded, for tests."""

    async def note() -> None:
        for job in jobs:
            await workflow.persistence.finished(job)

    workflow.async_run(note())


def before_run(
    workflow: Workflow,
    prepare: Callable[[bool, Path | None], None],
    finish: Callable[[], None],
) -> None:
    """Call a function before a workflow plans a run, and another when the run is over.

    Args:
        workflow: the workflow that is being read.
        prepare: called unless this is a dry run, with whether the run submits its jobs to SLURM,
            and the profile's file of partitions.
        finish: always called, even after an error.
    """
    execute = workflow.execute

    def prepared(*args: Any, **named: Any) -> Any:
        given = inspect.signature(execute).bind(*args, **named).arguments
        try:
            plugin = given["executor_plugin"]
            if not plugin.common_settings.dryrun_exec:
                slurm = plugin.name == "slurm"
                prepare(slurm, given["executor_settings"].partition_config if slurm else None)
            return execute(*args, **named)
        finally:
            finish()

    workflow.execute = prepared


def before_unlock(workflow: Workflow, check: Callable[[], None]) -> None:
    """Call a function before `--unlock` removes all locks of a folder."""
    unlock = workflow.unlock

    def checked() -> None:
        check()
        unlock()

    workflow.unlock = checked


def run_handlers(workflow: Workflow, start: Any, success: Any, error: Any) -> None:
    """Call a module's handlers at the start and end of a run, before those of the main workflow.

    Snakemake itself calls `onstart`, `onsuccess` and `onerror` of the main Snakefile only.
    """

    def both(own: Callable[[], None], other: Callable[[Any], None]) -> Callable[[Any], None]:
        def handler(log: Any) -> None:
            own()
            other(log)

        return handler

    def add() -> None:
        workflow._onstart = both(start, workflow._onstart)
        workflow._onsuccess = both(success, workflow._onsuccess)
        workflow._onerror = both(error, workflow._onerror)

    before_plan(workflow, add)


def lock_files(workflow: Workflow) -> list[Path]:
    """Return the lock files of a run; none with `--nolock`."""
    files = workflow.persistence._lockfile
    return [path for path in map(Path, files.values()) if path.exists()]


def when_locked(workflow: Workflow, note: Callable[[list[Path]], None]) -> None:
    """Call a function with a run's lock files, as soon as the run has locked its folder."""

    def change() -> None:
        lock = workflow.persistence.lock

        @contextmanager
        def noted() -> Iterator[None]:
            with lock():
                note(lock_files(workflow))
                yield

        workflow.persistence.lock = noted

    with_jobs(workflow, change)


# --- what a terminal shows


def name_user() -> None:
    """Use the user's number as the name of a user without one, here and in the jobs' processes.

    A container often runs under a user number that its user database lacks. Snakemake asks for the
    user's name when a run starts, and fails without one.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = str(os.getuid())


def filter_errors(logger: logging.Logger, shown: Callable[[logging.LogRecord], bool]) -> None:
    """Make log handlers show some records that `--quiet` hides."""

    def also(own: DefaultFilter) -> Callable[[logging.LogRecord], bool]:
        return lambda record: shown(record) or bool(own.filter(record))

    for handler in logger.handlers:
        for own in [*handler.filters]:
            if isinstance(own, DefaultFilter):
                handler.removeFilter(own)
                handler.addFilter(also(own))


# --- read-only folders


def allow_protected() -> None:
    """Let Snakemake plan jobs whose outputs are write-protected."""

    async def nothing_protected(job: Job) -> None:
        pass

    Job.check_protected_output = nothing_protected


def borrow_notes(own: Path, temporary: Callable[[], Path]) -> None:
    """Let Snakemake read its metadata in a folder that it may not write to.

    Args:
        own: Snakemake's folder.
        temporary: returns a new folder, which receives everything that Snakemake writes.
    """
    persistence: Any = workflow_module.FilePersistence

    class Borrowing(persistence):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            place = temporary()
            for name in (METADATA.name, INCOMPLETE.name):
                if os.access(own / name, os.R_OK | os.X_OK):
                    (place / name).symlink_to((own / name).resolve())
                else:
                    (place / name).mkdir()
            super().__init__(*args, **kwargs | {"path": place, "nolock": True})

        def _io_read(self, *args: Any, **kwargs: Any) -> Any:
            # Snakemake's metadata files are readable for their owner and group only.
            with suppress(PermissionError):
                return super()._io_read(*args, **kwargs)
            return None

    workflow_module.FilePersistence = Borrowing


def notes_of(workflow: Workflow) -> Callable[[str], Any]:
    """Return a function from a file to Snakemake's metadata of it, or None if there is none."""
    return workflow.persistence.metadata


def ignore_notes(workflow: Workflow) -> None:
    """Make Snakemake's own rerun triggers ineffective."""
    persistence = workflow.persistence
    persistence.params_changed = lambda job, file=None: NO_PARAMS_CHANGE
    persistence.code_changed = lambda job, file=None: []
    persistence.input_changed = lambda job, file=None: []
    persistence.software_stack_changed = lambda job, file=None: []
    # Otherwise Snakemake hashes the inputs of each job once more.
    persistence.max_checksum_file_size = 0
    restore = persistence.restore_output

    def restore_output(path: Path) -> bool:
        # A failed job on a cluster has already restored the old version, which removed the backup.
        put_back = path.exists() and not persistence._get_backup_path(path).exists()
        return put_back or restore(path)

    persistence.restore_output = restore_output


# --- the jobs of a run


class Jobs:
    """Snakemake's DAG: the jobs of a run, their dependencies, and which of them run.

    Args:
        workflow: a workflow whose DAG exists.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._workflow, self._dag = workflow, workflow.dag
        self._finish = workflow.dag.finish

    @property
    def dry(self) -> bool:
        """Whether this is a dry run."""
        return self._workflow.dryrun

    @property
    def targets(self) -> Any:
        """The target jobs."""
        return self._dag.targetjobs

    @property
    def allowed(self) -> Any:
        """The names of the rules that may run; empty or None if all may."""
        return self._dag.rules_allowed_for_needrun

    @property
    def idle(self) -> bool:
        """Whether no job runs, and none is ready to run."""
        return not self._dag._ready_jobs and not self._dag._running

    @property
    def numbered(self) -> bool:
        """Whether all jobs have numbers; not so while the DAG grows after a checkpoint."""
        return all(job in self._dag._jobid for job in self._dag.jobs)

    def all(self) -> Iterable[Job]:
        """Return all jobs."""
        return self._dag.jobs

    def unfinished(self) -> list[Job]:
        """Return the jobs that have not finished, producers first."""
        levels = self._dag.toposorted()
        return [job for level in levels for job in level if not self._dag.finished(job)]

    def needed(self) -> Iterable[Job]:
        """Return the jobs that have to run."""
        return self._dag.needrun_jobs()

    def number(self, job: Job) -> int:
        """Return the number of a job in its run."""
        return self._dag.jobid(job)

    def producers(self, job: Job) -> Mapping[Job, set[Any]]:
        """Return the jobs that write a job's inputs, each with these files."""
        return self._dag._dependencies[job]

    def consumers(self, job: Job) -> Mapping[Job, set[Any]]:
        """Return the jobs that read a job's outputs, each with these files."""
        return self._dag.depending[job]

    def finished(self, job: Job) -> bool:
        """Return whether a job has finished, or was skipped."""
        return self._dag.finished(job)

    def ready(self, job: Job) -> bool:
        """Return whether a job could start now."""
        return job in self._dag._ready_jobs

    def reason(self, job: Job) -> Reason:
        """Return Snakemake's reason for running a job."""
        return self._dag.reason(job)

    def forced(self, job: Job) -> bool:
        """Return whether the command line, or an incomplete output, forces a job to run."""
        dag = self._dag
        rule = job not in dag.omitforce and job.rule in dag.forcerules
        return rule or not dag.forcefiles.isdisjoint(job.output)

    def asked_files(self, job: Job) -> set[Any]:
        """Return the outputs of a target job that the targets or other jobs require."""
        dag = self._dag
        if job.rule in dag.targetrules or job.rule.name in dag.target_jobs_rules:
            return {*job.products(include_logfiles=False)}
        files = {file for files in dag.depending[job].values() for file in files}
        return files | {file for file in job.products() if file in (dag.targetfiles or ())}

    def set_needed(self, jobs: Iterable[Job]) -> None:
        """Set which jobs run; the caller then calls `set_count` for each."""
        dag = self._dag
        dag._needrun.clear()
        dag._checkpoint_jobs.clear()
        dag._n_until_ready.clear()
        dag._ready_jobs.clear()
        dag._needrun.update(jobs)
        dag._checkpoint_jobs.update(job for job in dag._needrun if job.is_checkpoint)
        dag._len = len(dag._finished | dag._needrun)

    def set_count(self, job: Job, count: int) -> None:
        """Set how many jobs a job has to wait for."""
        self._dag._n_until_ready[job] = count

    def wait_for_one_more(self, job: Job) -> None:
        """Make a job wait for one more job."""
        self._dag._n_until_ready[job] += 1
        self._dag._ready_jobs.discard(job)

    def wait_for_one_less(self, job: Job) -> None:
        """Make a job wait for one job less; it is ready if it waits for none."""
        self._dag._n_until_ready[job] -= 1
        self._dag.update_ready([job])

    async def finish(self, job: Any, update_checkpoint_dependencies: bool = True) -> Any:
        """Mark a job as finished, as Snakemake does."""
        return await self._finish(job, update_checkpoint_dependencies)

    async def finish_unrun(self, job: Job) -> None:
        """Mark a job that does not run as finished."""
        self._dag._ready_jobs.discard(job)
        self._dag._running.add(job)
        self._workflow.scheduler.finished_jobs += 1
        # A skipped checkpoint's decision still applies, and adds jobs to the DAG.
        await self._finish(job, job.is_checkpoint)

    def decide_by(self, plan: Callable[[], Any], finish: Callable[..., Any]) -> None:
        """Replace the DAG's decisions about which jobs run, and its reaction to a finished job.

        Args:
            plan: replaces `DAG.update_needrun`.
            finish: replaces `DAG.finish`.
        """

        async def update_needrun(create_inventory: bool = False) -> None:
            # Without an inventory of modification times, which decide nothing here.
            await plan()

        self._dag.update_needrun = update_needrun
        self._dag.finish = finish


def ignore_dates(workflow: Workflow) -> None:
    """Accept outputs older than their inputs, which clock skew and copied files cause."""

    async def check_output_mtime(job: Any, expanded_output: Any) -> None:
        pass

    def change() -> None:
        workflow.dag.check_output_mtime = check_output_mtime

    with_jobs(workflow, change)


def changed_setting(reason: Reason, was: str, now: str, file: str) -> None:
    """Add a changed setting to the reason for running a job."""
    reason.params_changed = reason.params_changed | ParamsChange({was}, {now}, {file})


# --- starting jobs


def look_once_at_a_time(workflow: Workflow) -> None:
    """Limit the scheduler of a run that has not started to one pending re-evaluation.

    In Snakemake 9.27, each evaluation of the ready jobs schedules another one, after the timespan
    of `--max-jobs-per-timespan` (a second by default). The evaluation at the end of each job does
    so too. None of these chains stops while jobs are waiting. After a thousand jobs there are a
    thousand evaluations a second, each over all inputs of the ready jobs, and the main process
    takes a whole core. The earliest scheduled evaluation is enough: it schedules the next.
    """
    scheduler = workflow.scheduler
    scheduler._schedule_reevalutation = earliest(scheduler._open_jobs.release)


def earliest(look: Callable[[], object]) -> Callable[[float], None]:
    """Return a function that schedules a call after a delay; only the earliest call is kept."""
    changing = threading.Lock()
    planned: list[tuple[float, threading.Timer]] = []

    def call() -> None:
        with changing:
            planned.clear()
        look()

    def later(delay: float) -> None:
        due = time.monotonic() + delay
        with changing:
            if planned and planned[0][0] <= due:
                return
            for _, timer in planned:
                timer.cancel()
            timer = threading.Timer(delay, call)
            # The process does not wait for it at the end of a run.
            timer.daemon = True
            planned[:] = [(due, timer)]
            timer.start()

    return later


def make_room(workflow: Workflow, jobs: int) -> None:
    """Add threads to the local executors, for more jobs at once than there are cores.

    Snakemake itself has threads for only five jobs that take no core.
    """
    scheduler = workflow.scheduler
    for executor in (scheduler._executor, scheduler._local_executor):
        # Executors for clusters, from any plugin, have no pool.
        if isinstance(pool := getattr(executor, "pool", None), ThreadPoolExecutor):
            pool._max_workers += jobs


def run_here(here: Callable[[Job], bool]) -> None:
    """Run some jobs on this machine in a run that submits its jobs to a cluster.

    Args:
        here: returns whether a job runs on this machine.
    """
    local = Job.is_local.fget
    Job.is_local = property(lambda job: local(job) or here(job))


def follow_submissions(workflow: Workflow, note: Callable[[int, str | None], None]) -> None:
    """Report the cluster's job id of each job that a run submits.

    Args:
        workflow: a workflow that has a scheduler.
        note: called with the job's number in the run and its id in the cluster (None on this
            machine).
    """
    executor = workflow.scheduler._executor
    report = executor.report_job_submission

    def reported(job_info: Any, *args: Any, **kwargs: Any) -> None:
        report(job_info, *args, **kwargs)
        for job in getattr(job_info.job, "jobs", None) or [job_info.job]:
            note(workflow.dag.jobid(job), job_info.external_jobid)

    executor.report_job_submission = reported


def resources_at(job: Any, attempt: int) -> Any:
    """Return the resources of a job at an attempt."""
    if attempt == job.attempt:
        return job.resources
    return job.rule.expand_resources(
        job.wildcards_dict, job.input, attempt, skip_evaluation={"tmpdir"}
    )


# --- SLURM


class SlurmExecutor(slurm_plugin.Executor):
    """Snakemake's SLURM executor, with methods for the parts that `PatientExecutor` changes."""

    run_uuid: str

    @property
    def folder(self) -> Path:
        """The working directory of the run."""
        return Path(self.workflow.workdir_init)

    def label(self, job: Any) -> tuple[str, Path]:
        """Return the SLURM comment of a job, and its log (with %j for the SLURM job id)."""
        what = f"group_{job.name}" if job.is_group() else f"rule_{job.name}"
        wildcards = slurm_plugin.get_job_wildcards(job)
        log = self.slurm_logdir / what / wildcards / "%j.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        slurm_plugin.validate_slurm_extra(job)
        return f"{what}_wildcards_{wildcards}" if wildcards else what, log

    def call(self, asked: Any, **about: Any) -> str:
        """Return the sbatch command that submits a job, without the job's own command."""
        given = {"run_uuid": self.run_uuid, "workdir": self.workflow.workdir_init, **about}
        settings = self.workflow.executor_settings
        resources = asked.resources
        clusters = map(resources.get, ("cluster", "clusters", "slurm_cluster"))
        if cluster := next(filter(None, clusters), None):
            self._submitted_job_clusters.add(cluster)
        return slurm_plugin.get_submit_command(
            asked, given, settings=settings, failed_nodes=self._failed_nodes
        )

    @property
    def by_script(self) -> bool:
        """Whether sbatch reads a job's command from standard input, not from its command line."""
        return self.workflow.executor_settings.pass_command_as_script

    @property
    def has_clusters(self) -> bool:
        """Whether jobs were submitted to named clusters."""
        return bool(self._submitted_job_clusters)

    def number_in(self, said: str) -> str:
        """Return the job id in sbatch's output."""
        return slurm_plugin.validate_or_get_slurm_job_id(said.strip().split(";")[0], said)

    def report_sent(self, job: Any, number: str, log: Path) -> None:
        """Report to Snakemake that SLURM has accepted a job."""
        log = log.with_name(log.name.replace("%j", number))
        self.logger.info(
            f"Job {job.jobid} has been submitted with SLURM jobid {number} (log: {log})."
        )
        self._report_job_submission_threadsafe(
            SubmittedJobInfo(job, external_jobid=number, aux={"slurm_logfile": log})
        )

    def report_refused(self, job: Any, said: str) -> None:
        """Report that SLURM will never accept a job, so that Snakemake does not retry it."""
        job.attempt = max(job.attempt, job.restart_times + 1)
        self._report_job_error_threadsafe(SubmittedJobInfo(job), said)

    def submit(self, job: Any) -> None:
        """Submit a job in a thread."""
        self._job_submission_executor.submit(self.run_job, job)

    def stop_sending(self) -> None:
        """Wait for submissions under way, and cancel the others."""
        self._job_submission_executor.shutdown(wait=True, cancel_futures=True)

    def keep_folder(self) -> None:
        """Keep the run's temporary folder, which `shutdown` would remove, for jobs that run."""
        self._tmpdir = None


def become(workflow: Workflow, kind: type[SlurmExecutor]) -> Any:
    """Replace the class of a run's SLURM executor, before it submits its first job.

    Raises:
        TypeError: if the run has another executor.
    """
    executor = workflow.scheduler._executor
    if not isinstance(executor, slurm_plugin.Executor):
        raise TypeError(f"{executor} is not Snakemake's SLURM executor")
    executor.__class__ = kind
    return executor


def sends_to_slurm(workflow: Workflow) -> bool:
    """Return whether a run submits its jobs to SLURM."""
    return workflow.executor_plugin.name == "slurm"


def executor_settings(workflow: Workflow) -> Any:
    """Return the executor's settings from the command line and the profile."""
    return workflow.executor_settings


def read_partitions(file: Path) -> Any:
    """Return the partitions that a profile's file lists."""
    return slurm_partitions.read_partition_file(file)


def take_whole_allocation() -> None:
    """Give the job step of a SLURM job all cores and GPUs of the job's allocation."""
    stated = slurm_step.get_cpu_setting
    cores = os.environ.get("SLURM_CPUS_PER_TASK")

    def cpu_setting(job: Any, gpu: Any) -> str:
        return f"--cpus-per-task={cores}" if cores else stated(job, gpu)

    slurm_step.get_cpu_setting = cpu_setting
    # A job step without an option for GPUs gets those of its job.
    slurm_step.get_gpu_setting = lambda job: ""
