"""The end of a study, and its end points.

In: fits/, tables/, figures/ and some datasets. Out: report/, a summary as text and a page.
"""

from seedbed.analysis.report.page import FILES as PAGE_FILES


rule write_report:
    """Write the summary of the study's results, as text and as a page."""
    input:
        **FITS,
        cells=rules.collect_results.output.cells,
        comparisons=rules.compare_methods.output.csv,
        crossovers=rules.find_crossovers.output.json,
        findings=rules.check_findings.output.json,
        examples=FLOW.example_datasets(),
        figures=FLOW.figure_files("svg"),
        charts=FLOW.figure_files("vl.json"),
    output:
        summary=reported("report/summary.txt", "summary"),
        page=reported("report/index.html", "page"),
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
        FLOW.figure_files("svg", "png", "csv", "vl.json"),


rule report:
    """The report."""
    input:
        rules.write_report.output,


for target in ("datasets", "adapters", "evaluations"):

    rule:
        """All datasets, as Parquet; all trained students, as LoRA adapters; or all scores."""
        name:
            target
        input:
            getattr(FLOW, target)(),
