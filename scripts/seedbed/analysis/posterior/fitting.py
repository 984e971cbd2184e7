"""The posterior of the curve's parameters, of the noise's sizes, and of what the curve misses.

Logits of cells are normal around the curve, with the covariance of the items' luck, of training
runs, of draws of the seeds (variance 1/S), and of a discrepancy: a Gaussian process over the budget
ratio and the seeds, part of it common to all methods (Kennedy & O'Hagan 2001). Beyond the cells the
slope may change, too (integrated Brownian motion, most of its variance common). The sizes of these
are on a grid, weighted by Laplace's approximation of the evidence. A cell far off its place may be
a failed training, of any accuracy: the fits with and without it are weighted by the evidence, too.

Draws of the parameters are resampled from t proposals at each mode, and then moved by Metropolis
steps, all at once, as flat directions are not normal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from seedbed.analysis.posterior.cells import Cells
from seedbed.analysis.posterior.mean import Mean, MethodKind

_FAILED = 0.02
"""Share of trainings that fail, before a cell is seen."""

_FAILED_DEVIATION = 2.0
"""Standard deviation of a failed training's logit."""

_SLOPE = 0.06
"""Standard deviation, in logits, of the slope's change over a factor of e of the budget ratio."""

_COMMON = 1.25
"""Its variance that is common to all methods; each has a quarter for itself."""

_RUNS = (0.015, 0.03, 0.055, 0.1)
_DRAWS = (0.01, 0.025, 0.06)
_MISSED = (0.02, 0.08)
"""Standard deviations, in logits: of training runs, draws of 100 seeds, and the discrepancy."""

_SWEEPS = 12
"""Metropolis steps of each draw."""


@dataclass(frozen=True)
class _Sizes:
    """A point of the grid; `prior` is the logarithm of its weight."""

    run: float
    draw: float
    missed: float
    prior: float
    failed: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Fit:
    """A mode: sizes, parameters, root of their covariance, root of the data's, log evidence."""

    sizes: _Sizes
    mode: np.ndarray
    spread: np.ndarray
    root: np.ndarray
    evidence: float


def fit_posterior(
    cells: Cells, kinds: Sequence[MethodKind], samples: int = 400, seed: int = 0
) -> Posterior:
    """Return the posterior of the methods, given some cells; without any, the prior.

    Args:
        cells: of one task, student, teacher, augmenter and filter.
        kinds: of the methods, in the order of the columns of `cells.queries`.
        samples: draws.
        seed: of the random numbers.
    """
    generator = np.random.default_rng([seed, len(cells)])
    mean = Mean(kinds)
    if not len(cells):
        drawn = generator.normal(size=(samples, mean.size))
        sizes = _Sizes(run=0.04, draw=0.02, missed=0.06, prior=0.0)
        return Posterior(cells, mean, [(sizes, drawn, np.zeros((0, 0)))], {}, generator)
    starts = [np.zeros(mean.size)]
    starts += [0.5 * generator.normal(size=mean.size) for _ in range(2)]
    fits: list[_Fit] = []
    for sizes in _grid(cells):
        fits.append(_best(cells, mean, sizes, [fits[-1].mode] if fits else starts))
    fits += _with_failures(cells, mean, fits)
    weights = np.exp(np.array([fit.evidence for fit in fits]) - max(f.evidence for f in fits))
    weights /= weights.sum()
    counts = np.bincount(generator.choice(len(fits), size=samples, p=weights), minlength=len(fits))
    parts = [
        (fit.sizes, _draws(cells, mean, fit, int(count), generator), fit.root)
        for fit, count in zip(fits, counts, strict=True)
        if count
    ]
    failed: dict[str, float] = {}
    for fit, weight in zip(fits, weights, strict=True):
        for place in fit.sizes.failed:
            name = cells.names[place]
            failed[name] = failed.get(name, 0.0) + float(weight)
    return Posterior(cells, mean, parts, failed, generator)


