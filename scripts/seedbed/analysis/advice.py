"""Which method to use for a given seed set and budget, within the range of the data.

Expectations come from two descriptions of the same cells, in equal parts: the fitted curve, which
lends each cell the strength of the others but may have the wrong form, and straight lines in ln BR
between cell means, which have no form but all the noise of single cells. Where the two disagree on
the best method, the advice is as unsure as that; the curve alone was seen to be too sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from seedbed.analysis.fits import Fit


@dataclass(frozen=True)
class MethodOutlook:
    """What to expect of one method.

    Attributes:
        method: its name.
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
    """

    method: str
    accuracy: float
    low: float
    high: float
    probability_best: float
    expected_regret: float
    augmenter_queries: float | None
    further_queries: float | None


@dataclass(frozen=True)
class Advice:
    """Advice for a seed-set size and a budget.

    Attributes:
        seeds: seed-set size.
        budget: teacher queries.
        basis: "curve", "means", or "curve and means".
        outlook: the methods, the best expected accuracy first.
        confidence: coverage of the intervals.
    """

    seeds: int
    budget: int
    basis: str
    outlook: tuple[MethodOutlook, ...]
    confidence: float

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


def advise(fit: Fit, seeds: int, budget: int, confidence: float = 0.95) -> Advice:
    """Return advice from a fit: by its curve, if it has one, and by the cell means.

    Between the study's seed-set sizes the means are on straight lines between theirs; where a size
    has not been measured at that budget ratio, advice is by the curve alone.

    Raises:
        ValueError: if the seed-set size or the budget ratio is outside the data. Without a curve
            the seed-set size must be one of the study's.
    """
    ratio = budget / seeds
    nearest = _nearest(fit, seeds)
    names, centres, draws = [], [], []
    for method in fit.methods:
        known = [cell["budget_ratio"] for cell in fit.cells(nearest, method)]
        if not known or not min(known) <= ratio <= max(known):
            continue
        centre, drawn = expected(fit, seeds, method, np.array([ratio]))
        names.append(method)
        centres.append(float(centre[0]))
        draws.append(drawn[:, 0])
    if not names:
        ratios = [cell["budget_ratio"] for cell in fit.cells(nearest)]
        raise ValueError(
            f"budget {budget} for {seeds} seeds is BR {ratio:g}: the data has "
            f"{min(ratios):g} to {max(ratios):g}"
        )
    by_method = np.stack(draws)
    shares = best_shares(by_method)
    regrets = (by_method.max(axis=0) - by_method).mean(axis=1)
    edges = np.quantile(by_method, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    outlook = [
        MethodOutlook(
            method=name,
            accuracy=centre,
            low=float(low),
            high=float(high),
            probability_best=float(share),
            expected_regret=float(regret),
            augmenter_queries=_besides(fit, nearest, name, budget, ("augmenter_queries",)),
            further_queries=_beyond(fit, nearest, name, budget),
        )
        for name, centre, low, high, share, regret in zip(
            names, centres, *edges, shares, regrets, strict=True
        )
    ]
    # The sort is stable: of equal methods the first of the study comes first.
    outlook.sort(key=lambda entry: -entry.accuracy)
    (basis,) = basis_of(fit, seeds, names, np.array([ratio]))
    return Advice(seeds, budget, basis, tuple(outlook), confidence)


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
    """

    method: str
    budget: int | None
    accuracy: float
    low: float
    high: float
    probability: float


def reach(fit: Fit, seeds: int, target: float, confidence: float = 0.95) -> list[Reach]:
    """Return for each method the least budget that is expected to reach an accuracy.

    Budgets are looked for from the least to the largest budget ratio at which the method was
    measured with the nearest seed-set size, each 1.02 times the one before or less.

    Args:
        fit: a fit.
        seeds: seed-set size.
        target: accuracy, a fraction.
        confidence: coverage of the intervals.

    Returns:
        The methods, those with the least budgets first, and last those that do not reach it.

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
            )
        )
    return sorted(found, key=lambda one: (one.budget is None, one.budget or -one.accuracy))


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
    return min(sizes, key=lambda size: (abs(np.log(size / seeds)), size))


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
