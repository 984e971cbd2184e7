"""The answer of a study to one question: which method, for so many seeds and so much to spend.

In: fits/, or a table of anyone's runs. Out: a text on the terminal; advice/advice.json.
"""

ADVISED = answer_folder(
    RUN.own_results or RESULTS, "logs/advise.log", "advice/advice.json"
)
FITTED = [*rules.fit_decay.output]
THERE = all(Path(file).is_file() for file in FITTED)


def by_priors():
    """Return whether there are no results; what is asked for is known when jobs are planned."""
    none = FLOW.has_no_results_of(RUN.task, HOOKS.advice_alone)
    return none and not (THERE or RUN.results)


def fitted(wildcards):
    """Return the fits that are made first; those that may only be read answer as they are."""
    ready = THERE and not can_write(f"{RESULTS}/fits")
    return [] if RUN.results or ready or by_priors() else FITTED


rule advise:
    """Print advice; without an output or a benchmark, it runs whenever it is asked for."""
    input:
        fitted,
    log:
        f"{ADVISED}/logs/advise.log",
    localrule: True
    params:
        **{RUN.goal[0]: RUN.goal[1]},  # `queries`, `usd` or `target`, and how much of it
        **RUN.advised_from(*FITTED, by_priors),
        kinds=FLOW.kinds(),
        task=RUN.task or "",
        seeds=RUN.seeds,
        untrained=RUN.untrained_accuracy,
        prices=FLOW.prices(),
        assumed=lambda wc: FLOW.assumed_prices(RUN),
        cells=FLOW.cells_of(RUN.task),
        titles=FLOW.titles(),
        output=f"{ADVISED}/advice/advice.json",
        code=lambda wc: code("advise"),
    shell:
        command("advise", "study")
