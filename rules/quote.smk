"""What a person asks of a study before it runs: what it costs, and what would run.

In: the study, and its results so far. Out: a text on the terminal; quote/quote.json.
"""

# Where the answer and the log of a question are written: beside the results, if they can be.
QUOTED = answer_folder(RESULTS, "logs/quote.log", "quote/quote.json")


rule quote:
    """Print what the study costs; without an output or a benchmark, it runs whenever it is asked."""
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
        """Answer what a person asks by `snakemake adopt all` and the like: see docs/commands.md."""
        name:
            question
        message:
            question
