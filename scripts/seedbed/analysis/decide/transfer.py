"""Advice for a task without results, from those of other tasks with the same models and filter.

Their expectations are taken for draws from one normal distribution on the logit scale, joint for
all methods, whose spread between tasks is estimated along with it (a random-effects model: Higgins,
Thompson & Spiegelhalter 2009, doi 10.1111/j.1467-985X.2008.00552.x), and the advice is for a new
draw. Costs are the geometric means of the tasks'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seedbed.analysis.curves import FURTHEST, Curves, Noise
from seedbed.analysis.decide.advise import (
    Advice,
    Expectations,
    Plan,
    Prospect,
    Taken,
    budgets_between,
    expectations,
    least_budget,
    outlook_of,
    ranked,
)
from seedbed.analysis.decide.choices import Choice, Spending
from seedbed.analysis.decide.costs import MEASURES, CostLine, Prices, cost_line, mean_line
from seedbed.analysis.decide.design import Candidate, Further, NextCell, best_cells, doublings

_NEEDS_TWO = "it takes two other tasks to tell how much tasks differ"

_DRAWS = 4000
"""Draws that a new task has at least: with fewer, the ends of its long tails are left to luck."""


def transferred_advice(
    fits: Sequence[Curves],
    seeds: int,
    budget: int | None = None,
    confidence: float = 0.95,
    usd: float | None = None,
    prices: Prices | None = None,
) -> Advice:
    """Return advice for a task without results, from fits of other tasks with the same models.

    Args:
        fits: the fits, one a task.
        seeds: seed-set size.
        budget: teacher queries; or
        usd: US dollars, which buy each method a budget of its own.
        confidence: coverage of the intervals.
        prices: by model, what its tokens cost.

    Raises:
        ValueError: if fewer than two of them have something to say of the seeds and the budget, or
            if a price is needed and not known.
    """
    prices = prices or {}
    names = list(dict.fromkeys(method for fit in fits for method in fit.methods))
    if len(fits) < 2:
        raise ValueError(_NEEDS_TWO)
    if usd is not None:
        budgets = _budgets_for(fits, seeds, usd, prices)
    elif budget is not None:
        budgets = dict.fromkeys(names, budget)
    else:
        raise ValueError("a budget is needed: teacher queries or US dollars")
    found, kept, reasons = [], [], []
    for fit in fits:
        try:
            found.append(expectations(fit, seeds, budgets))
            kept.append(fit)
        except ValueError as error:
            reasons.append(f"{fit.group.task}: {error}")
    if len(found) < 2:
        raise ValueError("; ".join([*reasons, _NEEDS_TWO]))
    names = [name for name in found[0].budgets if all(name in one.budgets for one in found)]
    if not names:
        raise ValueError("the tasks have no method in common")
    places = [[list(one.budgets).index(name) for name in names] for one in found]
    joint, new = _new_task(
        [(one.centres[at], one.draws[at]) for one, at in zip(found, places, strict=True)]
    )
    bought = {name: budgets[name] for name in names}
    beyond = max(one.beyond for one in found)
    said = outlook_of(
        Expectations(bought, beyond, joint, new),
        confidence,
        [_spending(kept, seeds, name, bought[name], prices) for name in names],
    )
    advice = Advice(seeds, budget, usd, "other tasks", beyond, tuple(said), confidence)
    return replace(advice, next_cells=_pilots(kept, advice, prices))


def transferred_plans(
    fits: Sequence[Curves],
    seeds: int,
    target: float,
    confidence: float = 0.95,
    prices: Prices | None = None,
) -> list[Plan]:
    """Return the least budgets that are expected to reach an accuracy in a task without results.

    Budgets are looked for where every one of the tasks was measured, with the nearest seed-set
    size. Beyond their seed-set sizes curves are trusted as little as by `advise`.

    Args:
        fits: fits of other tasks with the same models, one a task.
        seeds: seed-set size.
        target: accuracy, a fraction.
        confidence: coverage of the intervals.
        prices: by model, what its tokens cost.

    Returns:
        The methods, as by `advise.plans`.

    Raises:
        ValueError: if there are fewer than two tasks, or no method has budgets in all of them.
    """
    if len(fits) < 2:
        raise ValueError(_NEEDS_TWO)
    found = []
    for method in _methods(fits, seeds):
        span = _common(fits, seeds, method)
        if span is None:
            continue
        budgets = budgets_between(seeds, *span)
        centres = [fit.accuracy(seeds, method, budgets / seeds).centre for fit in fits]

        def draws(budget: int, method: str = method) -> np.ndarray:
            at = np.array([budget / seeds])
            parts = [fit.accuracy(seeds, method, at) for fit in fits]
            return _new_task([(centre, drawn.T) for centre, drawn in parts])[1][0]

        prospect = Prospect(
            method=method,
            budgets=budgets,
            centres=_share(_logit(np.stack(centres)).mean(axis=0)),
            draws=draws,
            beyond=np.max([fit.beyond(seeds, method, budgets / seeds) for fit in fits], axis=0),
            lines={m: _line(fits, seeds, method, m, prices or {})[0] for m in MEASURES},
            shares={method: 1.0},
        )
        found.append(least_budget(prospect, target, confidence))
    if not found:
        raise ValueError(f"no method has budgets for {seeds} seeds that all of the tasks cover")
    return ranked(found)


def _methods(fits: Sequence[Curves], seeds: int) -> list[str]:
    """Return the methods that all tasks have at a seed-set size that is near enough."""
    return [
        method
        for method in fits[0].methods
        if all(method in fit.methods and fit.ratios(seeds, method) for fit in fits)
        and all(fit.beyond_sizes(seeds) <= FURTHEST for fit in fits)
    ]


def _common(fits: Sequence[Curves], seeds: int, method: str) -> tuple[float, float] | None:
    """Return the budget ratios that all tasks cover, or None if there are none."""
    known = [fit.ratios(seeds, method) for fit in fits]
    low, high = max(one[0] for one in known), min(one[-1] for one in known)
    return (low, high) if low <= high else None


def _budgets_for(fits: Sequence[Curves], seeds: int, usd: float, prices: Prices) -> dict[str, int]:
    """Return the teacher queries that an amount buys in each method that all tasks have.

    Raises:
        ValueError: if what a method costs is not known, or the amount does not buy a query.
    """
    budgets = {}
    for method in fits[0].methods:
        if not all(fit.cells(fit.nearest_size(seeds), method) for fit in fits):
            continue
        line, unknown = _line(fits, seeds, method, "usd", prices)
        if line is None:
            raise ValueError(f"usd: what {method} costs is not known: {'; '.join(unknown)}")
        budgets[method] = int(line.budget(usd))
        if budgets[method] < 1:
            raise ValueError(f"usd: {usd:g} does not pay for a query of {method}")
    if not budgets:
        raise ValueError("the tasks have no method in common")
    return budgets


def _line(
    fits: Sequence[Curves], seeds: int, method: str, measure: str, prices: Prices
) -> tuple[CostLine | None, list[str]]:
    """Return what budgets cost on the geometric mean of tasks, and what is not known of it."""
    found = [cost_line(fit, fit.nearest_size(seeds), method, measure, prices) for fit in fits]
    lines = [line for line, _ in found if line is not None]
    if len(lines) == len(fits):
        return mean_line(lines), []
    return None, list(dict.fromkeys(text for _, missing in found for text in missing))


def _spending(
    fits: Sequence[Curves], seeds: int, method: str, budget: int, prices: Prices
) -> Taken:
    """Return what a method's budget takes, on the mean of tasks."""
    choice = Choice(method, {method: 1.0}, budget)
    counted = [Spending.of(fit, seeds, prices).further(choice) for fit in fits]
    lines = {m: _line(fits, seeds, method, m, prices)[0] for m in MEASURES}
    return Taken(
        _mean([augmenter for augmenter, _ in counted]),
        _mean([further for _, further in counted]),
        {m: None if line is None else float(line.of(budget)) for m, line in lines.items()},
    )


