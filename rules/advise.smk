"""The answer of a study to one question: which method, for so many seeds and so much to spend."""

ADVISED = answer_folder(RESULTS, "logs/advise.log", "advice/advice.json")


rule advise:
    """Print advice; without an output or a benchmark, it runs whenever it is asked for."""
    input:
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
    log:
        f"{ADVISED}/logs/advise.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        task=RUN.task,
        seeds=RUN.seeds,
        goal=RUN.goal[0],
        amount=RUN.goal[1],
        prices=FLOW.prices(),
        titles=FLOW.titles(),
        output=f"{ADVISED}/advice/advice.json",
        code=lambda wc: code("advise"),
    message:
        "advise"
    shell:
        "python scripts/advise.py"
        f" --study {STUDY.name}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --prices {params.prices:q}"
        " --titles {params.titles:q}"
        " --task {params.task:q}"
        " --seeds {params.seeds}"
        " --{params.goal} {params.amount}"
        " --output {params.output:q}"
        " 2> {log:q}"
