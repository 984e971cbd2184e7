"""Advice on how to spend a budget of queries or dollars, or how to reach an accuracy.

`Curves.of` predicts accuracies, within the data and beyond. `choices` lists what can be chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from seedbed.analysis.curves import FURTHEST, Accuracies, Curves, FarCell
from seedbed.analysis.decide.choices import (
    NO_TRAINING,
    TOO_FAR,
    Judged,
    Spending,
    Weighed,
    cheapest,
    judged,
    mixtures,
    weigh,
)
from seedbed.analysis.decide.costs import MEASURES, CostLine, Prices
from seedbed.analysis.decide.design import Further, NextCell, next_cells
from seedbed.analysis.posterior import expected_regrets
from seedbed.streams.mixtures import coordinate

MARGIN = 0.005
"""Largest expected loss of accuracy, a fraction, of a cheaper choice to the best one."""


@dataclass(frozen=True)
class ChoiceOutlook:
    """The expected accuracy and the costs of one choice.

    Attributes:
        method: name of a method, of a mixture as its cells name it, or `untrained`.
        budget: teacher queries.
        accuracy: expected accuracy, a fraction.
        low: lower end of the interval.
        high: upper end.
        probability_best: probability that it is best (ties shared).
        expected_regret: mean loss of accuracy to the best choice in each draw, a fraction.
        augmenter_queries: augmenter queries in addition to the teacher queries, at the rate in
            cells of the nearest seed-set size; None if not counted.
        further_queries: teacher queries beyond the budget, at the same cells' rate: queries that
            verify answers, and queries that replace the answers that a filter drops.
        costs: by `costs.MEASURES`, the cost of a cell with that budget; None if not known.
        shares: shares of the methods in the budget; empty for no training.
        measured: whether the study has students of it.
    """

    method: str
    budget: int
    accuracy: float
    low: float
    high: float
    probability_best: float
    expected_regret: float
    augmenter_queries: float | None = None
    further_queries: float | None = None
    costs: Mapping[str, float | None] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    measured: bool = True


@dataclass(frozen=True)
class Cheaper:
    """The cheapest choice that is expected to lose at most `MARGIN` to the best one.

    Attributes:
        choice: the choice.
        by: the measure of cost: "usd", "tokens", or "queries" of teacher and augmenter.
        cost: cost of the choice, in this measure.
        instead_of: cost of the best choice, in this measure.
    """

    choice: ChoiceOutlook
    by: str
    cost: float
    instead_of: float


@dataclass(frozen=True)
class Doubling:
    """Expected gain of the best choice from twice the budget, with interval; fractions."""

    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Advice:
    """Advice for a seed-set size and a budget.

    Attributes:
        seeds: seed-set size.
        budget: teacher queries; None if the budget is money.
        usd: US dollars; None if the budget is queries.
        basis: "its cells", "other tasks" or "priors".
        beyond: factor by which the question lies beyond the data in seeds and budget ratio; 1
            within.
        outlook: the choices, the best first.
        confidence: coverage of the intervals.
        alone: each method with the whole budget, the best first.
        cheaper: a cheaper choice that is hardly worse; None if there is none.
        doubling: gain from twice the budget; None if that lies too far beyond the data, or if the
            best choice already leaves a part of the budget.
        unjudged: by method that cannot be judged, the reason.
        failed: cells whose training has probably failed.
        untrained: accuracy of the base model, or its expectation from other tasks if these are the
            basis; None if it was not measured.
        design: the cells to measure next: those that would reduce the regret most for their cost.
        reason: the reason for the advice, if the basis is priors.
        pilot: a pilot and its expected gain, if the basis is priors; None for no pilot.
    """

    seeds: int
    budget: int | None
    usd: float | None
    basis: str
    beyond: float
    outlook: tuple[ChoiceOutlook, ...]
    confidence: float
    alone: tuple[ChoiceOutlook, ...] = ()
    cheaper: Cheaper | None = None
    doubling: Doubling | None = None
    unjudged: Mapping[str, str] = field(default_factory=dict)
    failed: tuple[FarCell, ...] = ()
    untrained: float | None = None
    design: tuple[NextCell, ...] = ()
    reason: str = ""
    pilot: Pilot | None = None

    @property
    def best(self) -> ChoiceOutlook:
        """The choice to take."""
        return self.outlook[0]

    @property
    def saves(self) -> bool:
        """Whether the choice leaves a part of the budget because more is not expected to help."""
        whole = [one.budget for one in self.alone if one.method in self.best.shares]
        return bool(whole) and self.best.budget < 0.75 * min(whole)

    @property
    def rivals(self) -> tuple[ChoiceOutlook, ...]:
        """Choices that are statistically tied with the best."""
        return _rivals(self.outlook, self.confidence)

    @property
    def leading(self) -> tuple[ChoiceOutlook, ...]:
        """The best method with the whole budget, and the methods that are tied with it."""
        return self.alone[:1] + _rivals(self.alone, self.confidence)


@dataclass(frozen=True)
class Pilot:
    """A pilot that would inform advice from priors alone.

    Attributes:
        queries: teacher queries of each method.
        gain: expected gain of the last student's accuracy, net of the loss from spending the
            pilot's queries before the choice; a fraction.
        items: test items that its students would be evaluated on.
    """

    queries: int
    gain: float
    items: int


def _rivals(outlook: Sequence[ChoiceOutlook], confidence: float) -> tuple[ChoiceOutlook, ...]:
    return tuple(entry for entry in outlook[1:] if entry.probability_best > 1 - confidence)


def advise(
    fit: Curves,
    seeds: int,
    budget: int | None = None,
    confidence: float = 0.95,
    usd: float | None = None,
    prices: Prices | None = None,
    look_further: bool = True,
    further: Further | None = None,
    spending: Spending | None = None,
) -> Advice:
    """Return advice from a fit, on every method with data within `FURTHEST` times of the question.

    Args:
        fit: the fit.
        seeds: seed-set size.
        budget: teacher queries; or
        usd: US dollars, which buy each choice its own number of queries.
        confidence: coverage of the intervals.
        prices: prices of tokens by model.
        look_further: whether to propose cells to measure next.
        further: result of `further_cells`, if known.
        spending: costs of choices, if known.

    Raises:
        ValueError: if a needed price is missing for every method, or if seeds and budget ratio
            together lie more than `FURTHEST` times beyond the data of every method.
    """
    spending = spending or Spending.of(fit, seeds, prices or {})
    known = judged(fit, seeds, budget, usd, spending)
    weighed = weigh(fit, seeds, known.budgets, usd, spending)
    advice = advice_on(fit, seeds, known, weighed, spending, confidence, usd)
    failed = tuple(one for one in fit.record.far_off if one.probability > 0.5)
    advice = replace(advice, budget=budget, failed=failed)
    if not look_further:
        return advice
    draws = weighed.draws[:, weighed.rivals]
    mixed = {one.method: one.shares for one in advice.outlook[:2] if len(one.shares) > 1}
    cells = next_cells(fit, seeds, draws, prices or {}, further, mixed)
    return replace(advice, design=cells)


def advice_on(
    fit: Accuracies,
    seeds: int,
    known: Judged,
    weighed: Weighed,
    spending: Spending,
    confidence: float,
    usd: float | None,
) -> Advice:
    """Return advice from weighed choices, without further cells.

    Args:
        fit: the fit that judged them.
        seeds: seed-set size.
        known: the methods that are judged.
        weighed: the choices.
        spending: their costs.
        confidence: coverage of the intervals.
        usd: the budget in dollars; None if it is in queries.
    """
    outlook = _outlook_of(weighed, weighed.shown, weighed.rivals, confidence, spending)
    whole = [*weighed.whole.values()]
    alone = _outlook_of(weighed, whole, whole, confidence, spending)
    return Advice(
        seeds,
        None,
        usd,
        "its cells",
        known.beyond,
        outlook,
        confidence,
        # The sort is stable: equal methods keep the study's order.
        alone=tuple(sorted(alone, key=lambda entry: -entry.accuracy)),
        cheaper=_cheaper(weighed, spending, outlook[0], confidence),
        doubling=_doubling(fit, seeds, weighed, usd, spending, confidence),
        unjudged=known.others,
        untrained=fit.untrained,
    )


def _outlook_of(
    weighed: Weighed,
    places: Sequence[int],
    rivals: Sequence[int],
    confidence: float,
    spending: Spending,
) -> tuple[ChoiceOutlook, ...]:
    """Return the outlook of choices; `places` are the first of `rivals`, which define regret."""
    shares = best_shares(weighed.draws[:, places].T)
    regrets = expected_regrets(weighed.draws[:, rivals])
    return tuple(
        _entry(weighed, at, confidence, spending, float(share), float(regret))
        for at, share, regret in zip(places, shares, regrets, strict=False)
    )


def _entry(
    weighed: Weighed,
    at: int,
    confidence: float,
    spending: Spending,
    share: float,
    regret: float,
) -> ChoiceOutlook:
    choice = weighed.choices[at]
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(weighed.draws[:, at], tails)
    augmenter, further = spending.further(choice)
    return ChoiceOutlook(
        method=choice.name,
        budget=choice.budget,
        accuracy=float(weighed.centres[at]),
        low=float(low),
        high=float(high),
        probability_best=share,
        expected_regret=regret,
        augmenter_queries=augmenter,
        further_queries=further,
        costs=spending.costs(choice),
        shares=choice.shares,
        measured=choice.measured,
    )


_WORTH_SAVING = 0.9
"""A choice counts as cheaper if it costs less than this share of the best choice's cost."""


