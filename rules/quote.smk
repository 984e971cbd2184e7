"""Questions about a study before it runs: what it costs, and which jobs would run.

In: the study, and its results so far. Out: a text on the terminal; quote/quote.json.
"""

# The folder for the answer and its log: the results, unless they are read-only.
QUOTED = answer_folder(RESULTS, "logs/quote.log", "quote/quote.json")


rule quote:
    """Print the cost estimate. The rule has no output, so it runs whenever it is a target."""
    log:
        f"{QUOTED}/logs/quote.log",
    localrule: True
    params:
        results=RESULTS,
        data_dir=RUN.data_dir,
        output=f"{QUOTED}/quote/quote.json",
        code=lambda wc: code("quote"),
    shell:
        command("quote", "study")


for question in ("adopt", "adopt_confirmed", "explain"):

    rule:
        """Answer a question about other targets, as in `snakemake adopt all`: docs/running.md."""
        name:
            question
        message:
            question
