"""The end of a study: its report, and the figures that it can fill."""


rule write_report:
    """Write the summary that a person reads first, as text and as a page."""
    input:
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
        comparisons=rules.compare_methods.output.csv,
        crossovers=rules.find_crossovers.output.json,
        findings=rules.check_findings.output.json,
        examples=FLOW.example_datasets(),
        figures=expand(f"{RESULTS}/figures/{{name}}.svg", name=FLOW.figures()),
    output:
        summary=report(
            f"{RESULTS}/report/summary.txt",
            caption="../report/captions/summary.rst",
            category="Report",
        ),
        page=report(
            f"{RESULTS}/report/index.html",
            caption="../report/captions/page.rst",
            category="Report",
        ),
    log:
        f"{RESULTS}/logs/write_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_report.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        listed=lambda wc, input: LISTS.file(input.examples),
        titles=FLOW.titles(),
        prices=FLOW.prices(),
        published=FLOW.published(),
        description=STUDY.config.description,
        remarks=FLOW.remarks(),
        missing=MISSING,
        code=lambda wc: code("write_report"),
    message:
        "write_report"
    shell:
        f"{script('write_report')}"
        f" --study {STUDY.name}"
        " --description {params.description:q}"
        " --remarks {params.remarks:q}"
        " --missing {params.missing:q}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --comparisons {input.comparisons:q}"
        " --crossovers {input.crossovers:q}"
        " --findings {input.findings:q}"
        " --examples-list {params.listed:q}"
        " --figures {input.figures:q}"
        " --titles {params.titles:q}"
        " --prices {params.prices:q}"
        " --published {params.published:q}"
        " --summary {output.summary:q}"
        " --page {output.page:q}"
        " 2> {log:q}"


rule figures:
    """All figures that the study has cells for."""
    input:
        expand(
            f"{RESULTS}/figures/{{name}}.{{ending}}",
            name=FLOW.figures(),
            ending=["svg", "png", "csv"],
        ),
    message:
        "figures"


rule report:
    """The report."""
    input:
        rules.write_report.output,
    message:
        "report"
