"""What accuracy to expect of a method at a budget ratio, within the data and beyond it.

Expectations come from two descriptions of the same cells, in equal parts: the fitted curve, which
lends each cell the strength of the others but may have the wrong form, and straight lines in ln BR
between cell means, which have no form but all the noise of single cells. Where the two disagree on
the best method, the advice is as unsure as that; the curve alone was seen to be too sure.

Lines end with the cells. Beyond them they go on as the curve does, as far above or below it as the
last cell means are: what the curve has missed there is taken half on, and nothing jumps. What a
curve fitted to the lower budgets was seen to miss the highest ones by, beyond what the noise of the
cells explains (or, where that is nothing, what noise can hide), is added beyond the data as noise,
once for every step as large as the one that it missed them over.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seedbed.analysis.curves.fits import Fit

_ROUNDING = 1e-9
"""Share by which a ratio may lie beyond the data and still be in it."""


_HIDDEN = 1 / 8
"""Share of the noise's variance that the miss beyond noise has at least. Where it seems to be none,
a quarter of the standard error of what says so, a mean square of some eight held-out cells."""

NOTHING_SAYS = "and no held-out budget says how far to trust curves beyond"


def closest(fit: Fit, seeds: float) -> int:
    """Return the size of the study's seed sets that is nearest, in the logarithm."""
    return min(fit.seeds, key=lambda size: (abs(np.log(size / seeds)), size))


def check_size(fit: Fit, seeds: int) -> None:
    """Check that something is known of a seed-set size, of whatever budget.

    Raises:
        ValueError: if there is no curve and it is not one of the study's sizes.
    """
    sizes = fit.seeds
    if fit.models or seeds in sizes:
        return
    if not sizes[0] <= seeds <= sizes[-1]:
        raise ValueError(outside_text(fit, seeds))
    raise ValueError(
        f"{seeds} seeds: without a fitted curve, only {', '.join(map(str, sizes))} are known"
    )


def outside_text(fit: Fit, seeds: int) -> str:
    """Return that a seed-set size is outside the data."""
    return f"{seeds} seeds: the data has {fit.seeds[0]} to {fit.seeds[-1]}"


def known_ratios(fit: Fit, seeds: float, method: str) -> list[float]:
    """Return the budget ratios of a method's cells with the nearest seed-set size, ascending."""
    return [cell["budget_ratio"] for cell in fit.cells(closest(fit, seeds), method)]


def sizes_beyond(fit: Fit, seeds: float) -> float:
    """Return the factor by which a seed-set size lies beyond those of the data; 1 within."""
    return max(1.0, fit.seeds[0] / seeds, seeds / fit.seeds[-1])


def how_far(fit: Fit, seeds: float, method: str, ratios: np.ndarray) -> np.ndarray:
    """Return the factors by which questions lie beyond the data, in ratio and seeds together.

    Args:
        fit: the fit, with a cell of the method at the nearest seed-set size.
        seeds: seed-set size.
        method: the method.
        ratios: budget ratios, shape (n,).

    Returns:
        Factors, shape (n,); 1 within the data.
    """
    known = known_ratios(fit, seeds, method)
    beyond = np.maximum(1.0, np.maximum(ratios / known[-1], known[0] / ratios))
    beyond *= sizes_beyond(fit, seeds)
    return np.where(beyond <= 1 + _ROUNDING, 1.0, beyond)


def trusted_beyond(fit: Fit, seeds: float, method: str) -> bool:
    """Return whether anything says how far a method's curve can be trusted beyond the data."""
    return _held_out(fit)[1] is not None and len(known_ratios(fit, seeds, method)) > 1


def _held_out(fit: Fit) -> tuple[float, float | None]:
    """Return how far the highest budgets lie beyond the next ones, and how curves miss them.

    The factor is the geometric mean over seed-set sizes. The miss is that of the models by weight,
    less what noise would make of it if their form were right, which their draws have already; but
    at least what noise can hide.
    """
    steps = []
    for seeds in fit.seeds:
        budgets = sorted({cell["budget"] for cell in fit.cells(seeds)})
        steps += [budgets[-1] / budgets[-2]] if len(budgets) > 1 else []
    used = [entry for entry in fit.record["models"] if entry.get("weight")]
    if not steps or not used or any(entry["held_out_error"] is None for entry in used):
        return 1.0, None
    beyond_noise = sum(
        entry["weight"] * (entry["held_out_error"] ** 2 - entry["held_out_noise"] ** 2)
        for entry in used
    )
    noise = sum(entry["weight"] * entry["held_out_noise"] ** 2 for entry in used)
    miss = max(beyond_noise, _HIDDEN * noise) ** 0.5
    return float(np.exp(np.mean(np.log(steps)))), float(miss)