class Posterior:
    """Draws from the posterior of a task's methods.

    Attributes:
        failed: by cell that lies far off, the probability that its training failed.
    """

    def __init__(
        self,
        cells: Cells,
        mean: Mean,
        parts: list[tuple[_Sizes, np.ndarray, np.ndarray]],
        failed: dict[str, float],
        generator: np.random.Generator,
    ) -> None:
        self.failed = failed
        self._cells, self._mean, self._parts = cells, mean, parts
        self._generator = generator

    @property
    def run_noise(self) -> float:
        """Standard deviation between training runs, in logits."""
        counts = [len(drawn) for _, drawn, _ in self._parts]
        return float(np.average([sizes.run for sizes, *_ in self._parts], weights=counts))

    def accuracy(self, seeds: float | np.ndarray, queries: np.ndarray) -> np.ndarray:
        """Return joint draws of the accuracy of students, without the luck of items and training.

        Draws of two calls are joint in the curve but not in what it misses: compare allocations
        that come from one call.

        Args:
            seeds: questions in the seed set, one number or shape (n,).
            queries: teacher queries of each method, shape (n, methods); zeros are the untrained
                student.

        Returns:
            Fractions, shape (samples, n).
        """
        queries = np.atleast_2d(np.asarray(queries, float))
        asked = np.broadcast_to(np.asarray(seeds, float), len(queries))
        here, there = _Places(self._cells.seeds, self._cells.queries), _Places(asked, queries)
        found = []
        for sizes, drawn, root in self._parts:
            logits = self._mean(drawn, there.seeds, there.queries)
            own = _discrepancy(there, there, sizes, here)
            if len(self._cells):
                from scipy.linalg import solve_triangular

                # Within the cells alone does the discrepancy show.
                left = self._cells.logits - self._mean(drawn, here.seeds, here.queries)
                cross = solve_triangular(root, _discrepancy(here, there, sizes, here), lower=True)
                logits = logits + solve_triangular(root, left.T, lower=True).T @ cross
                own = own - cross.T @ cross
            values, vectors = np.linalg.eigh(own)
            scale = vectors * np.sqrt(np.maximum(values, 0.0))
            logits = logits + self._generator.normal(size=logits.shape) @ scale.T
            found.append(1 / (1 + np.exp(-np.clip(logits, -50.0, 50.0))))
        return np.concatenate(found)

    def with_training(self, draws: np.ndarray) -> np.ndarray:
        """Return draws of accuracies with the luck of a training run added to each.

        Args:
            draws: as `accuracy` returns them, shape (samples, n) or (samples,).
        """
        counts = [len(drawn) for _, drawn, _ in self._parts]
        runs = np.repeat([sizes.run for sizes, *_ in self._parts], counts)
        luck = self._generator.normal(size=draws.shape) * runs.reshape(-1, *[1] * (draws.ndim - 1))
        kept = np.clip(draws, 1e-12, 1 - 1e-12)
        return 1 / (1 + (1 - kept) / kept * np.exp(-luck))


def chances_of_best(draws: np.ndarray) -> np.ndarray:
    """Return the share of draws in which each of n allocations is best; ties are shared.

    Args:
        draws: shape (samples, n).
    """
    best = draws == draws.max(axis=1, keepdims=True)
    return (best / best.sum(axis=1, keepdims=True)).mean(axis=0)


def expected_regrets(draws: np.ndarray) -> np.ndarray:
    """Return what each of n allocations loses to the best of each draw, on average.

    Args:
        draws: shape (samples, n).
    """
    return (draws.max(axis=1, keepdims=True) - draws).mean(axis=0)


@dataclass(frozen=True)
class _Places:
    """Where students are: n seed-set sizes, and queries, shape (n, methods)."""

    seeds: np.ndarray
    queries: np.ndarray

    @property
    def log_ratios(self) -> np.ndarray:
        """Logarithms of queries a seed; 0 for the untrained."""
        total = self.queries.sum(axis=1)
        return np.log(np.where(total > 0, total, self.seeds) / self.seeds)

    @property
    def shares(self) -> np.ndarray:
        """Shares of the methods; zeros for the untrained."""
        return self.queries / np.maximum(self.queries.sum(axis=1, keepdims=True), 1e-300)

    def beyond(self, cells: _Places) -> tuple[np.ndarray, np.ndarray]:
        """Return how far log ratios lie above and below those of the cells of the nearest size."""
        trained = cells.queries.sum(axis=1) > 0
        above, below = np.zeros((2, len(self.seeds)))
        if not trained.any():
            return above, below
        sizes, ratios = np.log(cells.seeds[trained]), cells.log_ratios[trained]
        ours = self.log_ratios
        for seeds in np.unique(self.seeds):
            here = self.seeds == seeds
            far = np.abs(sizes - np.log(seeds))
            near = ratios[far <= far.min() + 1e-9]
            above[here] = np.maximum(0.0, ours[here] - near.max())
            below[here] = np.maximum(0.0, near.min() - ours[here])
        return above, below


