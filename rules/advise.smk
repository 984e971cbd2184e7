"""The answer of a study to one question: which method, for so many seeds and queries."""


rule advise:
    """Print advice; without an output, it runs whenever it is asked for."""
    input:
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
    log:
        f"{RESULTS}/logs/advise.log",
    benchmark:
        f"{RESULTS}/benchmarks/advise.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        task=RUN.task,
        seeds=RUN.seeds,
        queries=RUN.queries,
        titles=FLOW.titles(),
        output=f"{RESULTS}/advice/advice.json",
        code=lambda wc: code("advise"),
    message:
        "advise"
    shell:
        "python scripts/advise.py"
        f" --study {STUDY.name}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --titles {params.titles:q}"
        " --task {params.task:q}"
        " --seeds {params.seeds}"
        " --queries {params.queries}"
        " --output {params.output:q}"
        " 2> {log:q}"
