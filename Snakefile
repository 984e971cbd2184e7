"""How should a budget of teacher queries be spent? The study that answers it, by its end points.

Comes in: config/, beside the results or here. Goes out: results/STUDY/ and resources/.
"""

from snakemake.utils import min_version

min_version("9.27")


include: "rules/begin.smk"


configfile: CONFIG.find("config.yaml")


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/run.smk"


# With `partial=true`, what has been evaluated is final: no rule could make it again, or more of it.
if not RUN.partial:

    include: "rules/models.smk"
    include: "rules/tasks.smk"
    include: "rules/streams.smk"
    include: "rules/datasets.smk"
    include: "rules/students.smk"


include: "rules/quote.smk"
include: "rules/analysis.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
include: "rules/advise.smk"


rule all:
    """Everything: the report, and with it all that it stands on."""
    default_target: True
    input:
        rules.report.input,
        rules.figures.input,
        # Tables that are there would not have a score made again that is gone.
        FLOW.evaluations(),


for target in ("datasets", "adapters", "evaluations"):

    rule:
        """All datasets, as Parquet; all trained students, as LoRA adapters; or all scores."""
        name:
            target
        input:
            getattr(FLOW, target)(),


HOOKS.rules_are_read()
