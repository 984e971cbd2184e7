"""What all rules share: the checked study, its grid, and the digests of the code."""

import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from seedbed.provenance import code_digest
from seedbed.study.cells import grid, wildcard_pattern
from seedbed.study.loading import (
    StudyError,
    check_data,
    check_run_config,
    load_study,
)
from seedbed.study.needs import Needs, limits
from seedbed.study.others import Others
from seedbed.study.workflow import RESOURCES, Workflow, put_python_first

CONFIG = Path(workflow.basedir) / "config"
try:
    RUN = check_run_config(config)
    STUDY = load_study(RUN.study, CONFIG, engines=RUN.engines, trainers=RUN.trainers)
    if RUN.data_dir is not None and not RUN.partial:
        check_data(STUDY, RUN.data_dir)
except StudyError as error:
    raise WorkflowError(str(error)) from None


GRID = grid(STUDY)
FLOW = Workflow(
    STUDY, GRID, RUN.data_dir, RUN.partial, RUN.max_teacher_queries, RUN.max_usd
)
RESULTS = FLOW.results
# What the run that is under way is to make, for jobs that answer for each other.
OTHERS = Others(FLOW, f"{RESULTS}/journal/sharing")
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
