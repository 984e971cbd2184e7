"""Which method to use for a given seed set and budget, or for given money.

Expectations come from two descriptions of the same cells, in equal parts: the fitted curve, which
lends each cell the strength of the others but may have the wrong form, and straight lines in ln BR
between cell means, which have no form but all the noise of single cells. Where the two disagree on
the best method, the advice is as unsure as that; the curve alone was seen to be too sure.

Beyond the data there are only the curves. What a curve fitted to the lower budgets was seen to miss
the highest ones by is added there as noise, once for every step as large as the one that it missed
them over.

A task without results borrows from the others of the same models and filter: their expectations are
taken for draws from one normal distribution on the logit scale, joint for all methods, whose spread
between tasks is estimated along with it (a random-effects model: Higgins, Thompson & Spiegelhalter
2009, doi 10.1111/j.1467-985X.2008.00552.x), and the advice is for a new draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from seedbed.analysis.costs import MEASURES, Prices, cost_line
from seedbed.analysis.fits import Fit


@dataclass(frozen=True)
class MethodOutlook:
    """What to expect of one method.

    Attributes:
        method: its name.
        budget: teacher queries.
        accuracy: expected accuracy, a fraction.
        low: lower end of the bootstrap interval.
        high: upper end.
        probability_best: share of the bootstrap resamples, of both descriptions if there are two,
            in which it is best (ties shared).
        expected_regret: by how much the best method is better, on the average of these resamples;
            a fraction.
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
class NextCell:
    """A cell that would lessen the doubt about which of two methods is better.

    Attributes:
        method: its method.
        seeds: its seed-set size.
        budget: its teacher queries.
        doubt_before: standard deviation of the lead of the best method over the next, a fraction.
        doubt_after: the same once the cell is measured, as linear prediction has it.
        usd: what its data cost; None if not known.
    """

    method: str
    seeds: int
    budget: int
    doubt_before: float
    doubt_after: float
    usd: float | None


