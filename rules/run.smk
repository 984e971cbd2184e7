"""What happens around a run: before its first job, while it is under way, and at its end."""

from seedbed.engines.cap import Ledger
from seedbed.run.adopting import adopt, review
from seedbed.study.equivalence import same_result
from seedbed.run.explaining import explanation
from seedbed.run.recovery import Tenancy, note_begun, note_ended
from seedbed.study.checks import (
    check_downloads,
    check_keys,
    check_prices,
    check_question,
)
from seedbed.run.manifest import Manifest
from seedbed.run.owners import Sign, this_run
from seedbed.run.partitions import write_offers
from seedbed.run.planning import Planner
from seedbed.run.scheduling import ignore_dates, look_once_at_a_time, plan_by
from seedbed.run.sites import check_jobs, partitions_of
from seedbed.run.slurm import check_status_command, jobs_of
from seedbed.run.submitting import (
    Site,
    become_patient,
    before_run,
    before_unlock,
    leave_own_allocation,
    lock_files,
    note_own_allocation,
    take_whole_allocation,
)
from seedbed.run.progress import PLANNING_FOLDER, Watch, measured_seconds

# By what settings each file of the run is made; and how far the run is.
BEGUN = Path(RESULTS) / "journal/begun.jsonl"
STATE = Path(RESULTS) / "journal/run.json"


# A dry run changes nothing, nor does a question. What the targets are is not known yet but by the
# command line. And a job on a cluster, a run of Snakemake too, leaves it to the one that sent it.
CHANGES = (
    workflow.is_main_process
    and not workflow.output_settings.dryrun
    and not {"adopt", "adopt_confirmed", "explain", "quote"} & set(sys.argv)
    and can_write(".snakemake/locks")
    and can_write(f"{RESULTS}/manifest.jsonl")
)

TENANCY = Tenancy(Path.cwd(), STUDY.name, Path(RESULTS), logger.info)
SITE = Site(RUN.gpu_request, RUN.cores_per_gpu)


def prepare(executor, settings):
    """Clear up after runs that were killed, and read what the cluster offers."""
    if executor.common_settings.dryrun_exec or not CHANGES:
        return
    slurm = executor.name == "slurm"
    try:
        note_own_allocation()
        if slurm:
            leave_own_allocation()
        TENANCY.take_over(slurm)
        SIGNS.append(planning())
        if slurm:
            SITE_PARTITIONS.append(partitions_of(settings.partition_config))
            write_offers(SITE_PARTITIONS[0].offers)
    except (ValueError, RuntimeError) as error:
        raise WorkflowError(str(error)) from None


def planning():
    """Say that this run is planned, which takes minutes for tens of thousands of cells."""
    folder = Path(RESULTS) / PLANNING_FOLDER
    for left in folder.glob("*.json"):
        left.unlink(missing_ok=True)
    return Sign(this_run(STUDY.name, Path.cwd(), [], None), folder)


def end_run():
    """Take back all that this run said of itself."""
    while SIGNS:
        SIGNS.pop().take_back()
    TENANCY.end()


def refuse_unlock():
    """Keep the lock of a run that is alive."""
    try:
        TENANCY.check_unlock()
    except RuntimeError as error:
        raise WorkflowError(str(error)) from None


# A job on a cluster is a run of Snakemake too, and leaves all of this to the one that sent it.
SITE_PARTITIONS = []  # One entry if this run sends jobs to SLURM.
SIGNS = []  # One entry while this run is planned.
if workflow.is_main_process:
    before_run(workflow, prepare, end_run)
    before_unlock(workflow, refuse_unlock)
elif workflow.remote_exec:
    take_whole_allocation()


def skip(job):
    """Count a job as done that does not run."""
    for handler in logger.handlers:
        if isinstance(handler, Watch):
            handler.skip(job)


def take_over_results(jobs):
    """Note what the jobs of a killed run made."""
    note_ended(BEGUN, PLANNER, jobs, logger.info)


# What is stale is decided by the content of files, and by the process that starts jobs alone.
ignore_dates(workflow)
if workflow.is_main_process:
    PLANNER = Planner(Manifest([RESULTS, RESOURCES]), RULE_CODE, same_result)
    STATUSES = plan_by(workflow, PLANNER, skip, take_over_results if CHANGES else None)


