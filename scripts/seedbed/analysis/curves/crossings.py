"""Sign changes of the difference between two methods, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from seedbed.records import Part

GRID_POINTS = 257
"""Points of an axis. Between them a difference is interpolated linearly in the logarithm."""

_Changes = tuple[list[tuple[float, int]], int, int]


class Scale(Protocol):
    """Maps a method's budgets to another axis, such as dollars.

    Attributes:
        low: position of its smallest budget on the axis.
        high: position of its largest budget.
    """

    @property
    def low(self) -> float: ...  # noqa: D102

    @property
    def high(self) -> float: ...  # noqa: D102

    def budget(self, amount: np.ndarray) -> np.ndarray:
        """Return the budgets at positions on the axis."""
        ...


class Stretch(Part):
    """A stretch of an axis in which a crossover may lie; None for an end beyond the range."""

    low: float | None
    high: float | None


class Turn(Stretch):
    """A crossover in one direction, according to the draws.

    Attributes:
        overtaken_by: the method that is better beyond it.
        low: lower end of its interval; None if the interval reaches beyond the range.
        high: upper end.
        share_of_draws: share of the draws with such a crossover.
    """

    overtaken_by: str
    low_beyond_range: bool
    high_beyond_range: bool
    share_of_draws: float


class Crossing(Turn):
    """A crossover.

    Attributes:
        budget_ratio: its budget ratio, if that is the axis; else None.
        budget: its teacher queries, if the axis is the budget ratio; else None.
        amount: its position on another axis.
        lead_before: greatest difference on the stretch before it, a fraction.
        lead_after: greatest difference on the stretch after it, a fraction.
    """

    lead_before: float
    lead_after: float
    budget_ratio: float | None = None
    budget: float | None = None
    amount: float | None = None

    @property
    def at(self) -> float:
        """Its position on the axis."""
        at = self.amount if self.budget_ratio is None else self.budget_ratio
        assert at is not None, "a crossover has a place"
        return at


class Crossings(Part):
    """The crossovers of two methods, and the crossovers that draws do not exclude.

    Attributes:
        status: "one", "several" or "none" (crossovers within the range of the data), "equal" (no
            difference anywhere), "too_few_budgets" (no range in common), or "unknown".
        range: the range of the axis that was searched.
        leader_at_lowest: the method that is better at its low end.
        leader_at_highest: the method that is better at its high end.
        lead: greatest difference in the range, a fraction.
        crossings: the crossovers.
        possible: for "none", crossovers that draws do not exclude.
        draws_without_crossing: share of the draws without a crossover.
        share_of_the_other: for "none", share of the draws in which the other method leads
            throughout.
    """

    status: str
    range: tuple[float, float] | None = None
    leader_at_lowest: str | None = None
    leader_at_highest: str | None = None
    lead: float | None = None
    crossings: tuple[Crossing, ...] = ()
    possible: tuple[Turn, ...] = ()
    draws_without_crossing: float | None = None
    share_of_the_other: float | None = None


def crossings(
    positions: np.ndarray,
    difference: np.ndarray,
    draws: np.ndarray,
    pair: tuple[str, str],
    confidence: float,
) -> Crossings:
    """Return the sign changes of a difference that is linear in the logarithm of the axis.

    Args:
        positions: ascending positions on the axis, shape (n,).
        difference: the second method's accuracy minus the first's, shape (n,).
        draws: posterior draws of the difference, shape (samples, n).
        pair: the two methods.
        confidence: coverage of the intervals.
    """
    logs = np.log(positions)
    found, first, last = sign_changes(logs, difference)
    of_draw = [sign_changes(logs, row) for row in draws]
    status = "equal" if first == 0 else {0: "none", 1: "one"}.get(len(found), "several")
    name_of = {1: pair[1], -1: pair[0], 0: None}
    edges = [-np.inf, *(at for at, _ in found), np.inf]
    leads = [
        float(np.abs(difference[(logs >= left) & (logs <= right)]).max(initial=0.0))
        for left, right in pairwise(edges)
    ]
    possible, opposite = [], None
    if status == "none":
        led = [not changes and start == -first for changes, start, _ in of_draw]
        opposite = float(np.mean(led))
        # The leader may be overtaken beyond the range, or have overtaken before it.
        for direction, beyond in ((-first, logs[-1]), (first, logs[0])):
            turn = _turn(of_draw, beyond, direction, pair, confidence)
            if not (turn.low_beyond_range and turn.high_beyond_range):
                possible.append(turn)
    return Crossings(
        status=status,
        range=(float(positions[0]), float(positions[-1])),
        leader_at_lowest=name_of[first],
        leader_at_highest=name_of[last],
        lead=float(np.abs(difference).max()),
        crossings=tuple(
            Crossing(
                **dict(_turn(of_draw, at, direction, pair, confidence)),
                amount=float(np.exp(at)),
                lead_before=leads[index],
                lead_after=leads[index + 1],
            )
            for index, (at, direction) in enumerate(found)
        ),
        possible=tuple(possible),
        draws_without_crossing=float(np.mean([not changes for changes, _, _ in of_draw])),
        share_of_the_other=opposite,
    )


def _exp(value: float | None) -> float | None:
    return None if value is None else float(np.exp(value))


def _turn(
    of_draw: Sequence[_Changes],
    at: float,
    direction: int,
    pair: tuple[str, str],
    confidence: float,
) -> Turn:
    """Return the interval of a crossover in one direction, from each draw's sign changes."""
    lower, upper, hits = [], [], 0
    for changes, start, _ in of_draw:
        same = [place for place, turn in changes if turn == direction]
        if same:
            nearest = min(same, key=lambda place: abs(place - at))
            lower.append(nearest)
            upper.append(nearest)
            hits += 1
        elif changes or start == 0:
            # A draw with only the opposite turn, or without a difference, does not locate this
            # turn, so it widens the interval on both sides.
            lower.append(-np.inf)
            upper.append(np.inf)
        else:
            # One method leads throughout: the turn lies before or beyond the whole range.
            beyond = -np.inf if start == direction else np.inf
            lower.append(beyond)
            upper.append(beyond)
    tail = (1 - confidence) / 2
    # Use quantiles that are draws, because infinities cannot be interpolated.
    low = float(np.quantile(lower, tail, method="lower"))
    high = float(np.quantile(upper, 1 - tail, method="higher"))
    return Turn(
        overtaken_by=pair[direction > 0],
        low=_exp(low) if np.isfinite(low) else None,
        high=_exp(high) if np.isfinite(high) else None,
        low_beyond_range=not np.isfinite(low),
        high_beyond_range=not np.isfinite(high),
        share_of_draws=hits / len(of_draw),
    )


