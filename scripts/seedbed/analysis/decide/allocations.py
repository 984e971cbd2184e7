"""How to divide the rest of a budget among methods, by the posterior of their accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from seedbed.analysis.posterior import Posterior, chances_of_best, expected_regrets
from seedbed.analysis.tables.outcomes import Accuracy

_DIVISIONS = 70
"""Divisions of the rest that are compared, at most: tenths for three methods."""

SIMPLER = 0.001
"""Accuracy, a fraction, that a division must gain on giving the rest to the best method alone."""

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Outlook:
    """The best known division of a budget.

    Attributes:
        queries: by method, what there is after the purchase.
        chances: by method, the probability that it is the best of them if it gets everything.
        regret: what the division loses on average to the best one, with the budget free to divide
            once more; a fraction.
        accuracy: of the student, its training's luck included.
        best: the method of the highest expected accuracy if it gets everything.
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

    What was bought stays: the final student is trained on all of it.

    Args:
        posterior: what is known.
        methods: in the order of the posterior's.
        seeds: questions in the seed set.
        budget: teacher queries, in all.
        bought: by method, those that are bought.
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
    # Before anything is bought, a division is no worse for being of all methods.
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
    """Return what another round is expected to gain, less what its purchases cost.

    The final student gains as a better division may be chosen, and loses as the round's queries
    are bought whatever it shows. How the expectations of all divisions will move with the round's
    scores is linear in them (as in Bayes linear methods: Goldstein & Wooff 2007).

    Args:
        posterior: what is known.
        seeds: questions in the seed set.
        budget: teacher queries, in all.
        bought: queries of each method so far.
        after: those after the round.
        items: test items that its students are measured on.

    Returns:
        Accuracy, a fraction; negative if the round costs more than it tells.
    """
    now, then = np.array(bought, float), np.array(after, float)
    shares = divisions(len(now))
    measured = np.diag(then)[then > now]
    asked = [measured, *(held + (budget - held.sum()) * shares for held in (now, then))]
    draws = posterior.accuracy(seeds, np.concatenate(asked))
    cells, without, within = np.split(draws, np.cumsum([len(part) for part in asked])[:-1], axis=1)
    spread = cells.mean(axis=0) * (1 - cells.mean(axis=0))
    # What cells share of the items' luck, about half of its variance, cancels between them.
    noise = (posterior.run_noise * spread) ** 2 + spread / (2 * items)
    off = cells - cells.mean(axis=0)
    covariance = off.T @ off / len(off) + np.diag(noise)
    across = off.T @ (within - within.mean(axis=0)) / len(off)
    # Scores scatter by the noise, too.
    generator = np.random.default_rng([len(off), items])
    scores = off + np.sqrt(noise) * generator.normal(size=off.shape)
    moved = within.mean(axis=0) + scores @ np.linalg.solve(covariance, across)
    return float(moved.max(axis=1).mean() - without.mean(axis=0).max())


def divisions(count: int, most: int = _DIVISIONS) -> np.ndarray:
    """Return divisions of 1 among methods, in steps as small as their number allows.

    Args:
        count: the number of methods.
        most: divisions, at most; but each method alone is one.
    """
    steps = 1
    while steps < 10 and comb(steps + count, count - 1) <= most:
        steps += 1
    # Bars between `steps` stars.
    bars = np.array([*combinations(range(steps + count - 1), count - 1)], int)
    bars = bars.reshape(comb(steps + count - 1, count - 1), count - 1)
    edges = np.hstack(
        [np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), steps + count - 1)]
    )
    return (np.diff(edges, axis=1) - 1) / steps


def _whole(methods: list[str], queries: np.ndarray, budget: int) -> dict[str, int]:
    """Return whole queries that sum to the budget, by largest remainders."""
    # Rounding of shares must not take a query that was bought.
    counts = np.floor(queries + 1e-6).astype(int)
    for m in np.argsort(counts - queries)[: budget - counts.sum()]:
        counts[m] += 1
    return {name: int(n) for name, n in zip(methods, counts, strict=True) if n}
