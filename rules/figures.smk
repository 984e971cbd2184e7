"""The figures of a study: for each chart, a rule `plot_NAME`.

In: tables/ of cells, items and comparisons, fits/, or records of datasets. Out: figures/NAME.svg and
.png, the chart itself as NAME.vl.json (Vega-Lite), and the table behind it as NAME.csv.
"""

from seedbed.run.parameters import fixed

CROSSED = FITS | {"crossovers": rules.find_crossovers.output.json}
COMPARISONS = {"comparisons": rules.compare_methods.output.csv}
NAMES = {"titles": FLOW.titles(), "missing": MISSING}
PUBLISHED = NAMES | {"published": FLOW.published()}
AUGMENTERS = NAMES | {"settings": FLOW.augmenter_settings()}
SETTINGS = NAMES | {"settings": FLOW.comparison_settings()}

# By chart: its module, its inputs, and its params.
CHARTS = {
    "accuracy": ("accuracy", FITS | CELLS, NAMES),
    "cost_effectiveness": ("cost_effectiveness", CROSSED | COMPARISONS, PUBLISHED),
    "crossovers": ("crossovers", CROSSED, PUBLISHED),
    "best_method": ("best_method", FITS, NAMES),
    "costs": ("costs", FITS | CELLS, SETTINGS | {"prices": FLOW.prices()}),
    "diversity": (
        "diversity",
        {"datasets": FLOW.dataset_records()},
        SETTINGS | {"datasets": lambda wc, input: LISTS.option(input.datasets)},
    ),
    "mixtures": ("mixtures", FITS | CELLS, SETTINGS),
    "shares": ("shares", CELLS, NAMES | {"settings": FLOW.share_settings()}),
    "augmenters": ("augmenters", FITS | CELLS, AUGMENTERS),
    "verification": ("verification", FITS | CELLS, SETTINGS),
    "students": ("models", CROSSED, NAMES | {"role": fixed("student")}),
    "teachers": ("models", CROSSED, NAMES | {"role": fixed("teacher")}),
}

for chart, (module, inputs, settings) in CHARTS.items():

    rule:
        """Draw a chart of the study, with the table behind it."""
        name:
            f"plot_{chart}"
        input:
            **inputs,
        output:
            svg=reported(f"figures/{chart}.svg", chart, "Figures"),
            png=f"{RESULTS}/figures/{chart}.png",
            spec=f"{RESULTS}/figures/{chart}.vl.json",
            csv=f"{RESULTS}/figures/{chart}.csv",
        log:
            f"{RESULTS}/logs/plot_{chart}.log",
        localrule: True
        params:
            **settings,
            **PARAMETERS.chart(module),
        shell:
            command("plot", "study", without=("png", "spec", "csv"))