def curve_anywhere(
    fit: Fit, seeds: float, method: str, ratios: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the fitted accuracy at n ratios and its draws, less sure the further beyond the data.

    In a resample the curve of a method misses what lies beyond by one normal draw, in units of
    the miss that is expected that far out.

    Args:
        fit: a fit with a curve, and with `trusted_beyond` if a ratio lies beyond.
        seeds: seed-set size.
        method: the method.
        ratios: budget ratios, shape (n,).

    Returns:
        Accuracies, shape (n,), and draws, shape (samples, n).
    """
    centre, drawn = fit.curve(seeds, method, ratios)
    return centre, _less_sure(fit, seeds, method, ratios, drawn)


def _less_sure(
    fit: Fit, seeds: float, method: str, ratios: np.ndarray, drawn: np.ndarray
) -> np.ndarray:
    """Return draws, shape (samples, n), with noise for what lies beyond the data."""
    beyond = how_far(fit, seeds, method, ratios)
    if (beyond == 1).all():
        return drawn
    step, miss = _held_out(fit)
    generator = np.random.default_rng([fit.methods.index(method), 3])
    noise = generator.normal(size=(len(drawn), 1))
    size = miss * np.log(beyond) / np.log(step)
    return np.where(beyond > 1, np.clip(drawn + size * noise, 0.0, 1.0), drawn)


def anywhere(
    fit: Fit, seeds: float, method: str, ratios: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what to expect at n ratios, within the data or beyond, and its draws.

    Args:
        fit: a fit, with `trusted_beyond` if a ratio lies beyond the data.
        seeds: seed-set size.
        method: a method that has a cell at the nearest seed-set size.
        ratios: budget ratios, shape (n,).

    Returns:
        Accuracies, shape (n,), and draws, shape (samples, n).
    """
    centre, drawn = expected(fit, seeds, method, ratios)
    return centre, _less_sure(fit, seeds, method, ratios, drawn)


def expected(
    fit: Fit, seeds: float, method: str, ratios: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected accuracy at n ratios, and its draws of shape (samples, n).

    With both a curve and means it is their mean, and the draws are those of the one and the other.
    Beyond the cells, means go on as far from the curve as the nearest of them.
    """
    curve, known = fit.curve(seeds, method, ratios), fit.means_range(seeds, method)
    if curve is None:
        return fit.means_at(seeds, method, ratios)
    if known is None:
        return curve
    near, size = np.clip(ratios, *known), np.clip(seeds, fit.seeds[0], fit.seeds[-1])
    means, of_near = fit.means_at(size, method, near), fit.curve(size, method, near)
    found = [
        (of_curve, np.clip(of_means + (of_curve - of_curve_near), 0.0, 1.0))
        for of_curve, of_means, of_curve_near in zip(curve, means, of_near, strict=True)
    ]
    centres, draws = found
    return np.mean(centres, axis=0), np.concatenate(draws)


def drawn_alike(draws: Sequence[np.ndarray]) -> np.ndarray:
    """Return draws of expectations, each of shape (samples, ...), as one array.

    Some may stand on curves alone, with half the draws of those on curves and means: beside the
    means of these stand their curves once more.
    """
    most = max(len(drawn) for drawn in draws)
    return np.stack([np.concatenate([drawn] * (most // len(drawn))) for drawn in draws])


def basis_of(fit: Fit, seeds: float, methods: Sequence[str]) -> str:
    """Return what expectations with a seed-set size stand on: "curve", "means" or both.

    Where only some of the methods have means, it is "curve and means".
    """
    known = any(fit.means_range(seeds, method) for method in methods)
    return " and ".join(["curve"] * bool(fit.models) + ["means"] * known)
