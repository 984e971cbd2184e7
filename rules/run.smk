"""What happens around a run: before its first job, while it is under way, and at its end."""

from snakemake.logging import logger

from seedbed.engines.cap import Ledger
from seedbed.study.explaining import explanation
from seedbed.study.killed import note_settings, record_finished, take_over
from seedbed.study.loading import (
    check_downloads,
    check_keys,
    check_prices,
    check_question,
)
from seedbed.study.scheduling import look_once_at_a_time
from seedbed.study.slurm import check_status_command
from seedbed.study.watching import Watch, measured_seconds

# By what settings each file of the run is made; and how far the run is.
NOTED = Path(RESULTS) / "journal/settings.json"
STATE = Path(RESULTS) / "journal/run.json"


# A dry run changes nothing, nor does a question; and a job on a cluster, which is a run of Snakemake
# too, leaves it to the one that sent it. What the targets are is not known yet but by the command line.
if (
    workflow.is_main_process
    and not workflow.output_settings.dryrun
    and not {"explain", "quote"} & set(sys.argv)
):
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


def take_over_jobs():
    """Record what jobs on a cluster finished after their run was killed."""
    check_status_command(workflow.executor_settings, logger.info)
    other = record_finished(NOTED, workflow, logger.info)
    if other:
        raise RuntimeError(
            f"{', '.join(other)}: made by a run that was killed, with other settings than now. "
            "Start snakemake again, and they are made anew."
        )
    note_settings(NOTED, workflow)


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
        sys.stdout.write(explanation(workflow, "explain"))
        sys.stdout.flush()
        raise SystemExit
    try:
        check_needs([(job.rule.name, job.wildcards_dict) for job in jobs])
        if workflow.is_main_process and workflow.executor_plugin.name == "slurm":
            if (said := NEEDS.unknown()) is not None:
                raise RuntimeError(said)
            take_over_jobs()
    except (StudyError, RuntimeError) as error:
        raise WorkflowError(str(error)) from None
    look_once_at_a_time(workflow.scheduler)
    made = [str(file) for job in jobs for file in job.output]
    if workflow.is_main_process and made:
        OTHERS.write(made)
        if FLOW.capped:
            from seedbed.study.quote import spent

            Ledger(Path(FLOW.ledger)).open(spent(STUDY, GRID, Path(RESULTS)))
        watch()


onsuccess:
    watched(True)


onerror:
    watched(False)
