"""The choices for a budget: each method, mixtures of methods, or no training.

Each mixture that the study measured is a choice. In addition, the same model compares the divisions
of the budget that `spend` could buy, and the best of them is a choice. Each choice takes the whole
budget, unless it is likely to be better with a half of it, or a quarter, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose

import numpy as np

from seedbed.analysis.curves import FURTHEST, Accuracies, Curves
from seedbed.analysis.decide.allocations import SIMPLER, divisions
from seedbed.analysis.decide.costs import MEASURES, CostLine, Prices, cost_line, mixed_line
from seedbed.config.words import UNTRAINED
from seedbed.streams.mixtures import coordinate

_DIVISIONS = 21
"""Largest number of divisions that are compared: fifths for three methods."""


@dataclass(frozen=True)
class Choice:
    """Something to do with a budget.

    Attributes:
        name: name of a method, of a mixture as its cells name it, or `untrained`.
        shares: shares of the methods in the budget, each above 0; empty for no training.
        budget: teacher queries.
        measured: whether the study has students of it.
    """

    name: str
    shares: Mapping[str, float]
    budget: int
    measured: bool = True

    @property
    def queries(self) -> dict[str, float]:
        """Teacher queries by method."""
        return {method: share * self.budget for method, share in self.shares.items()}


NO_TRAINING = Choice(UNTRAINED, {}, 0)


@dataclass(frozen=True)
class Spending:
    """Costs of choices for a seed-set size, at the rates of the nearest size of the study.

    Attributes:
        lines: by one of `costs.MEASURES` and method, the cost of budgets; None if not known.
        unknown: by method, the missing prices.
        rates: by method, augmenter queries and further teacher queries per teacher query; None if
            not counted.
        mixed: cached lines of mixtures.
    """

    lines: Mapping[str, Mapping[str, CostLine | None]]
    unknown: Mapping[str, Sequence[str]]
    rates: Mapping[str, tuple[float | None, float | None]]
    mixed: dict[tuple[str, tuple[tuple[str, float], ...]], CostLine] = field(default_factory=dict)

    @classmethod
    def of(cls, fit: Curves, seeds: int, prices: Prices) -> Spending:
        """Return the costs of the methods of a fit."""
        nearest = fit.nearest_size(seeds)
        methods = [method for method in fit.methods if fit.cells(nearest, method)]
        found = {
            measure: {
                method: cost_line(fit, nearest, method, measure, prices) for method in methods
            }
            for measure in MEASURES
        }
        return cls(
            {
                measure: {method: line for method, (line, _) in lines.items()}
                for measure, lines in found.items()
            },
            {method: missing for method, (_, missing) in found["usd"].items()},
            {
                method: (
                    rate(fit, nearest, method, ("augmenter_queries",)),
                    _further(
                        rate(fit, nearest, method, ("teacher_queries", "verification_queries"))
                    ),
                )
                for method in methods
            },
        )

    def line(self, measure: str, shares: Mapping[str, float]) -> CostLine | None:
        """Return the cost of budgets with given shares; None if a method's cost is not known."""
        known = {m: line for m in shares if (line := self.lines[measure].get(m)) is not None}
        if len(known) < len(shares):
            return None
        if len(shares) == 1:
            return next(iter(known.values()))
        key = measure, tuple(shares.items())
        return self.mixed.get(key) or self.mixed.setdefault(key, mixed_line(known, shares))

    def costs(self, choice: Choice) -> dict[str, float | None]:
        """Return a choice's cost in each of `costs.MEASURES`; None if not known."""
        return {measure: self.cost(choice, measure) for measure in MEASURES}

    def cost(self, choice: Choice, measure: str) -> float | None:
        """Return a choice's cost in one of `costs.MEASURES`; None if not known."""
        line = self.line(measure, choice.shares) if choice.shares else None
        if line is None:
            return None if choice.shares else 0.0
        return float(line.of(choice.budget))

    def further(self, choice: Choice) -> tuple[float | None, float | None]:
        """Return the augmenter queries and the further teacher queries of a choice."""

        def count(kind: int) -> float | None:
            known = [
                queries * each
                for method, queries in choice.queries.items()
                if (each := self.rates[method][kind]) is not None
            ]
            return sum(known) if len(known) == len(choice.shares) else None

        return count(0), count(1)

    def calls(self, choice: Choice) -> float:
        """Return a choice's queries of teacher and augmenter, as far as they are counted."""
        return choice.budget + sum(count or 0.0 for count in self.further(choice))


def rate(fit: Curves, seeds: int, method: str, kinds: Sequence[str]) -> float | None:
    """Return the queries of some kinds per teacher query, in a method's cells."""
    cells = [cell for cell in fit.cells(seeds, method) if getattr(cell, kinds[0]) is not None]
    if not cells:
        return None
    # The largest budgets have the largest weight, because their rates are the most precise.
    asked = sum(getattr(cell, kind) or 0.0 for cell in cells for kind in kinds)
    return asked / sum(cell.budget for cell in cells)


def _further(teacher: float | None) -> float | None:
    return None if teacher is None else max(0.0, teacher - 1)


