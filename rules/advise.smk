"""Advice: which method to use, given a number of seeds and a budget.

In: fits/, or a table of the user's own runs. Out: a text on the terminal; advice/advice.json.
"""

from seedbed.run.advising import Advising

ADVISED = answer_folder(
    RUN.own_results or RESULTS, "logs/advise.log", "advice/advice.json"
)
FITTED = [*rules.fit_decay.output]
ADVISING = Advising(RUN, FLOW, lambda: HOOKS.advice_alone, FITTED)


rule advise:
    """Print advice. The rule has no output, so it runs whenever it is a target."""
    input:
        lambda wc: ADVISING.fits(wc),
    log:
        f"{ADVISED}/logs/advise.log",
    localrule: True
    params:
        **{RUN.goal[0]: RUN.goal[1]},  # `queries`, `usd` or `target`, with its value
        **RUN.advised_from(*FITTED, ADVISING.by_priors),
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
