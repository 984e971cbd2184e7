"""Which further cells would improve a decision most, in points of accuracy, for their cost.

Over the posterior draws, the lead of the best choice over another correlates with the accuracy of a
cell. If the cell is measured, the best linear prediction moves the lead in proportion to its
covariance with the cell. The remaining variance of the lead is

    Var(lead) - Cov(lead, curve)^2 / (Var(curve) + Var(measurement))

(the update of a Gaussian, as in Rasmussen & Williams 2006, eq. 2.19, for one observation). If the
measurement moves a lead below zero, another choice becomes the best. The expected gain from that
change, over the possible outcomes of the measurement, is the cell's reduction of the expected
regret (the expected value of sample information: Raiffa & Schlaifer 1961). A cell that changes the
choice in no outcome is worth nothing and is not proposed.

Errors that the new measurement shares with the cells of the fit shift both equally: they are not
noise between them, and do not affect a difference of methods. The cells share the test items. A new
budget that is cut from an existing stream also shares its draw of the seeds. So Var(measurement)
consists of the noise between training runs, the part of the items' sampling error that cells do not
share, and, for a new draw of the seeds, the variance between draws. Var(curve) excludes the shared
error, but is at least Cov(lead, curve)^2 / Var(lead). The shared fraction of the items' sampling
error is the mean correlation of the cells' errors.

The reduction of the lead's variance was simulated (`tests/unit/test_transfer_and_design.py`): on
average over the most informative cells it is about as predicted. If all of the items' sampling
error counted as noise, less than half of it would be predicted.
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
"""Smallest relative reduction of a lead's variance that counts."""

_LEAST_WORTH = 0.0002
"""Smallest reduction of the expected regret, a fraction, for which a cell is proposed."""

_OUTCOMES = 200
"""Equally likely outcomes of a measurement over which a decision is averaged."""

_LUCK = 4.0
"""Divided by the number of draws, another smallest relative reduction: the square of two standard
errors of a zero correlation."""

_COUNT = 3
"""Number of cells that are proposed."""

_NAMED_FREE = 1
"""Of them, at most so many whose data is already bought; these would displace all others."""

_NEAR = 1.25
"""Factor within which a new budget counts as a measured one."""


@dataclass(frozen=True)
class NextCell:
    """A cell that would improve a decision.

    Attributes:
        method: its method, or the mixture as cells name it.
        shares: shares of the methods in its budget.
        measured: whether the study has students of the method or the mixture.
        seeds: its seed-set size.
        budget: its teacher queries.
        new: whether the study has no such cell; otherwise it is measured again, with another draw
            of the seeds.
        queries: teacher queries that its data would take, without those that are already bought.
        usd: cost of its data in US dollars; None if not known.
        regret_before: expected regret of the best choice, a fraction.
        regret_after: expected regret of the best choice after the cell is measured, a fraction.
        doubt_before: standard deviation of the best choice's lead over the next, a fraction.
        doubt_after: the standard deviation predicted for after the measurement, a fraction.
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
    """The candidate cells for questions about a seed-set size, for any budget.

    Attributes:
        cells: candidates, each with its accuracy in the draws and the noise of a measurement.
        lines: by seed-set size and method, the cost of budgets in dollars; None if not known.
        measured: mixtures that the study has students of.
        mixed: cached candidates of the mixtures that earlier questions asked about.
    """

    cells: Sequence[tuple[Candidate, np.ndarray, Noise]]
    lines: Mapping[tuple[int, str], CostLine | None]
    measured: Collection[str] = ()
    mixed: dict[tuple[tuple[str, float], ...], Further] = field(default_factory=dict)


def further_cells(fit: Curves, seeds: int, prices: Prices) -> Further:
    """Return the candidates of `next_cells`, for callers that ask about many budgets.

    Args:
        fit: the fit.
        seeds: the seed-set size of the question.
        prices: prices of tokens by model.
    """
    return _weighed(fit, _candidates(fit, seeds), prices)


def _weighed(fit: Curves, candidates: Sequence[Candidate], prices: Prices) -> Further:
    """Return candidates with their accuracies, and the costs of their methods."""
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
    """Return the cells that would reduce the expected regret most for their cost.

    The candidates are the cells of the study, each measured again with another draw of its seeds,
    and new cells of each method. New budgets double from the lowest measured one up to twice the
    highest, with the seed-set sizes of the study and with the size of the question, if it lies
    between them. With a size of the study, a new budget and each part of a mixture are cut from the
    longest stream that was bought, and cost only the queries beyond it.

    Args:
        fit: the fit.
        seeds: the seed-set size of the question.
        draws: accuracies of the choices, the best first, shape (samples, choices).
        prices: prices of tokens by model.
        further: result of `further_cells`, if known.
        mixtures: by name of a mixture that could be measured, its shares.

    Returns:
        The best first: by reduction of regret per dollar, or per teacher query if prices are not
        known. Cells without cost come first, but only the best of them is returned.
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
        bought: by method, the queries of its stream that were bought.
        draws: number of draws of the seeds in the fit, if the cell reuses one of them; else 0.
        shares: shares of the methods in its budget; empty for a method alone.
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
        """Queries to ask: those of its streams that are not yet bought."""
        wanted = self.wanted.items()
        more = sum(max(0.0, count - self.bought.get(method, 0)) for method, count in wanted)
        return round(more)


