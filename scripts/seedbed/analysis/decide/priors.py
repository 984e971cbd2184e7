"""Advice before any student of a task was trained, from priors based on published results.

A budget in queries is divided as by `spend` without a student, with the same expected regret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field

from seedbed.analysis.decide.advise import (
    Advice,
    ChoiceOutlook,
    Pilot,
    Plan,
    Prospect,
    Prospects,
    budgets_between,
    reach,
)
from seedbed.analysis.decide.allocations import divisions, worth_of_round
from seedbed.analysis.decide.choices import mixtures
from seedbed.analysis.decide.costs import CostLine
from seedbed.analysis.decide.rounds import FEW_QUERIES, by_priors, prior_posterior, prior_reason
from seedbed.analysis.decide.rounds import Pilot as Rounds
from seedbed.analysis.posterior import (
    Posterior,
    chances_of_best,
    expected_regrets,
    untrained_alone,
)
from seedbed.analysis.settings import MethodKind
from seedbed.records import Part
from seedbed.streams.mixtures import coordinate

_ITEMS = 500
"""Assumed number of test items for evaluating a pilot's students and the base model."""

_LOWEST_RATIO, _HIGHEST_RATIO = 1.0, 1000.0
"""Range of queries per seed that is searched for a target accuracy. Publications show differences
between methods up to about 100 (arXiv 2409.19759); the range ends at ten times that."""

_STEP = 1.05
"""Largest factor between neighbouring budgets of the search."""


class QueryPrices(Part):
    """Prices of a teacher query from the cost estimate, before the first answer.

    Attributes:
        usd: dollars per query by method, the question included, for methods with known prices.
        unknown: by other method, its unknown parts.
        models: the paid models with the dates of their prices, for readers.
        lengths: the source of the texts' lengths.
    """

    usd: dict[str, float] = Field(default_factory=dict)
    unknown: dict[str, str] = Field(default_factory=dict)
    models: list[str] = Field(default_factory=list)
    lengths: str = ""


def prior_advice(
    methods: Mapping[str, MethodKind],
    seeds: int,
    budget: int | None,
    confidence: float,
    usd: float | None = None,
    prices: QueryPrices | None = None,
) -> Advice:
    """Return how to divide a budget according to priors, and the expected gain of a pilot.

    Args:
        methods: by name, the kind of its questions, in the order of the study.
        seeds: seed-set size.
        budget: teacher queries; or
        usd: US dollars; each division buys as many queries as they pay for.
        confidence: coverage of the intervals.
        prices: price of a query of each method.

    Raises:
        ValueError: if there is no method, if the budget pays for no query, or if no price is known.
    """
    prices = prices or QueryPrices()
    if not methods:
        raise ValueError("the study has no method that asks a teacher")
    unjudged: dict[str, str] = {}
    if usd is not None:
        methods, unjudged = _payable(methods, usd, prices)
    elif budget is None or budget < 1:
        raise ValueError(f"budget {budget}: at least one query is needed")
    names = list(methods)
    free = divisions(len(names))
    if budget is not None:
        known = by_priors(methods, seeds, budget)
        posterior, queries = known.posterior, known.outlook.queries
        best = np.array([queries.get(name, 0) for name in names]) / budget
    else:
        posterior = prior_posterior(methods)
        bought = _queries(free, names, None, usd, prices)
        best = free[int(posterior.accuracy(seeds, bought).mean(axis=0).argmax())]
    alone = np.eye(len(names))
    named = np.vstack([best, alone]) if (best > 0).sum() > 1 else alone
    asked = _queries(np.vstack([named, free]), names, budget, usd, prices)
    draws = posterior.accuracy(seeds, asked)
    count = len(named)
    chances, regrets = chances_of_best(draws[:, :count]), expected_regrets(draws)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    lows, highs = np.quantile(draws[:, :count], tails, axis=0)
    outlook = []
    for at, row in enumerate(named):
        of = {name: float(share) for name, share in zip(names, row, strict=True) if share > 0}
        whole = round(asked[at].sum())
        outlook.append(
            ChoiceOutlook(
                method=next(iter(of)) if len(of) == 1 else coordinate(tuple(of.items())),
                budget=whole,
                accuracy=float(draws[:, at].mean()),
                low=float(lows[at]),
                high=float(highs[at]),
                probability_best=float(chances[at]),
                expected_regret=float(regrets[at]),
                costs={"usd": _usd(of, whole, prices)},
                shares=of,
                measured=False,
            )
        )
    kept = {name for name, share in zip(names, best, strict=True) if share > 0}
    chosen = next(one for one in outlook if one.shares.keys() == kept)
    others = [one for one in outlook if one is not chosen]
    return Advice(
        seeds,
        budget,
        usd,
        "priors",
        1.0,
        (chosen, *sorted(others, key=lambda one: -one.accuracy)),
        confidence,
        unjudged=unjudged,
        reason=prior_reason(names, chosen.budget / seeds, chosen.expected_regret),
        pilot=_pilot(posterior, len(names), seeds, chosen.budget),
    )


