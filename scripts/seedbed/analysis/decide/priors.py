"""Advice where no student of a task was trained: what published findings let expect.

The division of the budget, and what that is worth, are those of `spend` without a student.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seedbed.analysis.decide.advise import Advice, ChoiceOutlook, Pilot
from seedbed.analysis.decide.allocations import divisions, worth_of_round
from seedbed.analysis.decide.rounds import FEW_QUERIES, by_priors
from seedbed.analysis.decide.rounds import Pilot as Rounds
from seedbed.analysis.posterior import Posterior, chances_of_best, expected_regrets
from seedbed.analysis.settings import MethodKind
from seedbed.streams.mixtures import coordinate

_ITEMS = 500
"""Test items that a pilot's students are assumed to be measured on."""


def prior_advice(
    methods: Mapping[str, MethodKind], seeds: int, budget: int, confidence: float
) -> Advice:
    """Return how to divide a budget by what is published, and what a pilot would gain.

    Args:
        methods: by name, in the order of the study, what each asks the teacher.
        seeds: seed-set size.
        budget: teacher queries.
        confidence: coverage of the intervals.

    Raises:
        ValueError: if there is no method, or no query.
    """
    if budget < 1:
        raise ValueError(f"budget {budget}: at least one query is needed")
    if not methods:
        raise ValueError("the study has no method that asks a teacher")
    names = list(methods)
    priors = by_priors(methods, seeds, budget)
    queries = priors.outlook.queries
    divided = np.array([queries.get(name, 0) for name in names], float)
    alone = budget * np.eye(len(names))
    mixed = len(queries) > 1
    named = np.vstack([divided, alone]) if mixed else alone
    free = budget * divisions(len(names))
    draws = priors.posterior.accuracy(seeds, np.vstack([named, free]))
    count = len(named)
    chances, regrets = chances_of_best(draws[:, :count]), expected_regrets(draws)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    lows, highs = np.quantile(draws[:, :count], tails, axis=0)
    shares = [
        {name: float(of) for name, of in zip(names, row / budget, strict=True) if of > 0}
        for row in named
    ]
    outlook = [
        ChoiceOutlook(
            method=next(iter(of)) if len(of) == 1 else coordinate(tuple(of.items())),
            budget=budget,
            accuracy=float(draws[:, at].mean()),
            low=float(lows[at]),
            high=float(highs[at]),
            probability_best=float(chances[at]),
            expected_regret=float(regrets[at]),
            shares=of,
            measured=False,
        )
        for at, of in enumerate(shares)
    ]
    chosen = next(one for one in outlook if one.shares.keys() == queries.keys())
    others = [one for one in outlook if one is not chosen]
    return Advice(
        seeds,
        budget,
        None,
        "priors",
        1.0,
        (chosen, *sorted(others, key=lambda one: -one.accuracy)),
        confidence,
        reason=priors.reason,
        pilot=_pilot(priors.posterior, len(names), seeds, budget),
    )


def _pilot(posterior: Posterior, count: int, seeds: int, budget: int) -> Pilot | None:
    """Return what a pilot of a fifth of the budget a method would gain; None where it does not."""
    each = Rounds().queries(budget, 1)
    if count < 2 or budget < FEW_QUERIES * seeds or not 0 < each * count <= budget:
        return None
    gain = worth_of_round(posterior, seeds, budget, [0] * count, [each] * count, _ITEMS)
    return Pilot(each, gain, _ITEMS) if gain > 0 else None
