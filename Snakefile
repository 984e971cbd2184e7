"""How should a budget of teacher queries be spent? The study that answers it, by its end points.

In: config/, beside the results or here. Out: results/STUDY/ and resources/.
"""

from snakemake.utils import min_version

min_version("9.27")


include: "rules/begin.smk"


configfile: CONFIG.find("config.yaml")


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/run.smk"


SPENDS = FLOW.study.config.spend is not None
# With `partial=true`, what has been evaluated is final: no rule could make it again, or more of it.
DATA = [] if RUN.partial else ["models", "tasks", "streams", "datasets", "students"]
ENDS = ["spend"] if SPENDS else ["analysis", "figures", "report", "advise"]

for stage in [*DATA, "quote", *ENDS]:

    include: f"rules/{stage}.smk"


rule all:
    """Everything: the report, and with it all that it stands on; or what a budget bought."""
    default_target: True
    input:
        rules.spend.input if SPENDS else rules.report.input,
        [] if SPENDS else rules.figures.input,
        # Tables that are there would not have a score made again that is gone.
        [] if SPENDS else FLOW.evaluations(),


HOOKS.rules_are_read()
