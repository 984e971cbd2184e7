"""What to buy next of a budget of teacher queries: the next round of a pilot, or all of the rest.

The plain rule: a fifth of the budget for each method, then the rest for the method whose student
was best. Without a pilot, the budget is divided by the budget ratio alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Literal

import numpy as np
from pydantic import Field

from seedbed.analysis.tables.outcomes import Accuracy, Outcomes, mean_accuracy, resampled_accuracies
from seedbed.records import Part
from seedbed.streams.mixtures import split

MethodKind = Literal["answers", "rephrased", "new"]
"""What a method asks the teacher: the seeds' own questions, these in other words, or new ones."""

FEW_QUERIES = 4
"""Queries a seed: a smaller budget has no pilot, whose students would hardly differ."""

UNLIKELY = 0.1
"""A method that is best with less than this chance is left out of the next round of a pilot."""

BY_RATIO: tuple[tuple[float, Mapping[MethodKind, int]], ...] = (
    (1, {"answers": 1}),
    (12, {"answers": 1, "new": 1}),
    (float("inf"), {"rephrased": 1, "new": 1}),
)
"""Up to a budget ratio, the shares of the budget without a pilot.

The paper (arXiv 2409.19759) finds answers best below 12 to 50 queries a seed, and new prompts
above; on this project's generated tasks halves of two methods are level with the best single
method, or better.
"""

_SAMPLES = 2_000


@dataclass(frozen=True)
class Pilot:
    """How a pilot divides its share of the budget into rounds.

    Attributes:
        rounds: how often students are trained before the choice; 0 for no pilot.
        share: of the budget, for each method, at the end of the last round. Each round before has
            half of the next one's.
    """

    rounds: int = 1
    share: float = 0.2

    def queries(self, budget: int, number: int) -> int:
        """Return how many queries each method has after a round.

        Args:
            budget: teacher queries, in all.
            number: of the round, from 1.
        """
        first = floor(Fraction(str(self.share)) * budget / 2 ** (self.rounds - 1))
        return first * 2 ** (number - 1)


@dataclass(frozen=True)
class SpendState:
    """What is known before a purchase.

    Attributes:
        methods: by name, in the order of the study, what each asks.
        seeds: questions in the seed set.
        budget: teacher queries, in all.
        bought: by method, the queries that were bought so far.
        outcomes: the evaluated cells, item by item, the untrained student among them; None before
            the first.
        pilot: how the pilot is divided.
        finished_rounds: of the pilot.
        seed: of random numbers.
    """

    methods: Mapping[str, MethodKind]
    seeds: int
    budget: int
    bought: Mapping[str, int] = field(default_factory=dict)
    outcomes: Outcomes | None = None
    pilot: Pilot = field(default_factory=Pilot)
    finished_rounds: int = 0
    seed: int = 0

    @property
    def left(self) -> int:
        """Teacher queries that are not spent."""
        return self.budget - sum(self.bought.values())

    @property
    def has_pilot(self) -> bool:
        """Whether students are trained before all is spent."""
        return (
            self.pilot.rounds > 0
            and len(self.methods) > 1
            and self.budget >= FEW_QUERIES * self.seeds
            and self.pilot.queries(self.budget, 1) > 0
        )


class Purchase(Part):
    """What to buy next, and why.

    Attributes:
        kind: another round of the pilot; or the rest.
        queries: by method, how many queries there are after the purchase, what was bought before
            included; a method without any is left out.
        chances: by method, the probability that it is best; empty if nothing was measured.
        expected_regret: accuracy, a fraction, that the choice loses on average to the best one;
            None if nothing was measured.
        expected_accuracy: of the student, a fraction, with its interval; None likewise.
        reason: one sentence.
    """

    kind: Literal["pilot", "final"]
    queries: dict[str, int]
    chances: dict[str, float] = Field(default_factory=dict)
    expected_regret: float | None = None
    expected_accuracy: Accuracy | None = None
    reason: str


