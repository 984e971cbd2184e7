"""The answer of a study to one question: which method, for so many seeds and so much to spend.

In: fits/, or a table of anyone's runs. Out: a text on the terminal; advice/advice.json.
"""

ADVISED = answer_folder(
    RUN.own_results or RESULTS, "logs/advise.log", "advice/advice.json"
)
# Where the results may only be read, the answer is from the fits that are there: no job could make
# them anew if an edit since then would ask for it.
FITTED = [] if RUN.results else [*rules.fit_decay.output]
ADVISED_FROM = RUN.advised_from(*rules.fit_decay.output)
if all(Path(file).is_file() for file in rules.fit_decay.output):
    FITTED = FITTED if can_write(f"{RESULTS}/fits") else []
elif RUN.results is None and FLOW.has_no_results_of(RUN.task):
    # No job could make results of the task: the priors answer.
    FITTED, ADVISED_FROM = [], {}


rule advise:
    """Print advice; without an output or a benchmark, it runs whenever it is asked for."""
    input:
        FITTED,
    log:
        f"{ADVISED}/logs/advise.log",
    localrule: True
    params:
        **{RUN.goal[0]: RUN.goal[1]},  # `queries`, `usd` or `target`, and how much of it
        **ADVISED_FROM,
        task=RUN.task or "",
        seeds=RUN.seeds,
        prices=FLOW.prices(),
        kinds=FLOW.kinds(),
        titles=FLOW.titles(),
        output=f"{ADVISED}/advice/advice.json",
        code=lambda wc: code("advise"),
    shell:
        command("advise", "study")
