"""What all rules share.

In: config.yaml and the study that it names.
Out: STUDY; FLOW, which knows paths, settings and end points; RESULTS; `code`, the
digest of a script's code; `command`, the shell command of a rule.
"""

from seedbed.run.commands import Commands, put_python_first
from seedbed.run.environment import keep_profile_configfiles, read_environment
from seedbed.run.lists import Lists
from seedbed.run.parameters import JobParameters
from seedbed.run.pending import PendingJobs
from seedbed.run.rule_code import RuleCode
from seedbed.study.cells import KINDS, wildcard_pattern
from seedbed.study.checks import check_data
from seedbed.study.loading import check_run_config, load_study
from seedbed.study.paths import RESOURCES
from seedbed.study.resources import JobResources, limits
from seedbed.study.targets import Targets

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


FLOW = Targets.of(RUN, STUDY, CONFIG)
RESULTS, MISSING = FLOW.results, FLOW.missing()
OTHERS = PendingJobs(FLOW, f"{RESULTS}/journal/sharing")
PARAMETERS = JobParameters(FLOW, OTHERS)
LISTS = Lists(f"{RESULTS}/journal/lists")
JOB_RESOURCES = JobResources(FLOW, RUN.gpu_model)
if (said := JOB_RESOURCES.too_many(limits(workflow.global_resources))) is not None:
    raise WorkflowError(said)
put_python_first()
RULE_CODE = RuleCode(PROJECT / "scripts")
code = RULE_CODE.script  # The digest of a script, and of all code that it reaches.
# The command that runs a script, from any folder; `manifest` has the checksums of all results.
command = Commands(
    RULE_CODE.command,
    f"../envs/{RUN.environment}.yaml",
    {
        "study": [STUDY.name],
        "spending": [f"{RESULTS}/spending.json"],
        "manifest": [f"{RESULTS}/manifest.jsonl", f"{RESOURCES}/manifest.jsonl"],
    },
)


def reported(file, caption, category):
    """Return a file of the results that Snakemake's own report shows."""
    caption = f"../report/captions/{caption}.rst"
    return report(f"{RESULTS}/{file}", caption=caption, category=category)


wildcard_constraints:
    **{kind: wildcard_pattern(FLOW.grid, kind) for kind in KINDS},
    task="|".join(STUDY.tasks),
    model="|".join(STUDY.models),
    shard=r"\d+",
