"""Which further cells would better a decision, in points of accuracy, for what they cost.

Over the draws of the posterior, the lead of the best choice over another and the accuracy of a cell
vary together. If the cell is measured, the best linear prediction moves the lead by as much as its
covariance with the cell asks for, and leaves of the lead's variance

    Var(lead) - Cov(lead, curve)^2 / (Var(curve) + Var(measurement))

(the update of a Gaussian, as in Rasmussen & Williams 2006, eq. 2.19, for one observation). Where a
lead may move below zero, another choice is taken: what that gains on average, over all that the
measurement may show, is what the cell takes off the expected regret of the best choice (the
expected value of sample information: Raiffa & Schlaifer 1961). A cell that changes no choice,
whatever it shows, is worth nothing and is not proposed.

What the new measurement shares with those that made the curve moves both alike: it is neither noise
between them, nor does it bear on a difference of methods. The test items are the same, and so are
the seeds where a new budget of a stream is cut: the cells of a draw of the seeds share its luck.
So Var(measurement) has the noise between training runs, the luck of the test items as far as cells
do not share it, and what a new draw of the seeds changes; and Var(curve) is without the luck that
is shared, but at least what Var(lead) and the covariance ask for. How much of the items' luck cells
share is the mean correlation of their scores' luck.

The fall of the lead's spread was simulated (`tests/unit/test_transfer_and_design.py`): on the
mean of the most informative cells it is about as foretold; with all of the items' luck taken for
noise, less than half of it was foretold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from seedbed.analysis.curves import Curves, Noise
from seedbed.analysis.decide.costs import CostLine, Prices, cost_line
from seedbed.config.words import NONE

_LEAST_GAIN = 0.02
"""Share of a lead's variance that a further cell must take away to be believed."""

_LEAST_WORTH = 0.0002
"""Accuracy, a fraction, that a further cell must take off the expected regret to be proposed."""

_OUTCOMES = 200
"""Equally likely outcomes of a measurement over which a decision is averaged."""

_LUCK = 4.0
"""Over the number of draws, the share that it must take away: two standard errors, squared, of
a correlation of nothing."""

_COUNT = 3
"""Cells that are named."""

_NAMED_FREE = 1
"""Of them, those whose data is bought already: the others would not be seen behind them."""

_NEAR = 1.25
"""Factor within which a new budget counts as a measured one."""


@dataclass(frozen=True)
class NextCell:
    """A cell that would better a decision.

    Attributes:
        method: its method, or the mixture as cells name it.
        shares: of the methods in its budget.
        measured: whether the study has students of the method or the mixture.
        seeds: its seed-set size.
        budget: its teacher queries.
        new: whether the study has no such cell; otherwise it is measured again, with another draw
            of the seeds.
        queries: teacher queries that its data would take: of a stream whose first part is bought,
            only those beyond.
        usd: what its data would cost; None if not known.
        regret_before: what the best choice loses on average to the best of each draw, a fraction.
        regret_after: the same once the cell is measured, and the choice that is then best is taken.
        doubt_before: standard deviation of the lead of the best choice over the next, a fraction.
        doubt_after: the same once the cell is measured, as linear prediction has it.
    """

    method: str
    shares: Mapping[str, float]
    measured: bool
    seeds: int
    budget: int
    new: bool
    queries: int
    usd: float | None
    regret_before: float
    regret_after: float
    doubt_before: float
    doubt_after: float


@dataclass(frozen=True)
class Further:
    """The cells that could be measured for a question about a seed-set size, whatever the budget.

    Attributes:
        cells: each with its accuracy in the draws, and the variance of a measurement.
        lines: by seed-set size and method, what budgets cost in dollars; None where not known.
        measured: mixtures that the study has students of.
        mixed: by mixture, the cells of those that were looked at for one of the budgets.
    """

    cells: Sequence[tuple[Candidate, np.ndarray, Noise]]
    lines: Mapping[tuple[int, str], CostLine | None]
    measured: Collection[str] = ()
    mixed: dict[tuple[tuple[str, float], ...], Further] = field(default_factory=dict)


def further_cells(fit: Curves, seeds: int, prices: Prices) -> Further:
    """Return the cells that `next_cells` looks at, for those who ask about many budgets.

    Args:
        fit: the fit.
        seeds: the seed-set size that is asked about.
        prices: by model, what its tokens cost.
    """
    return _weighed(fit, _candidates(fit, seeds), prices)


def _weighed(fit: Curves, candidates: Sequence[Candidate], prices: Prices) -> Further:
    """Return candidates with their accuracies, and what the methods in them cost."""
    if not candidates:
        return Further((), {})
    sizes = [one.seeds for one in candidates]
    centres, draws = fit.of(sizes, [one.wanted for one in candidates])
    cells = [
        (one, drawn, fit.noise(one.seeds, float(centre), one.draws))
        for one, centre, drawn in zip(candidates, centres, draws.T, strict=True)
    ]
    places = dict.fromkeys((one.seeds, method) for one in candidates for method in one.wanted)
    lines = {
        (seeds, method): cost_line(fit, fit.nearest_size(seeds), method, "usd", prices)[0]
        for seeds, method in places
    }
    return Further(cells, lines)


