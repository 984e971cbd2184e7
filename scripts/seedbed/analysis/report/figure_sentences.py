"""Sentences that only figures show. Those that they share with the page are in `sentences`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seedbed.analysis.decide.crossovers import Crossover
from seedbed.analysis.report import sentences as say

SEVERAL_CROSSOVERS = "several crossovers"
MAP = "Points: the best cell that was measured. Stripes and hollow points: statistically tied."
DASHED = "Dashed lines: methods without an augmenter."
REAL_DATA = (
    "Real data (crosses): a student trained on as many real question-answer pairs as there are "
    "queries."
)
NO_GAIN = "Crosses at the upper edge: no gain."
ONE_METHOD = "one method only"
NO_BASE_MODEL = "unknown: the base model has not been evaluated"


def crossover_note(record: Crossover | None) -> str:
    """Return the label of a pair of methods, or "" if it has exactly one crossover."""
    if record is None:
        return say.TOO_FEW_BUDGETS
    if record.status == "too_few_budgets":
        return say.too_few_text(record.measure)
    said = {
        "unknown": say.UNKNOWN,
        "none": say.NO_CROSSOVER,
        "equal": say.NO_DIFFERENCE,
        "several": SEVERAL_CROSSOVERS,
    }
    return said.get(record.status, "")


def first_crossover_label(confidence: float) -> str:
    """Return the legend of a crossover's dashed line and bar."""
    return f"Crossover with the first method; bar: {100 * confidence:g}% interval"


def published_label(source: str) -> str:
    """Return the legend of a published crossover."""
    return f"Crossover in {source}"


def hollow_note(others: Sequence[str]) -> str:
    """Return how cells with hollow markers differ from a method's usual cells."""
    return f"Hollow markers: other {say.listed(others, 'or')}."


def per_point_note(measure: str, why: str) -> str:
    """Return why the costs of a measure are unknown."""
    return f"{say.capital(measure)} per point: {why}."


def missing_rows_note(rows: Iterable[tuple[str, str, int, int]]) -> str:
    """Return a line on cells with fewer rows than without a filter, or "" if there are none.

    Args:
        rows: the method, task, budget and number of missing rows of each cell.
    """
    parts = [
        f"{method}, {task}, {budget:,} queries: {missing:,} missing"
        for method, task, budget, missing in rows
    ]
    if not parts:
        return ""
    return f"Fewer rows, because the stream was not followed further: {'; '.join(parts)}."
