"""The costs of cells and budgets, in teacher queries, tokens, dollars and hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from seedbed.analysis.curves import Curves
from seedbed.analysis.settings import ModelPrice
from seedbed.config.words import NONE, WRITERS

MEASURES = {
    "teacher_queries": "teacher queries",
    "tokens": "tokens",
    "usd": "US dollars",
    "hours": "hours of computing",
}
"""Titles of the measures of cost."""

Prices = Mapping[str, ModelPrice]
"""Prices by model; the prices of other models are unknown."""

PRICES = (
    'JSON: {model: {"usd_per_million_prompt_tokens": 0.5 or null, '
    '"usd_per_million_completion_tokens": ...}}: see the class ModelPrice'
)
"""Help text of the option `--prices`."""

_UNKNOWN = ModelPrice()


@dataclass(frozen=True)
class CellUse:
    """The resources that a cell's data and student took.

    Attributes:
        filter: the cell's filter.
        student: the model that was trained.
        models: by writer, its model.
        counts: known queries, tokens and seconds, by column of the table of cells.
        usd: dollars, if the results state them; else None.
    """

    filter: str
    student: str
    models: Mapping[str, str]
    counts: Mapping[str, float]
    usd: float | None

    @classmethod
    def of(cls, row: Mapping[str, object]) -> CellUse:
        """Read a row of the table of cells."""
        counts = {name: value for name, value in row.items() if isinstance(value, int | float)}
        teacher, augmenter = str(row["teacher"]), str(row["augmenter"])
        return cls(
            filter=str(row["filter"]),
            student=str(row.get("student", "")),
            models={"teacher": teacher, "augmenter": augmenter, "verification": teacher},
            counts=counts,
            usd=counts.get("usd"),
        )


def cell_costs(cell: CellUse, prices: Prices) -> tuple[dict[str, float | None], list[str]]:
    """Return a cell's cost in each of `MEASURES`, and its unknown parts.

    The tokens of verification are charged at the teacher's price.

    Args:
        cell: the resources of the cell.
        prices: prices of tokens by model.

    Returns:
        The costs, None if a part of one is not known; and texts that name the unknown parts.
    """
    unknown: list[str] = []
    tokens: float | None = 0.0
    money: float | None = 0.0
    rates: dict[str, float | None] = {}  # Of an hour, by model; None if it is paid by its tokens.
    for writer in WRITERS:
        model = cell.models[writer]
        price = prices.get(model, _UNKNOWN)
        if money is not None and not price.usd_per_hour:
            queries = cell.counts.get(f"{writer}_queries", 0)
            money += queries * price.usd_per_request * price.factor
        for kind, each in (
            ("prompt", price.usd_per_million_prompt_tokens),
            ("completion", price.usd_per_million_completion_tokens),
        ):
            count = cell.counts.get(f"{writer}_{kind}_tokens")
            if count is None and writer == "verification" and cell.filter == NONE:
                count = 0
            if count is None:
                tokens = money = None
                unknown.append(f"tokens of {writer}")
                continue
            tokens = None if tokens is None else tokens + count
            if count:
                rates[model] = price.usd_per_hour
            if price.usd_per_hour is not None:
                continue
            # A missing price matters only if tokens were used.
            if count and each is None:
                money = None
                unknown.append(f"price of {model}")
            elif count and each is not None and money is not None:
                money += count * each * price.factor / 1e6
    hours, lacking = _hours_usd(cell, prices, rates)
    money = None if money is None or hours is None else money + hours
    unknown += lacking
    if cell.usd is not None:
        money = cell.usd
        unknown = [one for one in unknown if not one.startswith("price of")]
    seconds: float | None = 0.0
    for stage in ("generation", "training"):
        took = cell.counts.get(f"{stage}_seconds")
        seconds = None if seconds is None or took is None else seconds + took
        if took is None:
            unknown.append(f"seconds of {stage}")
    asked = cell.counts.get("teacher_queries")
    if asked is None:
        unknown.append("teacher queries")
    costs: dict[str, float | None] = {
        # Queries that verify answers are teacher queries, too.
        "teacher_queries": asked and asked + cell.counts.get("verification_queries", 0),
        "tokens": tokens,
        "usd": money,
        "hours": None if seconds is None else seconds / 3600,
    }
    return costs, list(dict.fromkeys(unknown))


def _hours_usd(
    cell: CellUse, prices: Prices, rates: Mapping[str, float | None]
) -> tuple[float | None, list[str]]:
    """Return the cost of a cell's jobs that are paid by the hour, and its unknown parts.

    Args:
        cell: the resources of the cell.
        prices: prices by model.
        rates: dollars per hour of each model that wrote; None if its tokens are paid.
    """
    found, unknown = 0.0, []
    training = prices.get(cell.student, _UNKNOWN).usd_per_training_hour
    hourly = {rate for rate in rates.values() if rate is not None}
    if len(hourly) > 1 or (hourly and None in rates.values()):
        # Seconds are not distinguished by model.
        unknown += [f"hours of {model} alone" for model, rate in rates.items() if rate is not None]
    for stage, rate in (("generation", next(iter(hourly), None)), ("training", training)):
        seconds = cell.counts.get(f"{stage}_seconds")
        if rate and seconds is None:
            unknown.append(f"seconds of {stage}")
        found += (seconds or 0.0) / 3600 * (rate or 0.0)
    return (None if unknown else found), unknown


@dataclass(frozen=True)
class CostLine:
    """The cost of a method's budgets with one seed-set size, piecewise linear in logarithms.

    Beyond the cells, a query costs as much as in the nearest cell.

    Attributes:
        budgets: teacher queries, ascending, shape (n,).
        amounts: their costs, ascending, shape (n,).
    """

    budgets: np.ndarray
    amounts: np.ndarray

    @property
    def low(self) -> float:
        """The cost of the smallest budget."""
        return float(self.amounts[0])

    @property
    def high(self) -> float:
        """The cost of the largest budget."""
        return float(self.amounts[-1])

    def of(self, budget: np.ndarray | float) -> np.ndarray:
        """Return the costs of budgets."""
        return _along(np.asarray(budget, dtype=float), self.budgets, self.amounts)

    def budget(self, amount: np.ndarray | float) -> np.ndarray:
        """Return the budgets that amounts pay for."""
        return _along(np.asarray(amount, dtype=float), self.amounts, self.budgets)


def _along(x: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    inside = np.exp(np.interp(np.log(x), np.log(known), np.log(values)))
    return inside * np.where(x < known[0], x / known[0], np.where(x > known[-1], x / known[-1], 1))


def mean_line(lines: Sequence[CostLine]) -> CostLine:
    """Return the geometric mean of cost lines, which is piecewise linear in logarithms, too."""
    budgets = np.unique(np.concatenate([line.budgets for line in lines]))
    return CostLine(budgets, np.exp(np.mean([np.log(line.of(budgets)) for line in lines], axis=0)))


def mixed_line(lines: Mapping[str, CostLine], shares: Mapping[str, float]) -> CostLine:
    """Return the cost of a mixture's budgets: the sum of its parts' costs.

    Args:
        lines: cost lines of the methods.
        shares: shares of the methods in the mixture, above 0.
    """
    budgets = np.unique(np.concatenate([lines[name].budgets / of for name, of in shares.items()]))
    amounts = [lines[name].of(of * budgets) for name, of in shares.items()]
    return CostLine(budgets, np.sum(amounts, axis=0))


def cost_line(
    fit: Curves, seeds: int, method: str, measure: str, prices: Prices
) -> tuple[CostLine | None, list[str]]:
    """Return the cost of a method's budgets in one of `MEASURES`, and its unknown parts.

    Returns:
        The line, or None if the cost of a cell is not known or is 0; and texts that name the
        unknown parts.
    """
    amounts: dict[int, float] = {}
    unknown: list[str] = []
    for cell in fit.cells(seeds, method):
        costs, missing = cell_costs(CellUse.of({**asdict(fit.group), **dict(cell)}), prices)
        cost = costs[measure]
        if cost is None:
            unknown += missing
        # Unknown costs and costs of 0 are both refused below.
        amounts[cell.budget] = cost or 0.0
    if not amounts or min(amounts.values()) <= 0:
        return None, list(dict.fromkeys(unknown)) or [f"{MEASURES[measure]} of {method}"]
    # Measured hours of training may fall where a limit of steps stops their growth. More queries
    # never cost less, and only a rising line can be inverted.
    risen = np.maximum.accumulate(np.array([amounts[budget] for budget in sorted(amounts)]))
    risen = risen * (1 + 1e-9 * np.arange(len(risen)))
    return CostLine(np.array(sorted(amounts), dtype=float), risen), []
