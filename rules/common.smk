"""Objects that all rules share.

In: config.yaml and the study that it names. Out: RUN, the configuration; FLOW, the study's paths,
settings and end points; RESULTS; params and resources of jobs; `code`, which returns the digest of
a script and of all code that it reaches; `command`, which returns the shell command of a rule.
"""

from seedbed.run.shared import Shared
from seedbed.study.paths import RESOURCES

SHARED = Shared.of(workflow, config, CONFIG, PROJECT, logger)
RUN, FLOW = SHARED.run, SHARED.flow
RESULTS, MISSING = FLOW.results, FLOW.missing()
PARAMETERS, JOB_RESOURCES, LISTS = SHARED.parameters, SHARED.resources, SHARED.lists
code, command = SHARED.code.script, SHARED.command


def reported(file, caption, category="Report"):
    """Return an output that Snakemake's own report shows, with its caption."""
    caption = f"../report/captions/{caption}.rst"
    return report(f"{RESULTS}/{file}", caption=caption, category=category)


wildcard_constraints:
    **FLOW.patterns(),
