"""Which method to use for a given seed set and budget, for given money, or to reach an accuracy.

What is expected, within the data and beyond it, is `Curves.accuracy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from seedbed.analysis.curves import FURTHEST, Curves, Point
from seedbed.analysis.decide.costs import MEASURES, CostLine, Prices, cost_line
from seedbed.analysis.decide.design import NextCell, next_cells


@dataclass(frozen=True)
class MethodOutlook:
    """What to expect of one method.

    Attributes:
        method: its name.
        budget: teacher queries.
        accuracy: expected accuracy, a fraction.
        low: lower end of the interval.
        high: upper end.
        probability_best: probability that it is best (ties shared).
        expected_regret: by how much the best method is better on average, a fraction.
        augmenter_queries: augmenter queries that it takes beside the teacher queries, at the rate
            seen in its cells of the nearest seed-set size; None if not counted.
        further_queries: teacher queries beyond the budget, likewise: those that verify answers, and
            those behind the budget that a filter goes on to.
        costs: by `costs.MEASURES`, what a cell of that budget takes; None where not known.
    """

    method: str
    budget: int
    accuracy: float
    low: float
    high: float
    probability_best: float
    expected_regret: float
    augmenter_queries: float | None
    further_queries: float | None
    costs: dict[str, float | None]


@dataclass(frozen=True)
class Advice:
    """Advice for a seed-set size and a budget.

    Attributes:
        seeds: seed-set size.
        budget: teacher queries; None if the budget is money.
        usd: US dollars; None if the budget is queries.
        basis: "its cells", or "other tasks".
        beyond: factor by which the question lies beyond the data in seeds and budget ratio; 1
            within.
        outlook: the methods, the best expected accuracy first.
        confidence: coverage of the intervals.
    """

    seeds: int
    budget: int | None
    usd: float | None
    basis: str
    beyond: float
    outlook: tuple[MethodOutlook, ...]
    confidence: float
    next_cells: tuple[NextCell, ...] = ()

    @property
    def best(self) -> MethodOutlook:
        """The method to use: of highest expected accuracy."""
        return self.outlook[0]

    @property
    def leading(self) -> dict[str, int]:
        """The best two methods, whose lead is in doubt, with their teacher queries."""
        return {entry.method: entry.budget for entry in self.outlook[:2]}

    @property
    def rivals(self) -> tuple[MethodOutlook, ...]:
        """The others that cannot be told apart from it: too likely to be best."""
        return tuple(
            entry for entry in self.outlook[1:] if entry.probability_best > 1 - self.confidence
        )


def advise(
    fit: Curves,
    seeds: int,
    budget: int | None = None,
    confidence: float = 0.95,
    usd: float | None = None,
    prices: Prices | None = None,
    look_further: bool = True,
) -> Advice:
    """Return advice from a fit: of every method that was measured within ten times of the question.

    Args:
        fit: the fit.
        seeds: seed-set size.
        budget: teacher queries; or
        usd: US dollars, which buy each method a budget of its own.
        confidence: coverage of the intervals.
        prices: by model, what its tokens cost.
        look_further: whether to say which further cells would tell more.

    Raises:
        ValueError: if a price is needed and not known, or if seeds and budget ratio together lie
            more than `FURTHEST` times beyond the data of every method.
    """
    if budget is not None and budget < 1:
        raise ValueError(f"budget {budget}: at least one query is needed")
    prices = prices or {}
    if usd is not None:
        budgets = _budgets_for(fit, seeds, usd, prices)
    elif budget is not None:
        budgets = dict.fromkeys(fit.methods, budget)
    else:
        raise ValueError("a budget is needed: teacher queries or US dollars")
    found = expectations(fit, seeds, budgets)
    names = list(found.budgets)
    outlook = outlook_of(
        found, confidence, [_spending(fit, seeds, name, found, prices) for name in names]
    )
    advice = Advice(seeds, budget, usd, "its cells", found.beyond, tuple(outlook), confidence)
    if not look_further:
        return advice
    return replace(advice, next_cells=next_cells(fit, seeds, advice.leading, prices))


@dataclass(frozen=True)
class Expectations:
    """Expected accuracies of methods at a budget each: centres, shape (methods,), and draws."""

    budgets: dict[str, int]
    beyond: float
    centres: np.ndarray
    draws: np.ndarray


def _budgets_for(fit: Curves, seeds: int, usd: float, prices: Prices) -> dict[str, int]:
    """Return the teacher queries that an amount buys in each method.

    Raises:
        ValueError: if what a method costs is not known, or the amount does not buy a query.
    """
    nearest = fit.nearest_size(seeds)
    budgets = {}
    for method in fit.methods:
        if not fit.cells(nearest, method):
            continue
        line, unknown = cost_line(fit, nearest, method, "usd", prices)
        if line is None:
            raise ValueError(f"usd: what {method} costs is not known: {'; '.join(unknown)}")
        budgets[method] = int(line.budget(usd))
        if budgets[method] < 1:
            raise ValueError(f"usd: {usd:g} does not pay for a query of {method}")
    return budgets


def expectations(fit: Curves, seeds: int, budgets: Mapping[str, int]) -> Expectations:
    """Return what to expect of each method that has cells near enough.

    Raises:
        ValueError: as `advise`.
    """
    kept: dict[str, int] = {}
    furthest = 1.0
    refused: list[float] = []
    for method in fit.methods:
        known = fit.ratios(seeds, method)
        if not known or method not in budgets:
            continue
        ratios = np.array([budgets[method] / seeds])
        beyond = float(fit.beyond(seeds, method, ratios)[0])
        if beyond > FURTHEST:
            refused += known
            continue
        furthest = max(furthest, beyond)
        kept[method] = budgets[method]
    if not kept:
        if fit.beyond_sizes(seeds) > FURTHEST:
            raise ValueError(f"{fit.outside_text(seeds)}, {TOO_FAR}")
        ratio = max(budgets.values()) / seeds
        raise ValueError(
            f"budget {max(budgets.values())} for {seeds} seeds is BR {ratio:g}: the data has "
            f"{min(refused):g} to {max(refused):g}, {TOO_FAR}"
        )
    points = [Point(method, seeds, budget / seeds) for method, budget in kept.items()]
    centres, draws = fit.at(points)
    return Expectations(kept, furthest, centres, draws.T)


TOO_FAR = f"and nothing is said of more than {FURTHEST:g} times beyond"
"""Why a question is refused."""


def outlook_of(
    found: Expectations, confidence: float, spending: Sequence[Mapping[str, Any]]
) -> list[MethodOutlook]:
    """Return the methods, the best expected accuracy first."""
    shares = best_shares(found.draws)
    regrets = (found.draws.max(axis=0) - found.draws).mean(axis=1)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    lows, highs = np.quantile(found.draws, tails, axis=1)
    outlook = [
        MethodOutlook(
            method=name,
            budget=found.budgets[name],
            accuracy=float(found.centres[place]),
            low=float(lows[place]),
            high=float(highs[place]),
            probability_best=float(shares[place]),
            expected_regret=float(regrets[place]),
            **spending[place],
        )
        for place, name in enumerate(found.budgets)
    ]
    # The sort is stable: of equal methods the first of the study comes first.
    return sorted(outlook, key=lambda entry: -entry.accuracy)


def _spending(
    fit: Curves, seeds: int, method: str, found: Expectations, prices: Prices
) -> dict[str, Any]:
    """Return what a method's budget takes, at the rate of the nearest seed-set size."""
    nearest = fit.nearest_size(seeds)
    budget = found.budgets[method]
    lines = {m: cost_line(fit, nearest, method, m, prices)[0] for m in MEASURES}
    return {
        **queries_besides(fit, nearest, method, budget),
        "costs": {m: line and float(line.of(budget)) for m, line in lines.items()},
    }


