"""The posterior of the curve's parameters, of the noise's standard deviations, and the discrepancy.

Logits of cells are normal around the curve. Their covariance is the sum of the covariances of the
items' sampling error, of training runs, of draws of the seeds (variance proportional to 1/S), and
of the model discrepancy (`discrepancy`). The standard deviations of the last three are on a grid,
weighted by Laplace's approximation of the evidence. An outlying cell may be a failed training, of
any accuracy: fits with and without this assumption are weighted by the evidence, too.

Draws of the parameters are resampled from t proposals at each mode. Metropolis steps then move all
parameters at once, because the posterior is not normal along flat directions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from seedbed.analysis.posterior.cells import Cells
from seedbed.analysis.posterior.discrepancy import Functions, Places, missed_covariance
from seedbed.analysis.posterior.draws import Posterior
from seedbed.analysis.posterior.mean import Mean
from seedbed.analysis.settings import MethodKind

_FAILED = 0.02
"""Prior probability that a training fails."""

_FAILED_DEVIATION = 2.0
"""Standard deviation of a failed training's logit."""

_RUNS = (0.015, 0.03, 0.055, 0.1)
_DRAWS = (0.01, 0.025, 0.06)
_MISSED = (0.02, 0.06, 0.18)
"""Standard deviations, in logits: of training runs, of draws of 100 seeds, of the discrepancy."""

_RUNS_BEYOND, _MISSED_BEYOND = (0.14, 0.2), (0.4,)
"""Larger standard deviations, which are tried if the largest above is likely."""

_LIKELY = 0.2
"""Probability of the largest standard deviation above which larger ones are tried."""

_SWEEPS = 12
"""Metropolis steps per draw."""


