"""All uses of parts of Snakemake, and of its SLURM executor, that are not public.

`snakemake_parts` lists these parts, and refuses a version that lacks one when a workflow starts.
The rest of the project goes by the names below; of jobs and rules, it reads what is listed there.

Public interfaces need no entry. `progress` follows a run by the events of logger plugins, but as a
handler of Snakemake's logger: a plugin is a package that is installed, and named on the command
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

# First, as it refuses versions that lack what is imported below.
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
    """Return whether this process plans a run, and starts its jobs."""
    return workflow.is_main_process


def is_job(workflow: Workflow) -> bool:
    """Return whether this process is a job that a run has sent to a cluster."""
    return workflow.remote_exec


def shows_only(workflow: Workflow) -> bool:
    """Return whether the command line asks for a dry run."""
    return workflow.output_settings.dryrun


def targets_of(workflow: Workflow) -> list[str]:
    """Return the rules and files that the command line asks for."""
    settings = workflow.dag_settings
    return [str(target) for target in (settings and settings.targets) or ()]


def is_forced(workflow: Workflow) -> bool:
    """Return whether the command line has jobs run again."""
    settings = workflow.dag_settings
    return bool(settings.forceall or settings.forcerun or settings.forcetargets)


def rules_of(workflow: Workflow) -> list[Rule]:
    """Return the rules that have been read."""
    return [*workflow.rules]


def can_make(rule: Rule, target: str) -> bool:
    """Return whether a file has the form of a rule's output."""
    return rule.is_producer(target)


def resource_limits(workflow: Workflow) -> Mapping[str, object]:
    """Return how much of each resource all jobs may take together."""
    return workflow.global_resources


def add_configfiles(
    workflow: Workflow, config: Any, files: Iterable[Path], add: Callable[[Any, Any], None]
) -> list[Path]:
    """Have files of configuration count, before those of the command line.

    Args:
        workflow: that is being read, whose jobs get the files too.
        config: its configuration, as read so far.
        files: the files.
        add: adds one configuration to another.

    Returns:
        Those that did not count before.
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
    """Return the name of the rule whose job evaluates its `shell:`, called by what stands there.

    Snakemake runs a job in a function with an argument `rule`.
    """
    found = sys._getframe(2).f_locals.get("rule")
    return found if isinstance(found, str) else None


def keep_signatures(workflow: Workflow) -> None:
    """Read the parameters of the rules' functions once, and not anew for each job.

    A tenth of the time that a plan takes.
    """
    for rule in workflow.rules:
        for function in filter(callable, [*rule.input, *rule.params]):
            parameters = inspect.signature(function).parameters
            common.overwrite_function_params(function, parameters)


def command_of(rule: Rule) -> Any:
    """Return what a rule has in its `shell:`."""
    return rule.shellcmd


def log_of(rule: Rule) -> str:
    """Return the first log of a rule, with its wildcards."""
    return io.strip_wildcard_constraints(str(rule.log[0]))


def show_names(workflow: Workflow, names: Mapping[str, str]) -> None:
    """Let rules without a message say their names.

    Args:
        workflow: whose rules are known.
        names: of the rules, by their names in the whole workflow.
    """
    for rule in workflow.rules:
        if rule.message is None and rule.name in names:
            rule.message = names[rule.name]


def complete_rule(
    rule: Any, *, command: str, environment: str, message: str, benchmark: str | None
) -> None:
    """Give a rule that has been read what follows from the rest of it."""
    rule.shellcmd, rule.conda_env, rule.message = command, environment, message
    if benchmark is not None:
        rule.benchmark_modifier = rule.log_modifier
        rule.benchmark = benchmark


def set_cores(rule: Rule, cores: Callable[[Mapping[str, str]], int]) -> None:
    """Let a rule's jobs take as many cores as a function of their wildcards says."""
    rule.resources["_cores"] = lambda wildcards: cores(wildcards)


def limit(workflow: Workflow, resource: str, most: int) -> None:
    """Limit what all jobs take of a resource, where the run does not say so itself."""
    if resource not in workflow.global_resources:
        workflow.global_resources[resource] = most


def is_module(workflow: Workflow) -> bool:
    """Return whether the Snakefile that is being read is a module of another."""
    return not workflow.modifier.is_main_snakefile()


