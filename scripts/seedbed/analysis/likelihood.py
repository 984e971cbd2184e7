"""Fit one accuracy model to cells by maximum binomial likelihood, once or to many resamples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seedbed.analysis.decay import AccuracyModel, Parameter, Points
from seedbed.analysis.least_squares import Minima, Residuals, minimise

_MAX_EVALUATIONS = 200
_STARTS_AGREE = 0.1
"""Starting points agree if their deviances differ by less: far below what any choice rests on."""


@dataclass(frozen=True)
class CellData:
    """The cells of one group as arrays, one element a cell; the untrained cell is the last, if any.

    Attributes:
        points: where the cells lie.
        accuracy: share of correct items.
        items: number of test items.
        replicate: number of the cell's replicate; 0 for the untrained cell.
    """

    points: Points
    accuracy: np.ndarray
    items: int
    replicate: np.ndarray

    def only(self, kept: np.ndarray) -> CellData:
        """Return the cells that a mask of their shape keeps."""
        points = Points(self.points.method[kept], self.points.seeds[kept], self.points.ratio[kept])
        return replace(
            self, points=points, accuracy=self.accuracy[kept], replicate=self.replicate[kept]
        )


@dataclass(frozen=True)
class ModelFit:
    """A model fitted by maximum likelihood.

    Attributes:
        model: the model.
        parameters: its parameters with the bounds that the fit kept.
        values: parameter values, shape (parameters,).
        deviance: binomial deviance.
        pearson: Pearson's statistic.
        converged: whether the optimiser says so.
        at_bound: names of parameters that ended on a bound.
        agreeing: how many starting points led to this deviance.
        fitted: accuracy at the cells.
    """

    model: AccuracyModel
    parameters: tuple[Parameter, ...]
    values: np.ndarray
    deviance: float
    pearson: float
    converged: bool
    at_bound: tuple[str, ...]
    agreeing: int
    fitted: np.ndarray

    @property
    def parameter_count(self) -> int:
        """The number of free parameters."""
        return len(self.values)


def fit_model(model: AccuracyModel, data: CellData, starts: int, seed: int) -> ModelFit:
    """Fit a model by maximum binomial likelihood, from several seeded starting points.

    The deviance is summed over cells. It is minimised as the sum of squared deviance residuals,
    with analytic derivatives, within the bounds of the parameters; the best of all starting points
    is then followed by SciPy to the end of what rounding allows.
    """
    from scipy.optimize import least_squares

    positive = data.points.ratio > 0
    parameters = tuple(model.parameters(data.points.ratio[positive], data.points.seeds[positive]))
    low, high = _limits(parameters)
    residuals = _residuals(model, parameters, data, data.accuracy[None, :])
    found = _search(parameters, residuals, starts, seed)
    best = int(np.argmin(found.cost))

    def one(fitted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return tuple(part[0] for part in residuals(fitted[None, :], np.zeros(1, dtype=int)))

    # SciPy must start strictly inside the bounds.
    inside = np.clip(found.x[best], low + 1e-6 * (high - low), high - 1e-6 * (high - low))
    polished = least_squares(
        lambda fitted: one(fitted)[0],
        inside,
        jac=lambda fitted: one(fitted)[1],
        bounds=(low, high),
        x_scale="jac",
        ftol=1e-12,
        xtol=1e-12,
        gtol=1e-12,
        max_nfev=_MAX_EVALUATIONS,
    )
    at, cost, converged = found.x[best], found.cost[best], bool(found.converged[best])
    if polished.cost <= cost or not converged:
        at, cost, converged = polished.x, polished.cost, bool(polished.success)
    values = _to_values(parameters, at)
    fitted = model.accuracy(values, data.points)
    variance = np.clip(fitted * (1 - fitted), 1e-12, None) / data.items
    return ModelFit(
        model=model,
        parameters=parameters,
        values=values,
        deviance=float(2 * cost),
        pearson=float(np.sum((data.accuracy - fitted) ** 2 / variance)),
        converged=converged,
        at_bound=tuple(
            parameter.name
            for parameter, value, lowest, highest in zip(parameters, at, low, high, strict=True)
            if min(value - lowest, highest - value) < 1e-3 * (highest - lowest)
        ),
        agreeing=int(np.sum(2 * (found.cost - cost) < _STARTS_AGREE)),
        fitted=fitted,
    )


def refit(
    fit: ModelFit, data: CellData, accuracies: np.ndarray, tolerance: float = 1e-4
) -> tuple[np.ndarray, int]:
    """Fit the same model to other accuracies of the same cells, from its best values.

    Args:
        fit: the fit to start from.
        data: the cells.
        accuracies: accuracies, shape (samples, cells).
        tolerance: as in `minimise`. Where the data hardly tell a parameter, finer steps move it on,
            and no accuracy by 0.0005.

    Returns:
        Parameter values, shape (samples, parameters), and how many fits did not converge.
    """
    residuals, start, low, high = residuals_of(fit, data, accuracies)
    starts = np.repeat(start[None, :], len(accuracies), axis=0)
    found = minimise(residuals, starts, low, high, tolerance)
    return _to_values(fit.parameters, found.x), int(np.sum(~found.converged))


def residuals_of(
    fit: ModelFit, data: CellData, accuracies: np.ndarray
) -> tuple[Residuals, np.ndarray, np.ndarray, np.ndarray]:
    """Return what a refit minimises, as functions and bounds of the parameters as fitted.

    Returns:
        The residuals of rows of accuracies, the fit's own values, and the lower and upper bounds.
    """
    residuals = _residuals(fit.model, fit.parameters, data, accuracies)
    return residuals, _to_fitted(fit.parameters, fit.values), *_limits(fit.parameters)


def held_out_error(fit: ModelFit, data: CellData, starts: int, seed: int) -> float | None:
    """Return how far a model misses the highest budgets when fitted to the rest.

    The highest budget of each seed-set size is held out.

    Returns:
        The root mean square of the misses, a fraction; None where the rest has no more cells than
        the model has parameters.
    """
    points = data.points
    highest = np.zeros(len(points.seeds), dtype=bool)
    for seeds in np.unique(points.seeds):
        of_size = (points.seeds == seeds) & (points.ratio > 0)
        highest |= of_size & (points.ratio == points.ratio[of_size].max())
    rest = data.only(~highest)
    if len(rest.accuracy) <= fit.parameter_count:
        return None
    residuals = _residuals(fit.model, fit.parameters, rest, rest.accuracy[None, :])
    found = _search(fit.parameters, residuals, starts, seed)
    values = _to_values(fit.parameters, found.x[np.argmin(found.cost)])
    held = data.only(highest)
    misses = held.accuracy - fit.model.accuracy(values, held.points)
    return float(np.sqrt(np.mean(misses**2)))


def _search(
    parameters: Sequence[Parameter], residuals: Residuals, starts: int, seed: int
) -> Minima:
    """Minimise from seeded random starting points; all of them have the first row of the data."""
    generator = np.random.default_rng(seed)
    low = _to_fitted(parameters, np.array([p.start_low for p in parameters], dtype=float))
    high = _to_fitted(parameters, np.array([p.start_high for p in parameters], dtype=float))
    points = low + (high - low) * generator.random((starts, len(parameters)))
    return minimise(
        lambda x, _: residuals(x, np.zeros(len(x), dtype=int)), points, *_limits(parameters)
    )


def _limits(parameters: Sequence[Parameter]) -> tuple[np.ndarray, np.ndarray]:
    return (
        _to_fitted(parameters, np.array([p.low for p in parameters], dtype=float)),
        _to_fitted(parameters, np.array([p.high for p in parameters], dtype=float)),
    )


def _to_fitted(parameters: Sequence[Parameter], values: np.ndarray) -> np.ndarray:
    logarithmic = np.array([parameter.logarithmic for parameter in parameters])
    return np.where(logarithmic, np.log(np.where(logarithmic, values, 1.0)), values)


def _to_values(parameters: Sequence[Parameter], fitted: np.ndarray) -> np.ndarray:
    logarithmic = np.array([parameter.logarithmic for parameter in parameters])
    return np.where(logarithmic, np.exp(np.where(logarithmic, fitted, 0.0)), fitted)


def _residuals(
    model: AccuracyModel, parameters: Sequence[Parameter], data: CellData, accuracies: np.ndarray
) -> Residuals:
    """Return the function of deviance residuals of rows of accuracies, shape (rows, cells)."""

    def residuals(fitted: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, gradient = model.accuracy_and_gradient(_to_values(parameters, fitted), data.points)
        return _deviance_residuals(accuracies[rows], mean, gradient, data.items)

    return residuals


def _deviance_residuals(
    accuracy: np.ndarray, mean: np.ndarray, gradient: np.ndarray, items: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return signed roots of the cells' deviances, and their derivatives.

    A residual is sign(y - m) sqrt(2 n [y ln(y/m) + (1-y) ln((1-y)/(1-m))]).
    """
    from scipy.special import rel_entr

    mean = np.clip(mean, 1e-9, 1 - 1e-9)
    distance = accuracy - mean
    entropy = rel_entr(accuracy, mean) + rel_entr(1 - accuracy, 1 - mean)
    # Rounding can leave a small negative number where accuracy and mean agree.
    residuals = np.sign(distance) * np.sqrt(2 * items * np.clip(entropy, 0, None))
    variance = mean * (1 - mean)
    close = np.abs(distance) < 1e-6 * np.sqrt(variance)
    slope = np.where(
        close,
        -np.sqrt(items / variance),
        -items * distance / (variance * np.where(close, 1.0, residuals)),
    )
    residuals = np.where(close, np.sqrt(items / variance) * distance, residuals)
    return residuals, slope[..., None] * gradient