def next_cells(
    fit: Curves,
    seeds: int,
    draws: np.ndarray,
    prices: Prices,
    further: Further | None = None,
    mixtures: Mapping[str, Mapping[str, float]] | None = None,
) -> tuple[NextCell, ...]:
    """Return the cells that would take most off the expected regret for what they cost.

    Looked at are the cells of the study, each measured again with another draw of its seeds, and
    new ones of each method: budgets between and beyond the measured ones, each twice the one before
    and up to twice the highest, with the seed-set sizes of the study and with the size that is
    asked about, if it lies between them. A new budget of a size that the study has is cut from the
    stream that was bought furthest, and pays for what is beyond that alone; so is each part of a
    mixture.

    Args:
        fit: the fit.
        seeds: the seed-set size that is asked about.
        draws: accuracies of the choices, the best first, shape (samples, choices).
        prices: by model, what its tokens cost.
        further: what `further_cells` returns, where it is known already.
        mixtures: shares of those that could be measured, by name.

    Returns:
        The best first: by regret taken away per dollar, or per teacher query where prices are not
        known. Those that cost nothing come first, but only the best of them is named.
    """
    if draws.shape[1] < 2:
        return ()
    known = further or further_cells(fit, seeds, prices)
    cells, lines = [*known.cells], {**known.lines}
    for name, shares in (mixtures or {}).items():
        key = tuple(shares.items())
        if key not in known.mixed:
            known.mixed[key] = _weighed(fit, _mixed_candidates(fit, seeds, name, shares), prices)
        cells += known.mixed[key].cells
        lines |= known.mixed[key].lines
    return best_cells(draws, Further(cells, lines, fit.record.mixtures))


@dataclass(frozen=True)
class Candidate:
    """A cell that could be measured.

    Attributes:
        method: its method or mixture.
        seeds: its seed-set size.
        budget: its teacher queries.
        new: whether the study has no such cell.
        bought: by method, what of its stream was bought.
        draws: how many draws of the seeds the curve is of, if it is of one of them.
        shares: of the methods in its budget; empty for a method alone.
    """

    method: str
    seeds: int
    budget: int
    new: bool
    bought: Mapping[str, int] = field(default_factory=dict)
    draws: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def wanted(self) -> dict[str, float]:
        """Its queries by method."""
        shares = self.shares or {self.method: 1.0}
        return {method: share * self.budget for method, share in shares.items()}

    @property
    def queries(self) -> int:
        """Queries to ask: what of its streams was not bought."""
        wanted = self.wanted.items()
        more = sum(max(0.0, count - self.bought.get(method, 0)) for method, count in wanted)
        return round(more)


def _sizes(fit: Curves, seeds: int) -> list[int]:
    """Return the study's seed-set sizes, and the size that is asked about if it is between them."""
    between = seeds not in fit.seeds and fit.beyond_sizes(seeds) == 1
    return [*fit.seeds, *([seeds] if between else [])]


def _candidates(fit: Curves, seeds: int) -> list[Candidate]:
    """Return cells of methods measured again, and new ones."""
    found = []
    for size in _sizes(fit, seeds):
        for method in fit.methods:
            known = fit.cells(fit.nearest_size(size), method)
            if not known:
                continue
            ratios = fit.ratios(size, method)
            more = doublings(size, ratios[0], 2 * ratios[-1])
            if size in fit.seeds:
                measured = [cell.budget for cell in known]
                found += [Candidate(method, size, budget, new=False) for budget in measured]
                draws = max(cell.replicates for cell in known)
                bought = _bought(fit, size, [method])
                found += [
                    Candidate(method, size, budget, True, bought, draws)
                    for budget in more
                    if not _near(budget, measured)
                ]
            else:
                found += [Candidate(method, size, budget, new=True) for budget in more]
    return found


def _mixed_candidates(
    fit: Curves, seeds: int, name: str, shares: Mapping[str, float]
) -> list[Candidate]:
    """Return new cells of a mixture, at budgets that all of its methods have."""
    found = []
    for size in _sizes(fit, seeds):
        known = [fit.cells(fit.nearest_size(size), method) for method in shares]
        if not all(known):
            continue
        ratios = [fit.ratios(size, method) for method in shares]
        low, high = max(one[0] for one in ratios), min(one[-1] for one in ratios)
        if low > high:
            continue
        measured = [c.budget for c in fit.record.mixed if (c.method, c.seeds) == (name, size)]
        inside = size in fit.seeds
        draws = max(cell.replicates for cells in known for cell in cells) if inside else 0
        bought = _bought(fit, size, [*shares]) if inside else {}
        found += [
            Candidate(name, size, budget, True, bought, draws, shares)
            for budget in doublings(size, low, 2 * high)
            if not _near(budget, measured)
        ]
    return found