def _mean(counts: Sequence[float | None]) -> float | None:
    known = [count for count in counts if count is not None]
    return float(np.mean(known)) if len(known) == len(counts) else None


def _pilots(fits: Sequence[Curves], advice: Advice, prices: Prices) -> tuple[NextCell, ...]:
    """Return cells of the new task that would tell most about the lead, for what they cost.

    They are of the two methods, and looked for where all tasks were measured: few tasks differ in
    few ways, so that a cell of a third method would seem to tell much of the lead by that alone.
    The same makes one cell seem to tell more of others than it may; it is a rough guide. The noise
    of a measurement is the tasks' mean.
    """
    if len(advice.outlook) < 2:
        return ()
    seeds = advice.seeds
    first, second = advice.outlook[:2]
    cells = []
    for method in (first.method, second.method):
        span = _common(fits, seeds, method) if method in _methods(fits, seeds) else None
        if span is not None:
            cells += [Candidate(method, seeds, budget, True) for budget in doublings(seeds, *span)]
    asked = [(entry.method, entry.budget) for entry in (first, second)]
    asked += [(cell.method, cell.budget) for cell in cells]
    parts = []
    for fit in fits:
        found = [fit.accuracy(seeds, method, np.array([b / seeds])) for method, b in asked]
        fewest = min(len(drawn) for _, drawn in found)
        centres = np.array([centre[0] for centre, _ in found])
        parts.append((centres, np.stack([drawn[:fewest, 0] for _, drawn in found])))
    centres, new = _new_task(parts)
    noises = [
        Noise(float(np.mean([sum(fit.noise(seeds, share)) for fit in fits])), 0.0)
        for share in centres[2:]
    ]
    further = Further(
        list(zip(cells, new[2:], noises, strict=True)),
        {
            (seeds, method): _line(fits, seeds, method, "usd", prices)[0]
            for method in dict.fromkeys(cell.method for cell in cells)
        },
    )
    return best_cells(new[:2].T, further)


