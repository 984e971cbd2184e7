"""From scores to tables, fits and crossovers."""


rule collect_results:
    """Gather all evaluations into a table of cells and a table of items."""
    input:
        evaluations=FLOW.evaluations(),
    output:
        cells=f"{RESULTS}/tables/cells.parquet",
        csv=f"{RESULTS}/tables/cells.csv",
        item_scores=f"{RESULTS}/tables/items.parquet",
    log:
        f"{RESULTS}/logs/collect_results.log",
    benchmark:
        f"{RESULTS}/benchmarks/collect_results.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        # With `input` among its arguments it is not tracked: the files themselves are.
        listed=lambda wc, input: LISTS.file(input.evaluations),
        missing=MISSING,
        code=lambda wc: code("collect_results"),
    message:
        "collect_results"
    shell:
        f"{script('collect_results')}"
        " --evaluations-list {params.listed:q}"
        " --missing {params.missing:q}"
        f" --manifest {MANIFESTS}"
        " --cells {output.cells:q}"
        " --cells-csv {output.csv:q}"
        " --items {output.item_scores:q}"
        " 2> {log:q}"


rule compare_methods:
    """Compare the methods pair by pair on the same test items."""
    input:
        cells=rules.collect_results.output.cells,
        item_scores=rules.collect_results.output.item_scores,
    output:
        csv=f"{RESULTS}/tables/comparisons.csv",
        json=f"{RESULTS}/tables/comparisons.json",
    log:
        f"{RESULTS}/logs/compare_methods.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare_methods.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=FLOW.comparison_settings(),
        code=lambda wc: code("compare_methods"),
    message:
        "compare_methods"
    shell:
        f"{script('compare_methods')}"
        " --cells {input.cells:q}"
        " --items {input.item_scores:q}"
        " --settings {params.settings:q}"
        " --csv {output.csv:q}"
        " --json {output.json:q}"
        " 2> {log:q}"


rule fit_decay:
    """Fit how accuracy grows with the budget and decays with repeated seeds."""
    input:
        cells=rules.collect_results.output.cells,
        item_scores=rules.collect_results.output.item_scores,
    output:
        fits=f"{RESULTS}/fits/decay.json",
        draws=f"{RESULTS}/fits/decay_draws.parquet",
    log:
        f"{RESULTS}/logs/fit_decay.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_decay.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=FLOW.fit_settings(),
        code=lambda wc: code("fit_decay"),
    message:
        "fit_decay"
    shell:
        f"{script('fit_decay')}"
        " --cells {input.cells:q}"
        " --items {input.item_scores:q}"
        " --settings {params.settings:q}"
        " --fits {output.fits:q}"
        " --draws {output.draws:q}"
        " 2> {log:q}"


rule find_crossovers:
    """Find where one method takes over from another."""
    input:
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
    output:
        json=f"{RESULTS}/fits/crossovers.json",
        csv=f"{RESULTS}/fits/crossovers.csv",
    log:
        f"{RESULTS}/logs/find_crossovers.log",
    benchmark:
        f"{RESULTS}/benchmarks/find_crossovers.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=FLOW.crossover_settings(),
        prices=FLOW.prices(),
        code=lambda wc: code("find_crossovers"),
    message:
        "find_crossovers"
    shell:
        f"{script('find_crossovers')}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --settings {params.settings:q}"
        " --prices {params.prices:q}"
        " --json {output.json:q}"
        " --csv {output.csv:q}"
        " 2> {log:q}"


rule check_findings:
    """Test whether the study shows what its contrasts claim."""
    input:
        cells=rules.collect_results.output.cells,
        item_scores=rules.collect_results.output.item_scores,
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
    output:
        json=f"{RESULTS}/fits/findings.json",
    log:
        f"{RESULTS}/logs/check_findings.log",
    benchmark:
        f"{RESULTS}/benchmarks/check_findings.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=FLOW.augmenter_settings(),
        # Claims have placeholders, which are no wildcards.
        contrasts=lambda wc: FLOW.contrasts(),
        code=lambda wc: code("check_findings"),
    message:
        "check_findings"
    shell:
        f"{script('check_findings')}"
        " --cells {input.cells:q}"
        " --items {input.item_scores:q}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --settings {params.settings:q}"
        " --contrasts {params.contrasts:q}"
        " --output {output.json:q}"
        " 2> {log:q}"


rule fits:
    """All fits, crossovers and findings."""
    input:
        rules.fit_decay.output,
        rules.find_crossovers.output,
        rules.check_findings.output,
    message:
        "fits"