def queries_besides(fit: Curves, seeds: int, method: str, budget: int) -> dict[str, float | None]:
    """Return the augmenter queries and further teacher queries of a budget; None if not counted.

    Args:
        fit: the fit.
        seeds: one of its seed-set sizes.
        method: the method.
        budget: teacher queries.
    """
    return {
        "augmenter_queries": _besides(fit, seeds, method, budget, ("augmenter_queries",)),
        "further_queries": _beyond(fit, seeds, method, budget),
    }


@dataclass(frozen=True)
class Stretch:
    """Budget ratios between which the same methods lead.

    Attributes:
        methods: the leader, or several that are statistically tied, in the study's order.
        low: first budget ratio.
        high: last budget ratio.
    """

    methods: tuple[str, ...]
    low: float
    high: float


def leaders(fit: Curves, seeds: int, confidence: float = 0.95) -> list[Stretch]:
    """Return which methods lead from which budget ratio to which.

    Methods that are statistically tied lead together, so that what is said does not flip where the
    expected accuracies of two methods cross within their noise. Only ratios that all methods cover
    are looked at. Nothing is returned where there are none, or where all cells are alike.

    Args:
        fit: the fit.
        seeds: seed-set size, within the data.
        confidence: a method is tied if it is best in more than one minus that of the draws.
    """
    known = {method: fit.ratios(seeds, method) for method in fit.methods}
    known = {method: found for method, found in known.items() if found}
    low = max(min(found) for found in known.values())
    high = min(max(found) for found in known.values())
    seen = {cell.accuracy for cell in fit.cells(fit.nearest_size(seeds))}
    if low >= high or (len(known) > 1 and len(seen) == 1):
        return []
    ratios = np.geomspace(low, high, _RATIOS)
    # Rounding must not carry the ends outside the cells.
    ratios[0], ratios[-1] = low, high
    found = [fit.accuracy(seeds, method, ratios) for method in known]
    centres = np.stack([centre for centre, _ in found])
    leading = tied(centres, np.stack([drawn for _, drawn in found]), confidence)
    edges = np.sqrt(ratios[1:] * ratios[:-1])
    bounds = [low, *edges, high]
    names = np.array([*known])
    return _without_change_overs(
        [
            Stretch(tuple(names[members].tolist()), float(bounds[start]), float(bounds[stop]))
            for members, start, stop in _merged(leading)
        ]
    )