def has_prefix(workflow: Workflow) -> bool:
    """Return whether the other Snakefile wants other paths."""
    modifier = workflow.modifier.path_modifier
    return modifier.prefix is not None or modifier._prefix_replacements is not None


def names_of_rules(rules: Any) -> dict[str, str]:
    """Return the names that rules have in their Snakefile, by those in the whole workflow.

    Args:
        rules: the `rules` of the Snakefile.
    """
    return {proxy.rule.name: name for name, proxy in rules._rules.items()}


def profile_configfiles(profile: str) -> list[Path]:
    """Return the files of configuration that a profile names, where they are there."""
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
    """Call a function before a workflow makes its jobs."""
    prepare = workflow._prepare_dag

    def prepare_dag(*args: Any, **kwargs: Any) -> None:
        check()
        prepare(*args, **kwargs)

    workflow._prepare_dag = prepare_dag


def with_jobs(workflow: Workflow, change: Callable[[], None]) -> None:
    """Call a function when a workflow knows its jobs, and not which of them run."""
    prepare = workflow._prepare_dag

    def prepare_dag(*args: Any, **kwargs: Any) -> None:
        prepare(*args, **kwargs)
        change()

    workflow._prepare_dag = prepare_dag


def when_planned(do: Callable[[Workflow], None]) -> None:
    """Call a function with each workflow, once it is known which of its jobs run.

    For tests, which take no part in reading the workflow.
    """
    build = Workflow._build_dag

    def build_dag(workflow: Workflow) -> None:
        build(workflow)
        do(workflow)

    Workflow._build_dag = build_dag


def defined(workflow: Workflow, name: str) -> Any:
    """Return what the Snakefile defines by a name, for tests."""
    return workflow.globals[name]


def note_finished(workflow: Workflow, jobs: Iterable[Job]) -> None:
    """Have Snakemake note for itself that jobs have ended well, for tests."""

    async def note() -> None:
        for job in jobs:
            await workflow.persistence.finished(job)

    workflow.async_run(note())


def before_run(
    workflow: Workflow,
    prepare: Callable[[bool, Path | None], None],
    finish: Callable[[], None],
) -> None:
    """Call functions before a workflow plans what it is to run, and after all of it.

    Args:
        workflow: that is being read.
        prepare: called, unless the run is a dry one, with whether it sends its jobs to SLURM, and
            the profile's file of partitions.
        finish: called whatever happened.
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
    """Call a function before Snakemake lifts all locks of a folder, as `--unlock` has it do."""
    unlock = workflow.unlock

    def checked() -> None:
        check()
        unlock()

    workflow.unlock = checked


def run_handlers(workflow: Workflow, start: Any, success: Any, error: Any) -> None:
    """Call what a module does at the start and end of a run, before what the main workflow does.

    Snakemake calls `onstart`, `onsuccess` and `onerror` of the main Snakefile alone.
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
    """Return the files by which a run has locked its folder; none with `--nolock`."""
    files = workflow.persistence._lockfile
    return [path for path in map(Path, files.values()) if path.exists()]


def when_locked(workflow: Workflow, note: Callable[[list[Path]], None]) -> None:
    """Call a function with the files of a run's lock, as soon as it has locked its folder."""

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
    """Name a user who has no name after the user's number, for this process and those of jobs.

    A container often runs as a number that no user of it has. Snakemake asks for the user's name
    when a run starts, and fails without one.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = str(os.getuid())


def filter_errors(logger: logging.Logger, shown: Callable[[logging.LogRecord], bool]) -> None:
    """Let handlers show some records that `--quiet` hides."""

    def also(own: DefaultFilter) -> Callable[[logging.LogRecord], bool]:
        return lambda record: shown(record) or bool(own.filter(record))

    for handler in logger.handlers:
        for own in [*handler.filters]:
            if isinstance(own, DefaultFilter):
                handler.removeFilter(own)
                handler.addFilter(also(own))


# --- where one may only read


def allow_protected() -> None:
    """Let jobs be planned whose outputs may not be written."""

    async def nothing_protected(job: Job) -> None:
        pass

    Job.check_protected_output = nothing_protected


def borrow_notes(own: Path, temporary: Callable[[], Path]) -> None:
    """Let Snakemake read its notes where they may not be written.

    Args:
        own: the folder of its notes.
        temporary: returns a new folder, for all that is written.
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
            # Snakemake lets the group read its notes, and nobody else.
            with suppress(PermissionError):
                return super()._io_read(*args, **kwargs)
            return None

    workflow_module.FilePersistence = Borrowing


