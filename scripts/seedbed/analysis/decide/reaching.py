"""The least that reaches an accuracy, by each method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seedbed.analysis.curves import NOTHING_SAYS, Curves
from seedbed.analysis.decide.costs import MEASURES, CostLine, Prices, cost_line

FURTHEST = 10.0
"""Factor beyond the data, in budget ratio and seeds together, up to which plans are looked for."""

_STEP = 1.02
"""Largest factor from one budget that is looked at to the next."""


@dataclass(frozen=True)
class Reach:
    """The least budget with which a method is expected to reach an accuracy.

    Attributes:
        method: its name.
        budget: teacher queries; None if it does not within the budgets that were looked at.
        at: the teacher queries that the rest is of: `budget`, or where most is expected.
        accuracy: expected accuracy there.
        low: lower end of its bootstrap interval.
        high: upper end.
        probability: share of the bootstrap resamples in which the accuracy is reached there.
        costs: by `costs.MEASURES`, what a cell of that budget takes; None where not known.
        beyond: factor by which that budget lies beyond the data, seeds included; 1 within.
        looked_from: the least teacher queries that were looked at, the fewest measured.
        looked_to: the most.
    """

    method: str
    budget: int | None
    at: int
    accuracy: float
    low: float
    high: float
    probability: float
    costs: dict[str, float | None]
    beyond: float
    looked_from: int
    looked_to: int


def reach(
    fit: Curves,
    seeds: int,
    target: float,
    confidence: float = 0.95,
    prices: Prices | None = None,
) -> list[Reach]:
    """Return for each method the least budget that is expected to reach an accuracy.

    Budgets are looked for from the least budget ratio at which the method was measured with the
    nearest seed-set size, each 1.02 times the one before or less, up to the largest one, and on to
    where seeds and budget ratio together lie `FURTHEST` times beyond the data. There curves are
    trusted as little as by `advise`; a method of which nothing says how little is looked at within
    its data alone.

    Args:
        fit: a fit.
        seeds: seed-set size.
        target: accuracy, a fraction.
        confidence: coverage of the intervals.
        prices: by model, what its tokens cost.

    Returns:
        The methods, the cheapest first, and last those that do not reach it: by money where what
        all of them cost is known, otherwise by teacher queries.

    Raises:
        ValueError: if the seed-set size is further beyond the data, or is beyond it and nothing
            says how far to trust curves there. Without a curve it must be one of the study's.
    """
    fit.check_size(seeds)
    further = fit.beyond_sizes(seeds)
    if further > FURTHEST:
        raise ValueError(
            f"{fit.outside_text(seeds)}, and plans are looked for up to {FURTHEST:g} times beyond"
        )
    nearest = fit.nearest_size(seeds)
    found = []
    for method in fit.methods:
        known = fit.ratios(seeds, method)
        trusted = fit.trusted_beyond(seeds, method)
        if not known or (further > 1 and not trusted):
            continue
        budgets = budgets_between(
            seeds, known[0], known[-1] * (FURTHEST / further if trusted else 1)
        )

        def draws(budget: int, method: str = method) -> np.ndarray:
            return fit.accuracy(seeds, method, np.array([budget / seeds])).draws[:, 0]

        prospect = Prospect(
            method=method,
            budgets=budgets,
            centres=fit.accuracy(seeds, method, budgets / seeds).centre,
            draws=draws,
            beyond=fit.beyond(seeds, method, budgets / seeds),
            lines={m: cost_line(fit, nearest, method, m, prices or {})[0] for m in MEASURES},
        )
        found.append(least(prospect, target, confidence))
    if not found:
        raise ValueError(f"{fit.outside_text(seeds)}, {NOTHING_SAYS}")
    return ranked(found)


@dataclass(frozen=True)
class Prospect:
    """What is expected of a method at budgets.

    Attributes:
        method: the method.
        budgets: teacher queries, ascending, shape (n,).
        centres: expected accuracies, shape (n,).
        draws: function from a budget to the draws of the accuracy there.
        beyond: factors by which the budgets lie beyond the data, shape (n,).
        lines: by `costs.MEASURES`, what budgets cost; None where not known.
    """

    method: str
    budgets: np.ndarray
    centres: np.ndarray
    draws: Callable[[int], np.ndarray]
    beyond: np.ndarray
    lines: Mapping[str, CostLine | None]


def budgets_between(seeds: int, first: float, last: float) -> np.ndarray:
    """Return whole budgets from a budget ratio to another, each 1.02 times the one before or less.

    Where no whole number of queries lies between them, it is the least one above.
    """
    low, high = np.ceil(first * seeds * (1 - 1e-9)), np.floor(last * seeds * (1 + 1e-9))
    steps = 1 + int(np.ceil(np.log(max(high / low, 1)) / np.log(_STEP)))
    return np.unique(np.geomspace(low, max(low, high), steps).round())


def least(prospect: Prospect, target: float, confidence: float) -> Reach:
    """Return the least budget that is expected to reach an accuracy, or where most is expected."""
    reached = np.flatnonzero(prospect.centres >= target)
    place = int(reached[0] if len(reached) else np.argmax(prospect.centres))
    at = int(prospect.budgets[place])
    draws = prospect.draws(at)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Reach(
        method=prospect.method,
        budget=at if len(reached) else None,
        at=at,
        accuracy=float(prospect.centres[place]),
        low=float(low),
        high=float(high),
        probability=float((draws >= target).mean()),
        costs={
            m: None if line is None else float(line.of(at)) for m, line in prospect.lines.items()
        },
        beyond=float(prospect.beyond[place]),
        looked_from=int(prospect.budgets[0]),
        looked_to=int(prospect.budgets[-1]),
    )


def ranked(found: Sequence[Reach]) -> list[Reach]:
    """Return the methods, the cheapest first, and last those that do not reach the accuracy."""
    priced = all(one.costs["usd"] is not None for one in found if one.budget is not None)

    def rank(one: Reach) -> tuple[bool, float]:
        if one.budget is None:
            return True, -one.accuracy
        return False, one.costs["usd"] if priced else one.budget

    return sorted(found, key=rank)