_RATIOS = 401
"""Budget ratios at which `leaders` looks."""

_NARROW = 0.04
"""Share of the range, in its logarithm, below which a stretch is merged with a neighbour: the share
of draws in which a method is best has noise of its own where it passes the threshold."""


_CHANGE_OVER = 2.0
"""Factor between the ends of a stretch up to which it may count as a change-over."""


def _without_change_overs(parts: list[Stretch]) -> list[Stretch]:
    """Divide short stretches in which all that lead before and after are tied among the two.

    There, the lead changes at a ratio that is not known exactly: the middle stands for it.
    """
    kept = parts[:1]
    for place, part in enumerate(parts[1:], start=1):
        after = parts[place + 1] if place + 1 < len(parts) else None
        short = part.high / part.low <= _CHANGE_OVER
        if after and short and {*kept[-1].methods, *after.methods} <= {*part.methods}:
            kept[-1] = replace(kept[-1], high=float(np.sqrt(part.low * part.high)))
        else:
            kept.append(replace(part, low=kept[-1].high))
    return kept


def tied(centres: np.ndarray, draws: np.ndarray, confidence: float) -> np.ndarray:
    """Return which methods lead at each of n points: the best one, and those tied with it.

    Args:
        centres: expected accuracies, shape (methods, n).
        draws: their draws, shape (methods, samples, n).
        confidence: a method is tied if it is best in more than one minus that of the draws.

    Returns:
        Booleans, shape (methods, n).
    """
    leading = best_shares(draws) > 1 - confidence
    leading[centres.argmax(axis=0), np.arange(centres.shape[1])] = True
    return leading


