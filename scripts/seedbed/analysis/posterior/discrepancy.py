"""The model discrepancy of the curve: a Gaussian process over the budget ratio and the seeds.

A part of it is common to all methods (Kennedy & O'Hagan 2001, doi 10.1111/1467-9868.00294). Beyond
the cells, accuracy may grow faster or slower than the curve, by a log-normal factor, and the slope
may change (integrated Brownian motion). Most of both is common to all methods.

Each draw is one function over all places, so accuracies from separate calls are joint draws. A
function drawn from the prior, by random Fourier features, is conditioned on the cells (Wilson et
al. 2020, arXiv 2002.09309).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SLOPE = 0.01
"""Standard deviation, in logits, of the slope's change over a factor of e of the budget ratio.

Chosen by simulated studies with nine true curves (docs/statistics.md): with 0.03 nearly all
intervals at ten times the budget held the true value; with 0 too few did for a slow start before a
steep rise.
"""

_COMMON_GROWTH, _OWN_GROWTH = 0.5, 0.06
"""Standard deviations of the logarithm of the growth factor, common and of each method."""

_COMMON_SLOPE, _OWN_SLOPE = 1.4, 0.1
"""Multiples of the slope change's variance, common to all methods and of each method."""

_COMMON, _OWN = 0.75, 0.5
"""The same for the discrepancy within the cells."""

_RATIO_LENGTH, _SEEDS_LENGTH = 1.5, 3.0
"""Length scales of the logarithms of the budget ratio and of the seeds."""

_FREQUENCIES = 128
"""Number of Fourier features; the error of a covariance is about 6% of the variance."""

_STEP, _STEPS = 0.25, 48
"""Step length, in the logarithm of the budget ratio, and number of steps of the slope's random
walk."""


@dataclass(frozen=True)
class Places:
    """Inputs of n students: seed-set sizes, shape (n,), and queries, shape (n, methods)."""

    seeds: np.ndarray
    queries: np.ndarray

    @property
    def trained(self) -> np.ndarray:
        """Whether each student was trained, shape (n,)."""
        return self.queries.sum(axis=1) > 0

    @property
    def log_ratios(self) -> np.ndarray:
        """Logarithms of queries per seed; 0 for the untrained."""
        total = self.queries.sum(axis=1)
        return np.log(np.where(total > 0, total, self.seeds) / self.seeds)

    @property
    def shares(self) -> np.ndarray:
        """Shares of the methods; zeros for the untrained."""
        return self.queries / np.maximum(self.queries.sum(axis=1, keepdims=True), 1e-300)

    def beyond(self, cells: Places) -> tuple[np.ndarray, np.ndarray]:
        """Return how far the log ratios lie above and below the range of the cells.

        Between the cells' seed-set sizes the ends of the range are interpolated linearly in the
        logarithm of the seeds.
        """
        trained = cells.trained
        if not trained.any():
            above, below = np.zeros((2, len(self.seeds)))
            return above, below
        sizes, ratios = np.log(cells.seeds[trained]), cells.log_ratios[trained]
        known = np.unique(sizes)
        highest = np.array([ratios[sizes == size].max() for size in known])
        lowest = np.array([ratios[sizes == size].min() for size in known])
        ours, at = self.log_ratios, np.log(self.seeds)
        above = np.maximum(0.0, ours - np.interp(at, known, highest))
        below = np.maximum(0.0, np.interp(at, known, lowest) - ours)
        return above * self.trained, below * self.trained


def missed_covariance(first: Places, second: Places) -> np.ndarray:
    """Return the discrepancy's covariance within the cells, for a scale of 1; shape (n, m).

    The base model has no discrepancy.
    """
    at, to = first.log_ratios[:, None], second.log_ratios[None, :]
    size = np.log(first.seeds)[:, None] - np.log(second.seeds)[None, :]
    distance = np.sqrt(3) * np.hypot((at - to) / _RATIO_LENGTH, size / _SEEDS_LENGTH)
    # Matern, 3/2.
    alike = _COMMON * np.outer(first.trained, second.trained) + _OWN * first.shares @ (
        second.shares.T
    )
    return (1 + distance) * np.exp(-distance) * alike


class Functions:
    """Functions drawn from the prior of the discrepancy, for a scale of 1.

    Args:
        samples: number of functions.
        methods: number of methods.
        seed: seed of the random numbers; the same seed gives the same functions.
    """

    def __init__(self, samples: int, methods: int, seed: int) -> None:
        generator = np.random.default_rng([seed, samples, methods, 5])
        # The spectral density of a Matern 3/2 is Student's t with 3 degrees of freedom.
        heavy = np.sqrt(3 / generator.chisquare(3, size=(1, _FREQUENCIES)))
        self._frequencies = generator.normal(size=(2, _FREQUENCIES)) * heavy
        weights = generator.normal(size=(1 + methods, samples, 2 * _FREQUENCIES))
        walks = generator.normal(size=(2, 1 + methods, samples, _STEPS))
        # Centre the draws: the mean of finitely many would order places of equal accuracy.
        self._weights = weights - weights.mean(axis=1, keepdims=True)
        self._walks = walks - walks.mean(axis=2, keepdims=True)
        growths = generator.normal(size=(1 + methods, samples))
        self._growths = growths - growths.mean(axis=1, keepdims=True)

    def within(self, places: Places) -> np.ndarray:
        """Return the discrepancy at n places, in logits, shape (samples, n)."""
        at = np.stack([places.log_ratios / _RATIO_LENGTH, np.log(places.seeds) / _SEEDS_LENGTH])
        angles = at.T @ self._frequencies
        features = np.hstack([np.cos(angles), np.sin(angles)]) / np.sqrt(_FREQUENCIES)
        return _summed(features, self._weights, places, _COMMON, _OWN)

    def growth(self, places: Places) -> np.ndarray:
        """Return the factors on the curve's growth to n places beyond the cells.

        Returns:
            Factors, shape (samples, n). Their mean is 1, apart from the methods' own parts.
        """
        common, *own = self._growths
        logs = _COMMON_GROWTH * (common[:, None] - _COMMON_GROWTH / 2)
        for share, of_method in zip(places.shares.T, own, strict=True):
            logs = logs + _OWN_GROWTH * share * of_method[:, None]
        return np.exp(logs)

    def beyond(self, places: Places, cells: Places) -> np.ndarray:
        """Return the effect of the slope's change at n places, in logits, shape (samples, n)."""
        starts = _STEP * np.arange(_STEPS)
        found = np.zeros((self._weights.shape[1], len(places.seeds)))
        for far, walk in zip(places.beyond(cells), self._walks, strict=True):
            if not far.any():
                continue
            past = np.maximum(0.0, far[:, None] - starts)
            # The integral of a slope that rises by 1 over a step, and then stays.
            risen = np.where(past < _STEP, past**2 / (2 * _STEP), past - _STEP / 2)
            found += _summed(risen * np.sqrt(_STEP), walk, places, _COMMON_SLOPE, _OWN_SLOPE)
        return np.sqrt(3) * _SLOPE * found


def _summed(
    features: np.ndarray, weights: np.ndarray, places: Places, common: float, own: float
) -> np.ndarray:
    """Return the sum of the common part and the methods' own parts, shape (samples, n)."""
    found = np.sqrt(common) * places.trained * (weights[0] @ features.T)
    for share, weight in zip(places.shares.T, weights[1:], strict=True):
        if share.any():
            found = found + np.sqrt(own) * share * (weight @ features.T)
    return found
