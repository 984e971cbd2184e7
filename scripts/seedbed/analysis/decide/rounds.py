"""The next purchase from a budget of teacher queries: a round of a pilot, or the whole rest.

A pilot trains a student for each method, by default on a fifth of the budget each. The rest is
divided such that the student that is trained on everything has the highest expected accuracy,
according to the posterior of the task's cells. A further round leaves out methods that are unlikely
to be best, and is bought only if its results are expected to gain more accuracy than its purchases
cost. Without a pilot, the priors alone divide the budget.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Literal

import numpy as np
from pydantic import Field

from seedbed.analysis.curves import run_noise_of
from seedbed.analysis.decide.allocations import Outlook, divide, worth_of_round
from seedbed.analysis.posterior import Cells, Posterior, cells_of, fit_posterior
from seedbed.analysis.settings import MethodKind as MethodKind
from seedbed.analysis.tables.outcomes import Accuracy, Outcomes
from seedbed.analysis.tables.replicates import RunNoise
from seedbed.records import Part

FEW_QUERIES = 4
"""Queries per seed below which there is no pilot: its students would hardly differ."""

UNLIKELY = 0.1
"""Probability of being best below which the next round of a pilot leaves out a method."""

LEAST_GAIN = 0.001
"""Smallest expected gain of accuracy, a fraction, for another round, because it costs trainings."""


_DRAWS = 1500
"""Posterior draws. With fewer, their noise would order divisions of equal expected accuracy."""


@dataclass(frozen=True)
class Pilot:
    """How a pilot divides its share of the budget into rounds.

    Attributes:
        rounds: how often students are trained before the choice; 0 for no pilot.
        share: share of the budget that each method has after the last round. After each earlier
            round it has half as many queries as after the next.
    """

    rounds: int = 1
    share: float = 0.2

    def queries(self, budget: int, number: int) -> int:
        """Return how many queries each method has after a round.

        Args:
            budget: teacher queries in total.
            number: number of the round, from 1.
        """
        first = floor(Fraction(str(self.share)) * budget / 2 ** (self.rounds - 1))
        return first * 2 ** (number - 1)


@dataclass(frozen=True)
class SpendState:
    """The state of a spend before a purchase.

    Attributes:
        methods: by name, the kind of its questions, in the order of the study.
        seeds: questions in the seed set.
        budget: teacher queries in total.
        bought: by method, the queries that were bought so far.
        outcomes: the evaluated cells, item by item, including the base model; None before the
            first.
        pilot: rounds and share of the pilot.
        finished_rounds: number of finished rounds of the pilot.
        seed: seed of the random numbers.
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
        """Whether students are trained before the whole budget is spent."""
        return (
            self.pilot.rounds > 0
            and len(self.methods) > 1
            and self.budget >= FEW_QUERIES * self.seeds
            and self._room(self.pilot.queries(self.budget, 1))
        )

    def _room(self, each: int) -> bool:
        """Return whether `each` is above 0 and so many queries per method fit into the budget."""
        needed = (max(each, self.bought.get(name, 0)) for name in self.methods)
        return each > 0 and sum(needed) <= self.budget


class Purchase(Part):
    """The next purchase, with its reason.

    Attributes:
        kind: "prices" for a few queries that measure prices, "pilot" for another round, "final" for
            the rest.
        queries: by method, the queries after the purchase, earlier ones included; without methods
            that have none.
        chances: by method, the probability that it is best; empty if nothing was measured.
        expected_regret: mean loss of the choice's accuracy to the best one, a fraction; None if
            nothing was measured.
        expected_accuracy: accuracy of the student, a fraction, with its interval; None if nothing
            was measured or the purchase is not final.
        reason: one sentence.
        left_out: by method that yields no rows, the reason; `queries` includes its queries.
    """

    kind: Literal["prices", "pilot", "final"]
    queries: dict[str, int]
    chances: dict[str, float] = Field(default_factory=dict)
    expected_regret: float | None = None
    expected_accuracy: Accuracy | None = None
    reason: str
    left_out: dict[str, str] = Field(default_factory=dict)