@dataclass(frozen=True)
class Advice:
    """Advice for a seed-set size and a budget.

    Attributes:
        seeds: seed-set size.
        budget: teacher queries; None if the budget is money.
        usd: US dollars; None if the budget is queries.
        basis: "curve", "means", "curve and means", or "other tasks".
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
    def rivals(self) -> tuple[MethodOutlook, ...]:
        """The others that cannot be told apart from it: best in too many of the resamples."""
        return tuple(
            entry for entry in self.outlook[1:] if entry.probability_best > 1 - self.confidence
        )


def advise(
    fit: Fit,
    seeds: int,
    budget: int | None = None,
    confidence: float = 0.95,
    usd: float | None = None,
    prices: Prices | None = None,
    look_further: bool = True,
) -> Advice:
    """Return advice from a fit: by its curve, if it has one, and by the cell means.

    Between the study's seed-set sizes the means are on straight lines between theirs; where a size
    has not been measured at that budget ratio, advice is by the curve alone. A method that was
    measured at one budget only is left out elsewhere.

    Args:
        fit: the fit.
        seeds: seed-set size.
        budget: teacher queries; or
        usd: US dollars, which buy each method a budget of its own.
        confidence: coverage of the intervals.
        prices: by model, what its tokens cost.
        look_further: whether to say which further cells would tell more.

    Raises:
        ValueError: if a price is needed and not known, or if the seed-set size or the budget ratio
            is outside the data and nothing says how far curves can be trusted there. Without a
            curve the seed-set size must be one of the study's.
    """
    if budget is not None and budget < 1:
        raise ValueError(f"budget {budget}: at least one query is needed")
    prices = prices or {}
    budgets = dict.fromkeys(fit.methods, budget)
    if usd is not None:
        budgets = _budgets_for(fit, seeds, usd, prices)
    found = _expectations(fit, seeds, budgets)
    names = list(found.budgets)
    outlook = _outlook(
        found, confidence, [_spending(fit, seeds, name, found, prices) for name in names]
    )
    ratios = np.array([found.budgets[name] / seeds for name in names])
    basis = "curve" if found.beyond > 1 else basis_of(fit, seeds, names, ratios[:1])[0]
    advice = Advice(seeds, budget, usd, basis, found.beyond, tuple(outlook), confidence)
    if not look_further:
        return advice
    return replace(advice, next_cells=tuple(_next_cells(fit, advice, prices)))


@dataclass(frozen=True)
class _Expectations:
    """Expected accuracies of methods at a budget each: centres, shape (methods,), and draws."""

    budgets: dict[str, int]
    beyond: float
    centres: np.ndarray
    draws: np.ndarray


def _budgets_for(fit: Fit, seeds: int, usd: float, prices: Prices) -> dict[str, int]:
    """Return the teacher queries that an amount buys in each method.

    Raises:
        ValueError: if what a method costs is not known, or the amount does not buy a query.
    """
    nearest = _closest(fit, seeds)
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


def _expectations(fit: Fit, seeds: int, budgets: Mapping[str, int]) -> _Expectations:
    """Return what to expect of each method that was measured at several budgets or at this one.

    Raises:
        ValueError: as `advise`.
    """
    inside = fit.seeds[0] <= seeds <= fit.seeds[-1]
    if inside or not fit.models:
        _nearest(fit, seeds)
    nearest = _closest(fit, seeds)
    step, miss = _held_out(fit)
    kept: dict[str, int] = {}
    centres, draws, furthest = [], [], 1.0
    refused: list[float] = []
    for number, method in enumerate(fit.methods):
        known = [cell["budget_ratio"] for cell in fit.cells(nearest, method)]
        if not known or method not in budgets:
            continue
        ratio = budgets[method] / seeds
        beyond = max(1.0, ratio / max(known), min(known) / ratio)
        beyond *= max(1.0, fit.seeds[0] / seeds, seeds / fit.seeds[-1])
        # A hair beyond is rounding.
        if beyond <= 1 + 1e-9:
            centre, drawn = expected(fit, seeds, method, np.array([ratio]))
        else:
            if miss is None or len(known) < 2:
                refused += known
                continue
            centre, drawn = fit.curve(seeds, method, np.array([ratio]))
            noise = np.random.default_rng([number, 3]).normal(size=drawn.shape)
            size = miss * np.log(beyond) / np.log(step)
            drawn = np.clip(drawn + size * noise, 0.0, 1.0)
            furthest = max(furthest, beyond)
        kept[method] = budgets[method]
        centres.append(float(centre[0]))
        draws.append(drawn[:, 0])
    if not kept:
        if not inside:
            raise ValueError(f"{seeds} seeds: the data has {fit.seeds[0]} to {fit.seeds[-1]}")
        ratio = max(budgets.values()) / seeds
        raise ValueError(
            f"budget {max(budgets.values())} for {seeds} seeds is BR {ratio:g}: the data has "
            f"{min(refused):g} to {max(refused):g}, and no held-out budget says how far to trust "
            "curves beyond"
        )
    # Some may stand on curves alone, with half the draws of those on curves and means, whose first
    # half are of their curves.
    least = min(len(drawn) for drawn in draws)
    return _Expectations(kept, furthest, np.array(centres), np.stack([d[:least] for d in draws]))


def _held_out(fit: Fit) -> tuple[float, float | None]:
    """Return how far the highest budgets lie beyond the next ones, and how curves miss them.

    The factor is the geometric mean over seed-set sizes; the miss that of the models by weight.
    """
    steps = []
    for seeds in fit.seeds:
        budgets = sorted({cell["budget"] for cell in fit.cells(seeds)})
        steps += [budgets[-1] / budgets[-2]] if len(budgets) > 1 else []
    used = [entry for entry in fit.record["models"] if entry.get("weight")]
    if not steps or not used or any(entry["held_out_error"] is None for entry in used):
        return 1.0, None
    miss = sum(entry["weight"] * entry["held_out_error"] ** 2 for entry in used) ** 0.5
    return float(np.exp(np.mean(np.log(steps)))), float(miss)


def _outlook(
    found: _Expectations, confidence: float, spending: Sequence[Mapping[str, Any]]
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
    fit: Fit, seeds: int, method: str, found: _Expectations, prices: Prices
) -> dict[str, Any]:
    """Return what a method's budget takes, at the rate of the nearest seed-set size."""
    nearest = _closest(fit, seeds)
    budget = found.budgets[method]
    lines = {m: cost_line(fit, nearest, method, m, prices)[0] for m in MEASURES}
    return {
        "augmenter_queries": _besides(fit, nearest, method, budget, ("augmenter_queries",)),
        "further_queries": _beyond(fit, nearest, method, budget),
        "costs": {m: line and float(line.of(budget)) for m, line in lines.items()},
    }


