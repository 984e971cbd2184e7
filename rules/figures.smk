"""Figures, each with its table beside it, and the report."""


rule plot_accuracy:
    """Draw accuracy against the budget."""
    input:
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
    output:
        svg=f"{RESULTS}/figures/accuracy.svg",
        png=f"{RESULTS}/figures/accuracy.png",
        csv=f"{RESULTS}/figures/accuracy.csv",
    log:
        f"{RESULTS}/logs/plot_accuracy.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_accuracy.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        titles=FLOW.titles(),
        code=code("plot_accuracy"),
    message:
        "plot_accuracy"
    shell:
        "python scripts/plot_accuracy.py"
        f" --study {STUDY.name}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --titles {params.titles:q}"
        " --figure {output.svg:q}"
        " 2> {log:q}"


rule plot_cost_effectiveness:
    """Draw which method leads at which budget ratio, and where that shifts."""
    input:
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
        comparisons=rules.compare_methods.output.csv,
        crossovers=rules.find_crossovers.output.json,
    output:
        svg=f"{RESULTS}/figures/cost_effectiveness.svg",
        png=f"{RESULTS}/figures/cost_effectiveness.png",
        csv=f"{RESULTS}/figures/cost_effectiveness.csv",
    log:
        f"{RESULTS}/logs/plot_cost_effectiveness.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_cost_effectiveness.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        titles=FLOW.titles(),
        code=code("plot_cost_effectiveness"),
    message:
        "plot_cost_effectiveness"
    shell:
        "python scripts/plot_cost_effectiveness.py"
        f" --study {STUDY.name}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --comparisons {input.comparisons:q}"
        " --crossovers {input.crossovers:q}"
        " --titles {params.titles:q}"
        " --figure {output.svg:q}"
        " 2> {log:q}"


rule write_report:
    """Write the summary that a person reads first, as text and as a page."""
    input:
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
        comparisons=rules.compare_methods.output.csv,
        crossovers=rules.find_crossovers.output.json,
        figures=[
            rules.plot_cost_effectiveness.output.svg,
            rules.plot_accuracy.output.svg,
        ],
    output:
        summary=f"{RESULTS}/report/summary.txt",
        page=f"{RESULTS}/report/index.html",
    log:
        f"{RESULTS}/logs/write_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_report.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        titles=FLOW.titles(),
        description=STUDY.config.description,
        code=code("write_report"),
    message:
        "write_report"
    shell:
        "python scripts/write_report.py"
        f" --study {STUDY.name}"
        " --description {params.description:q}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --comparisons {input.comparisons:q}"
        " --crossovers {input.crossovers:q}"
        " --figures {input.figures:q}"
        " --titles {params.titles:q}"
        " --summary {output.summary:q}"
        " --page {output.page:q}"
        " 2> {log:q}"


rule figures:
    """All figures."""
    input:
        rules.plot_accuracy.output,
        rules.plot_cost_effectiveness.output,
    message:
        "figures"


rule report:
    """The report."""
    input:
        rules.write_report.output,
    message:
        "report"
