"""What all rules share: the checked study, its grid, and the digests of the code."""

import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from seedbed.engines.cap import Ledger
from seedbed.engines.sharing import write_plan
from seedbed.provenance import code_digest
from seedbed.study.cells import grid, wildcard_pattern
from seedbed.study.killed import note_settings, record_finished, take_over
from seedbed.study.loading import (
    StudyError,
    check_data,
    check_downloads,
    check_keys,
    check_prices,
    check_run_config,
    load_study,
)
from seedbed.study.needs import Needs, limits
from seedbed.study.others import Others
from seedbed.study.slurm import check_status_command
from seedbed.study.workflow import RESOURCES, Workflow, put_python_first

try:
    RUN = check_run_config(config)
    STUDY = load_study(
        RUN.study, Path(workflow.basedir) / "config", engines=RUN.engines
    )
    if RUN.data_dir is not None and not RUN.partial:
        check_data(STUDY, RUN.data_dir)
except StudyError as error:
    raise WorkflowError(str(error)) from None


# A dry run changes nothing; and a job on a cluster, which is a run of Snakemake too, leaves it to the
# one that sent it.
if workflow.is_main_process and not workflow.output_settings.dryrun:
    take_over(Path(".snakemake").resolve(), logger.info)
    if (
        workflow.executor_plugin is not None
        and workflow.executor_plugin.name == "slurm"
    ):
        try:
            check_status_command(workflow.executor_settings, logger.info)
        except RuntimeError as error:
            raise WorkflowError(str(error)) from None


# A dry run needs no data and no keys, and does not come here.
onstart:
    try:
        jobs = [
            (job.rule.name, job.wildcards_dict)
            for job in workflow.dag.needrun_jobs()
        ]
        if RUN.data_dir is None and "get_task" in dict(jobs):
            check_downloads(STUDY)
        asked = FLOW.asked_models(jobs)
        check_keys(STUDY, asked)
        if FLOW.max_usd is not None:
            check_prices(STUDY, asked)
    except StudyError as error:
        raise WorkflowError(str(error)) from None
    if workflow.is_main_process:
        if workflow.executor_plugin.name == "slurm":
            try:
                check_status_command(workflow.executor_settings, logger.info)
            except RuntimeError as error:
                raise WorkflowError(str(error)) from None
            other = record_finished(NOTED, workflow, logger.info)
            if other:
                raise WorkflowError(
                    f"{', '.join(other)}: made by a run that was killed, with other settings than "
                    "now. Start snakemake again, and they are made anew."
                )
            note_settings(NOTED, workflow)
        write_plan(
            PLAN,
            (file for job in workflow.dag.needrun_jobs() for file in job.output),
        )
        if FLOW.capped:
            from seedbed.study.quote import spent

            Ledger(Path(FLOW.ledger)).open(spent(STUDY, GRID, Path(RESULTS)))


GRID = grid(STUDY)
FLOW = Workflow(
    STUDY, GRID, RUN.data_dir, RUN.partial, RUN.max_teacher_queries, RUN.max_usd
)
RESULTS = FLOW.results
# What the run that is under way is to make, for jobs that answer for each other.
PLAN = f"{RESULTS}/journal/plan.txt"
NOTED = Path(RESULTS) / "journal/settings.json"
OTHERS = Others(FLOW, PLAN)
NEEDS = Needs(FLOW, RUN.gpu_model)
if (said := NEEDS.too_many(limits(workflow.global_resources))) is not None:
    raise WorkflowError(said)
# The conda file of all rules, as seen from the folder of the rules.
ENVIRONMENT = f"../envs/{RUN.environment}.yaml"
MISSING = FLOW.missing()
put_python_first()


wildcard_constraints:
    seed_set=wildcard_pattern(GRID, "seed_set"),
    question_stream=wildcard_pattern(GRID, "question_stream"),
    stream=wildcard_pattern(GRID, "stream"),
    dataset=wildcard_pattern(GRID, "dataset"),
    cell=wildcard_pattern(GRID, "cell"),
    trained_cell=wildcard_pattern(GRID, "trained_cell"),
    task="|".join(STUDY.tasks),
    model="|".join(STUDY.models),
    shard=r"\d+",


@cache
def code(script, *modules):
    """Return the digest of a script and of all project code that it reaches."""
    return code_digest(Path(workflow.basedir) / "scripts" / f"{script}.py", modules)
