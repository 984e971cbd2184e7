"""Fit one accuracy model to cells by maximum binomial likelihood, once or to many resamples.

Cells that share a draw of the seeds share a random effect of it, on the accuracy: normal, of mean 0
and, for S seeds, of variance 1/S times that of one seed. The effects are estimated with the
parameters by maximum penalised likelihood (h-likelihood: Lee & Nelder 1996, doi
10.1111/j.2517-6161.1996.tb02105.x): to the binomial deviance comes the sum of squared effects over
their variance, times the dispersion. The parameters are then those of the marginal likelihood by
Laplace's approximation, in which the cells of one draw are correlated: many cells of one draw do
not count as if each had seeds of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seedbed.analysis.curves.decay import AccuracyModel, Parameter, Points
from seedbed.analysis.curves.least_squares import Minima, Residuals, minimise

_MAX_EVALUATIONS = 200
_FURTHEST = 6.0
"""Bound of an effect, in its standard deviations."""

_REFIT_TOLERANCE = 1e-4
"""Of `minimise`, for resamples. Where the data hardly tell a parameter, finer steps move it on, and
no accuracy by 0.0005."""

_STARTS_AGREE = 0.1
"""Starting points agree if their deviances differ by less: far below what any choice rests on."""


@dataclass(frozen=True)
class CellData:
    """The cells of one group as arrays, one element a cell; the untrained cell is the last, if any.

    Attributes:
        points: where the cells lie.
        accuracy: share of correct items.
        items: number of test items, or, of grades, of items that are right or wrong whose share has
            the variance of the mean grade.
        replicate: number of the cell's replicate; 0 for the untrained cell.
        seed_variance: variance of a draw's effect on the accuracy, for one seed; a draw of S seeds
            has a share 1/S of it. With 0 there are no effects.
        dispersion: variance of a cell around its curve and its draw, over the binomial one. It
            weighs the effects against the cells.
    """

    points: Points
    accuracy: np.ndarray
    items: float
    replicate: np.ndarray
    seed_variance: float = 0.0
    dispersion: float = 1.0

    def draws(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which draws of the seeds there are, and which cells are of each.

        Returns:
            Seed-set size and replicate, shape (draws, 2); and 1 for the cells of a draw, otherwise
            0, shape (draws, cells). The untrained cell is of no draw.
        """
        trained = self.points.ratio > 0
        places = np.stack([self.points.seeds, self.replicate], axis=1)
        found = np.unique(places[trained], axis=0)
        of_draw = (places[None, :, :] == found[:, None, :]).all(axis=2) & trained
        return found, of_draw.astype(float)

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
        effects: effects of the draws of the seeds, in the order of `CellData.draws`; empty if the
            data have no variance of them.
        deviance: binomial deviance, and what the effects cost.
        pearson: Pearson's statistic, around the curve and the effects.
        freedom: cells less parameters and the effective number of effects.
        converged: whether the optimiser says so.
        at_bound: names of parameters that ended on a bound.
        agreeing: how many starting points led to this deviance.
        fitted: accuracy at the cells, of a draw without an effect.
        with_effects: the same with the effects of their draws.
    """

    model: AccuracyModel
    parameters: tuple[Parameter, ...]
    values: np.ndarray
    effects: np.ndarray
    deviance: float
    pearson: float
    freedom: float
    converged: bool
    at_bound: tuple[str, ...]
    agreeing: int
    fitted: np.ndarray
    with_effects: np.ndarray

    @property
    def parameter_count(self) -> int:
        """The number of free parameters."""
        return len(self.values)


def fit_model(model: AccuracyModel, data: CellData, starts: int, seed: int) -> ModelFit:
    """Fit a model by maximum penalised likelihood, from several seeded starting points.

    The deviance is summed over cells. It is minimised as the sum of squared deviance residuals,
    with analytic derivatives, within the bounds of the parameters; the best of all starting points
    is then followed by SciPy to the end of what rounding allows.
    """
    positive = data.points.ratio > 0
    parameters = tuple(model.parameters(data.points.ratio[positive], data.points.seeds[positive]))
    problem = _Problem(model, parameters, data)
    residuals = problem.residuals(data.accuracy[None, :])
    found = _search(problem, residuals, starts, seed)
    at, cost, converged = _polished(problem, residuals, found)
    count = len(parameters)
    values, effects = to_values(parameters, at[:count]), at[count:]
    fitted = model.accuracy(values, data.points)
    means = np.clip(fitted + effects @ problem.of_draw, 1e-9, 1 - 1e-9)
    variance = means * (1 - means) / data.items
    # An effect that its penalty holds at nothing takes no freedom, one that it leaves alone one.
    told = problem.of_draw @ (1 / variance)
    return ModelFit(
        model=model,
        parameters=parameters,
        values=values,
        effects=effects,
        deviance=float(2 * cost),
        pearson=float(np.sum((data.accuracy - means) ** 2 / variance)),
        freedom=float(len(data.accuracy) - count - np.sum(told / (told + problem.penalty**2))),
        converged=converged,
        at_bound=tuple(
            parameter.name
            for parameter, value, lowest, highest in zip(
                parameters, at, problem.low, problem.high, strict=False
            )
            if min(value - lowest, highest - value) < 1e-3 * (highest - lowest)
        ),
        agreeing=int(np.sum(2 * (found.cost - cost) < _STARTS_AGREE)),
        fitted=fitted,
        with_effects=fitted + effects @ problem.of_draw,
    )


@dataclass(frozen=True)
class Refits:
    """A model fitted to other accuracies of the same cells.

    Attributes:
        values: parameter values, shape (samples, parameters).
        with_effects: accuracy at the cells, with the effects of their draws, shape
            (samples, cells).
        deviance: as of `ModelFit`, shape (samples,).
        failed: how many fits did not converge.
    """

    values: np.ndarray
    with_effects: np.ndarray
    deviance: np.ndarray
    failed: int


def refit(
    fit: ModelFit, data: CellData, accuracies: np.ndarray, tolerance: float = _REFIT_TOLERANCE
) -> Refits:
    """Fit the same model to other accuracies of the same cells, from its best values.

    Args:
        fit: the fit to start from.
        data: the cells.
        accuracies: accuracies, shape (samples, cells).
        tolerance: as in `minimise`.
    """
    residuals, start, low, high = residuals_of(fit, data, accuracies)
    starts = np.repeat(start[None, :], len(accuracies), axis=0)
    found = minimise(residuals, starts, low, high, tolerance)
    values = to_values(fit.parameters, found.x[:, : fit.parameter_count])
    fitted = fit.model.accuracy(values, data.points)
    effects = found.x[:, fit.parameter_count :]
    if effects.shape[1]:
        fitted = fitted + effects @ data.draws()[1]
    return Refits(values, fitted, 2 * found.cost, int(np.sum(~found.converged)))


def residuals_of(
    fit: ModelFit, data: CellData, accuracies: np.ndarray
) -> tuple[Residuals, np.ndarray, np.ndarray, np.ndarray]:
    """Return what a refit minimises, as functions and bounds of parameters and effects as fitted.

    Returns:
        The residuals of rows of accuracies, the fit's own values, and the lower and upper bounds.
    """
    problem = _Problem(fit.model, fit.parameters, data)
    start = np.concatenate([_to_fitted(fit.parameters, fit.values), fit.effects])
    return problem.residuals(accuracies), start, problem.low, problem.high


@dataclass(frozen=True)
class HeldOut:
    """A model fitted without the highest budget of each seed-set size.

    Attributes:
        fit: the fit to all cells.
        data: all cells.
        highest: whether a cell is held out, shape (cells,).
        problem: what is minimised over the rest.
        best: parameters as fitted and effects of the best fit to the rest.
    """

    fit: ModelFit
    data: CellData
    highest: np.ndarray
    problem: _Problem
    best: np.ndarray

    def error(self) -> float:
        """Return how far the model misses the highest budgets: the root mean square, a fraction."""
        return float(np.sqrt(np.mean(self._misses(self.data.accuracy, self.best) ** 2)))

    def noise(self, accuracies: np.ndarray) -> float:
        """Return how far a model of the right form would miss the highest budgets, by noise alone.

        It is how the misses differ between resamples; the model is fitted anew to each
        without the highest budgets. Each cell's standard deviation is taken from the middle 95% of
        the resamples: curves that are fitted to few budgets can lie far out beyond them.

        Args:
            accuracies: accuracies of all cells in resamples, with all their noise, shape
                (samples, cells).

        Returns:
            The root mean square over the highest budgets, a fraction.
        """
        found = minimise(
            self.problem.residuals(accuracies[:, ~self.highest]),
            np.repeat(self.best[None, :], len(accuracies), axis=0),
            self.problem.low,
            self.problem.high,
            _REFIT_TOLERANCE,
        )
        low, high = np.quantile(self._misses(accuracies, found.x), [0.025, 0.975], axis=0)
        return float(np.sqrt(np.mean(((high - low) / (2 * 1.96)) ** 2)))

    def _misses(self, accuracy: np.ndarray, fitted: np.ndarray) -> np.ndarray:
        """Return how far the held-out cells lie above what was fitted to the rest.

        Args:
            accuracy: accuracies of all cells, shape (..., cells).
            fitted: parameters as fitted and effects, shape (..., parameters + draws).

        Returns:
            Shape (..., held out).
        """
        values = to_values(self.fit.parameters, fitted[..., : self.fit.parameter_count])
        points = self.data.only(self.highest).points
        return accuracy[..., self.highest] - self.fit.model.accuracy(values, points)


def hold_out(fit: ModelFit, data: CellData, starts: int, seed: int) -> HeldOut | None:
    """Fit a model to the cells without the highest budget of each seed-set size.

    Returns:
        The fit; None where the rest has no more cells than the model has parameters.
    """
    points = data.points
    highest = np.zeros(len(points.seeds), dtype=bool)
    for seeds in np.unique(points.seeds):
        of_size = (points.seeds == seeds) & (points.ratio > 0)
        highest |= of_size & (points.ratio == points.ratio[of_size].max())
    rest = data.only(~highest)
    if len(rest.accuracy) <= fit.parameter_count:
        return None
    problem = _Problem(fit.model, fit.parameters, rest)
    found = _search(problem, problem.residuals(rest.accuracy[None, :]), starts, seed)
    return HeldOut(fit, data, highest, problem, found.x[np.argmin(found.cost)])


def means_deviance(data: CellData, place: np.ndarray) -> float:
    """Return the deviance of the model that gives every place a mean of its own.

    Args:
        data: the cells.
        place: number of each cell's place, from 0, shape (cells,).
    """
    means = np.bincount(place, weights=data.accuracy) / np.bincount(place)
    mean = Parameter("mean", "fraction", "accuracy of a place", False, 0, 1, 0, 1)
    problem = _Problem(_Means(place), [mean] * len(means), data)
    start = np.concatenate([means, np.zeros(len(problem.penalty))])[None, :]
    found = minimise(
        problem.residuals(data.accuracy[None, :]), start, problem.low, problem.high, tolerance=1e-9
    )
    return float(2 * found.cost[0])


@dataclass(frozen=True)
class _Means:
    """The saturated model: an accuracy of its own for each place, told by its number."""

    place: np.ndarray

    def accuracy_and_gradient(
        self, values: np.ndarray, points: Points
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the accuracies of the cells, and their derivatives by those of the places."""
        gradient = np.eye(values.shape[-1])[self.place]
        return values[..., self.place], np.broadcast_to(gradient, (len(values), *gradient.shape))