def _merged(leading: np.ndarray) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yield stretches of points that the same methods lead: these, and the first and last point."""
    count = leading.shape[1]
    turns = np.flatnonzero((leading[:, 1:] != leading[:, :-1]).any(axis=0)) + 1
    parts = [
        (leading[:, start], int(start), int(stop))
        for start, stop in pairwise([0, *turns.tolist(), count])
    ]
    while len(parts) > 1:
        widths = [stop - start for _, start, stop in parts]
        least = int(np.argmin(widths))
        if widths[least] >= _NARROW * count:
            break
        # The neighbour whose methods differ least takes it over; of two alike, the wider.
        beside = [place for place in (least - 1, least + 1) if 0 <= place < len(parts)]
        into = min(beside, key=lambda at: (np.sum(parts[least][0] != parts[at][0]), -widths[at]))
        first, second = sorted((least, into))
        parts[first : second + 1] = [(parts[into][0], parts[first][1], parts[second][2])]
        # The grown stretch may now be of the same methods as its other neighbour.
        parts = _joined(parts)
    yield from parts


def _joined(parts: list[tuple[np.ndarray, int, int]]) -> list[tuple[np.ndarray, int, int]]:
    joined = [parts[0]]
    for members, start, stop in parts[1:]:
        if (members == joined[-1][0]).all():
            joined[-1] = (members, joined[-1][1], stop)
        else:
            joined.append((members, start, stop))
    return joined


def best_shares(draws: np.ndarray) -> np.ndarray:
    """Return for each method the share of draws in which it is best; ties are shared.

    Args:
        draws: accuracies, shape (methods, samples, ...).

    Returns:
        Shares, shape (methods, ...).
    """
    best = np.abs(draws - draws.max(axis=0)) < 1e-12
    return (best / best.sum(axis=0)).mean(axis=1)


def _beyond(fit: Curves, seeds: int, method: str, budget: int) -> float | None:
    """Return the teacher queries beyond a budget, at the rate of the method's cells."""
    names = ("teacher_queries", "verification_queries")
    spent = _besides(fit, seeds, method, budget, names)
    return None if spent is None else max(0.0, spent - budget)


def _besides(
    fit: Curves, seeds: int, method: str, budget: int, names: Sequence[str]
) -> float | None:
    """Return how many queries of some kinds a budget takes, at the rate of the method's cells."""
    cells = [c for c in fit.cells(seeds, method) if getattr(c, names[0]) is not None]
    if not cells:
        return None
    # The largest budgets weigh most: their rate is known best.
    asked = sum(getattr(c, name) or 0.0 for c in cells for name in names)
    return asked / sum(c.budget for c in cells) * budget


_STEP = 1.02
"""Largest factor from one budget that is looked at to the next."""


@dataclass(frozen=True)
class Plan:
    """The least budget with which a method is expected to reach an accuracy.

    Attributes:
        method: its name.
        budget: teacher queries; None if it does not within the budgets that were looked at.
        at: the teacher queries that the rest is of: `budget`, or where most is expected.
        accuracy: expected accuracy there.
        low: lower end of its interval.
        high: upper end.
        probability: probability that the accuracy is reached there.
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


def plans(
    fit: Curves,
    seeds: int,
    target: float,
    confidence: float = 0.95,
    prices: Prices | None = None,
) -> list[Plan]:
    """Return for each method the least budget that is expected to reach an accuracy.

    Budgets are looked for from the least budget ratio at which the method was measured with the
    nearest seed-set size, each 1.02 times the one before or less, up to the largest one, and on to
    where seeds and budget ratio together lie `FURTHEST` times beyond the data.

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
        ValueError: if the seed-set size is further beyond the data.
    """
    further = fit.beyond_sizes(seeds)
    if further > FURTHEST:
        raise ValueError(f"{fit.outside_text(seeds)}, {TOO_FAR}")
    nearest = fit.nearest_size(seeds)
    found = []
    for method in fit.methods:
        known = fit.ratios(seeds, method)
        if not known:
            continue
        budgets = budgets_between(seeds, known[0], known[-1] * FURTHEST / further)

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
        found.append(least_budget(prospect, target, confidence))
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


def least_budget(prospect: Prospect, target: float, confidence: float) -> Plan:
    """Return the least budget that is expected to reach an accuracy, or where most is expected."""
    reached = np.flatnonzero(prospect.centres >= target)
    place = int(reached[0] if len(reached) else np.argmax(prospect.centres))
    at = int(prospect.budgets[place])
    draws = prospect.draws(at)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Plan(
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


def ranked(found: Sequence[Plan]) -> list[Plan]:
    """Return the methods, the cheapest first, and last those that do not reach the accuracy."""
    priced = all(one.costs["usd"] is not None for one in found if one.budget is not None)

    def rank(one: Plan) -> tuple[bool, float]:
        if one.budget is None:
            return True, -one.accuracy
        return False, (one.costs["usd"] if priced else None) or one.budget

    return sorted(found, key=rank)