def _discrepancy(first: _Places, second: _Places, sizes: _Sizes, cells: _Places) -> np.ndarray:
    """Return the covariance of what the curve misses; the untrained student has none."""
    at, to = first.log_ratios[:, None], second.log_ratios[None, :]
    size = np.log(first.seeds)[:, None] - np.log(second.seeds)[None, :]
    same = first.shares @ second.shares.T
    common = np.outer(first.shares.sum(axis=1) > 0, second.shares.sum(axis=1) > 0)
    distance = np.sqrt(3) * np.sqrt(((at - to) / 1.5) ** 2 + (size / 3.0) ** 2)
    # Matern, 3/2.
    found = sizes.missed**2 * (1 + distance) * np.exp(-distance) * (0.75 * common + 0.5 * same)
    for a, b in zip(first.beyond(cells), second.beyond(cells), strict=True):
        less = np.minimum(a[:, None], b[None, :])
        walk = less**2 * (3 * np.maximum(a[:, None], b[None, :]) - less) / 6
        found = found + 3 * _SLOPE**2 * walk * (_COMMON * common + 0.25 * same)
    return found


def _grid(cells: Cells) -> Iterator[_Sizes]:
    """Yield sizes of the noise; draws of the seeds show only where there are several."""
    draws = _DRAWS if len(np.unique(cells.draws[cells.draws >= 0])) > 1 else (0.02,)
    for run, draw, missed in product(_RUNS, draws, _MISSED):
        yield _Sizes(
            run=run,
            draw=draw,
            missed=missed,
            prior=-0.5 * (np.log(run / 0.045) / 0.7) ** 2
            - 0.5 * (np.log(draw / 0.02) / 0.7) ** 2
            - 0.5 * (missed / 0.06) ** 2,
        )


def _covariance(cells: Cells, sizes: _Sizes) -> np.ndarray:
    """Return that of the cells' logits around the curve."""
    trained = cells.trained
    own = np.where(trained, sizes.run**2, 1e-6)
    own[list(sizes.failed)] += _FAILED_DEVIATION**2
    alike = (cells.draws[:, None] == cells.draws[None, :]) & np.outer(trained, trained)
    places = _Places(cells.seeds, cells.queries)
    return (
        cells.noise
        + np.diag(own + 1e-9)
        + alike * sizes.draw**2 * 100 / cells.seeds[:, None]
        + _discrepancy(places, places, sizes, places)
    )


def _best(cells: Cells, mean: Mean, sizes: _Sizes, starts: Sequence[np.ndarray]) -> _Fit:
    """Return the highest mode that is found from some starts, with its evidence."""
    from scipy.linalg import solve_triangular

    root = np.linalg.cholesky(_covariance(cells, sizes))

    def residuals(deviates: np.ndarray) -> np.ndarray:
        left = cells.logits - mean(deviates, cells.seeds, cells.queries)
        return np.concatenate([solve_triangular(root, left.T, lower=True).T, deviates], axis=1)

    found = [_minimum(residuals, start) for start in starts]
    mode, cost, curvature = min(found, key=lambda one: one[1])
    evidence = (
        sizes.prior
        - 0.5 * cost
        - float(np.log(np.diag(root)).sum())
        - 0.5 * float(np.linalg.slogdet(curvature)[1])
    )
    spread = np.linalg.inv(np.linalg.cholesky(curvature)).T
    return _Fit(sizes, mode, spread, root, evidence)