def next_purchase(state: SpendState) -> Purchase:
    """Return what to buy next.

    Raises:
        ValueError: if more was bought than the budget.
    """
    if state.left < 0:
        raise ValueError(f"{sum(state.bought.values())} queries were bought of {state.budget}")
    number = state.finished_rounds + 1
    measured = _measured(state)
    if state.has_pilot and state.finished_rounds == 0:
        each = state.pilot.queries(state.budget, 1)
        return Purchase(
            kind="pilot",
            queries=dict.fromkeys(state.methods, each),
            reason=f"Nothing is known yet, so each method gets {each:,} queries.",
        )
    if not measured:
        shares = _by_ratio(state)
        return Purchase(
            kind="final",
            queries=_with_rest(state, shares),
            reason=(
                f"At {state.budget / state.seeds:.3g} queries a seed the budget is divided by "
                "what is published of that ratio, as no student was trained."
            ),
        )
    means, chances, regrets = _chances(state, measured)
    if state.has_pilot and state.finished_rounds < state.pilot.rounds:
        kept = [name for name in chances if chances[name] >= UNLIKELY]
        if len(kept) > 1:
            return _next_round(state, kept, number, chances, regrets)
    best = max(means, key=lambda name: means[name].accuracy)
    return Purchase(
        kind="final",
        queries=_with_rest(state, {best: 1}),
        chances=chances,
        expected_regret=regrets[best],
        expected_accuracy=means[best],
        reason=(
            f"The student of {best} was best in the pilot ({100 * means[best].accuracy:.1f}%), "
            f"so it gets the other {state.left:,} queries."
        ),
    )


def _next_round(
    state: SpendState,
    kept: list[str],
    number: int,
    chances: dict[str, float],
    regrets: dict[str, float],
) -> Purchase:
    each = state.pilot.queries(state.budget, number)
    left_out = [name for name in state.methods if name not in kept]
    said = f", without {' and '.join(left_out)}, which would hardly be best" if left_out else ""
    return Purchase(
        kind="pilot",
        queries=dict(state.bought) | dict.fromkeys(kept, each),
        chances=chances,
        expected_regret=min(regrets.values()),
        reason=f"The choice is not sure, so round {number} has {each:,} queries a method{said}.",
    )


def _by_ratio(state: SpendState) -> dict[str, float]:
    """Return shares of the budget by method, from the budget ratio alone."""
    ratio = state.budget / state.seeds
    wanted = next(shares for most, shares in BY_RATIO if ratio <= most)
    found: dict[str, float] = {}
    for kind, share in wanted.items():
        names = [name for name, one in state.methods.items() if one == kind]
        found |= {name: share / len(names) for name in names}
    return found or dict.fromkeys(state.methods, 1.0)


def _with_rest(state: SpendState, shares: Mapping[str, float]) -> dict[str, int]:
    """Return what there is after the rest is divided by shares."""
    rest = split(tuple(sorted(shares.items())), state.left)
    found = {name: state.bought.get(name, 0) + rest.get(name, 0) for name in state.methods}
    return {name: queries for name, queries in found.items() if queries}


def _measured(state: SpendState) -> dict[str, list[int]]:
    """Return the rows of the outcomes to choose by: of each method, its largest budget.

    Methods that an earlier round left out have smaller ones, and are no candidates.
    """
    if state.outcomes is None:
        return {}
    cells = state.outcomes.cells
    budgets = [
        budget if method in state.methods else 0
        for method, budget in cells.select("method", "budget").iter_rows()
    ]
    largest = max(budgets, default=0)
    found: dict[str, list[int]] = {}
    for row, (method, budget) in enumerate(zip(cells["method"], budgets, strict=True)):
        if largest and budget == largest:
            found.setdefault(method, []).append(row)
    return {name: found[name] for name in state.methods if name in found}


def _chances(
    state: SpendState, measured: Mapping[str, list[int]]
) -> tuple[dict[str, Accuracy], dict[str, float], dict[str, float]]:
    """Return by method its accuracy, its chance of being best, and its expected regret.

    Test items are resampled, for all students alike; the luck of a training is not counted.
    """
    assert state.outcomes is not None
    means = {name: mean_accuracy(state.outcomes, rows, 0.95) for name, rows in measured.items()}
    drawn = resampled_accuracies(state.outcomes, _SAMPLES, state.seed)
    by_method = np.stack([drawn[:, rows].mean(axis=1) for rows in measured.values()], axis=1)
    best = by_method.max(axis=1)
    # Ties are shared.
    won = by_method == best[:, None]
    shares = (won / won.sum(axis=1, keepdims=True)).mean(axis=0)
    lost = (best[:, None] - by_method).mean(axis=0)
    return (
        means,
        dict(zip(measured, map(float, shares), strict=True)),
        dict(zip(measured, map(float, lost), strict=True)),
    )