def _bought(fit: Curves, size: int, methods: Sequence[str]) -> dict[str, int]:
    """Return by method the queries of its stream that were bought for a size of the study."""
    if fit.record.student == NONE:
        # Nobody says that the data of runs without models are kept.
        return {}
    return {method: max(cell.budget for cell in fit.cells(size, method)) for method in methods}


def _near(budget: int, measured: Sequence[int]) -> bool:
    return any(1 / _NEAR < budget / other < _NEAR for other in measured)


def doublings(seeds: int, first: float, last: float) -> list[int]:
    """Return budgets from a budget ratio to another: each twice the one before, and the last."""
    steps = int(np.log2(last / first * (1 + 1e-9)))
    # Rounding must not carry the ends beyond the ratios.
    ratios = [first * 2.0**step for step in range(steps + 1)]
    whole = {int(np.ceil(ratio * seeds * (1 - 1e-9))) for ratio in ratios}
    highest = int(last * seeds * (1 + 1e-9))
    budgets = sorted({budget for budget in whole if budget <= highest} | {highest})
    near = [budget for budget in budgets[:-1] if budgets[-1] / budget < _NEAR]
    return [budget for budget in budgets if budget not in near and budget > 0]


def best_cells(draws: np.ndarray, further: Further) -> tuple[NextCell, ...]:
    """Return those of some cells that would take most off the expected regret for their cost.

    Args:
        draws: accuracies of at least two choices, the best first, shape (samples, choices).
        further: the cells, with their accuracies in the same draws.
    """
    cells, lines = further.cells, further.lines
    leads = draws[:, :1] - draws[:, 1:]
    variances = leads.var(axis=0, ddof=1)
    in_doubt = variances > 1e-12
    if not in_doubt.any() or not cells:
        return ()
    leads, variances = leads[:, in_doubt], variances[in_doubt]
    # The best may have been preferred for being simpler.
    ahead = np.maximum(leads.mean(axis=0), 0.0)
    regret = float((draws.max(axis=1) - draws[:, 0]).mean())
    found: list[tuple[float, float, NextCell]] = []
    priced = all(line is not None for line in lines.values())
    drawn = np.column_stack([drawn for _, drawn, _ in cells])
    noise = np.array([(noise.shared, noise.own) for *_, noise in cells]).T
    # By lead and cell: what they have in common, and what the cell would take off the variance.
    common = (leads - leads.mean(axis=0)).T @ (drawn - drawn.mean(axis=0)) / (len(drawn) - 1)
    spread = np.maximum(drawn.var(axis=0, ddof=1) - noise[0], common**2 / variances[:, None])
    taken = common**2 / np.maximum(spread + noise[1], 1e-300)
    believed = taken >= max(_LEAST_GAIN, _LUCK / len(leads)) * variances[:, None]
    moves = np.sign(common) * np.sqrt(taken)
    for at, (one, *_) in enumerate(cells):
        moved, worth = believed[:, at], 0.0
        if moved.any():
            after = np.outer(_NORMAL, moves[moved, at]) - ahead[moved]
            worth = min(float(np.maximum(0.0, after.max(axis=1)).mean()), regret)
        if worth < _LEAST_WORTH:
            continue
        usd = _further(lines, one)
        left = max(0.0, variances[0] - taken[0, at])
        doubts = float(variances[0]) ** 0.5, float(np.sqrt(left))
        measured = not one.shares or one.method in further.measured
        cell = NextCell(
            one.method,
            one.shares or {one.method: 1.0},
            measured,
            one.seeds,
            one.budget,
            one.new,
            one.queries,
            usd,
            regret,
            regret - worth,
            *doubts,
        )
        found.append(((usd or 0.0) if priced else one.queries, worth, cell))
    free = sorted((one for one in found if one[0] <= 0), key=lambda one: -one[1])
    paid = sorted((one for one in found if one[0] > 0), key=lambda one: -one[1] / one[0])
    return tuple(cell for *_, cell in [*free[:_NAMED_FREE], *paid][:_COUNT])


_NORMAL = np.sort([NormalDist().inv_cdf((place + 0.5) / _OUTCOMES) for place in range(_OUTCOMES)])
"""Outcomes of a measurement as deviates of the normal distribution, shape (`_OUTCOMES`,)."""


def _further(lines: Mapping[tuple[int, str], CostLine | None], cell: Candidate) -> float | None:
    """Return the dollars for what of a cell's data is not bought."""
    found = 0.0
    for method, count in cell.wanted.items():
        line, bought = lines[cell.seeds, method], cell.bought.get(method, 0)
        if line is None:
            return None
        if count > bought:
            found += float(line.of(count) - (line.of(bought) if bought else 0.0))
    return found
