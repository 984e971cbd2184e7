"""The answer of a study to one question: which method, for so many seeds and so much to spend."""

ADVISED = answer_folder(RESULTS, "logs/advise.log", "advice/advice.json")
# Where the results may only be read, the answer is from the fits that are there: no job could make
# them anew if an edit since then would ask for it.
FITTED = [*rules.fit_decay.output]
if not can_write(f"{RESULTS}/fits") and all(Path(file).is_file() for file in FITTED):
    FITTED = []


rule advise:
    """Print advice; without an output or a benchmark, it runs whenever it is asked for."""
    input:
        FITTED,
    log:
        f"{ADVISED}/logs/advise.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        fits=lambda wc: rules.fit_decay.output.fits,
        draws=lambda wc: rules.fit_decay.output.draws,
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
        f"{script('advise')}"
        f" --study {STUDY.name}"
        " --fits {params.fits:q}"
        " --draws {params.draws:q}"
        " --prices {params.prices:q}"
        " --titles {params.titles:q}"
        " --task {params.task:q}"
        " --seeds {params.seeds}"
        " --{params.goal} {params.amount}"
        " --output {params.output:q}"
        " 2> {log:q}"
