"""How to divide the rest of a budget among methods, given the posterior of their accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from seedbed.analysis.posterior import Posterior, chances_of_best, expected_regrets
from seedbed.analysis.tables.outcomes import Accuracy

_DIVISIONS = 70
"""Largest number of divisions that are compared: tenths for three methods."""

SIMPLER = 0.001
"""Smallest gain of accuracy, a fraction, for which a division is preferred to the best method."""

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Outlook:
    """The best known division of a budget.

    Attributes:
        queries: by method, its queries after the purchase.
        chances: by method, the probability that it is the best if it gets the whole budget.
        regret: mean loss of accuracy to the best division of the whole budget in each draw, as if
            nothing had been bought; a fraction.
        accuracy: accuracy of the student; the interval includes the noise of training.
        best: the method with the highest expected accuracy if it gets the whole budget.
    """

    queries: dict[str, int]
    chances: dict[str, float]
    regret: float
    accuracy: Accuracy
    best: str


def divide(
    posterior: Posterior, methods: list[str], seeds: int, budget: int, bought: Mapping[str, int]
) -> Outlook:
    """Return the division of a budget with the least expected regret.

    The final student is also trained on the queries that were bought before.

    Args:
        posterior: the posterior.
        methods: the methods, in the order of the posterior's.
        seeds: questions in the seed set.
        budget: teacher queries in total.
        bought: by method, the queries that were bought.
    """
    count = len(methods)
    held = np.array([bought.get(name, 0) for name in methods], float)
    shares = divisions(count)
    left = budget - held.sum()
    free = budget * shares
    reachable = held + left * shares if held.any() else free
    asked = np.concatenate([budget * np.eye(count), free, reachable])
    draws = posterior.accuracy(seeds, asked)
    candidates = draws[:, -len(reachable) :]
    pure = draws[:, :count]
    best = int(pure.mean(axis=0).argmax())
    # Without earlier purchases, a single method is not preferred.
    simpler = SIMPLER * shares[:, best] if held.any() else 0.0
    at = int((candidates.mean(axis=0) + simpler).argmax())
    drawn = posterior.with_training(candidates[:, at])
    low, high = np.quantile(drawn, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    mean = float(drawn.mean())
    return Outlook(
        queries=_whole(methods, reachable[at], budget),
        chances=dict(zip(methods, map(float, chances_of_best(pure)), strict=True)),
        regret=float(expected_regrets(draws)[-len(reachable) + at]),
        accuracy=Accuracy(
            accuracy=mean, standard_error=float(drawn.std()), low=float(low), high=float(high)
        ),
        best=methods[best],
    )


def worth_of_round(
    posterior: Posterior,
    seeds: int,
    budget: int,
    bought: Sequence[int],
    after: Sequence[int],
    items: int,
) -> float:
    """Return the expected gain from another round, net of the loss from its purchases.

    The final student gains because the round's scores may lead to a better division. It loses
    because the round's queries are bought before the choice. The expectations of all divisions are
    updated linearly in the round's scores (Bayes linear methods: Goldstein & Wooff 2007).

    Args:
        posterior: the posterior.
        seeds: questions in the seed set.
        budget: teacher queries in total.
        bought: queries of each method so far.
        after: queries of each method after the round.
        items: test items that the round's students are evaluated on.

    Returns:
        Accuracy, a fraction; negative if the loss is larger than the gain.
    """
    now, then = np.array(bought, float), np.array(after, float)
    shares = divisions(len(now))
    measured = np.diag(then)[then > now]
    asked = [measured, *(held + (budget - held.sum()) * shares for held in (now, then))]
    draws = posterior.accuracy(seeds, np.concatenate(asked))
    cells, without, within = np.split(draws, np.cumsum([len(part) for part in asked])[:-1], axis=1)
    spread = cells.mean(axis=0) * (1 - cells.mean(axis=0))
    # Cells share about half of the variance from the items, which cancels between them.
    noise = (posterior.run_noise * spread) ** 2 + spread / (2 * items)
    off = cells - cells.mean(axis=0)
    covariance = off.T @ off / len(off) + np.diag(noise)
    across = off.T @ (within - within.mean(axis=0)) / len(off)
    # Scores also have this noise.
    generator = np.random.default_rng([len(off), items])
    scores = off + np.sqrt(noise) * generator.normal(size=off.shape)
    moved = within.mean(axis=0) + scores @ np.linalg.solve(covariance, across)
    return float(moved.max(axis=1).mean() - without.mean(axis=0).max())


def divisions(count: int, most: int = _DIVISIONS) -> np.ndarray:
    """Return divisions of 1 among methods, in the smallest steps that `most` allows.

    Args:
        count: number of methods.
        most: largest number of divisions; each method alone is always among them.
    """
    steps = 1
    while steps < 10 and comb(steps + count, count - 1) <= most:
        steps += 1
    # Stars and bars: `count - 1` bars between `steps` stars.
    bars = np.array([*combinations(range(steps + count - 1), count - 1)], int)
    bars = bars.reshape(comb(steps + count - 1, count - 1), count - 1)
    edges = np.hstack(
        [np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), steps + count - 1)]
    )
    return (np.diff(edges, axis=1) - 1) / steps


def _whole(methods: list[str], queries: np.ndarray, budget: int) -> dict[str, int]:
    """Return whole queries that sum to the budget, by largest remainders."""
    # Rounding of shares must not remove a query that was bought.
    counts = np.floor(queries + 1e-6).astype(int)
    for m in np.argsort(counts - queries)[: budget - counts.sum()]:
        counts[m] += 1
    return {name: int(n) for name, n in zip(methods, counts, strict=True) if n}