def notes_of(workflow: Workflow) -> Callable[[str], Any]:
    """Return what gives Snakemake's own notes of how a file was made; None without any."""
    return workflow.persistence.metadata


def ignore_notes(workflow: Workflow) -> None:
    """Let what Snakemake itself noted of jobs decide nothing."""
    persistence = workflow.persistence
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


# --- the jobs of a run


class Jobs:
    """The jobs of a run, what each waits for, and which of them run: Snakemake's DAG.

    Args:
        workflow: a run whose jobs are known.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._workflow, self._dag = workflow, workflow.dag
        self._finish = workflow.dag.finish

    @property
    def dry(self) -> bool:
        """Whether the run only shows what it would do."""
        return self._workflow.dryrun

    @property
    def targets(self) -> Any:
        """The jobs that the command line asks for."""
        return self._dag.targetjobs

    @property
    def allowed(self) -> Any:
        """The names of the only rules that may run; nothing if all may."""
        return self._dag.rules_allowed_for_needrun

    @property
    def idle(self) -> bool:
        """Whether no job runs, or could."""
        return not self._dag._ready_jobs and not self._dag._running

    @property
    def numbered(self) -> bool:
        """Whether all jobs have their numbers; not while a checkpoint's jobs are being found."""
        return all(job in self._dag._jobid for job in self._dag.jobs)

    def all(self) -> Iterable[Job]:
        """Return all jobs."""
        return self._dag.jobs

    def unfinished(self) -> list[Job]:
        """Return the jobs that have not ended, producers first."""
        levels = self._dag.toposorted()
        return [job for level in levels for job in level if not self._dag.finished(job)]

    def needed(self) -> Iterable[Job]:
        """Return the jobs that run."""
        return self._dag.needrun_jobs()

    def number(self, job: Job) -> int:
        """Return the number of a job in its run."""
        return self._dag.jobid(job)

    def producers(self, job: Job) -> Mapping[Job, set[Any]]:
        """Return the jobs that make what a job reads, and these files."""
        return self._dag._dependencies[job]

    def consumers(self, job: Job) -> Mapping[Job, set[Any]]:
        """Return the jobs that read what a job makes, and these files."""
        return self._dag.depending[job]

    def finished(self, job: Job) -> bool:
        """Return whether a job has ended, or is skipped."""
        return self._dag.finished(job)

    def ready(self, job: Job) -> bool:
        """Return whether a job could start now."""
        return job in self._dag._ready_jobs

    def reason(self, job: Job) -> Reason:
        """Return why a job runs, for Snakemake's own words."""
        return self._dag.reason(job)

    def forced(self, job: Job) -> bool:
        """Return whether the command line has a job run again."""
        dag = self._dag
        rule = job not in dag.omitforce and job.rule in dag.forcerules
        return rule or not dag.forcefiles.isdisjoint(job.output)

    def asked_files(self, job: Job) -> set[Any]:
        """Return the files that are asked for of a job that is a target."""
        dag = self._dag
        if job.rule in dag.targetrules or job.rule.name in dag.target_jobs_rules:
            return {*job.products(include_logfiles=False)}
        files = {file for files in dag.depending[job].values() for file in files}
        return files | {file for file in job.products() if file in (dag.targetfiles or ())}

    def set_needed(self, jobs: Iterable[Job]) -> None:
        """Say which jobs run; `set_count` is to follow for each."""
        dag = self._dag
        dag._needrun.clear()
        dag._checkpoint_jobs.clear()
        dag._n_until_ready.clear()
        dag._ready_jobs.clear()
        dag._needrun.update(jobs)
        dag._checkpoint_jobs.update(job for job in dag._needrun if job.is_checkpoint)
        dag._len = len(dag._finished | dag._needrun)

    def set_count(self, job: Job, count: int) -> None:
        """Say how many jobs one has to wait for."""
        self._dag._n_until_ready[job] = count

    def wait_for_one_more(self, job: Job) -> None:
        """Have a job wait for another one."""
        self._dag._n_until_ready[job] += 1
        self._dag._ready_jobs.discard(job)

    def wait_for_one_less(self, job: Job) -> None:
        """Let a job start if it waits for nothing else."""
        self._dag._n_until_ready[job] -= 1
        self._dag.update_ready([job])

    async def finish(self, job: Any, update_checkpoint_dependencies: bool = True) -> Any:
        """Take note that a job has ended, as Snakemake does."""
        return await self._finish(job, update_checkpoint_dependencies)

    async def finish_unrun(self, job: Job) -> None:
        """Take note that a job need not run."""
        self._dag._ready_jobs.discard(job)
        self._dag._running.add(job)
        self._workflow.scheduler.finished_jobs += 1
        # What a checkpoint decided holds, and other jobs follow from it.
        await self._finish(job, job.is_checkpoint)

    def decide_by(self, plan: Callable[[], Any], finish: Callable[..., Any]) -> None:
        """Let functions decide which jobs run, and what becomes of them when one ends.

        Args:
            plan: in place of `DAG.update_needrun`.
            finish: in place of `DAG.finish`.
        """

        async def update_needrun(create_inventory: bool = False) -> None:
            # Without an inventory of dates: nothing is decided by them.
            await plan()

        self._dag.update_needrun = update_needrun
        self._dag.finish = finish