def sign_changes(positions: np.ndarray, difference: np.ndarray) -> _Changes:
    """Return the sign changes of a piecewise linear function, and its first and last sign.

    A run of zeros between opposite signs is one change, at its middle; between equal signs it is
    none.

    Returns:
        Pairs of position and direction (+1 if the function becomes positive); the first and the
        last sign other than 0 (0 if there is none).
    """
    kept = np.flatnonzero(np.abs(difference) > 1e-12)
    if len(kept) == 0:
        return [], 0, 0
    signs = np.sign(difference[kept]).astype(int)
    changes = []
    for index in np.flatnonzero(signs[1:] != signs[:-1]):
        i, j = kept[index], kept[index + 1]
        if j - i > 1:
            place = (positions[i + 1] + positions[j - 1]) / 2
        else:
            share = difference[i] / (difference[i] - difference[j])
            place = positions[i] + share * (positions[j] - positions[i])
        changes.append((float(place), int(signs[index + 1])))
    return changes, int(signs[0]), int(signs[-1])


def first_crossover(positions: np.ndarray, difference: np.ndarray) -> tuple[float, float]:
    """Return bounds of the position at which the second method first takes the lead.

    They differ if it leads from the start (the change lies before the range), or if it never leads
    (the change lies beyond the range).
    """
    changes, first, _ = sign_changes(positions, difference)
    turns = [place for place, direction in changes if direction > 0]
    if turns:
        return turns[0], turns[0]
    if first > 0:
        return -np.inf, float(positions[0])
    return float(positions[-1]), np.inf
