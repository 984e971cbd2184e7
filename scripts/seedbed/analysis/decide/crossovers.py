"""Budget ratios at which one method overtakes another, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import ClassVar

import polars as pl
from pydantic import JsonValue

from seedbed.analysis.curves import Crossings, Curves
from seedbed.analysis.decide.costs import MEASURES, Prices, cost_line
from seedbed.analysis.settings import CrossoverSettings
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS
from seedbed.records import Record

ABOUT = (
    "A crossover is a budget ratio (queries per seed) within the range of the data at which the "
    "difference between the posterior expectations of two methods changes sign. Its interval "
    "covers, over the draws, the nearest crossing in the same direction; a draw in which one "
    "method leads over the whole range counts as a crossing beyond its edge, and an end of the "
    "interval beyond the edge is null. If the expectations do not cross, `possible` is the "
    "crossover that the draws do not exclude, and share_of_the_other is the share of draws in "
    "which the other method leads throughout. `costs` has the same for equal tokens, money and "
    "hours of computing in place of equal queries; amounts are those of one cell: its dataset "
    "and, for hours, its training."
)

AMOUNTS = {name: title for name, title in MEASURES.items() if name != "teacher_queries"}
"""Measures of cost at which methods are compared, in place of equal queries."""

_TOO_FEW = Crossings(status="too_few_budgets")

CSV_SCHEMA = pl.Schema(
    {
        **GROUP_COLUMNS,
        "seeds": pl.Int64,
        "reference": pl.String,
        "method": pl.String,
        "measure": pl.String,
        "status": pl.String,
        "leader_at_lowest": pl.String,
        "leader_at_highest": pl.String,
        "range_low": pl.Float64,
        "range_high": pl.Float64,
        "overtaken_by": pl.String,
        "budget_ratio": pl.Float64,
        "budget": pl.Float64,
        "amount": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "low_beyond_range": pl.Boolean,
        "high_beyond_range": pl.Boolean,
        "share_of_draws": pl.Float64,
        "lead_before": pl.Float64,
        "lead_after": pl.Float64,
    }
)


class Crossover(Crossings):
    """The crossovers of two methods at a seed-set size.

    Attributes:
        fit: key of the fit; the fit's coordinates follow.
        seeds: seed-set size.
        reference: the first of the two methods.
        method: the other.
        measure: "budget_ratio", or one of `costs.MEASURES` if the methods are compared at equal
            cost.
        reason: for the status "unknown", the unknown parts of the cost.
    """

    fit: str
    task: str
    student: str
    teacher: str
    filter: str
    augmenter: str
    seeds: int
    reference: str
    method: str
    measure: str
    reason: str | None = None


class CrossoversRecord(Record):
    """`crossovers.json`.

    Attributes:
        crossovers: crossovers at equal budget ratios.
        costs: crossovers at equal costs.
    """

    FORMAT: ClassVar[int] = 2
    format: int = 2
    about: str
    settings: CrossoverSettings
    crossovers: tuple[Crossover, ...]
    costs: tuple[Crossover, ...]
    provenance: dict[str, JsonValue] | None = None


def find_crossovers(
    fits: Sequence[Curves], settings: CrossoverSettings, prices: Prices | None = None
) -> CrossoversRecord:
    """Return the crossovers of every pair of methods at each seed-set size.

    Args:
        fits: the curves.
        settings: coverage of the intervals.
        prices: prices of tokens by model; without them, costs in dollars are unknown.
    """
    by_ratio: list[Crossover] = []
    by_cost: list[Crossover] = []
    for fit in fits:
        for seeds in fit.seeds:
            for pair in combinations(fit.methods, 2):
                found = _by_ratio(fit.crossover(seeds, pair, settings.confidence), seeds)
                by_ratio.append(_crossover(fit, seeds, pair, "budget_ratio", found))
                for measure in AMOUNTS:
                    cost = _by_cost(fit, seeds, pair, measure, settings.confidence, prices or {})
                    by_cost.append(_crossover(fit, seeds, pair, measure, *cost))
    return CrossoversRecord(
        about=ABOUT, settings=settings, crossovers=tuple(by_ratio), costs=tuple(by_cost)
    )


def _crossover(
    fit: Curves,
    seeds: int,
    pair: tuple[str, str],
    measure: str,
    found: Crossings,
    reason: str | None = None,
) -> Crossover:
    return Crossover(
        fit=fit.key,
        **asdict(fit.group),
        seeds=seeds,
        reference=pair[0],
        method=pair[1],
        measure=measure,
        reason=reason,
        **dict(found),
    )


def _by_ratio(found: Crossings | None, seeds: int) -> Crossings:
    if found is None:
        return _TOO_FEW
    crossings = [
        one.model_copy(update={"amount": None, "budget_ratio": one.at, "budget": one.at * seeds})
        for one in found.crossings
    ]
    return found.model_copy(update={"crossings": tuple(crossings)})


def _by_cost(
    fit: Curves,
    seeds: int,
    pair: tuple[str, str],
    measure: str,
    confidence: float,
    prices: Prices,
) -> tuple[Crossings, str | None]:
    """Return the crossovers of two methods at equal cost, and the unknown parts of the cost."""
    if not all(fit.cells(seeds, method) for method in pair):
        return _TOO_FEW, None
    (left, unknown), (right, more) = (
        cost_line(fit, seeds, method, measure, prices) for method in pair
    )
    if left is None or right is None:
        return Crossings(status="unknown"), "; ".join(dict.fromkeys([*unknown, *more]))
    return fit.crossover(seeds, pair, confidence, (left, right)) or _TOO_FEW, None


def crossover_table(record: CrossoversRecord) -> pl.DataFrame:
    """Return the crossovers as a table: one row per crossover, or one for a pair without any."""
    rows = []
    for pair in (*record.crossovers, *record.costs):
        low, high = pair.range or (None, None)
        base = {name: getattr(pair, name, None) for name in CSV_SCHEMA}
        base |= {"range_low": low, "range_high": high}
        rows += [base | dict(crossing) for crossing in pair.crossings] or [base]
    return pl.DataFrame(rows, schema=CSV_SCHEMA)


def ratio_text(ratio: float) -> str:
    """Return an estimated number as text with two digits; more would suggest false precision."""
    if ratio < 10:
        return f"{ratio:.2g}"
    digits = len(f"{ratio:.0f}") - 2
    return f"{round(ratio, -digits) if digits > 1 else ratio:,.0f}"
