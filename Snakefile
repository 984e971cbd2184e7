"""How should a budget of teacher queries be spent? The study that answers it, by its end points."""

import gc
from inspect import signature

from snakemake.common import overwrite_function_params
from snakemake.utils import min_version

min_version("9.27")


# A plan makes millions of objects, which stay: not to be looked through again and again.
gc.set_threshold(200_000, 50, 1_000)


include: "rules/begin.smk"


configfile: "config/config.yaml"


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
    message:
        "all"


rule datasets:
    """All synthetic data, as Parquet."""
    input:
        FLOW.datasets(),
    message:
        "datasets"


rule adapters:
    """All trained students, as LoRA adapters."""
    input:
        FLOW.adapters(),
    message:
        "adapters"


rule evaluations:
    """The scores of all cells."""
    input:
        FLOW.evaluations(),
    message:
        "evaluations"


# Read once here, and not by Snakemake for each function of each job: a tenth of a plan's time.
for rule in workflow.rules:
    for function in filter(callable, [*rule.input, *rule.params]):
        overwrite_function_params(function, signature(function).parameters)