@dataclass(frozen=True)
class _Sizes:
    """A point of the grid of standard deviations; `prior` is the logarithm of its prior weight."""

    run: float
    draw: float
    missed: float
    prior: float
    failed: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Fit:
    """A mode: point of the grid, parameters, root of their covariance and of the data's, log
    evidence."""

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
        cells: cells of one task, student, teacher, augmenter and filter.
        kinds: kinds of the methods, in the order of the columns of `cells.queries`.
        samples: number of draws.
        seed: seed of the random numbers.
    """
    generator = np.random.default_rng([seed, len(cells)])
    mean, places = Mean(kinds), Places(cells.seeds, cells.queries)
    if not len(cells):
        return Posterior(
            mean=mean,
            places=places,
            deviates=generator.normal(size=(samples, mean.size)),
            runs=np.full(samples, 0.04),
            draws_of_seeds=np.full(samples, 0.02),
            missed=np.full(samples, 0.06),
            weights=np.zeros((samples, 0)),
            failed={},
            seed=seed,
        )
    starts = [np.zeros(mean.size)]
    starts += [0.5 * generator.normal(size=mean.size) for _ in range(2)]
    first = _best(cells, mean, _Sizes(run=0.03, draw=0.025, missed=0.08, prior=0.0), starts)
    cells = _with_expected_noise(cells, mean(first.mode[None], cells.seeds, cells.queries)[0])
    fits: list[_Fit] = []
    for sizes in _grid(cells, _RUNS, _MISSED):
        fits.append(_best(cells, mean, sizes, [fits[-1].mode if fits else first.mode]))
    runs = _beyond(fits, "run", _RUNS, _RUNS_BEYOND)
    missed = _beyond(fits, "missed", _MISSED, _MISSED_BEYOND)
    known = {(sizes.run, sizes.missed) for sizes in (fit.sizes for fit in fits)}
    for sizes in _grid(cells, runs, missed):
        if (sizes.run, sizes.missed) not in known:
            fits.append(_best(cells, mean, sizes, [fits[-1].mode]))
    fits += _with_failures(cells, mean, fits)
    chances = _chances(fits)
    drawn = np.sort(generator.choice(len(fits), size=samples, p=chances))
    functions = Functions(samples, len(kinds), seed).within(places)
    deviates, weights = np.empty((samples, mean.size)), np.empty((samples, len(cells)))
    for place in np.unique(drawn):
        fit, rows = fits[place], drawn == place
        deviates[rows] = _draws(cells, mean, fit, int(rows.sum()), generator)
        weights[rows] = _told(cells, mean, fit, deviates[rows], functions[rows], generator)
    failed: dict[str, float] = {}
    for fit, chance in zip(fits, chances, strict=True):
        for place in fit.sizes.failed:
            name = cells.names[place]
            failed[name] = failed.get(name, 0.0) + float(chance)
    of_draw = [fits[place].sizes for place in drawn]
    return Posterior(
        mean=mean,
        places=places,
        deviates=deviates,
        runs=np.array([one.run for one in of_draw]),
        draws_of_seeds=np.array([one.draw for one in of_draw]),
        missed=np.array([one.missed for one in of_draw]),
        weights=weights,
        failed=failed,
        seed=seed,
    )


def _with_expected_noise(cells: Cells, expected: np.ndarray) -> Cells:
    """Return the cells with the covariance of the sampling error at the expected accuracies.

    In logits, a cell's variance depends on its accuracy. With strongly correlated errors, variances
    at the measured accuracies would bias the curve away from all cells (Peelle's pertinent puzzle).

    Args:
        cells: the cells.
        expected: expected logits, shape (cells,).
    """
    binomial = [1 / (2 + 2 * np.cosh(logits)) for logits in (cells.logits, expected)]
    scale = np.clip(np.sqrt(binomial[0] / binomial[1]), 0.5, 2.0)
    return replace(cells, noise=cells.noise * np.outer(scale, scale))


def _told(
    cells: Cells,
    mean: Mean,
    fit: _Fit,
    deviates: np.ndarray,
    functions: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return each cell's weight in the update of the drawn functions, shape (draws, cells).

    Args:
        cells: the cells.
        mean: the curve.
        fit: the mode.
        deviates: draws of the parameters, shape (draws, parameters).
        functions: values of the functions drawn from the prior at the cells, for a scale of 1.
        generator: generator of the noise, drawn anew for each draw.
    """
    from scipy.linalg import cho_solve

    missed, places = fit.sizes.missed, Places(cells.seeds, cells.queries)
    noise = fit.root @ fit.root.T - missed**2 * missed_covariance(places, places)
    values, vectors = np.linalg.eigh(noise)
    luck = generator.normal(size=functions.shape) * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    left = cells.logits - mean(deviates, cells.seeds, cells.queries) - missed * functions - luck
    return cho_solve((fit.root, True), left.T).T


def _grid(cells: Cells, runs: Sequence[float], missed: Sequence[float]) -> Iterator[_Sizes]:
    """Yield the points of the grid; only several draws of the seeds identify their variance."""
    draws = _DRAWS if len(np.unique(cells.draws[cells.draws >= 0])) > 1 else (0.02,)
    for run, draw, miss in product(runs, draws, missed):
        yield _Sizes(
            run=run,
            draw=draw,
            missed=miss,
            # Log-normal for training runs and draws, half-Cauchy for the discrepancy: if few cells
            # deviate from the curve, a wrong curve explains it better than trainings that vary by
            # three points.
            prior=-0.5 * (np.log(run / 0.045) / 0.5) ** 2
            - 0.5 * (np.log(draw / 0.02) / 0.7) ** 2
            - np.log1p((miss / 0.06) ** 2),
        )


def _chances(fits: Sequence[_Fit]) -> np.ndarray:
    """Return the posterior probabilities of modes, from their evidence."""
    evidence = np.array([fit.evidence for fit in fits])
    chances = np.exp(evidence - evidence.max())
    return chances / chances.sum()


def _beyond(
    fits: Sequence[_Fit], name: str, sizes: Sequence[float], beyond: Sequence[float]
) -> tuple[float, ...]:
    """Return the standard deviations to try, with larger ones if the largest is likely."""
    largest = np.array([getattr(fit.sizes, name) == sizes[-1] for fit in fits])
    return (*sizes, *beyond) if _chances(fits)[largest].sum() > _LIKELY else tuple(sizes)


def _covariance(cells: Cells, sizes: _Sizes) -> np.ndarray:
    """Return the covariance of the cells' logits around the curve."""
    trained = cells.trained
    own = np.where(trained, sizes.run**2, 1e-6)
    own[list(sizes.failed)] += _FAILED_DEVIATION**2
    alike = (cells.draws[:, None] == cells.draws[None, :]) & np.outer(trained, trained)
    places = Places(cells.seeds, cells.queries)
    return (
        cells.noise
        + np.diag(own + 1e-9)
        + alike * sizes.draw**2 * 100 / cells.seeds[:, None]
        + sizes.missed**2 * missed_covariance(places, places)
    )


def _best(cells: Cells, mean: Mean, sizes: _Sizes, starts: Sequence[np.ndarray]) -> _Fit:
    """Return the highest mode that is found from the starts, with its evidence."""
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
    """Minimize a sum of squares (Levenberg-Marquardt); return the minimum's place, value, J'J."""
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
    """Return fits that treat outlying cells as failed trainings, one more at a time."""
    found: list[_Fit] = []
    base = max(fits, key=lambda fit: fit.evidence)
    failed: tuple[int, ...] = ()
    for _ in range(max(1, int(cells.trained.sum()) // 5)):
        left = cells.logits - mean(base.mode[None], cells.seeds, cells.queries)[0]
        inverse = np.linalg.inv(base.root @ base.root.T)
        # Leave-one-out residuals: by how many standard deviations each cell lies below the fit to
        # the others. A failed training is never above it.
        off = -(inverse @ left) / np.sqrt(np.diag(inverse))
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
"""Standard deviations below the curve from which a failed training is considered."""


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
    # Cap the importance weights, so that no proposal is expected to be kept more than once.
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
