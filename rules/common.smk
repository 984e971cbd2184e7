"""What all rules share: the checked study, its grid, and the digests of the code."""

from seedbed.study.cells import grid, wildcard_pattern
from seedbed.run.environment import keep_profile_configfiles, read_environment
from seedbed.study.checks import check_data
from seedbed.study.loading import check_run_config, load_study
from seedbed.run.lists import Lists
from seedbed.study.resources import Needs, limits
from seedbed.run.pending import PendingJobs
from seedbed.run.rule_code import RuleCode
from seedbed.study.workflow import RESOURCES, Workflow, put_python_first

if workflow.is_main_process:
    keep_profile_configfiles(workflow, config, sys.argv[1:], logger.info)
try:
    # Keys for endpoints; what the environment says itself takes precedence.
    for folder in dict.fromkeys((Path.cwd(), PROJECT)):
        read_environment(folder / ".env")
    RUN = check_run_config(config)
    STUDY = load_study(RUN.study, CONFIG, engines=RUN.engines, trainers=RUN.trainers)
    if RUN.data_dir is not None and not RUN.partial:
        check_data(STUDY, RUN.data_dir)
except StudyError as error:
    raise WorkflowError(str(error)) from None


GRID = grid(STUDY)
FLOW = Workflow(
    STUDY,
    GRID,
    RUN.data_dir,
    RUN.partial,
    RUN.max_teacher_queries,
    RUN.max_usd,
    CONFIG,
)
RESULTS = FLOW.results
# What the run that is under way is to make, for jobs that answer for each other.
OTHERS = PendingJobs(FLOW, f"{RESULTS}/journal/sharing")
LISTS = Lists(f"{RESULTS}/journal/lists")
NEEDS = Needs(FLOW, RUN.gpu_model)
if (said := NEEDS.too_many(limits(workflow.global_resources))) is not None:
    raise WorkflowError(said)
# Where the checksums of all results stand, for jobs that compare them with what they read.
MANIFESTS = f"{RESULTS}/manifest.jsonl {RESOURCES}/manifest.jsonl"
# The conda file of all rules, as seen from the folder of the rules.
ENVIRONMENT = f"../envs/{RUN.environment}.yaml"
MISSING = FLOW.missing()
put_python_first()
RULE_CODE = RuleCode(PROJECT / "scripts")
# Of a script, and of modules that it loads by name, the digest of all code that they reach.
code = RULE_CODE.script
# The command that runs a script, from any folder: `script("train_student")`.
script = RULE_CODE.command


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