@dataclass(frozen=True)
class Judged:
    """The methods that can be judged.

    Attributes:
        budgets: their teacher queries, by name.
        beyond: the largest factor by which one of them lies beyond its data; 1 within.
        others: by name, why the other methods cannot be judged.
    """

    budgets: Mapping[str, int]
    beyond: float
    others: Mapping[str, str] = field(default_factory=dict)


TOO_FAR = f"and no advice is given for more than {FURTHEST:g} times beyond"
"""End of the messages that refuse a question."""


def judged(
    fit: Accuracies,
    seeds: int,
    budget: int | None,
    usd: float | None,
    spending: Spending,
) -> Judged:
    """Return the methods with data within a factor of `FURTHEST` of a question.

    Args:
        fit: the fit.
        seeds: seed-set size.
        budget: teacher queries; or
        usd: US dollars, which buy each method its own number of queries.
        spending: costs of choices.

    Raises:
        ValueError: if there is none; the message says which budgets can be asked about.
    """
    budgets, left_out = _budgets(fit, seeds, budget, usd, spending)
    kept: dict[str, int] = {}
    furthest = 1.0
    refused: list[float] = []
    for method, queries in budgets.items():
        known = fit.ratios(seeds, method)
        ratio = queries / seeds
        beyond = float(fit.beyond(seeds, method, np.array([ratio]))[0])
        if beyond > FURTHEST:
            refused += known
            left_out[method] = (
                f"BR {ratio:.3g} is more than {FURTHEST:g} times beyond its cells, BR "
                f"{min(known):g} to {max(known):g}"
            )
            continue
        furthest = max(furthest, beyond)
        kept[method] = queries
    if kept:
        return Judged(kept, furthest, left_out)
    further = fit.beyond_sizes(seeds)
    if further > FURTHEST:
        raise ValueError(f"{fit.outside_text(seeds)}, {TOO_FAR}")
    if not refused:
        reasons = "; ".join(f"{method}: {why}" for method, why in left_out.items())
        raise ValueError(f"no method can be judged: {reasons}")
    most = max(budgets.values())
    room = FURTHEST / further * (1 + 1e-9)
    raise ValueError(
        f"budget {most} for {seeds} seeds is BR {most / seeds:g}: the data has {min(refused):g} to "
        f"{max(refused):g}, {TOO_FAR}: ask about {np.ceil(min(refused) * seeds / room):,.0f} to "
        f"{np.floor(max(refused) * seeds * room):,.0f} queries"
    )


def _budgets(
    fit: Accuracies, seeds: int, budget: int | None, usd: float | None, spending: Spending
) -> tuple[dict[str, int], dict[str, str]]:
    """Return the teacher queries of each method, and for other methods why they have none."""
    missing = {m: fit.missing_text(seeds, m) for m in fit.methods if not fit.ratios(seeds, m)}
    missing |= dict.fromkeys(fit.unmeasured, "no student of it was evaluated")
    if usd is not None:
        budgets, others = _affordable(seeds, usd, spending)
        return budgets, missing | others
    if budget is None:
        raise ValueError("a budget is needed: teacher queries or US dollars")
    if budget < 1:
        raise ValueError(f"budget {budget}: at least one query is needed")
    return {method: budget for method in fit.methods if method not in missing}, missing


def _affordable(
    seeds: int, usd: float, spending: Spending
) -> tuple[dict[str, int], dict[str, str]]:
    """Return the teacher queries that an amount buys per method, and why it buys none of others.

    Raises:
        ValueError: if it buys no query of any method, as far as costs are known.
    """
    budgets: dict[str, int] = {}
    others: dict[str, str] = {}
    for method in spending.rates:
        line = spending.lines["usd"][method]
        if line is None:
            missing = "; ".join(spending.unknown[method])
            others[method] = f"the cost of {method} is not known: {missing}"
        elif (queries := int(line.budget(usd))) < 1:
            others[method] = f"{usd:g} does not pay for a query of {method}"
        else:
            budgets[method] = queries
    if not budgets:
        said = next(iter(others.values()), f"no method was measured with {seeds} seeds")
        raise ValueError(f"usd: {said}")
    return budgets, others


@dataclass(frozen=True)
class Weighed:
    """Choices with their accuracies.

    Attributes:
        choices: the choices.
        centres: expected accuracies, shape (n,).
        draws: posterior draws of the accuracies, shape (samples, n).
        shown: indices of the choices to show, the best first: each method, each measured mixture,
            the best division if several methods can be mixed, and no training if it is best.
        rivals: indices of the choices that regret is computed against: those shown, every other
            division, and no training.
        whole: by method, the index of its choice with the whole budget.
    """

    choices: Sequence[Choice]
    centres: np.ndarray
    draws: np.ndarray
    shown: Sequence[int]
    rivals: Sequence[int]
    whole: Mapping[str, int]