def borrow(
    fits: Sequence[Fit],
    seeds: int,
    budget: int,
    confidence: float = 0.95,
) -> Advice:
    """Return advice for a task without results, from fits of other tasks with the same models.

    Raises:
        ValueError: if fewer than two of them have something to say of the seeds and the budget.
    """
    found, reasons = [], []
    for fit in fits:
        try:
            found.append(_expectations(fit, seeds, dict.fromkeys(fit.methods, budget)))
        except ValueError as error:
            reasons.append(f"{fit.record['task']}: {error}")
    if len(found) < 2:
        raise ValueError(
            "; ".join([*reasons, "it takes two other tasks to tell how much tasks differ"])
        )
    names = [name for name in found[0].budgets if all(name in one.budgets for one in found)]
    places = [[list(one.budgets).index(name) for name in names] for one in found]
    centres = np.stack([_logit(one.centres[at]) for one, at in zip(found, places, strict=True)])
    least = min(one.draws.shape[1] for one in found)
    draws = np.stack([_logit(one.draws[at, :least]) for one, at in zip(found, places, strict=True)])
    new = new_task_draws(centres, draws)
    joint = _Expectations(
        dict.fromkeys(names, budget),
        max(one.beyond for one in found),
        1 / (1 + np.exp(-centres.mean(axis=0))),
        1 / (1 + np.exp(-new)),
    )
    nothing = {"augmenter_queries": None, "further_queries": None, "costs": {}}
    outlook = _outlook(joint, confidence, [nothing] * len(names))
    return Advice(seeds, budget, None, "other tasks", joint.beyond, tuple(outlook), confidence)