def _minimum(residuals, start: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:  # noqa: ANN001
    """Return the least sum of squares, by Levenberg and Marquardt: place, value, J'J."""
    step = 1e-4
    at, damping = start, 1e-2
    steps = step * np.eye(len(at))
    for _ in range(40):
        rows = residuals(np.vstack([at, at + steps]))
        here, slopes = rows[0], (rows[1:] - rows[0]) / step
        cost, curvature = float(here @ here), slopes @ slopes.T
        gradient = slopes @ here
        while True:
            damped = curvature + damping * np.diag(np.diag(curvature))
            move = np.linalg.solve(damped, gradient)
            there = residuals((at - move)[None])[0]
            if there @ there < cost or damping > 1e8:
                break
            damping *= 8
        if damping > 1e8:
            break
        gained = cost - float(there @ there)
        at, damping = at - move, max(damping / 5, 1e-9)
        if gained < 1e-3:
            break
    rows = residuals(np.vstack([at, at + steps]))
    slopes = (rows[1:] - rows[0]) / step
    return at, float(rows[0] @ rows[0]), slopes @ slopes.T


def _with_failures(cells: Cells, mean: Mean, fits: Sequence[_Fit]) -> list[_Fit]:
    """Return fits in which cells that lie far off are failed trainings, one more at a time."""
    found: list[_Fit] = []
    base = max(fits, key=lambda fit: fit.evidence)
    failed: tuple[int, ...] = ()
    for _ in range(max(1, int(cells.trained.sum()) // 5)):
        left = cells.logits - mean(base.mode[None], cells.seeds, cells.queries)[0]
        inverse = np.linalg.inv(base.root @ base.root.T)
        # By leaving each out: its residual over its standard deviation.
        off = np.abs(inverse @ left) / np.sqrt(np.diag(inverse))
        off[~cells.trained] = 0.0
        off[list(failed)] = 0.0
        worst = int(off.argmax())
        if off[worst] < _FAR:
            break
        failed = (*failed, worst)
        odds = float(np.log(_FAILED / (1 - _FAILED)))
        sizes = [
            replace(fit.sizes, failed=failed, prior=fit.sizes.prior + len(failed) * odds)
            for fit in fits
        ]
        more: list[_Fit] = []
        for one in sizes:
            more.append(_best(cells, mean, one, [more[-1].mode if more else base.mode]))
        best = max(more, key=lambda fit: fit.evidence)
        if best.evidence < base.evidence - 3:
            break
        found += more
        base = best
    return found


_FAR = 2.0
"""Standard deviations from which a failed training is thought of."""


def _draws(
    cells: Cells, mean: Mean, fit: _Fit, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Return draws of the parameters around a mode, shape (count, parameters)."""
    from scipy.linalg import solve_triangular

    def log_density(deviates: np.ndarray) -> np.ndarray:
        left = cells.logits - mean(deviates, cells.seeds, cells.queries)
        off = solve_triangular(fit.root, left.T, lower=True)
        return -0.5 * ((off**2).sum(axis=0) + (deviates**2).sum(axis=1))

    size, freedom = len(fit.mode), 8
    heavy = np.sqrt(freedom / generator.chisquare(freedom, size=(10 * count, 1)))
    standard = generator.normal(size=(10 * count, size)) * heavy
    proposed = fit.mode + standard @ fit.spread.T
    proposal = -(freedom + size) / 2 * np.log1p((standard**2).sum(axis=1) / freedom)
    weights = log_density(proposed) - proposal
    # No draw stands for more than one of those that are kept.
    weights = np.minimum(weights, np.quantile(weights, 1 - 1 / (10 * count)))
    weights = np.exp(weights - weights.max())
    drawn = proposed[generator.choice(len(proposed), size=count, p=weights / weights.sum())]
    density = log_density(drawn)
    for sweep in range(_SWEEPS):
        length = (2.4, 0.8)[sweep % 2] / np.sqrt(size)
        moved = drawn + length * generator.normal(size=drawn.shape) @ fit.spread.T
        new = log_density(moved)
        taken = np.log(generator.random(count)) < new - density
        drawn = np.where(taken[:, None], moved, drawn)
        density = np.where(taken, new, density)
    return drawn
