"""Titles and captions of the figures, on the page and in Snakemake's report."""

_OF_DIFFERENCES = (
    "Intervals of differences cover the noise of test items and of training runs; intervals of "
    "accuracies cover the noise of test items alone."
)

CAPTIONS = {
    "accuracy": (
        "Accuracy by budget",
        "Points are measured cells with intervals, lines are curves with bands. At each "
        "budget, the highest line is the best method.",
    ),
    "cost_effectiveness": (
        "Gain of each method over the first",
        "Above 0 a method is better than the first one. Dashed lines mark crossovers; the strip "
        "above each panel names the leading methods.",
    ),
    "crossovers": (
        "Crossovers between methods",
        "In queries per seed, tokens, dollars and hours. Lines are intervals; an arrow marks an "
        "end beyond the measured range.",
    ),
    "best_method": (
        "The best method by seeds and budget",
        "Paler colours are less certain. Stripes and hollow points are statistically tied.",
    ),
    "mixtures": (
        "Mixtures of methods",
        "Accuracy when several methods share the budget, and the gain over the best single method, "
        "which is chosen after the fact: at 0, a mixture is as good as that method. "
        f"{_OF_DIFFERENCES}",
    ),
    "shares": (
        "Shares of the budget",
        "Accuracy when three methods share the budget: a corner is one method alone, a side has "
        "two of them, and the middle has equal shares. Intervals cover the noise of test items "
        "alone.",
    ),
    "augmenters": (
        "Accuracy by augmenter",
        f"What a weaker augmenter costs the methods that write questions. {_OF_DIFFERENCES}",
    ),
    "students": ("Accuracy by budget for each student", "Points are measured cells."),
    "teachers": ("Accuracy by budget for each teacher", "Points are measured cells."),
    "verification": (
        "Effect of verification",
        f"Change in accuracy when students train on verified answers only. {_OF_DIFFERENCES}",
    ),
    "costs": (
        "Cost of one point of accuracy above the base model",
        "Lower is better. Bars span the interval of the gain, which covers the noise of test items "
        "and of training runs.",
    ),
    "diversity": (
        "Diversity of the questions",
        "How varied the questions of each dataset are, and the share that repeats others.",
    ),
}
"""Title and caption of each figure. The caption is also its alternative text."""


def caption_of(figure: str) -> tuple[str, str]:
    """Return the title and the caption of a figure."""
    return CAPTIONS.get(figure, (figure.replace("_", " ").capitalize(), ""))
