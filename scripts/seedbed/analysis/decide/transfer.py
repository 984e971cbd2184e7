"""Advice for a task without results, from those of other tasks with the same models and filter.

`curves.NewTask` predicts the accuracies. The choices, and how advice weighs them, are those of a
task with results. Costs are the geometric means of the tasks' costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seedbed.analysis.curves import FURTHEST, Curves, NewTask, Noise
from seedbed.analysis.decide.advise import Advice, Plan, advice_on, prospects, reach
from seedbed.analysis.decide.choices import TOO_FAR, Spending, Weighed, judged, weigh
from seedbed.analysis.decide.costs import CostLine, Prices, mean_line
from seedbed.analysis.decide.design import Candidate, Further, NextCell, best_cells, doublings

_NEEDS_TWO = "two other tasks are needed to estimate how much tasks differ"


def near_tasks(
    fits: Sequence[Curves],
    seeds: int,
    budget: int | None = None,
    usd: float | None = None,
    prices: Prices | None = None,
) -> tuple[list[Curves], list[str]]:
    """Return the tasks near enough to a question for advice, and why the others are left out.

    Args:
        fits: the fits, one a task.
        seeds: seed-set size.
        budget: teacher queries; or
        usd: US dollars; or neither, if the question is about an accuracy.
        prices: prices of tokens by model.

    Raises:
        ValueError: if fewer than two tasks remain.
    """
    kept: list[Curves] = []
    refused: dict[str, list[str]] = {}
    for fit in fits:
        try:
            if budget is not None or usd is not None:
                judged(fit, seeds, budget, usd, Spending.of(fit, seeds, prices or {}))
            elif fit.beyond_sizes(seeds) > FURTHEST:
                raise ValueError(f"{fit.outside_text(seeds)}, {TOO_FAR}")
            kept.append(fit)
        except ValueError as error:
            refused.setdefault(str(error), []).append(fit.group.task)
    reasons = [f"{', '.join(tasks)}: {why}" for why, tasks in refused.items()]
    if len(kept) < 2:
        raise ValueError("; ".join([*reasons, _NEEDS_TWO]))
    return kept, reasons


def transferred_advice(
    fits: Sequence[Curves],
    seeds: int,
    budget: int | None = None,
    confidence: float = 0.95,
    usd: float | None = None,
    prices: Prices | None = None,
) -> Advice:
    """Return advice for a task without results, from fits of other tasks with the same models.

    The choices are those of `advise`, for the methods that all tasks have.

    Args:
        fits: the fits that `near_tasks` returns, one a task.
        seeds: seed-set size.
        budget: teacher queries; or
        usd: US dollars, which buy each choice its own number of queries.
        confidence: coverage of the intervals.
        prices: prices of tokens by model.

    Raises:
        ValueError: if there are fewer than two tasks, if they have no method in common, if
            no needed price is known, or if the question is too far beyond the data.
    """
    if len(fits) < 2:
        raise ValueError(_NEEDS_TWO)
    spending = _mean_spending(fits, seeds, prices or {})
    task = NewTask(fits, seeds, {})
    known = judged(task, seeds, budget, usd, spending)
    task = replace(task, budgets=known.budgets)
    weighed = weigh(task, seeds, known.budgets, usd, spending)
    advice = advice_on(task, seeds, known, weighed, spending, confidence, usd)
    cells = _pilots(task, advice, weighed, spending)
    return replace(advice, basis="other tasks", budget=budget, design=cells)


def transferred_plans(
    fits: Sequence[Curves],
    seeds: int,
    target: float,
    confidence: float = 0.95,
    prices: Prices | None = None,
) -> list[Plan]:
    """Return the least budgets that are expected to reach an accuracy in a task without results.

    Args:
        fits: the fits that `near_tasks` returns, one a task.
        seeds: seed-set size.
        target: accuracy, a fraction.
        confidence: coverage of the intervals.
        prices: prices of tokens by model.

    Returns:
        The choices, as `advise.plans` returns them, for the methods that all tasks have.

    Raises:
        ValueError: if there are fewer than two tasks, or if no method has budgets near all of them.
    """
    if len(fits) < 2:
        raise ValueError(_NEEDS_TWO)
    task = NewTask(fits, seeds, {})
    # Subtract the uncertainty within tasks at the middle of the range that all tasks cover.
    middles = {
        method: max(1, round(seeds * float(np.sqrt(np.prod(ends)))))
        for method in task.methods
        if (ends := task.ratios(seeds, method))
    }
    spending = _mean_spending(fits, seeds, prices or {})
    found = prospects(replace(task, budgets=middles), seeds, spending)
    return reach(found, target, confidence)


def _mean_spending(fits: Sequence[Curves], seeds: int, prices: Prices) -> Spending:
    """Return the mean costs of the tasks, for the methods that all of them have."""
    found = [Spending.of(fit, seeds, prices) for fit in fits]
    methods = [method for method in found[0].rates if all(method in one.rates for one in found)]

    def line(measure: str, method: str) -> CostLine | None:
        known = [one.lines[measure][method] for one in found]
        lines = [one for one in known if one is not None]
        return mean_line(lines) if len(lines) == len(known) else None

    return Spending(
        {measure: {m: line(measure, m) for m in methods} for measure in found[0].lines},
        {m: list(dict.fromkeys(text for one in found for text in one.unknown[m])) for m in methods},
        {
            m: (
                _mean([one.rates[m][0] for one in found]),
                _mean([one.rates[m][1] for one in found]),
            )
            for m in methods
        },
    )


def _mean(counts: Sequence[float | None]) -> float | None:
    known = [count for count in counts if count is not None]
    return float(np.mean(known)) if len(known) == len(counts) else None


def _pilots(
    task: NewTask, advice: Advice, weighed: Weighed, spending: Spending
) -> tuple[NextCell, ...]:
    """Return the cells of the new task that would improve the choice most for their cost.

    They are cells of the first two choices, at budgets in the range that all tasks cover. Few
    tasks differ in few ways, so a cell of another choice would seem to predict the lead well for
    that reason alone. Even these cells may seem more informative than they are: the ranking is a
    rough guide. The noise of a measurement is the mean over the tasks.
    """
    if len(advice.outlook) < 2:
        return ()
    seeds, cells = advice.seeds, []
    for choice in advice.outlook[:2]:
        ends = [task.ratios(seeds, method) for method in choice.shares]
        low = max((first for first, _ in ends), default=np.inf)
        high = min((last for _, last in ends), default=0.0)
        shares = choice.shares if len(choice.shares) > 1 else {}
        cells += [
            Candidate(choice.method, seeds, budget, True, shares=shares)
            for budget in (doublings(seeds, low, high) if low <= high else [])
        ]
    if not cells:
        return ()
    centres, draws = task.of(seeds, [cell.wanted for cell in cells])
    noises = [
        Noise(float(np.mean([sum(fit.noise(seeds, share)) for fit in task.fits])), 0.0)
        for share in centres
    ]
    lines = {(seeds, method): spending.lines["usd"][method] for c in cells for method in c.wanted}
    further = Further(list(zip(cells, draws.T, noises, strict=True)), lines, task.mixtures)
    return best_cells(weighed.draws[:, weighed.rivals], further)
