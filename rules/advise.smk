"""The answer of a study to one question: which method, for so many seeds and so much to spend.

In: fits/, or a table of anyone's runs. Out: a text on the terminal; advice/advice.json.
"""

ADVISED = answer_folder(
    RUN.own_results or RESULTS, "logs/advise.log", "advice/advice.json"
)
# Results that may only be read answer as they are; a task that no job has results of, by priors.
FITTED = [*rules.fit_decay.output]
THERE = all(Path(file).is_file() for file in FITTED)
PRIORS = not (THERE or RUN.results) and FLOW.has_no_results_of(RUN.task)
WAITS = not (PRIORS or RUN.results or (THERE and not can_write(f"{RESULTS}/fits")))


rule advise:
    """Print advice; without an output or a benchmark, it runs whenever it is asked for."""
    input:
        FITTED if WAITS else [],
    log:
        f"{ADVISED}/logs/advise.log",
    localrule: True
    params:
        **{RUN.goal[0]: RUN.goal[1]},  # `queries`, `usd` or `target`, and how much of it
        **({"kinds": FLOW.kinds()} if PRIORS else RUN.advised_from(*FITTED)),
        task=RUN.task or "",
        seeds=RUN.seeds,
        prices=FLOW.prices(),
        titles=FLOW.titles(),
        output=f"{ADVISED}/advice/advice.json",
        code=lambda wc: code("advise"),
    shell:
        command("advise", "study")