class _Problem:
    """What is minimised: deviance residuals of the cells, and the penalties of the effects.

    Attributes:
        of_draw: 1 for the cells of a draw, shape (draws, cells).
        penalty: residual of an effect over the effect, shape (draws,).
        low: lower bounds of parameters as fitted and effects, shape (parameters + draws,).
        high: upper bounds.
    """

    def __init__(
        self, model: AccuracyModel | _Means, parameters: Sequence[Parameter], data: CellData
    ) -> None:
        self._model, self._data, self.parameters = model, data, tuple(parameters)
        draws, self.of_draw = data.draws()
        if data.seed_variance == 0:
            draws, self.of_draw = draws[:0], self.of_draw[:0]
        spread = np.sqrt(data.seed_variance / draws[:, 0])
        self.penalty = np.sqrt(data.dispersion) / spread
        low, high = _limits(self.parameters)
        self.low = np.concatenate([low, -_FURTHEST * spread])
        self.high = np.concatenate([high, _FURTHEST * spread])

    def residuals(self, accuracies: np.ndarray) -> Residuals:
        """Return the function of residuals of rows of accuracies, shape (rows, cells)."""
        count = len(self.penalty)

        def residuals(fitted: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            split = fitted.shape[-1] - count
            values, effects = to_values(self.parameters, fitted[:, :split]), fitted[:, split:]
            mean, slopes = self._model.accuracy_and_gradient(values, self._data.points)
            if not count:
                return _deviance_residuals(accuracies[rows], mean, slopes, self._data.items)
            by_effect = np.broadcast_to(self.of_draw.T, (len(fitted), *self.of_draw.T.shape))
            found, slopes = _deviance_residuals(
                accuracies[rows],
                mean + effects @ self.of_draw,
                np.concatenate([slopes, by_effect], axis=-1),
                self._data.items,
            )
            penalties = np.zeros((len(fitted), count, fitted.shape[-1]))
            penalties[:, :, split:] = np.diag(self.penalty)
            return (
                np.concatenate([found, effects * self.penalty], axis=-1),
                np.concatenate([slopes, penalties], axis=-2),
            )

        return residuals


def _polished(
    problem: _Problem, residuals: Residuals, found: Minima
) -> tuple[np.ndarray, float, bool]:
    """Return the best of some minima as SciPy leaves it, its cost, and whether it converged."""
    from scipy.optimize import least_squares

    best = int(np.argmin(found.cost))
    low, high = problem.low, problem.high

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
    return at, float(cost), converged


def _search(problem: _Problem, residuals: Residuals, starts: int, seed: int) -> Minima:
    """Minimise from seeded random starting points; all of them have the first row of the data."""
    generator = np.random.default_rng(seed)
    parameters = problem.parameters
    low = _to_fitted(parameters, np.array([p.start_low for p in parameters], dtype=float))
    high = _to_fitted(parameters, np.array([p.start_high for p in parameters], dtype=float))
    points = low + (high - low) * generator.random((starts, len(parameters)))
    points = np.concatenate([points, np.zeros((starts, len(problem.penalty)))], axis=1)
    return minimise(
        lambda x, _: residuals(x, np.zeros(len(x), dtype=int)), points, problem.low, problem.high
    )


def _limits(parameters: Sequence[Parameter]) -> tuple[np.ndarray, np.ndarray]:
    return (
        _to_fitted(parameters, np.array([p.low for p in parameters], dtype=float)),
        _to_fitted(parameters, np.array([p.high for p in parameters], dtype=float)),
    )


def _to_fitted(parameters: Sequence[Parameter], values: np.ndarray) -> np.ndarray:
    logarithmic = np.array([parameter.logarithmic for parameter in parameters])
    return np.where(logarithmic, np.log(np.where(logarithmic, values, 1.0)), values)


def to_values(parameters: Sequence[Parameter], fitted: np.ndarray) -> np.ndarray:
    """Return parameters' values from the numbers as fitted, shape (..., parameters)."""
    logarithmic = np.array([parameter.logarithmic for parameter in parameters])
    return np.where(logarithmic, np.exp(np.where(logarithmic, fitted, 0.0)), fitted)


def _deviance_residuals(
    accuracy: np.ndarray, mean: np.ndarray, gradient: np.ndarray, items: float
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
