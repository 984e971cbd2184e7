"""What happens around a run: before its first job, while it is under way, and at its end."""

from snakemake.logging import logger

from seedbed.engines.cap import Ledger
from seedbed.study.adopting import adopt, review
from seedbed.study.equivalence import same_result
from seedbed.study.explaining import explanation
from seedbed.study.killed import note_begun, note_ended, take_over
from seedbed.study.loading import (
    check_downloads,
    check_keys,
    check_prices,
    check_question,
)
from seedbed.study.manifest import Manifest
from seedbed.study.planning import Planner
from seedbed.study.scheduling import ignore_dates, look_once_at_a_time, plan_by
from seedbed.study.slurm import check_status_command
from seedbed.study.watching import Watch, measured_seconds

# By what settings each file of the run is made; and how far the run is.
BEGUN = Path(RESULTS) / "journal/begun.jsonl"
STATE = Path(RESULTS) / "journal/run.json"


# A dry run changes nothing, nor does a question. What the targets are is not known yet but by the
# command line. And a job on a cluster, a run of Snakemake too, leaves it to the one that sent it.
CHANGES = (
    workflow.is_main_process
    and not workflow.output_settings.dryrun
    and not {"adopt", "adopt_confirmed", "explain", "quote"} & set(sys.argv)
)


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


if CHANGES:
    take_over(Path(".snakemake").resolve(), logger.info)


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
    watch = Watch(workflow, STATE, measured_seconds(Path(RESULTS)), logger.info)
    for handler in logger.handlers:
        watch.hush(handler)
    logger.addHandler(watch)


def watched(well):
    """Say how the run ended."""
    for handler in logger.handlers:
        if isinstance(handler, Watch):
            handler.end(well)


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
    try:
        check_needs([(job.rule.name, job.wildcards_dict) for job in jobs])
        if workflow.is_main_process and workflow.executor_plugin.name == "slurm":
            check_status_command(workflow.executor_settings, logger.info)
    except (StudyError, RuntimeError) as error:
        raise WorkflowError(str(error)) from None
    look_once_at_a_time(workflow.scheduler)
    made = [str(file) for job in jobs for file in job.output]
    if workflow.is_main_process and made:
        note_begun(BEGUN, PLANNER, jobs)
        OTHERS.write(made)
        if FLOW.capped:
            from seedbed.study.quote import spent

            Ledger(Path(FLOW.ledger)).open(spent(STUDY, GRID, Path(RESULTS)))
        watch()


onsuccess:
    if CHANGES:
        BEGUN.unlink(missing_ok=True)
    watched(True)


onerror:
    watched(False)
