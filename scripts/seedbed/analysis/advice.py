"""Which method to use for a given seed set and budget, within the range of the data."""

from __future__ import annotations

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
        probability_best: share of the bootstrap resamples in which it is best (ties shared).
        augmenter_queries: augmenter queries that it takes beside the teacher queries, at the rate
            seen in its cells of the nearest seed-set size; None if not counted.
    """

    method: str
    accuracy: float
    low: float
    high: float
    probability_best: float
    augmenter_queries: float | None


@dataclass(frozen=True)
class Advice:
    """Advice for a seed-set size and a budget.

    Attributes:
        seeds: seed-set size.
        budget: teacher queries.
        basis: "curve" (the fitted model) or "means" (straight lines between cell means).
        outlook: the methods, the best expected accuracy first.
    """

    seeds: int
    budget: int
    basis: str
    outlook: tuple[MethodOutlook, ...]

    @property
    def best(self) -> MethodOutlook:
        """The method to use: of highest expected accuracy."""
        return self.outlook[0]


def advise(fit: Fit, seeds: int, budget: int, confidence: float = 0.95) -> Advice:
    """Return advice from a fit: by its curve if it has one, else by the cell means.

    Raises:
        ValueError: if the seed-set size or the budget ratio is outside the data. Without a curve
            the seed-set size must be one of the study's.
    """
    sizes = fit.seeds
    ratio = budget / seeds
    if not sizes[0] <= seeds <= sizes[-1]:
        raise ValueError(f"{seeds} seeds: the data has {sizes[0]} to {sizes[-1]}")
    basis = "curve" if fit.model is not None else "means"
    if basis == "means" and seeds not in sizes:
        raise ValueError(
            f"{seeds} seeds: without a fitted curve, only {', '.join(map(str, sizes))} are known"
        )
    nearest = min(sizes, key=lambda size: (abs(np.log(size / seeds)), size))
    names, centres, draws = [], [], []
    for method in fit.methods:
        known = [cell["budget_ratio"] for cell in fit.cells(nearest, method)]
        if not known or not min(known) <= ratio <= max(known):
            continue
        at = np.array([ratio])
        found = fit.curve(seeds, method, at)
        if found is None:
            found = fit.means(seeds, method).at(at)
        names.append(method)
        centres.append(float(found[0][0]))
        draws.append(found[1][:, 0])
    if not names:
        ratios = [cell["budget_ratio"] for cell in fit.cells(nearest)]
        raise ValueError(
            f"budget {budget} for {seeds} seeds is BR {ratio:g}: the data has "
            f"{min(ratios):g} to {max(ratios):g}"
        )
    by_method = np.stack(draws)
    shares = best_shares(by_method)
    edges = np.quantile(by_method, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    outlook = [
        MethodOutlook(
            method=name,
            accuracy=centre,
            low=float(low),
            high=float(high),
            probability_best=float(share),
            augmenter_queries=_augmenter_queries(fit, nearest, name, budget),
        )
        for name, centre, low, high, share in zip(names, centres, *edges, shares, strict=True)
    ]
    # The sort is stable: of equal methods the first of the study comes first.
    outlook.sort(key=lambda entry: -entry.accuracy)
    return Advice(seeds, budget, basis, tuple(outlook))


def leaders(fit: Fit, seeds: int) -> list[tuple[str, float, float]]:
    """Return which method leads from which budget ratio to which, by curve or by cell means.

    Only ratios that all methods cover are looked at.
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
    heights = []
    for method, found in known.items():
        curve = fit.curve(seeds, method, ratios)
        heights.append(found.at(ratios)[0] if curve is None else curve[0])
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


def _augmenter_queries(fit: Fit, seeds: int, method: str, budget: int) -> float | None:
    """Return the augmenter queries for a budget, at the rate of the method's cells."""
    cells = [c for c in fit.cells(seeds, method) if c.get("augmenter_queries") is not None]
    if not cells:
        return None
    # The largest budgets weigh most: their rate is known best.
    rate = sum(c["augmenter_queries"] for c in cells) / sum(c["budget"] for c in cells)
    return rate * budget
