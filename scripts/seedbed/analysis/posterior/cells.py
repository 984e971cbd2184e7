"""Cells as logits of accuracy, and the covariance of what the test items' luck adds to them.

Cells of a task are evaluated on the same items, so an easy set of items lifts them all. Their
covariance is estimated item by item (clusters of items as one), and shrunk to one correlation for
all pairs (Ledoit & Wolf 2004, "Honey, I shrunk the sample covariance matrix"). A variance is never
less than the binomial one of the cell's shrunk share, or than that times the design effect of
clusters; few clusters, whose spread is not known well, count with the square of the ratio of the t
quantile to the normal one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seedbed.analysis.tables.outcomes import UNTRAINED, Outcomes

_MOST_DOUBT = 40.0
"""Factor of variance for two clusters, about as the t quantile has it; more says nothing more."""


@dataclass(frozen=True)
class Cells:
    """Measured cells of n students.

    Attributes:
        names: one a cell, to speak of it.
        seeds: questions in the seed set, shape (n,); 1 for the base model.
        queries: teacher queries of each method, shape (n, methods); zeros for the untrained.
        draws: number of the draw of the seeds, shape (n,); -1 for the base model.
        logits: of accuracy, shape (n,).
        noise: covariance of the test items' luck on the logit scale, shape (n, n).
        items: test items.
    """

    names: tuple[str, ...]
    seeds: np.ndarray
    queries: np.ndarray
    draws: np.ndarray
    logits: np.ndarray
    noise: np.ndarray
    items: int

    def __len__(self) -> int:
        return len(self.names)

    @property
    def trained(self) -> np.ndarray:
        """Whether each cell's student was trained, shape (n,)."""
        return self.queries.sum(axis=1) > 0


def no_cells(methods: int) -> Cells:
    """Return what is known before the first student."""
    return Cells(
        (), np.ones(0), np.zeros((0, methods)), np.zeros(0, int), np.zeros(0), np.zeros((0, 0)), 0
    )


def untrained_alone(accuracy: float, items: int, methods: int) -> Cells:
    """Return the base model as the only cell.

    Args:
        accuracy: a fraction.
        items: test items that it was measured on.
        methods: the number of methods.
    """
    share = (accuracy * items + 0.5) / (items + 1)
    return Cells(
        names=(UNTRAINED,),
        seeds=np.ones(1),
        queries=np.zeros((1, methods)),
        draws=np.array([-1]),
        logits=np.array([np.log(share / (1 - share))]),
        noise=np.array([[1 / ((items + 1) * share * (1 - share))]]),
        items=items,
    )


def cells_of(
    outcomes: Outcomes | None,
    methods: Sequence[str],
    mixtures: Mapping[str, Mapping[str, float]] | None = None,
) -> Cells:
    """Return the cells of some methods and mixtures, and of the base model.

    Args:
        outcomes: of one task, student, teacher, augmenter and filter; None before the first cell.
        methods: the methods.
        mixtures: by what stands for one as the method of a cell, the shares of its methods in the
            budget, which add up to 1. Mixtures of other methods are left out.
    """
    if outcomes is None:
        return no_cells(len(methods))
    shares = {
        name: np.array([of.get(method, 0.0) for method in methods])
        for name, of in (mixtures or {}).items()
        if set(of) <= set(methods)
    } | dict(zip(methods, np.eye(len(methods)), strict=True))
    kept, seeds, queries, draws, names = [], [], [], [], []
    number: dict[tuple[int, int], int] = {}
    for row, cell in enumerate(outcomes.cells.iter_rows(named=True)):
        method, budget = cell["method"], cell["budget"]
        if method == UNTRAINED:
            seeds.append(1)
            queries.append(np.zeros(len(methods)))
            draws.append(-1)
        elif method in shares and budget > 0 and cell["seeds"] > 0:
            seeds.append(cell["seeds"])
            queries.append(budget * shares[method])
            at = (cell["seeds"], cell.get("replicate", 0))
            draws.append(number.setdefault(at, len(number)))
        else:
            continue
        kept.append(row)
        names.append(cell.get("cell") or f"{method}, {cell['seeds']} seeds, {budget} queries")
    if not kept:
        return no_cells(len(methods))
    logits, noise = _luck(outcomes.correct[kept], outcomes.clusters)
    return Cells(
        names=tuple(names),
        seeds=np.array(seeds, float),
        queries=np.array(queries),
        draws=np.array(draws),
        logits=logits,
        noise=noise,
        items=outcomes.correct.shape[1],
    )


def _luck(scores: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits of mean scores, and the covariance of the items' luck on that scale.

    Args:
        scores: from 0 to 1, shape (cells, items).
        clusters: numbers from 0, shape (items,).
    """
    from scipy.stats import t as t_distribution

    items = scores.shape[1]
    # Half an item is added to both sides: 0 and 1 have a logit, and its variance is about right.
    shares = (scores.sum(axis=1) + 0.5) / (items + 1)
    binomial = shares * (1 - shares) / (items + 1)
    deviations = scores - scores.mean(axis=1, keepdims=True)
    sizes = np.bincount(clusters)
    # Clusters of unlike sizes tell as much as fewer of one size (Kish 1965, "Survey Sampling").
    count = items**2 / float((sizes**2).sum())
    if 1 < count < items:
        deviations = np.stack([np.bincount(clusters, weights=row) for row in deviations])
    seen = deviations @ deviations.T / items**2
    if count == 1:
        # Nothing tells how alike the items are: as if they were one.
        variances, effect = binomial * items, float(items)
    else:
        seen *= count / (count - 1)
        doubt = (t_distribution.ppf(0.975, count - 1) / 1.96) ** 2
        effect = max(1.0, np.diag(seen).sum() / binomial.sum()) * min(doubt, _MOST_DOUBT)
        variances = np.diag(seen) * min(doubt, _MOST_DOUBT)
        if count < items:
            # One effect for all cells. Variances that differ by chance between cells that share
            # their luck would seem to tell how lucky all of them were.
            variances = binomial * effect
    # Graded scores vary by less than right and wrong ones do: only few items need the floor.
    whole = bool(np.isin(scores, (0.0, 1.0)).all())
    least = binomial if whole or items < 30 else binomial / items
    variances = np.maximum(variances, least)
    slope = 1 / (shares * (1 - shares))
    deviation = np.sqrt(variances) * slope
    correlation = _shrunk(seen, min(count, items) if count > 1 else items)
    return np.log(shares / (1 - shares)), correlation * np.outer(deviation, deviation)


def _shrunk(covariance: np.ndarray, count: int) -> np.ndarray:
    """Return correlations, shrunk towards their mean as the number of clusters asks."""
    n = len(covariance)
    root = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    found = np.where(np.diag(covariance)[:, None] > 0, covariance / np.outer(root, root), 0.0)
    np.fill_diagonal(found, 1.0)
    pairs = ~np.eye(n, dtype=bool)
    # Few clusters do not tell the mean well either: two of them, not at all.
    mean = float(found[pairs].mean()) if n > 1 else 0.0
    common = min(max(mean, 0.0), 0.98) * max(0.0, 1 - (2 / count) ** 2)
    doubt = (1 - common**2) ** 2 / max(1, count - 1)
    spread = float(((found[pairs] - common) ** 2).mean()) if n > 1 else 0.0
    weight = 1.0 if spread <= doubt else doubt / spread
    result = (1 - weight) * found + weight * common
    np.fill_diagonal(result, 1.0)
    return result
