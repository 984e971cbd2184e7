"""Cells as logits of accuracy, and the covariance of their sampling error from the test items.

Cells of a task are evaluated on the same items, so an easy set of items raises them all. Their
covariance is estimated item by item (each cluster of items counts as one), and shrunk towards one
correlation for all pairs (Ledoit & Wolf 2004, "Honey, I shrunk the sample covariance matrix"). The
variance of right and wrong scores is at least the binomial variance of the cell's shrunk share.
With clusters it is the binomial variance times their design effect. The spread of few clusters is
poorly known: variances are multiplied by the squared ratio of the t quantile to the normal one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seedbed.analysis.tables.outcomes import UNTRAINED, Outcomes

_MOST_DOUBT = 40.0
"""Largest factor of the variance, about the t quantile's for two clusters."""


@dataclass(frozen=True)
class Cells:
    """Measured cells of n students.

    Attributes:
        names: one per cell, for messages.
        seeds: questions in the seed set, shape (n,); 1 for the base model.
        queries: teacher queries of each method, shape (n, methods); zeros for the untrained.
        draws: number of the draw of the seeds, shape (n,); -1 for the base model.
        logits: logits of accuracy, shape (n,).
        noise: covariance of the sampling error from the test items, in logits, shape (n, n).
        items: number of test items.
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
    """Return no cells: the data before the first student is evaluated."""
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
        outcomes: outcomes of one task, student, teacher, augmenter and filter; None before the
            first cell.
        methods: the methods.
        mixtures: by a mixture's name in the method column, the shares of its methods in the
            budget, which add up to 1. Mixtures with other methods are left out.
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
    """Return the logits of mean scores, and the covariance of their sampling error in logits.

    Args:
        scores: from 0 to 1, shape (cells, items).
        clusters: numbers from 0, shape (items,).
    """
    from scipy.stats import t as t_distribution

    items = scores.shape[1]
    # Adding half an item to both sides gives 0 and 1 a logit, with about the right variance.
    shares = (scores.sum(axis=1) + 0.5) / (items + 1)
    binomial = shares * (1 - shares) / (items + 1)
    deviations = scores - scores.mean(axis=1, keepdims=True)
    sizes = np.bincount(clusters)
    # Clusters of unequal size are worth fewer clusters of equal size (Kish 1965, "Survey
    # Sampling").
    count = items**2 / float((sizes**2).sum())
    if 1 < count < items:
        deviations = np.stack([np.bincount(clusters, weights=row) for row in deviations])
    seen = deviations @ deviations.T / items**2
    if count == 1:
        # One cluster does not show how correlated its items are: count them as one item.
        variances, effect = binomial * items, float(items)
    else:
        seen *= count / (count - 1)
        doubt = (t_distribution.ppf(0.975, count - 1) / 1.96) ** 2
        effect = max(1.0, np.diag(seen).sum() / binomial.sum()) * min(doubt, _MOST_DOUBT)
        variances = np.diag(seen) * min(doubt, _MOST_DOUBT)
        if count < items:
            # One design effect for all cells. If the variances of strongly correlated cells
            # differed by chance, the fit would infer a common error of all cells from that.
            variances = binomial * effect
    # Graded scores vary less than right and wrong ones: they need the floor only with few items.
    whole = bool(np.isin(scores, (0.0, 1.0)).all())
    least = binomial if whole or items < 30 else binomial / items
    variances = np.maximum(variances, least)
    slope = 1 / (shares * (1 - shares))
    deviation = np.sqrt(variances) * slope
    correlation = _shrunk(seen, min(count, items) if count > 1 else items)
    return np.log(shares / (1 - shares)), correlation * np.outer(deviation, deviation)


def _shrunk(covariance: np.ndarray, count: int) -> np.ndarray:
    """Return correlations, shrunk towards their mean; the fewer clusters, the more."""
    n = len(covariance)
    root = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    found = np.where(np.diag(covariance)[:, None] > 0, covariance / np.outer(root, root), 0.0)
    np.fill_diagonal(found, 1.0)
    pairs = ~np.eye(n, dtype=bool)
    # Few clusters estimate the mean poorly, and two clusters not at all.
    mean = float(found[pairs].mean()) if n > 1 else 0.0
    common = min(max(mean, 0.0), 0.98) * max(0.0, 1 - (2 / count) ** 2)
    doubt = (1 - common**2) ** 2 / max(1, count - 1)
    spread = float(((found[pairs] - common) ** 2).mean()) if n > 1 else 0.0
    weight = 1.0 if spread <= doubt else doubt / spread
    result = (1 - weight) * found + weight * common
    np.fill_diagonal(result, 1.0)
    return result