def _cheaper(
    weighed: Weighed, spending: Spending, best: ChoiceOutlook, confidence: float
) -> Cheaper | None:
    at, by = cheapest(weighed, spending, MARGIN)
    choices = [weighed.choices[place] for place in (at, weighed.shown[0])]
    if by == "queries":
        cost, instead = (spending.calls(one) for one in choices)
    else:
        cost, instead = (spending.costs(one)[by] or 0.0 for one in choices)
    if cost >= _WORTH_SAVING * instead:
        return None
    draws = weighed.draws[:, at]
    regret = float((weighed.draws[:, weighed.rivals].max(axis=1) - draws).clip(0).mean())
    share = float((draws >= weighed.draws[:, weighed.shown].max(axis=1)).mean())
    return Cheaper(_entry(weighed, at, confidence, spending, share, regret), by, cost, instead)


def _doubling(
    fit: Accuracies,
    seeds: int,
    weighed: Weighed,
    usd: float | None,
    spending: Spending,
    confidence: float,
) -> Doubling | None:
    """Return the gain of the best choice from twice the budget."""
    best = weighed.choices[weighed.shown[0]]
    line = None if usd is None else spending.line("usd", best.shares)
    twice = 2 * best.budget if line is None else int(line.budget(2 * (usd or 0.0)))
    # A choice that leaves a part of the budget would leave more of twice the budget.
    whole = max(one.budget for one in weighed.choices if one.name == best.name)
    ratio = np.array([twice / seeds])
    far = (fit.beyond(seeds, method, ratio)[0] > FURTHEST for method in best.shares)
    if best is NO_TRAINING or best.budget < whole or any(far):
        return None
    queries = {method: share * twice for method, share in best.shares.items()}
    at = weighed.shown[0]
    centre, draws = fit.of(seeds, [queries])
    gains = draws[:, 0] - weighed.draws[:, at]
    low, high = np.quantile(gains, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Doubling(float(centre[0] - weighed.centres[at]), float(low), float(high))


@dataclass(frozen=True)
class Stretch:
    """Budget ratios between which the same methods lead.

    Attributes:
        methods: the leader, or several that are statistically tied, in the study's order.
        low: first budget ratio.
        high: last budget ratio.
    """

    methods: tuple[str, ...]
    low: float
    high: float


def leaders(fit: Curves, seeds: int, confidence: float = 0.95) -> list[Stretch]:
    """Return the stretches of budget ratios with the methods that lead there.

    Methods that are statistically tied lead together. So the leader does not flip where the
    expected accuracies of two methods cross within their noise. Only ratios in the range of all
    methods count. The list is empty if there are none, or if all cells have the same accuracy.

    Args:
        fit: the fit.
        seeds: seed-set size, within the data.
        confidence: a method is tied if it is best in more than a share 1 - confidence of the draws.
    """
    known = {method: fit.ratios(seeds, method) for method in fit.methods}
    known = {method: found for method, found in known.items() if found}
    low = max(min(found) for found in known.values())
    high = min(max(found) for found in known.values())
    seen = {cell.accuracy for cell in fit.cells(fit.nearest_size(seeds))}
    if low >= high or (len(known) > 1 and len(seen) == 1):
        return []
    ratios = np.geomspace(low, high, _RATIOS)
    # Rounding must not carry the ends outside the cells.
    ratios[0], ratios[-1] = low, high
    found = [fit.accuracy(seeds, method, ratios) for method in known]
    centres = np.stack([centre for centre, _ in found])
    draws = np.stack([drawn for _, drawn in found])
    return leading_stretches(ratios, [*known], centres, draws, confidence)


_RATIOS = 401
"""Number of budget ratios at which `leaders` compares the methods."""

_NARROW = 0.04
"""Share of the range's logarithm below which a stretch is merged with a neighbour. The share of
draws in which a method is best is noisy, so it may pass the threshold several times."""


def leading_stretches(
    places: Sequence[float] | np.ndarray,
    methods: Sequence[str],
    centres: np.ndarray,
    draws: np.ndarray,
    confidence: float,
) -> list[Stretch]:
    """Return the stretches with the methods that lead there, without very narrow stretches.

    Args:
        places: n budgets or budget ratios, ascending by equal factors.
        methods: the methods.
        centres: their expected accuracies, shape (methods, n).
        draws: posterior draws of the accuracies, shape (methods, samples, n).
        confidence: a method is tied if it is best in more than a share 1 - confidence of the draws.
    """
    leading = tied(centres, draws, confidence)
    names = np.array(methods)
    parts = stretches_of(places, [tuple(names[there].tolist()) for there in leading.T])
    return merged(parts, _NARROW * np.log(places[-1] / places[0]))


def stretches_of(
    places: Sequence[float] | np.ndarray, leading: Sequence[tuple[str, ...]]
) -> list[Stretch]:
    """Return the stretches of ascending places in which the same methods lead, in order."""
    middles = np.sqrt(np.asarray(places[1:]) * np.asarray(places[:-1])).tolist()
    ends = [float(places[0]), *middles, float(places[-1])]
    return merged(map(Stretch, leading, ends, ends[1:]))


def merged(parts: Iterable[Stretch], least: float = 0.0) -> list[Stretch]:
    """Join adjacent stretches with the same methods, and merge narrow stretches with a neighbour.

    Args:
        parts: the stretches, ascending.
        least: smallest width of a stretch, the logarithm of the factor between its ends. A
            narrower one is merged with the neighbour whose methods differ least or, if both differ
            as much, with the wider one.
    """

    def width(part: Stretch) -> float:
        return float(np.log(part.high / part.low))

    kept = _joined(parts)
    while len(kept) > 1:
        at = min(range(len(kept)), key=lambda place: width(kept[place]))
        narrow = kept[at]
        if width(narrow) >= least:
            break
        into = min(
            (kept[place] for place in (at - 1, at + 1) if 0 <= place < len(kept)),
            key=lambda one: (len({*narrow.methods} ^ {*one.methods}), -width(one)),
        )
        kept[at] = replace(narrow, methods=into.methods)
        kept = _joined(kept)
    return kept


def _joined(parts: Iterable[Stretch]) -> list[Stretch]:
    joined: list[Stretch] = []
    for part in parts:
        if joined and joined[-1].methods == part.methods:
            joined[-1] = replace(joined[-1], high=part.high)
        else:
            joined.append(part)
    return joined


def tied(centres: np.ndarray, draws: np.ndarray, confidence: float) -> np.ndarray:
    """Return which methods lead at each of n points: the best one, and those tied with it.

    Args:
        centres: expected accuracies, shape (methods, n).
        draws: posterior draws of the accuracies, shape (methods, samples, n).
        confidence: a method is tied if it is best in more than a share 1 - confidence of the draws.

    Returns:
        Booleans, shape (methods, n).
    """
    leading = best_shares(draws) > 1 - confidence
    leading[centres.argmax(axis=0), np.arange(centres.shape[1])] = True
    return leading


def best_shares(draws: np.ndarray) -> np.ndarray:
    """Return for each method the share of draws in which it is best; ties are shared.

    Args:
        draws: accuracies, shape (methods, samples, ...).

    Returns:
        Shares, shape (methods, ...).
    """
    best = np.abs(draws - draws.max(axis=0)) < 1e-12
    return (best / best.sum(axis=0)).mean(axis=1)


STEP = 1.02
"""Largest factor between neighbouring budgets of a search."""


@dataclass(frozen=True)
class Plan:
    """The least budget with which a method is expected to reach an accuracy.

    Attributes:
        method: its name.
        budget: teacher queries; None if no budget of the search reaches the accuracy.
        at: the budget that the other attributes are about: `budget`, or else the budget with the
            highest expected accuracy.
        accuracy: expected accuracy at `at`.
        low: lower end of its interval.
        high: upper end.
        probability: probability that the accuracy is reached at `at`.
        costs: by `costs.MEASURES`, the cost of a cell with that budget; None if not known.
        beyond: factor by which that budget lies beyond the data, seeds included; 1 within.
        looked_from: smallest budget of the search, at the lowest measured budget ratio.
        looked_to: largest budget of the search.
        shares: shares of the methods in the budget.
        measured: whether the study has students of it.
    """

    method: str
    budget: int | None
    at: int
    accuracy: float
    low: float
    high: float
    probability: float
    costs: dict[str, float | None]
    beyond: float
    looked_from: int
    looked_to: int
    shares: Mapping[str, float] = field(default_factory=dict)
    measured: bool = True


def plans(
    fit: Curves,
    seeds: int,
    target: float,
    confidence: float = 0.95,
    prices: Prices | None = None,
) -> list[Plan]:
    """Return for each choice the least budget that is expected to reach an accuracy.

    The choices are the methods, the measured mixtures, and one division of the budget: the best
    division at the smallest budget with which one of them reaches the accuracy or, if none does, at
    the largest of their budgets with the highest expected accuracy. The search starts at the lowest
    budget ratio at which the method was measured with the nearest seed-set size. Each budget is at
    most `STEP` times the one before. The search ends where seeds and budget ratio together lie
    `FURTHEST` times beyond the data.

    Args:
        fit: a fit.
        seeds: seed-set size.
        target: accuracy, a fraction.
        confidence: coverage of the intervals.
        prices: prices of tokens by model.

    Returns:
        The choices, the cheapest first, and last those that do not reach the accuracy. They are
        sorted by dollars if the cost of all of them is known, otherwise by teacher queries.

    Raises:
        ValueError: if the seed-set size is more than `FURTHEST` times beyond the data, or if no
            method has a budget in range.
    """
    return reach(prospects(fit, seeds, Spending.of(fit, seeds, prices or {})), target, confidence)


@dataclass(frozen=True)
class Prospects:
    """The expected accuracies of choices at many budgets, for any target accuracy.

    Attributes:
        named: prospects of the methods and the measured mixtures.
        divided: function from the shares of a division of the budget to its prospect.
        best_division: function from a budget to the shares with the highest expected accuracy; None
            if there are no two methods to mix.
    """

    named: Sequence[Prospect]
    divided: Callable[[Mapping[str, float]], Prospect]
    best_division: Callable[[int], Mapping[str, float] | None]


def prospects(fit: Accuracies, seeds: int, spending: Spending, step: float = STEP) -> Prospects:
    """Return the expected accuracies of choices, for callers that ask about many accuracies.

    Args:
        fit: the fit.
        seeds: seed-set size.
        spending: costs of choices.
        step: largest factor between neighbouring budgets of the search.

    Raises:
        ValueError: as `plans`.
    """
    further = fit.beyond_sizes(seeds)
    if further > FURTHEST:
        raise ValueError(f"{fit.outside_text(seeds)}, {TOO_FAR}")

    def ends(shares: Iterable[str]) -> tuple[float, float]:
        known = [fit.ratios(seeds, method) for method in shares]
        most = min(one[-1] for one in known) * FURTHEST / further
        return max(one[0] for one in known), most

    def near(shares: Iterable[str]) -> bool:
        first, last = ends(shares)
        return first <= last

    methods = [m for m in fit.methods if fit.ratios(seeds, m) and near([m])]
    if not methods:
        raise ValueError(f"no method can be judged with {seeds} seeds at any budget")

    def prospect(name: str, shares: Mapping[str, float], measured: bool = True) -> Prospect:
        budgets = budgets_between(seeds, *ends(shares), step)
        ratios = budgets / seeds

        def at(budget: float) -> dict[str, float]:
            return {method: share * budget for method, share in shares.items()}

        return Prospect(
            method=name,
            budgets=budgets,
            centres=fit.of(seeds, [at(budget) for budget in budgets]).centre,
            draws=lambda budget: fit.of(seeds, [at(budget)]).draws[:, 0],
            beyond=np.max([fit.beyond(seeds, method, ratios) for method in shares], axis=0),
            lines={measure: spending.line(measure, shares) for measure in MEASURES},
            shares=shares,
            measured=measured,
        )

    def best_division(budget: int) -> Mapping[str, float] | None:
        found = [of for of in mixtures(methods) if near(of)]
        if not found:
            return None
        asked = [{method: share * budget for method, share in of.items()} for of in found]
        return found[int(fit.of(seeds, asked).centre.argmax())]

    @cache
    def divided(shares: tuple[tuple[str, float], ...]) -> Prospect:
        return prospect(coordinate(shares), dict(shares), measured=False)

    mixed = fit.mixtures.items()
    return Prospects(
        [prospect(method, {method: 1.0}) for method in methods]
        + [prospect(name, of) for name, of in mixed if of.keys() <= {*methods} and near(of)],
        lambda shares: divided(tuple(shares.items())),
        best_division,
    )


def reach(found: Prospects, target: float, confidence: float) -> list[Plan]:
    """Return for each choice the least budget that is expected to reach an accuracy."""
    named = [least_budget(one, target, confidence) for one in found.named]
    reached = [one.budget for one in named if one.budget is not None]
    shares = found.best_division(min(reached) if reached else max(one.at for one in named))
    known = [one.shares for one in named]
    if shares is not None and shares not in known:
        named.append(least_budget(found.divided(shares), target, confidence))
    return ranked(named)


@dataclass(frozen=True)
class Prospect:
    """The expected accuracies and the costs of a method or mixture at n budgets.

    Attributes:
        method: the method or mixture.
        budgets: teacher queries, ascending, shape (n,).
        centres: expected accuracies, shape (n,).
        draws: function from a budget to the draws of the accuracy there.
        beyond: factors by which the budgets lie beyond the data, shape (n,).
        lines: by `costs.MEASURES`, the cost of budgets; None if not known.
        shares: shares of the methods in the budget.
        measured: whether the study has students of it.
    """

    method: str
    budgets: np.ndarray
    centres: np.ndarray
    draws: Callable[[int], np.ndarray]
    beyond: np.ndarray
    lines: Mapping[str, CostLine | None]
    shares: Mapping[str, float] = field(default_factory=dict)
    measured: bool = True


def budgets_between(seeds: int, first: float, last: float, step: float = STEP) -> np.ndarray:
    """Return whole budgets from one budget ratio to another, each about `step` times the previous.

    If no whole number of queries lies between the ratios, return the smallest one above them.
    """
    low, high = np.ceil(first * seeds * (1 - 1e-9)), np.floor(last * seeds * (1 + 1e-9))
    count = 1 + int(np.ceil(np.log(max(high / low, 1)) / np.log(step)))
    return np.unique(np.geomspace(low, max(low, high), count).round())


def least_budget(prospect: Prospect, target: float, confidence: float) -> Plan:
    """Return the least budget that is expected to reach an accuracy, or else the best budget."""
    reached = np.flatnonzero(prospect.centres >= target)
    place = int(reached[0] if len(reached) else np.argmax(prospect.centres))
    at = int(prospect.budgets[place])
    draws = prospect.draws(at)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Plan(
        method=prospect.method,
        budget=at if len(reached) else None,
        at=at,
        accuracy=float(prospect.centres[place]),
        low=float(low),
        high=float(high),
        probability=float((draws >= target).mean()),
        costs={
            m: None if line is None else float(line.of(at)) for m, line in prospect.lines.items()
        },
        beyond=float(prospect.beyond[place]),
        looked_from=int(prospect.budgets[0]),
        looked_to=int(prospect.budgets[-1]),
        shares=prospect.shares,
        measured=prospect.measured,
    )


def ranked(found: Sequence[Plan]) -> list[Plan]:
    """Return the plans, the cheapest first, and last those that do not reach the accuracy."""
    priced = all(one.costs["usd"] is not None for one in found if one.budget is not None)

    def rank(one: Plan) -> tuple[bool, float]:
        if one.budget is None:
            return True, -one.accuracy
        return False, (one.costs["usd"] if priced else None) or one.budget

    return sorted(found, key=rank)
