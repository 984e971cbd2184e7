"""Many small least-squares problems at once: those of a bootstrap, or of many starting points.

SciPy minimises one problem at a time, and most of that time is Python's. Here all problems take
each step together, as arrays. Method: Levenberg-Marquardt with Marquardt's scaling (Marquardt 1963,
doi 10.1137/0111030); parameters at a bound that their gradient points out of are held for a step
(projection, as in Kanzow, Yamashita & Fukushima 2004, doi 10.1016/j.cam.2004.02.013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Residuals = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From parameters, shape (k, parameters), and the k numbers of their problems: residuals, shape
(k, n), and their derivatives, shape (k, n, parameters)."""

_FIRST_DAMPING = 1e-2
_DAMPING = (1e-9, 1e9)


@dataclass(frozen=True)
class Minima:
    """What `minimise` found, one row a problem.

    Attributes:
        x: parameters, shape (problems, parameters).
        cost: half the sum of squared residuals, shape (problems,).
        converged: whether the last steps gained next to nothing, shape (problems,).
    """

    x: np.ndarray
    cost: np.ndarray
    converged: np.ndarray


def minimise(
    residuals: Residuals,
    start: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    tolerance: float = 1e-6,
    steps: int = 200,
) -> Minima:
    """Minimise sums of squares within bounds, from one starting point for each problem.

    Args:
        residuals: function of parameters and of the problems' numbers.
        start: starting points, shape (problems, parameters); they are moved into the bounds.
        low: lower bounds, shape (parameters,).
        high: upper bounds, shape (parameters,).
        tolerance: a problem has converged when a step lowers its cost by less than this share of
            it, plus a hundredth of it as a number.
        steps: most steps.
    """
    x = np.clip(start, low, high)
    count = len(x)
    everything = np.arange(count)
    converged = np.zeros(count, dtype=bool)
    damping = np.full(count, _FIRST_DAMPING)
    values, slopes = residuals(x, everything)
    cost = 0.5 * np.sum(values**2, axis=1)
    gradient, curvature = _normal(values, slopes)
    active = everything
    for _ in range(steps):
        if not len(active):
            break
        step = _step(x[active], gradient[active], curvature[active], damping[active], low, high)
        tried = np.clip(x[active] + step, low, high)
        values, slopes = residuals(tried, active)
        found = 0.5 * np.sum(values**2, axis=1)
        better = found <= cost[active]
        small = np.abs(cost[active] - found) <= tolerance * (cost[active] + 0.01)
        rows = active[better]
        x[rows], cost[rows] = tried[better], found[better]
        gradient[rows], curvature[rows] = _normal(values[better], slopes[better])
        damping[active] = np.clip(damping[active] * np.where(better, 0.2, 8.0), *_DAMPING)
        # A step that is refused and as small as this one would be accepted nowhere.
        stuck = ~better & (damping[active] >= _DAMPING[1])
        done = (better & small) | stuck
        converged[active[done]] = True
        active = active[~done]
    return Minima(x, cost, converged)


def _normal(values: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    transposed = np.swapaxes(slopes, 1, 2)
    return (transposed @ values[..., None])[..., 0], transposed @ slopes


def _step(
    x: np.ndarray,
    gradient: np.ndarray,
    curvature: np.ndarray,
    damping: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """Return the damped Gauss-Newton step of every problem, with held parameters left alone."""
    held = ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0))
    diagonal = np.einsum("kpp->kp", curvature).copy()
    # What the data do not tell at all must still be a system that can be solved.
    scale = np.maximum(diagonal, 1e-12 + 1e-9 * diagonal.max(axis=1, keepdims=True))
    system = np.where(held[:, :, None] | held[:, None, :], 0.0, curvature)
    places = np.arange(x.shape[1])
    system[:, places, places] = np.where(held, 1.0, diagonal + damping[:, None] * scale)
    right = np.where(held, 0.0, -gradient)
    return np.linalg.solve(system, right[..., None])[..., 0]