def _payable(
    methods: Mapping[str, MethodKind], usd: float, prices: QueryPrices
) -> tuple[dict[str, MethodKind], dict[str, str]]:
    """Return the methods that an amount buys a query of, and why it buys none of the others.

    Raises:
        ValueError: if it buys no query of any method, as far as prices are known.
    """
    others: dict[str, str] = {}
    for name in methods:
        if name not in prices.usd:
            why = prices.unknown.get(name, "its price")
            others[name] = f"the cost of {name} is not known: {why}"
        elif prices.usd[name] > usd:
            others[name] = f"{usd:g} does not pay for a query of {name}"
    if len(others) == len(methods):
        raise ValueError(
            f"usd: {'; '.join(others.values())}. Give the price in the model's file, or queries in "
            "place of usd"
        )
    return {name: kind for name, kind in methods.items() if name not in others}, others


def _queries(
    shares: np.ndarray,
    names: Sequence[str],
    budget: int | None,
    usd: float | None,
    prices: QueryPrices,
) -> np.ndarray:
    """Return the queries of each method in divisions of a budget, shape (n, methods)."""
    if usd is None:
        return shares * float(budget or 0)
    each = shares @ np.array([prices.usd[name] for name in names])
    # Free queries have no limit, so `_FREE` caps them.
    whole = np.floor(np.minimum(usd / np.maximum(each, 1e-300), _FREE))
    return shares * whole[:, None]


_FREE = 1e6
"""Number of queries that dollars buy if all of them are free."""


def _usd(shares: Mapping[str, float], budget: float, prices: QueryPrices) -> float | None:
    """Return the cost of a budget; None if the price of a method in it is not known."""
    if not shares.keys() <= prices.usd.keys():
        return None
    return budget * sum(of * prices.usd[name] for name, of in shares.items())


def _pilot(posterior: Posterior, count: int, seeds: int, budget: int) -> Pilot | None:
    """Return a pilot with a fifth of the budget per method; None if it is not expected to gain."""
    each = Rounds().queries(budget, 1)
    if count < 2 or budget < FEW_QUERIES * seeds or not 0 < each * count <= budget:
        return None
    gain = worth_of_round(posterior, seeds, budget, [0] * count, [each] * count, _ITEMS)
    return Pilot(each, gain, _ITEMS) if gain > 0 else None


def prior_plans(
    methods: Mapping[str, MethodKind],
    seeds: int,
    target: float,
    confidence: float,
    untrained: float | None = None,
    prices: QueryPrices | None = None,
) -> list[Plan]:
    """Return the least budgets that priors expect to reach an accuracy.

    Without the accuracy of the base model, priors hardly know the difficulty of the task, and the
    probabilities are correspondingly uncertain.

    Args:
        methods: by name, the kind of its questions, in the order of the study.
        seeds: seed-set size.
        target: accuracy, a fraction.
        confidence: coverage of the intervals.
        untrained: accuracy of the base model, a fraction; None if it is not known.
        prices: price of a query of each method.

    Returns:
        The methods and the division of the budget that is expected to be best, as `advise.plans`.

    Raises:
        ValueError: if there is no method.
    """
    if not methods:
        raise ValueError("the study has no method that asks a teacher")
    prices, names = prices or QueryPrices(), list(methods)
    anchor = None if untrained is None else untrained_alone(untrained, _ITEMS, len(names))
    posterior = prior_posterior(methods, untrained=anchor)
    budgets = budgets_between(seeds, _LOWEST_RATIO, _HIGHEST_RATIO, _STEP)

    def prospect(shares: Mapping[str, float]) -> Prospect:
        row = np.array([shares.get(name, 0.0) for name in names])
        each = _usd(shares, 1.0, prices)
        line = None if not each else CostLine(np.array([1.0, 2.0]), np.array([each, 2 * each]))
        return Prospect(
            method=next(iter(shares)) if len(shares) == 1 else coordinate(tuple(shares.items())),
            budgets=budgets,
            centres=posterior.accuracy(seeds, np.outer(budgets, row)).mean(axis=0),
            draws=lambda budget: posterior.accuracy(seeds, budget * row)[:, 0],
            beyond=np.ones(len(budgets)),
            lines={"usd": line},
            shares=dict(shares),
            measured=False,
        )

    def best_division(budget: int) -> Mapping[str, float] | None:
        found = mixtures(names)
        if not found:
            return None
        rows = np.array([[of.get(name, 0.0) for name in names] for of in found])
        return found[int(posterior.accuracy(seeds, budget * rows).mean(axis=0).argmax())]

    alone = [prospect({name: 1.0}) for name in names]
    return reach(Prospects(alone, prospect, best_division), target, confidence)