def _sizes(fit: Curves, seeds: int) -> list[int]:
    """Return the study's seed-set sizes, and the size of the question if it is between them."""
    between = seeds not in fit.seeds and fit.beyond_sizes(seeds) == 1
    return [*fit.seeds, *([seeds] if between else [])]


def _candidates(fit: Curves, seeds: int) -> list[Candidate]:
    """Return the methods' cells to measure again, and their new cells."""
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
    """Return new cells of a mixture, at budgets that are in the range of all its methods."""
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
    """Return, by method, the queries of its stream that were bought for a size of the study."""
    if fit.record.student == NONE:
        # Runs without models come from a table: their data may not exist any more.
        return {}
    return {method: max(cell.budget for cell in fit.cells(size, method)) for method in methods}


def _near(budget: int, measured: Sequence[int]) -> bool:
    return any(1 / _NEAR < budget / other < _NEAR for other in measured)


def doublings(seeds: int, first: float, last: float) -> list[int]:
    """Return doubling budgets from one budget ratio to another, and the budget of the last."""
    steps = int(np.log2(last / first * (1 + 1e-9)))
    # Rounding must not carry the ends beyond the ratios.
    ratios = [first * 2.0**step for step in range(steps + 1)]
    whole = {int(np.ceil(ratio * seeds * (1 - 1e-9))) for ratio in ratios}
    highest = int(last * seeds * (1 + 1e-9))
    budgets = sorted({budget for budget in whole if budget <= highest} | {highest})
    near = [budget for budget in budgets[:-1] if budgets[-1] / budget < _NEAR]
    return [budget for budget in budgets if budget not in near and budget > 0]


def best_cells(draws: np.ndarray, further: Further) -> tuple[NextCell, ...]:
    """Return the cells that would reduce the expected regret most for their cost.

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
    # The best choice may have been preferred because it is simpler, with a negative lead.
    ahead = np.maximum(leads.mean(axis=0), 0.0)
    regret = float((draws.max(axis=1) - draws[:, 0]).mean())
    found: list[tuple[float, float, NextCell]] = []
    priced = all(line is not None for line in lines.values())
    drawn = np.column_stack([drawn for _, drawn, _ in cells])
    noise = np.array([(noise.shared, noise.own) for *_, noise in cells]).T
    # By lead and cell: their covariance, and the reduction of the lead's variance.
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
"""Outcomes of a measurement as standard normal deviates, shape (`_OUTCOMES`,)."""


def _further(lines: Mapping[tuple[int, str], CostLine | None], cell: Candidate) -> float | None:
    """Return the cost in dollars of a cell's data that is not yet bought."""
    found = 0.0
    for method, count in cell.wanted.items():
        line, bought = lines[cell.seeds, method], cell.bought.get(method, 0)
        if line is None:
            return None
        if count > bought:
            found += float(line.of(count) - (line.of(bought) if bought else 0.0))
    return found
