"""Figures of what one part of a study changes, each with its table beside it."""


rule plot_augmenters:
    """Draw what a weaker augmenter costs."""
    input:
        cells=rules.collect_results.output.cells,
        item_scores=rules.collect_results.output.item_scores,
    output:
        svg=report(f"{RESULTS}/figures/augmenters.svg", category="Figures"),
        png=f"{RESULTS}/figures/augmenters.png",
        csv=f"{RESULTS}/figures/augmenters.csv",
    log:
        f"{RESULTS}/logs/plot_augmenters.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_augmenters.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=FLOW.augmenter_settings(),
        titles=FLOW.titles(),
        missing=MISSING,
        code=lambda wc: code("plot_augmenters"),
    message:
        "plot_augmenters"
    shell:
        f"{script('plot_augmenters')}"
        f" --study {STUDY.name}"
        " --cells {input.cells:q}"
        " --items {input.item_scores:q}"
        " --settings {params.settings:q}"
        " --titles {params.titles:q}"
        " --missing {params.missing:q}"
        " --figure {output.svg:q}"
        " 2> {log:q}"


rule plot_verification:
    """Draw what it brings to train on verified answers alone."""
    input:
        cells=rules.collect_results.output.cells,
        item_scores=rules.collect_results.output.item_scores,
    output:
        svg=report(f"{RESULTS}/figures/verification.svg", category="Figures"),
        png=f"{RESULTS}/figures/verification.png",
        csv=f"{RESULTS}/figures/verification.csv",
    log:
        f"{RESULTS}/logs/plot_verification.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_verification.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=FLOW.comparison_settings(),
        titles=FLOW.titles(),
        missing=MISSING,
        code=lambda wc: code("plot_verification"),
    message:
        "plot_verification"
    shell:
        f"{script('plot_verification')}"
        f" --study {STUDY.name}"
        " --cells {input.cells:q}"
        " --items {input.item_scores:q}"
        " --settings {params.settings:q}"
        " --titles {params.titles:q}"
        " --missing {params.missing:q}"
        " --figure {output.svg:q}"
        " 2> {log:q}"


rule plot_students:
    """Draw accuracy against the budget for each student, and the crossovers."""
    input:
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
        crossovers=rules.find_crossovers.output.json,
    output:
        svg=report(f"{RESULTS}/figures/students.svg", category="Figures"),
        png=f"{RESULTS}/figures/students.png",
        csv=f"{RESULTS}/figures/students.csv",
    log:
        f"{RESULTS}/logs/plot_students.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_students.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        titles=FLOW.titles(),
        missing=MISSING,
        code=lambda wc: code("plot_students"),
    message:
        "plot_students"
    shell:
        f"{script('plot_students')}"
        f" --study {STUDY.name}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --crossovers {input.crossovers:q}"
        " --titles {params.titles:q}"
        " --missing {params.missing:q}"
        " --figure {output.svg:q}"
        " 2> {log:q}"


rule plot_teachers:
    """Draw accuracy against the budget for each teacher, and the crossovers."""
    input:
        fits=rules.fit_decay.output.fits,
        draws=rules.fit_decay.output.draws,
        crossovers=rules.find_crossovers.output.json,
    output:
        svg=report(f"{RESULTS}/figures/teachers.svg", category="Figures"),
        png=f"{RESULTS}/figures/teachers.png",
        csv=f"{RESULTS}/figures/teachers.csv",
    log:
        f"{RESULTS}/logs/plot_teachers.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_teachers.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        titles=FLOW.titles(),
        missing=MISSING,
        code=lambda wc: code("plot_teachers"),
    message:
        "plot_teachers"
    shell:
        f"{script('plot_teachers')}"
        f" --study {STUDY.name}"
        " --fits {input.fits:q}"
        " --draws {input.draws:q}"
        " --crossovers {input.crossovers:q}"
        " --titles {params.titles:q}"
        " --missing {params.missing:q}"
        " --figure {output.svg:q}"
        " 2> {log:q}"
