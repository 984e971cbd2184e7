"""The end of a study.

In: fits/, tables/, figures/ and some datasets. Out: report/, a summary as text and a page.
"""

from seedbed.analysis.report.page import FILES as PAGE_FILES


rule write_report:
    """Write the summary that a person reads first, as text and as a page."""
    input:
        cells=rules.collect_results.output.cells,
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
        comparisons=rules.compare_methods.output.csv,
        crossovers=rules.find_crossovers.output.json,
        findings=rules.check_findings.output.json,
        examples=FLOW.example_datasets(),
        figures=expand(f"{RESULTS}/figures/{{name}}.svg", name=FLOW.figures()),
        charts=expand(f"{RESULTS}/figures/{{name}}.vl.json", name=FLOW.figures()),
    output:
        summary=reported("report/summary.txt", "summary", "Report"),
        page=reported("report/index.html", "page", "Report"),
    log:
        f"{RESULTS}/logs/write_report.log",
    localrule: True
    params:
        **FLOW.report_settings(),
        examples=lambda wc, input: LISTS.option(input.examples),
        missing=MISSING,
        code=lambda wc: code("write_report", *PAGE_FILES),
    shell:
        command("write_report", "study", "spending")


rule figures:
    """All figures that the study has cells for."""
    input:
        expand(
            f"{RESULTS}/figures/{{name}}.{{ending}}",
            name=FLOW.figures(),
            ending=["svg", "png", "csv", "vl.json"],
        ),


rule report:
    """The report."""
    input:
        rules.write_report.output,