def check_needs(jobs):
    """Raise an error for what jobs, as names of rules and wildcards, need and have not."""
    if RUN.data_dir is None and "get_task" in dict(jobs):
        check_downloads(STUDY)
    if "advise" in dict(jobs):
        check_question(RUN, STUDY, CONFIG)
    asked = FLOW.asked_models(jobs)
    check_keys(STUDY, asked)
    if FLOW.max_usd is not None:
        check_prices(STUDY, asked)


def adopted(confirmed):
    """Return which results are kept as they are, and note them if that was confirmed."""
    found = review(workflow.dag.jobs, PLANNER, workflow.persistence)
    try:
        if confirmed:
            adopt(found, PLANNER)
    except OSError as error:
        raise WorkflowError(f"the manifest cannot be written: {error}") from None
    return found.text(confirmed, f"make adopt STUDY={STUDY.name} CONFIRM=yes")


def watch():
    """Follow the run from here on."""
    slurm = workflow.executor_plugin.name == "slurm"
    watch = Watch(
        workflow,
        STATE,
        measured_seconds(Path(RESULTS)),
        logger.info,
        interrupt=INTERRUPT,
        queue=(lambda: jobs_of(Path.cwd())) if slurm else None,
    )
    for handler in logger.handlers:
        watch.hush(handler)
    logger.addHandler(watch)
    follow_submissions(workflow, watch.submitted)
    watch.start()


def watched(well):
    """Say how the run ended."""
    for handler in logger.handlers:
        if isinstance(handler, Watch):
            handler.end(well)
            if not well:
                OTHERS.keep(handler.left())


# A dry run needs no data and no keys, and does not come here.
onstart:
    jobs = [*workflow.dag.needrun_jobs()]
    if any(job.rule.name == "explain" for job in jobs):
        sys.stdout.write(explanation(workflow, PLANNER, STATUSES, "explain"))
        sys.stdout.flush()
        raise SystemExit
    for asked in {"adopt", "adopt_confirmed"} & {job.rule.name for job in jobs}:
        sys.stdout.write(adopted(asked == "adopt_confirmed"))
        sys.stdout.flush()
        raise SystemExit
    made = [str(file) for job in jobs for file in job.output]
    closed = [
        place
        for place, file in (
            (RESULTS, f"{RESULTS}/journal/owners"),
            (".snakemake", ".snakemake/locks"),
        )
        if not can_write(file)
    ]
    if workflow.is_main_process and made and closed:
        raise WorkflowError(
            f"{closed[0]} may only be read here, and {len(made)} files would be made: "
            "`snakemake explain` says why. What needs none: quote, explain, advise, -n."
        )
    try:
        check_needs([(job.rule.name, job.wildcards_dict) for job in jobs])
        if SITE_PARTITIONS:
            if (said := NEEDS.unknown()) is not None:
                raise RuntimeError(said)
            check_status_command(workflow.executor_settings, logger.info)
            check_jobs(jobs, SITE_PARTITIONS[0], SITE)
            name = become_patient(workflow.scheduler, SITE_PARTITIONS[0], SITE)
            if not closed:
                TENANCY.begin(lock_files(workflow), name)
        elif workflow.is_main_process and CHANGES and jobs and not closed:
            TENANCY.begin(lock_files(workflow), None)
    except (StudyError, RuntimeError) as error:
        raise WorkflowError(str(error)) from None
    look_once_at_a_time(workflow.scheduler)
    if workflow.is_main_process and made:
        note_begun(BEGUN, PLANNER, jobs)
        OTHERS.write(made)
        LISTS.write(jobs)
        if FLOW.capped:
            from seedbed.study.quote import spent

            Ledger(Path(FLOW.ledger)).open(spent(STUDY, GRID, Path(RESULTS)))
        watch()
    while SIGNS:
        SIGNS.pop().take_back()


onsuccess:
    if CHANGES:
        BEGUN.unlink(missing_ok=True)
    watched(True)


onerror:
    watched(False)
