"""What all rules share.

In: config.yaml and the study that it names.
Out: RUN, what is asked for; FLOW, which knows paths, settings and end points; RESULTS; `code`, the
digest of a script's code; `command`, the shell command of a rule.
"""

from seedbed.run.commands import Commands, put_python_first
from seedbed.run.environment import keep_profile_configfiles
from seedbed.run.lists import Lists
from seedbed.run.parameters import JobParameters
from seedbed.run.pending import PendingJobs
from seedbed.run.reading import read_run
from seedbed.run.rule_code import RuleCode
from seedbed.study.paths import RESOURCES
from seedbed.study.resources import JobResources, limits

if workflow.is_main_process:
    keep_profile_configfiles(workflow, config, sys.argv[1:], logger.info)
RUN, FLOW = read_run(config, CONFIG, PROJECT)
RESULTS, MISSING = FLOW.results, FLOW.missing()
OTHERS = PendingJobs(FLOW, f"{RESULTS}/journal/sharing")
PARAMETERS = JobParameters(FLOW, OTHERS)
LISTS = Lists(f"{RESULTS}/journal/lists")
JOB_RESOURCES = JobResources(FLOW, RUN.gpu_model)
if (said := JOB_RESOURCES.impossible(limits(workflow.global_resources))) is not None:
    raise WorkflowError(said)
put_python_first()
RULE_CODE = RuleCode(PROJECT / "scripts")
code = RULE_CODE.script  # The digest of a script, and of all code that it reaches.
# The command that runs a script, from any folder; `manifest` has the checksums of all results.
command = Commands(
    RULE_CODE.command,
    f"../envs/{RUN.environment}.yaml",
    {
        "study": [FLOW.study.name],
        "spending": [f"{RESULTS}/spending.json"],
        "manifest": [f"{RESULTS}/manifest.jsonl", f"{RESOURCES}/manifest.jsonl"],
    },
)


def reported(file, caption, category):
    """Return a file of the results that Snakemake's own report shows."""
    caption = f"../report/captions/{caption}.rst"
    return report(f"{RESULTS}/{file}", caption=caption, category=category)


wildcard_constraints:
    **FLOW.patterns(),
    shard=r"\d+",