def new_task_draws(centres: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return draws of a new task's expectations from those of k tasks, by moments.

    The covariance between tasks is that of their centres: what their own draws leave open is in it,
    and is not taken off, since of few tasks that could leave nothing by luck. A new task's mean is
    that of the tasks, with what their draws leave open; its deviation has the covariance times
    1 + 1/k and, k being small, the tails of a t distribution of k - 1 degrees of freedom.

    Args:
        centres: by task and method, shape (k, methods).
        draws: shape (k, methods, samples).

    Returns:
        Draws, shape (methods, samples).
    """
    count, methods, samples = draws.shape
    between = np.atleast_2d(np.cov(centres, rowvar=False))
    values, directions = np.linalg.eigh(between)
    root = directions * np.sqrt(np.clip(values, 0.0, None) * (1 + 1 / count))
    generator = np.random.default_rng([count, methods, 4])
    normal = generator.normal(size=(methods, samples))
    heavy = np.sqrt((count - 1) / generator.chisquare(count - 1, samples))
    # What the tasks leave open is independent: their draws must not be those of one resample.
    mixed = [one[:, generator.permutation(samples)] for one in draws]
    return np.mean(mixed, axis=0) + (root @ normal) * heavy


def _logit(share: np.ndarray) -> np.ndarray:
    kept = np.clip(share, 1e-4, 1 - 1e-4)
    return np.log(kept / (1 - kept))


_LEAST_GAIN = 0.02
"""Share of the variance that a further cell must take away to be worth a word."""


def _next_cells(fit: Fit, advice: Advice, prices: Prices, count: int = 3) -> list[NextCell]:
    """Return the cells that would lessen the doubt about the lead most for what they cost.

    The lead is that of the best expected method over the next one. Over the resamples, lead and
    accuracy of a cell vary together; a linear prediction of the lead from one more measurement of
    the cell, with the noise of its test items and of training, leaves Var - Cov^2 / (Var of the
    cell + noise). Cells of the study are looked at, each measured once more. The best first: by
    variance taken away per dollar, or per teacher query where prices are not known.
    """
    if not fit.models or len(advice.outlook) < 2:
        return []
    first, second = advice.outlook[:2]
    _, lead = fit.curve(advice.seeds, first.method, np.array([first.budget / advice.seeds]))
    _, other = fit.curve(advice.seeds, second.method, np.array([second.budget / advice.seeds]))
    lead = (lead - other)[:, 0]
    before = float(lead.var(ddof=1))
    if before == 0:
        return []
    noise = fit.record["bootstrap"]
    extra = noise["training_noise"] ** 2 + noise["seed_draw_noise"] ** 2
    found = []
    for cell in fit.record["cells"]:
        centre, drawn = fit.curve(cell["seeds"], cell["method"], np.array([cell["budget_ratio"]]))
        share = float(np.clip(centre[0], 0.01, 0.99))
        error = extra + share * (1 - share) / fit.record["items"]
        shared = float(np.cov(lead, drawn[:, 0])[0, 1])
        taken = shared**2 / (float(drawn.var(ddof=1)) + error)
        if taken < _LEAST_GAIN * before:
            continue
        line, _ = cost_line(fit, cell["seeds"], cell["method"], "usd", prices)
        usd = None if line is None else float(line.of(cell["budget"]))
        after = float(np.sqrt(max(0.0, before - taken)))
        one = NextCell(cell["method"], cell["seeds"], cell["budget"], before**0.5, after, usd)
        found.append((taken, one))
    priced = all(one.usd is not None for _, one in found)
    found.sort(key=lambda pair: -pair[0] / (pair[1].usd if priced else pair[1].budget))
    return [one for _, one in found[:count]]


@dataclass(frozen=True)
class Reach:
    """The least budget with which a method is expected to reach an accuracy.

    Attributes:
        method: its name.
        budget: teacher queries; None if it does not within what was measured.
        accuracy: expected accuracy at that budget, or the best within what was measured.
        low: lower end of its bootstrap interval.
        high: upper end.
        probability: share of the bootstrap resamples in which the accuracy is reached there.
        costs: by `costs.MEASURES`, what a cell of that budget takes; None where not known.
    """

    method: str
    budget: int | None
    accuracy: float
    low: float
    high: float
    probability: float
    costs: dict[str, float | None]


def reach(
    fit: Fit,
    seeds: int,
    target: float,
    confidence: float = 0.95,
    prices: Prices | None = None,
) -> list[Reach]:
    """Return for each method the least budget that is expected to reach an accuracy.

    Budgets are looked for from the least to the largest budget ratio at which the method was
    measured with the nearest seed-set size, each 1.02 times the one before or less.

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
        ValueError: if the seed-set size is outside the data, as for `advise`.
    """
    nearest = _nearest(fit, seeds)
    found = []
    for method in fit.methods:
        known = [cell["budget_ratio"] for cell in fit.cells(nearest, method)]
        if not known:
            continue
        first, last = np.ceil(min(known) * seeds), np.floor(max(known) * seeds)
        steps = 1 + int(np.ceil(np.log(max(last / first, 1)) / np.log(1.02)))
        budgets = np.unique(np.geomspace(first, max(first, last), steps).round())
        centres, draws = expected(fit, seeds, method, budgets / seeds)
        reached = np.flatnonzero(centres >= target)
        place = reached[0] if len(reached) else int(np.argmax(centres))
        low, high = np.quantile(draws[:, place], [(1 - confidence) / 2, (1 + confidence) / 2])
        found.append(
            Reach(
                method=method,
                budget=int(budgets[place]) if len(reached) else None,
                accuracy=float(centres[place]),
                low=float(low),
                high=float(high),
                probability=float((draws[:, place] >= target).mean()),
                costs={
                    m: line and float(line.of(budgets[place]))
                    for m in MEASURES
                    for line, _ in [cost_line(fit, nearest, method, m, prices or {})]
                },
            )
        )
    priced = all(one.costs["usd"] is not None for one in found if one.budget is not None)

    def rank(one: Reach) -> tuple[bool, float]:
        if one.budget is None:
            return True, -one.accuracy
        return False, one.costs["usd"] if priced else one.budget

    return sorted(found, key=rank)


def _nearest(fit: Fit, seeds: int) -> int:
    """Return the size of the study's seed sets that is nearest, in the logarithm.

    Raises:
        ValueError: if the seed-set size is outside the data. Without a curve it must be one of the
            study's.
    """
    sizes = fit.seeds
    if not sizes[0] <= seeds <= sizes[-1]:
        raise ValueError(f"{seeds} seeds: the data has {sizes[0]} to {sizes[-1]}")
    if not fit.models and seeds not in sizes:
        raise ValueError(
            f"{seeds} seeds: without a fitted curve, only {', '.join(map(str, sizes))} are known"
        )
    return _closest(fit, seeds)


def _closest(fit: Fit, seeds: int) -> int:
    """Return the size of the study's seed sets that is nearest, in the logarithm."""
    return min(fit.seeds, key=lambda size: (abs(np.log(size / seeds)), size))


def expected(
    fit: Fit, seeds: float, method: str, ratios: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected accuracy at n ratios, and its draws of shape (samples, n).

    With both a curve and means it is their mean, and the draws are those of the one and the other.
    """
    curve, means = fit.curve(seeds, method, ratios), fit.means_at(seeds, method, ratios)
    if curve is None or means is None:
        found = [part for part in (curve, means) if part is not None]
    else:
        known = ~np.isnan(means[0])
        found = [curve, tuple(np.where(known, *pair) for pair in zip(means, curve, strict=True))]
    centres, draws = zip(*found, strict=True)
    return np.mean(centres, axis=0), np.concatenate(draws)


def basis_of(fit: Fit, seeds: float, methods: Sequence[str], ratios: np.ndarray) -> list[str]:
    """Return what expectations at n ratios stand on: "curve", "means" or "curve and means".

    Where only some of the methods have means, it is "curve and means".
    """
    found = [fit.means_at(seeds, method, ratios) for method in methods]
    known = np.zeros(len(ratios), dtype=bool)
    for part in found:
        known |= False if part is None else ~np.isnan(part[0])
    bases = ["curve"] if fit.models else []
    return [" and ".join([*bases, "means"] if some else bases) for some in known]


def leaders(fit: Fit, seeds: int) -> list[tuple[str, float, float]]:
    """Return which method is expected to lead from which budget ratio to which.

    Only ratios that all methods cover are looked at. Nothing is returned where there are none, or
    where no two methods differ at any.
    """
    series = {method: fit.means(seeds, method) for method in fit.methods}
    known = {method: found for method, found in series.items() if found is not None}
    low = max(found.ratios.min() for found in known.values())
    high = min(found.ratios.max() for found in known.values())
    if low >= high:
        return []
    ratios = np.geomspace(low, high, 401)
    # Rounding must not carry the ends outside the cells.
    ratios[0], ratios[-1] = low, high
    heights = [expected(fit, seeds, method, ratios)[0] for method in known]
    if len(known) > 1 and np.ptp(heights, axis=0).max() < 1e-6:
        return []
    best = np.argmax(heights, axis=0)
    names = list(known)
    turns = np.flatnonzero(best[1:] != best[:-1]) + 1
    edges = [0, *turns, len(ratios) - 1]
    return [
        (names[best[start]], float(ratios[start]), float(ratios[stop]))
        for start, stop in pairwise(edges)
        if stop > start
    ]


def best_shares(draws: np.ndarray) -> np.ndarray:
    """Return for each method the share of resamples in which it is best; ties are shared.

    Args:
        draws: accuracies, shape (methods, samples).
    """
    best = np.abs(draws - draws.max(axis=0)) < 1e-12
    return (best / best.sum(axis=0)).mean(axis=1)


def _beyond(fit: Fit, seeds: int, method: str, budget: int) -> float | None:
    """Return the teacher queries beyond a budget, at the rate of the method's cells."""
    names = ("teacher_queries", "verification_queries")
    spent = _besides(fit, seeds, method, budget, names)
    return None if spent is None else max(0.0, spent - budget)


def _besides(fit: Fit, seeds: int, method: str, budget: int, names: Sequence[str]) -> float | None:
    """Return how many queries of some kinds a budget takes, at the rate of the method's cells."""
    cells = [c for c in fit.cells(seeds, method) if c.get(names[0]) is not None]
    if not cells:
        return None
    # The largest budgets weigh most: their rate is known best.
    asked = sum(c.get(name) or 0.0 for c in cells for name in names)
    return asked / sum(c["budget"] for c in cells) * budget
