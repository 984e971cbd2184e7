"""A study of how to spend a budget of teacher queries, and its end points.

In: config/, of the working directory or of this project. Out: results/STUDY/ and resources/.
"""

from snakemake.utils import min_version

min_version("9.27")


include: "rules/begin.smk"


configfile: CONFIG.find("config.yaml")


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/run.smk"


SPENDS = FLOW.study.config.spend is not None
# With `partial=true`, existing evaluations are final, so the rules that make them are left out.
DATA = [] if RUN.partial else ["models", "tasks", "streams", "datasets", "students"]
ENDS = ["spend"] if SPENDS else ["analysis", "figures", "report", "advise"]

for stage in [*DATA, "quote", *ENDS]:

    include: f"rules/{stage}.smk"


rule all:
    """Everything: the report with all its inputs, and the figures; or the results of a spend."""
    default_target: True
    input:
        rules.spend.input if SPENDS else rules.report.input,
        [] if SPENDS else rules.figures.input,
        # Otherwise existing tables would hide that an evaluation is missing.
        [] if SPENDS else FLOW.evaluations(),


HOOKS.rules_are_read()