def ignore_dates(workflow: Workflow) -> None:
    """Accept outputs of jobs whose inputs are dated later, as other clocks and copies have it."""

    async def check_output_mtime(job: Any, expanded_output: Any) -> None:
        pass

    def change() -> None:
        workflow.dag.check_output_mtime = check_output_mtime

    with_jobs(workflow, change)


def changed_setting(reason: Reason, was: str, now: str, file: str) -> None:
    """Add a setting that changed to why a job runs."""
    reason.params_changed = reason.params_changed | ParamsChange({was}, {now}, {file})


# --- starting jobs


def look_once_at_a_time(workflow: Workflow) -> None:
    """Let the scheduler of a run that has not begun have one look ahead of it at a time.

    Each look of Snakemake 9.27 for jobs to start plans another, for the sake of
    `--max-jobs-per-timespan` as long after it as that says (a second by default); and so does the
    look at the end of each job. None of these chains ends while jobs are waiting, so that after a
    thousand jobs there are a thousand looks a second, each at all files that ready jobs read: the
    run's own process takes a whole core. The earliest look that is planned serves all of them: it
    plans the next.
    """
    scheduler = workflow.scheduler
    scheduler._schedule_reevalutation = earliest(scheduler._open_jobs.release)


def earliest(look: Callable[[], object]) -> Callable[[float], None]:
    """Return what plans a call so many seconds later, and keeps the earliest planned one only."""
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
            # The end of a run need not wait for it.
            timer.daemon = True
            planned[:] = [(due, timer)]
            timer.start()

    return later


def make_room(workflow: Workflow, jobs: int) -> None:
    """Let that many more jobs of a run run on this machine at once than there are cores.

    Snakemake has threads for five jobs that take no core.
    """
    scheduler = workflow.scheduler
    for executor in (scheduler._executor, scheduler._local_executor):
        # Executors of clusters, of any plugin, have no pool.
        if isinstance(pool := getattr(executor, "pool", None), ThreadPoolExecutor):
            pool._max_workers += jobs


def run_here(here: Callable[[Job], bool]) -> None:
    """Run some jobs on this machine where a run sends its jobs to a cluster.

    Args:
        here: returns whether a job is one of these.
    """
    local = Job.is_local.fget
    Job.is_local = property(lambda job: local(job) or here(job))


def follow_submissions(workflow: Workflow, note: Callable[[int, str | None], None]) -> None:
    """Learn by which number a cluster knows each job that a run sends there.

    Args:
        workflow: the run, which has a scheduler.
        note: called with the job's number in the run and in the cluster (None on this machine).
    """
    executor = workflow.scheduler._executor
    report = executor.report_job_submission

    def reported(job_info: Any, *args: Any, **kwargs: Any) -> None:
        report(job_info, *args, **kwargs)
        for job in getattr(job_info.job, "jobs", None) or [job_info.job]:
            note(workflow.dag.jobid(job), job_info.external_jobid)

    executor.report_job_submission = reported


