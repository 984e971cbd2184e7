"""From scores to tables, fits and crossovers.

In: evaluations/. Out: tables/, of cells, of test items, and of comparisons; and fits/, the curves
of each method, the crossovers, and tests of the study's contrasts.
"""


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
    localrule: True
    params:
        # A param that takes `input` is not tracked. The files themselves are.
        evaluations=lambda wc, input: LISTS.option(input.evaluations),
        missing=MISSING,
        code=lambda wc: code("collect_results"),
    shell:
        command("collect_results", "manifest")


CELLS = {
    "cells": rules.collect_results.output.cells,
    "item_scores": rules.collect_results.output.item_scores,
}


rule fit_decay:
    """Fit how accuracy grows with the budget and decays with repeated seeds."""
    input:
        **CELLS,
    output:
        fits=f"{RESULTS}/fits/decay.json",
        draws=f"{RESULTS}/fits/decay_draws.parquet",
    log:
        f"{RESULTS}/logs/fit_decay.log",
    localrule: True
    params:
        settings=FLOW.fit_settings(),
        code=lambda wc: code("fit_decay"),
    shell:
        command("fit_decay")


FITS = {"fits": rules.fit_decay.output.fits, "draws": rules.fit_decay.output.draws}


rule compare_methods:
    """Compare the methods pair by pair on the same test items."""
    input:
        **CELLS,
        **FITS,
    output:
        csv=f"{RESULTS}/tables/comparisons.csv",
        json=f"{RESULTS}/tables/comparisons.json",
    log:
        f"{RESULTS}/logs/compare_methods.log",
    localrule: True
    params:
        settings=FLOW.comparison_settings(),
        code=lambda wc: code("compare_methods"),
    shell:
        command("compare_methods")


rule find_crossovers:
    """Find the crossovers of each pair of methods."""
    input:
        **FITS,
    output:
        json=f"{RESULTS}/fits/crossovers.json",
        csv=f"{RESULTS}/fits/crossovers.csv",
    log:
        f"{RESULTS}/logs/find_crossovers.log",
    localrule: True
    params:
        settings=FLOW.crossover_settings(),
        prices=FLOW.prices(),
        code=lambda wc: code("find_crossovers"),
    shell:
        command("find_crossovers")


rule check_findings:
    """Test whether the study shows what its contrasts claim."""
    input:
        **CELLS,
        **FITS,
    output:
        json=f"{RESULTS}/fits/findings.json",
    log:
        f"{RESULTS}/logs/check_findings.log",
    localrule: True
    params:
        settings=FLOW.augmenter_settings(),
        # A function, because Snakemake would take placeholders in claims for wildcards.
        contrasts=lambda wc: FLOW.contrasts(),
        prices=FLOW.contrast_prices(),
        code=lambda wc: code("check_findings"),
    shell:
        command("check_findings")


rule fits:
    """All fits, crossovers and contrasts."""
    input:
        rules.fit_decay.output,
        rules.find_crossovers.output,
        rules.check_findings.output,
