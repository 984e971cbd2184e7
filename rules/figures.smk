"""The figures of a study: for each chart, a rule `plot_NAME`.

In: the tables of cells and items, fits, comparisons and crossovers, or counts of datasets.
Out: figures/NAME.svg and .png, the chart itself (.vl.json, Vega-Lite), and its table (.csv).
"""

CELLS = {
    "cells": rules.collect_results.output.cells,
    "item_scores": rules.collect_results.output.item_scores,
}
FITS = {"fits": rules.fit_decay.output.fits, "draws": rules.fit_decay.output.draws}
CROSSOVERS = {"crossovers": rules.find_crossovers.output.json}
COMPARISONS = {"comparisons": rules.compare_methods.output.csv}
PUBLISHED = {"published": FLOW.published()}
SETTINGS = {"settings": FLOW.comparison_settings()}
NAMES = {"titles": FLOW.titles(), "missing": MISSING}

# By chart: its module, its inputs, its settings, and options that are always the same.
CHARTS = {
    "accuracy": ("accuracy", FITS | CELLS, {}, ""),
    "cost_effectiveness": (
        "cost_effectiveness",
        FITS | COMPARISONS | CROSSOVERS,
        PUBLISHED,
        "",
    ),
    "crossovers": ("crossovers", FITS | CROSSOVERS, PUBLISHED, ""),
    "best_method": ("best_method", FITS, {}, ""),
    "costs": ("costs", CELLS, SETTINGS | {"prices": FLOW.prices()}, ""),
    "diversity": (
        "diversity",
        {"datasets": FLOW.dataset_records()},
        SETTINGS | {"listed": lambda wc, input: LISTS.file(input.datasets)},
        "",
    ),
    "augmenters": ("augmenters", CELLS, {"settings": FLOW.augmenter_settings()}, ""),
    "verification": ("verification", CELLS, SETTINGS, ""),
    "students": ("models", FITS | CROSSOVERS, {}, " --role student"),
    "teachers": ("models", FITS | CROSSOVERS, {}, " --role teacher"),
}


OPTIONS = {"listed": "datasets-list", "item_scores": "item-scores"}


def chart_options(inputs, settings):
    """Return the options of a chart's command line, each with its input or parameter."""
    named = {name: f"input.{name}" for name in inputs if name != "datasets"}
    named |= {name: f"params.{name}" for name in (settings | NAMES)}
    return "".join(
        f" --{OPTIONS.get(name, name)} {{{value}:q}}" for name, value in named.items()
    )


def chart_code(module):
    """Return what gives the digest of a chart's code, without that of the other charts."""
    return lambda wc: code("plot", f"seedbed.analysis.report.charts.{module}")


# A function, as the command of a rule is composed when its job runs, with the values of that time.
def add_rule(chart, module, inputs, settings, fixed):

    rule:
        """Draw a chart of the study."""
        name:
            f"plot_{chart}"
        input:
            **inputs,
        output:
            svg=report(f"{RESULTS}/figures/{chart}.svg", category="Figures"),
            png=f"{RESULTS}/figures/{chart}.png",
            spec=f"{RESULTS}/figures/{chart}.vl.json",
            csv=f"{RESULTS}/figures/{chart}.csv",
        log:
            f"{RESULTS}/logs/plot_{chart}.log",
        benchmark:
            f"{RESULTS}/benchmarks/plot_{chart}.tsv"
        localrule: True
        conda:
            ENVIRONMENT
        params:
            **settings | NAMES,
            code=chart_code(module),
        message:
            f"plot_{chart}"
        shell:
            f"python scripts/plot.py {module}{fixed} --study {STUDY.name}"
            f"{chart_options(inputs, settings)} --figure {{output.svg:q}} 2> {{log:q}}"


for chart, about in CHARTS.items():
    add_rule(chart, *about)