def resources_at(job: Any, attempt: int) -> Any:
    """Return what a job asks for at an attempt."""
    if attempt == job.attempt:
        return job.resources
    return job.rule.expand_resources(
        job.wildcards_dict, job.input, attempt, skip_evaluation={"tmpdir"}
    )


# --- SLURM


class SlurmExecutor(slurm_plugin.Executor):
    """Snakemake's SLURM executor, with names for what `PatientExecutor` does in another way."""

    run_uuid: str

    @property
    def folder(self) -> Path:
        """The working directory of the run."""
        return Path(self.workflow.workdir_init)

    def label(self, job: Any) -> tuple[str, Path]:
        """Return the comment of a job, and its log (with %j for its number)."""
        what = f"group_{job.name}" if job.is_group() else f"rule_{job.name}"
        wildcards = slurm_plugin.get_job_wildcards(job)
        log = self.slurm_logdir / what / wildcards / "%j.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        slurm_plugin.validate_slurm_extra(job)
        return f"{what}_wildcards_{wildcards}" if wildcards else what, log

    def call(self, asked: Any, **about: Any) -> str:
        """Return the command that sends a job, without the job."""
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
        """Whether SLURM reads a job from its standard input, not from its command line."""
        return self.workflow.executor_settings.pass_command_as_script

    @property
    def has_clusters(self) -> bool:
        """Whether jobs went to clusters by their names."""
        return bool(self._submitted_job_clusters)

    def number_in(self, said: str) -> str:
        """Return the number of a job, as sbatch says it."""
        return slurm_plugin.validate_or_get_slurm_job_id(said.strip().split(";")[0], said)

    def report_sent(self, job: Any, number: str, log: Path) -> None:
        """Take note that SLURM has a job."""
        log = log.with_name(log.name.replace("%j", number))
        self.logger.info(
            f"Job {job.jobid} has been submitted with SLURM jobid {number} (log: {log})."
        )
        self._report_job_submission_threadsafe(
            SubmittedJobInfo(job, external_jobid=number, aux={"slurm_logfile": log})
        )

    def report_refused(self, job: Any, said: str) -> None:
        """Take note that SLURM will never take a job, so that it is not tried again."""
        job.attempt = max(job.attempt, job.restart_times + 1)
        self._report_job_error_threadsafe(SubmittedJobInfo(job), said)

    def submit(self, job: Any) -> None:
        """Have a thread send a job."""
        self._job_submission_executor.submit(self.run_job, job)

    def stop_sending(self) -> None:
        """Wait for what is being sent, and send nothing more."""
        self._job_submission_executor.shutdown(wait=True, cancel_futures=True)

    def keep_folder(self) -> None:
        """Leave the run's folder to jobs that have just started, which `shutdown` would remove."""
        self._tmpdir = None


def become(workflow: Workflow, kind: type[SlurmExecutor]) -> Any:
    """Turn the SLURM executor of a run that has sent nothing yet into another kind of it.

    Raises:
        TypeError: if the run has another executor.
    """
    executor = workflow.scheduler._executor
    if not isinstance(executor, slurm_plugin.Executor):
        raise TypeError(f"{executor} is not Snakemake's SLURM executor")
    executor.__class__ = kind
    return executor


def sends_to_slurm(workflow: Workflow) -> bool:
    """Return whether a run sends its jobs to SLURM."""
    return workflow.executor_plugin.name == "slurm"


def executor_settings(workflow: Workflow) -> Any:
    """Return what the command line and the profile say to the executor."""
    return workflow.executor_settings


def read_partitions(file: Path) -> Any:
    """Return the partitions that a profile's file lists."""
    return slurm_partitions.read_partition_file(file)


def take_whole_allocation() -> None:
    """Let the step that a job on SLURM starts have all cores and GPUs that the job got."""
    stated = slurm_step.get_cpu_setting
    cores = os.environ.get("SLURM_CPUS_PER_TASK")

    def cpu_setting(job: Any, gpu: Any) -> str:
        return f"--cpus-per-task={cores}" if cores else stated(job, gpu)

    slurm_step.get_cpu_setting = cpu_setting
    # Without a word of GPUs, a step has those of its job.
    slurm_step.get_gpu_setting = lambda job: ""
