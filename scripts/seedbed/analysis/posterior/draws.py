"""Posterior draws of a task's methods: accuracies of any students, joint across all calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seedbed.analysis.posterior.discrepancy import Functions, Places, missed_covariance
from seedbed.analysis.posterior.mean import Mean


@dataclass(frozen=True)
class Posterior:
    """Posterior draws of the curve's parameters, the noise's standard deviations, the discrepancy.

    Attributes:
        mean: the curve.
        places: inputs of the cells.
        deviates: parameters of the curve, shape (samples, parameters).
        runs: standard deviation between training runs in logits, shape (samples,).
        draws_of_seeds: standard deviation between draws of 100 seeds in logits, shape (samples,).
        missed: standard deviation of the discrepancy in logits, shape (samples,).
        weights: weight of each cell in the update of the discrepancy, shape (samples, cells).
        failed: by cell that is an outlier, the probability that its training failed.
        seed: seed of the functions that are drawn from the prior.
    """

    mean: Mean
    places: Places
    deviates: np.ndarray
    runs: np.ndarray
    draws_of_seeds: np.ndarray
    missed: np.ndarray
    weights: np.ndarray
    failed: Mapping[str, float]
    seed: int

    @property
    def run_noise(self) -> float:
        """Standard deviation between training runs, in logits."""
        return float(np.sqrt(np.mean(self.runs**2)))

    def accuracy(self, seeds: float | np.ndarray, queries: np.ndarray) -> np.ndarray:
        """Return joint draws of students' expected accuracy, without item and training noise.

        Args:
            seeds: questions in the seed set, one number or shape (n,).
            queries: teacher queries of each method, shape (n, methods); zeros are the untrained
                student.

        Returns:
            Fractions, shape (samples, n); draws of all calls are joint.
        """
        queries = np.atleast_2d(np.asarray(queries, float))
        asked = np.broadcast_to(np.asarray(seeds, float), len(queries))
        there = Places(asked, queries)
        logits = self.mean(self.deviates, asked, queries)
        logits = logits + self._growth_beyond(there, logits)
        missed = self.missed[:, None]
        logits = logits + missed * self._functions.within(there)
        if len(self.places.seeds):
            cross = missed_covariance(self.places, there)
            logits = logits + missed**2 * (self.weights @ cross)
        logits = logits + self._functions.beyond(there, self.places)
        return 1 / (1 + np.exp(-np.clip(logits, -50.0, 50.0)))

    def _growth_beyond(self, there: Places, logits: np.ndarray) -> np.ndarray:
        """Return the difference between growth beyond the cells and the curve's, in logits.

        Args:
            there: n places.
            logits: the curve there, shape (samples, n).
        """
        above, below = there.beyond(self.places)
        some = np.flatnonzero(above + below)
        found = np.zeros_like(logits)
        if len(some):
            # The ends of the cells' range, with the same seeds and shares.
            ends = there.queries[some] * np.exp(below - above)[some, None]
            grown = logits[:, some] - self.mean(self.deviates, there.seeds[some], ends)
            found[:, some] = (self._functions.growth(there)[:, some] - 1) * grown
        return found

    def with_training(self, draws: np.ndarray) -> np.ndarray:
        """Return draws of accuracies with the noise of a training run added to each.

        Args:
            draws: as `accuracy` returns them, shape (samples, n) or (samples,).
        """
        generator = np.random.default_rng([self.seed, len(draws), 6])
        runs = self.runs.reshape(-1, *[1] * (draws.ndim - 1))
        luck = generator.normal(size=draws.shape) * runs
        kept = np.clip(draws, 1e-12, 1 - 1e-12)
        return 1 / (1 + (1 - kept) / kept * np.exp(-luck))

    @cached_property
    def _functions(self) -> Functions:
        return Functions(len(self.deviates), len(self.mean.kinds), self.seed)


def chances_of_best(draws: np.ndarray) -> np.ndarray:
    """Return the share of draws in which each of n allocations is best; ties are shared.

    Args:
        draws: shape (samples, n).
    """
    best = draws == draws.max(axis=1, keepdims=True)
    return (best / best.sum(axis=1, keepdims=True)).mean(axis=0)


def expected_regrets(draws: np.ndarray) -> np.ndarray:
    """Return the expected regret of each of n allocations: its mean loss to the best in each draw.

    Args:
        draws: shape (samples, n).
    """
    return (draws.max(axis=1, keepdims=True) - draws).mean(axis=0)