def weigh(
    fit: Accuracies,
    seeds: int,
    budgets: Mapping[str, int],
    usd: float | None,
    spending: Spending,
) -> Weighed:
    """Return the choices, with their expected accuracies.

    Args:
        fit: the fit.
        seeds: seed-set size.
        budgets: by method that is judged, its teacher queries.
        usd: the budget in dollars; None if it is in queries.
        spending: costs of choices.
    """

    def budget_of(shares: Mapping[str, float]) -> int:
        line = None if usd is None else spending.line("usd", shares)
        return min(budgets.values()) if line is None else int(line.budget(usd or 0.0))

    named = [Choice(name, {name: 1.0}, budget) for name, budget in budgets.items()]
    named += [
        Choice(name, shares, budget_of(shares))
        for name, shares in fit.mixtures.items()
        if shares.keys() <= budgets.keys()
    ]
    divided = [
        Choice(coordinate(tuple(shares.items())), shares, budget_of(shares), measured=False)
        for shares in mixtures(list(budgets))
        if not any(_alike(shares, one.shares) for one in named)
    ]
    groups = [smaller(fit, seeds, one) for one in named]
    choices = [one for group in groups for one in group] + divided
    first = len(choices) - len(divided)
    if fit.untrained is not None:
        choices.append(NO_TRAINING)
    estimate = fit.of(seeds, [one.queries for one in choices])
    centres = estimate.centre
    shown, start = [], 0
    whole: dict[str, int] = {}
    for group in groups:
        places = range(start, start + len(group))
        whole[group[0].name] = start
        shown.append(_likely_best(places, centres, estimate.draws))
        start += len(group)
    alone = dict(zip(budgets, shown, strict=False))
    best = max(alone, key=lambda method: centres[alone[method]])
    worth = centres.copy()
    # A measured, simple choice gives way only to one that is better by more than `SIMPLER`.
    worth[[*shown]] += SIMPLER
    among = range(first, first + len(divided))
    for at in among:
        worth[at] += SIMPLER * choices[at].shares.get(best, 0.0)
    if divided:
        shown.append(max(among, key=lambda at: worth[at]))
    if choices[-1] is NO_TRAINING:
        worth[-1] += SIMPLER
        if worth[-1] > worth[shown].max():
            shown.append(len(choices) - 1)
    shown.sort(key=lambda at: -worth[at])
    rest = [at for at in range(first, len(choices)) if at not in shown]
    methods = {method: whole[method] for method in budgets}
    return Weighed(choices, centres, estimate.draws, shown, [*shown, *rest], methods)


def _likely_best(places: Sequence[int], centres: np.ndarray, draws: np.ndarray) -> int:
    """Return the index of the budget to use: the whole budget, or a smaller and better one.

    Accuracy is bounded, so beyond the data the expectation of an accuracy above one half falls
    because of its uncertainty alone. A smaller budget must therefore also be better in more than
    half of the draws, by more than the standard error of this share.

    Args:
        places: indices of a choice with its whole budget, a half, and so on.
        centres: expected accuracies, shape (n,).
        draws: posterior draws of the accuracies, shape (samples, n).
    """
    whole, *rest = places
    least = 0.5 + 0.5 / np.sqrt(len(draws))
    better = [
        at
        for at in rest
        if centres[at] > centres[whole] + SIMPLER
        and np.mean(draws[:, at] > draws[:, whole]) > least
    ]
    return max(better, key=lambda at: centres[at], default=whole)


def mixtures(methods: Sequence[str]) -> list[dict[str, float]]:
    """Return the mixtures of some methods to compare, each as shares above 0."""
    found = [
        {name: float(share) for name, share in zip(methods, row, strict=True) if share > 0}
        for row in divisions(len(methods), _DIVISIONS)
    ]
    return [shares for shares in found if len(shares) > 1]


def _alike(first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    return first.keys() == second.keys() and all(
        isclose(share, second[name], abs_tol=0.01) for name, share in first.items()
    )


def smaller(fit: Accuracies, seeds: int, choice: Choice) -> list[Choice]:
    """Return a choice with its budget, a half of it, a quarter, and so on within the data."""
    lowest = max(fit.ratios(seeds, method)[0] for method in choice.shares) * seeds
    found = [choice]
    while found[-1].budget // 2 >= lowest:
        found.append(Choice(choice.name, choice.shares, found[-1].budget // 2))
    return found


def cheapest(weighed: Weighed, spending: Spending, margin: float) -> tuple[int, str]:
    """Return the cheapest choice that is expected to lose at most `margin`, and the cost measure.

    Args:
        weighed: the choices.
        spending: their costs.
        margin: expected loss of accuracy to the best choice that is allowed, a fraction.

    Returns:
        Its index, and the measure: "usd" if all dollars are known, else "tokens" if these are,
        else "queries" of teacher and augmenter together.
    """
    least = weighed.centres[weighed.shown[0]] - margin
    near = [at for at, centre in enumerate(weighed.centres) if centre >= least]
    for measure in ("usd", "tokens"):
        costs = {at: spending.cost(weighed.choices[at], measure) for at in near}
        known = {at: cost for at, cost in costs.items() if cost is not None}
        if len(known) == len(near):
            break
    else:
        measure = "queries"
        known = {at: spending.calls(weighed.choices[at]) for at in near}
    # Among choices of equal cost, take the best.
    return min(near, key=lambda at: (known[at], -weighed.centres[at])), measure