def next_purchase(state: SpendState) -> Purchase:
    """Return the next purchase.

    Raises:
        ValueError: if more queries were bought than the budget has.
    """
    if state.left < 0:
        raise ValueError(f"{sum(state.bought.values())} queries were bought of {state.budget}")
    number = state.finished_rounds + 1
    if state.has_pilot and state.finished_rounds == 0:
        each = state.pilot.queries(state.budget, 1)
        return Purchase(
            kind="pilot",
            queries={name: max(each, state.bought.get(name, 0)) for name in state.methods},
            reason=f"Nothing is known yet, so each method gets {each:,} queries.",
        )
    names, kinds = list(state.methods), list(state.methods.values())
    cells = cells_of(state.outcomes, names)
    # Without a trained student, only the priors from publications apply.
    known = cells if cells.trained.any() else cells_of(None, names)
    if not len(known):
        found = by_priors(state.methods, state.seeds, state.budget, state.bought, state.seed)
        return Purchase(kind="final", queries=found.outlook.queries, reason=found.reason)
    posterior = fit_posterior(known, kinds, samples=_DRAWS, seed=state.seed)
    outlook = divide(posterior, names, state.seeds, state.budget, state.bought)
    if state.has_pilot and state.finished_rounds < state.pilot.rounds:
        kept = [name for name, chance in outlook.chances.items() if chance >= UNLIKELY]
        if len(kept) > 1:
            another = _next_round(state, kept, number, outlook)
            worth = worth_of_round(
                posterior,
                state.seeds,
                state.budget,
                [state.bought.get(name, 0) for name in names],
                [another.queries.get(name, 0) for name in names],
                cells.items,
            )
            if worth > LEAST_GAIN:
                return another
    return Purchase(
        kind="final",
        queries=outlook.queries,
        chances=outlook.chances,
        expected_regret=outlook.regret,
        expected_accuracy=outlook.accuracy,
        reason=_why(state, outlook),
    )


@dataclass(frozen=True)
class Priors:
    """The division of a budget by the priors alone.

    Attributes:
        posterior: the priors, as a posterior without cells.
        outlook: the division of the budget.
        reason: the reason for the division, with its expected regret, as one sentence.
    """

    posterior: Posterior
    outlook: Outlook
    reason: str


def by_priors(
    methods: Mapping[str, MethodKind],
    seeds: int,
    budget: int,
    bought: Mapping[str, int] | None = None,
    seed: int = 0,
) -> Priors:
    """Return how to divide a budget if no student was trained.

    Args:
        methods: by name, the kind of its questions, in the order of the study.
        seeds: questions in the seed set.
        budget: teacher queries in total.
        bought: by method, the queries that were bought so far.
        seed: seed of the random numbers.
    """
    posterior = prior_posterior(methods, seed)
    outlook = divide(posterior, list(methods), seeds, budget, bought or {})
    return Priors(posterior, outlook, prior_reason(methods, budget / seeds, outlook.regret))


def prior_posterior(
    methods: Mapping[str, MethodKind], seed: int = 0, untrained: Cells | None = None
) -> Posterior:
    """Return the prior, before a student was trained, as a posterior.

    Args:
        methods: by name, the kind of its questions, in the order of the study.
        seed: seed of the random numbers.
        untrained: the base model as a cell, if its accuracy is known.
    """
    cells = cells_of(None, list(methods)) if untrained is None else untrained
    return fit_posterior(cells, list(methods.values()), samples=_DRAWS, seed=seed)


def prior_reason(methods: Collection[str], ratio: float, regret: float) -> str:
    """Return why priors divide a budget, and the division's expected regret, as one sentence.

    Args:
        methods: names of the methods.
        ratio: queries per seed.
        regret: expected loss of the division to the best one, a fraction.
    """
    if len(methods) == 1:
        return f"{next(iter(methods))} is the only method, so it gets the whole budget."
    return (
        f"No student was trained, so published results at {ratio:.3g} "
        "queries per seed divide the budget; tasks differ, so this is expected to lose "
        f"{100 * regret:.1f} points to the best division."
    )


def noise_of_trainings(methods: Mapping[str, MethodKind], outcomes: Outcomes) -> RunNoise:
    """Return the noise between training runs of a spend, from its pilot or the priors alone.

    Args:
        methods: by name, the kind of its questions, in the order of the study.
        outcomes: the evaluated cells, item by item.
    """
    names, kinds = list(methods), list(methods.values())
    cells = cells_of(outcomes, names)
    known = cells if cells.trained.any() else cells_of(None, names)
    posterior = fit_posterior(known, kinds, samples=_DRAWS)
    shares = outcomes.correct.mean(axis=1)
    slope = float(np.mean(shares * (1 - shares)))
    return run_noise_of(posterior, slope, int(known.trained.sum()))


def _why(state: SpendState, outlook: Outlook) -> str:
    """Return the reason for the division of the rest."""
    more = [
        name for name, queries in outlook.queries.items() if queries > state.bought.get(name, 0)
    ]
    said = f"The rest goes to {' and '.join(more)}" if more else "No further query is asked"
    chance = outlook.chances[outlook.best]
    return (
        f"{said}, which promises the best student ({100 * outlook.accuracy.accuracy:.1f}%); alone, "
        f"{outlook.best} would be the best method with a chance of {100 * chance:.0f}%."
    )


def _next_round(state: SpendState, kept: list[str], number: int, outlook: Outlook) -> Purchase:
    each = state.pilot.queries(state.budget, number)
    left_out = [name for name in state.methods if name not in kept]
    said = f", without {' and '.join(left_out)}, which would hardly be best" if left_out else ""
    return Purchase(
        kind="pilot",
        queries=dict(state.bought) | dict.fromkeys(kept, each),
        chances=outlook.chances,
        expected_regret=outlook.regret,
        reason=f"The choice is uncertain, so round {number} has {each:,} queries per method{said}.",
    )
