"""Figures of what a study finds as a whole, each with its table beside it."""


rule plot_accuracy:
    """Draw accuracy against the budget."""
    input:
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
        cells=rules.collect_results.output.cells,
        item_scores=rules.collect_results.output.item_scores,
    output:
        svg=report(f"{RESULTS}/figures/accuracy.svg", category="Figures"),
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
        missing=MISSING,
        code=lambda wc: code("plot_accuracy"),
    message:
        "plot_accuracy"
    shell:
        f"{script('plot_accuracy')}"
        f" --study {STUDY.name}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --cells {input.cells:q}"
        " --items {input.item_scores:q}"
        " --titles {params.titles:q}"
        " --missing {params.missing:q}"
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
        svg=report(f"{RESULTS}/figures/cost_effectiveness.svg", category="Figures"),
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
        published=FLOW.published(),
        missing=MISSING,
        code=lambda wc: code("plot_cost_effectiveness"),
    message:
        "plot_cost_effectiveness"
    shell:
        f"{script('plot_cost_effectiveness')}"
        f" --study {STUDY.name}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --comparisons {input.comparisons:q}"
        " --crossovers {input.crossovers:q}"
        " --published {params.published:q}"
        " --titles {params.titles:q}"
        " --missing {params.missing:q}"
        " --figure {output.svg:q}"
        " 2> {log:q}"


rule plot_crossovers:
    """Draw where one method overtakes another, by queries, tokens, money and hours."""
    input:
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
        crossovers=rules.find_crossovers.output.json,
    output:
        svg=report(f"{RESULTS}/figures/crossovers.svg", category="Figures"),
        png=f"{RESULTS}/figures/crossovers.png",
        csv=f"{RESULTS}/figures/crossovers.csv",
    log:
        f"{RESULTS}/logs/plot_crossovers.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_crossovers.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        titles=FLOW.titles(),
        published=FLOW.published(),
        missing=MISSING,
        code=lambda wc: code("plot_crossovers"),
    message:
        "plot_crossovers"
    shell:
        f"{script('plot_crossovers')}"
        f" --study {STUDY.name}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --crossovers {input.crossovers:q}"
        " --published {params.published:q}"
        " --titles {params.titles:q}"
        " --missing {params.missing:q}"
        " --figure {output.svg:q}"
        " 2> {log:q}"


rule plot_best_method:
    """Draw a map of the best method over seeds and budget."""
    input:
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
    output:
        svg=report(f"{RESULTS}/figures/best_method.svg", category="Figures"),
        png=f"{RESULTS}/figures/best_method.png",
        csv=f"{RESULTS}/figures/best_method.csv",
    log:
        f"{RESULTS}/logs/plot_best_method.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_best_method.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        titles=FLOW.titles(),
        missing=MISSING,
        code=lambda wc: code("plot_best_method"),
    message:
        "plot_best_method"
    shell:
        f"{script('plot_best_method')}"
        f" --study {STUDY.name}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --titles {params.titles:q}"
        " --missing {params.missing:q}"
        " --figure {output.svg:q}"
        " 2> {log:q}"


rule plot_costs:
    """Draw what a point of accuracy costs, by four measures."""
    input:
        cells=rules.collect_results.output.cells,
        item_scores=rules.collect_results.output.item_scores,
    output:
        svg=report(f"{RESULTS}/figures/costs.svg", category="Figures"),
        png=f"{RESULTS}/figures/costs.png",
        csv=f"{RESULTS}/figures/costs.csv",
    log:
        f"{RESULTS}/logs/plot_costs.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_costs.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        prices=FLOW.prices(),
        settings=FLOW.comparison_settings(),
        titles=FLOW.titles(),
        missing=MISSING,
        code=lambda wc: code("plot_costs"),
    message:
        "plot_costs"
    shell:
        f"{script('plot_costs')}"
        f" --study {STUDY.name}"
        " --cells {input.cells:q}"
        " --items {input.item_scores:q}"
        " --prices {params.prices:q}"
        " --settings {params.settings:q}"
        " --titles {params.titles:q}"
        " --missing {params.missing:q}"
        " --figure {output.svg:q}"
        " 2> {log:q}"


rule plot_diversity:
    """Draw how much of the synthetic data is new."""
    input:
        datasets=FLOW.dataset_records(),
    output:
        svg=report(f"{RESULTS}/figures/diversity.svg", category="Figures"),
        png=f"{RESULTS}/figures/diversity.png",
        csv=f"{RESULTS}/figures/diversity.csv",
    log:
        f"{RESULTS}/logs/plot_diversity.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_diversity.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        listed=lambda wc, input: LISTS.file(input.datasets),
        settings=FLOW.comparison_settings(),
        titles=FLOW.titles(),
        missing=MISSING,
        code=lambda wc: code("plot_diversity"),
    message:
        "plot_diversity"
    shell:
        f"{script('plot_diversity')}"
        f" --study {STUDY.name}"
        " --datasets-list {params.listed:q}"
        " --settings {params.settings:q}"
        " --titles {params.titles:q}"
        " --missing {params.missing:q}"
        " --figure {output.svg:q}"
        " 2> {log:q}"