def _new_task(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return accuracies to expect of a new task, and draws of them, from those of each task.

    Args:
        parts: by task, accuracies, shape (n,), and their draws, shape (n, samples of the task).
    """
    fewest = min(drawn.shape[1] for _, drawn in parts)
    centres = np.stack([_logit(centre) for centre, _ in parts])
    draws = np.stack([_logit(drawn[:, :fewest]) for _, drawn in parts])
    return _share(centres.mean(axis=0)), _share(new_task_draws(centres, draws))


def new_task_draws(centres: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return draws of a new task's expectations from those of k tasks.

    The covariance of the tasks' centres is that between tasks and that of what their draws leave
    open of each, together. As it is estimated from k tasks, each draw has it times (k - 1) / chi^2
    of k - 1 degrees of freedom. What the draws leave open is taken off, and what then is no
    covariance is left out (Amemiya 1985, The American Statistician 39): the rest is between tasks.
    A new task deviates by as much from a mean, of which the k tasks leave open a k-th of either (a
    generalized pivotal quantity, as Weerahandi 1993, JASA 88, has them for one variance).

    Simulated, 95% intervals cover 94 to 96% for two to eight tasks that differ by twice as much as
    is left open of each, or more; tasks that hardly differ are covered more often, as few tasks
    cannot show that they are alike.

    Args:
        centres: by task and method, shape (k, methods).
        draws: shape (k, methods, samples).

    Returns:
        Draws, shape (methods, as many as samples, or a multiple that is `_DRAWS` at least).
    """
    count, methods, samples = draws.shape
    seen = np.atleast_2d(np.cov(centres, rowvar=False))
    left_open = np.mean([np.atleast_2d(np.cov(one)) for one in draws], axis=0)
    # Draws of neighbouring budgets hardly differ: without a little more, there is no inverse.
    ridge = 1e-6 * np.trace(left_open) / methods + 1e-12
    root = np.linalg.cholesky(left_open + ridge * np.eye(methods))
    inverse = np.linalg.inv(root)
    ratios, directions = np.linalg.eigh(inverse @ seen @ inverse.T)
    generator = np.random.default_rng([count, methods, 4])
    times = -(-_DRAWS // samples)
    samples *= times
    heavy = (count - 1) / generator.chisquare(count - 1, samples)
    between = np.clip(ratios[:, None] * heavy - 1, 0.0, None) * (1 + 1 / count)
    normal = generator.normal(size=(methods, samples))
    # What the tasks leave open is independent: their draws must not be in one order.
    mixed = [np.tile(one, times)[:, generator.permutation(samples)] for one in draws]
    return np.mean(mixed, axis=0) + (root @ directions) @ (np.sqrt(between) * normal)


def _logit(share: np.ndarray) -> np.ndarray:
    kept = np.clip(share, 1e-4, 1 - 1e-4)
    return np.log(kept / (1 - kept))


def _share(logit: np.ndarray) -> np.ndarray:
    # Two tasks may have draws so far out that the exponential has no number.
    return 1 / (1 + np.exp(-np.clip(logit, -50.0, 50.0)))
