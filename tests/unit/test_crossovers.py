"""Crossovers, by budget ratio and by cost, with their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from analysis_simulation import METHODS, true_accuracy
from fitted_studies import fit, usual_study
from scipy.optimize import brentq

from seedbed.analysis.curves.crossings import crossings, sign_changes
from seedbed.analysis.decide.advise import advise, leaders
from seedbed.analysis.decide.costs import CostLine
from seedbed.analysis.decide.crossovers import crossover_table, find_crossovers
from seedbed.analysis.settings import CrossoverSettings, FitSettings, ModelPrice


@pytest.fixture(scope="module")
def usual():
    return usual_study()


def true_crossover(seeds, reference, method):
    def difference(log_ratio):
        x = np.exp(log_ratio)
        return true_accuracy(method, seeds, x) - true_accuracy(reference, seeds, x)

    return float(np.exp(brentq(difference, 0, np.log(64))))


AB = ("a", "b")


def lines(crossing_at):
    """Straight differences that turn positive at the given positions, over 0 to 10."""
    x = np.linspace(0, 10, 11)
    return x, np.array([x - at for at in np.atleast_1d(crossing_at)])


def crossed(x, difference, draws, confidence=0.95):
    """What is found on an axis whose logarithm is x."""
    return crossings(np.exp(x), difference, draws, AB, confidence)


def ends(interval):
    """The ends of an interval on the axis of x; None where it is open."""
    return tuple(end and float(np.log(end)) for end in (interval.low, interval.high))


def test_crossovers_of_the_simulated_study_lie_within_their_intervals(usual):
    records = find_crossovers([usual], CrossoverSettings()).crossovers
    assert len(records) == 2 * 3
    hits = 0
    for record in records:
        truth = true_crossover(record.seeds, record.reference, record.method)
        assert record.leader_at_highest == record.method
        for last in record.crossings[-1:]:
            hits += (last.low or 0) <= truth <= (last.high or np.inf)
            assert last.budget == pytest.approx(last.budget_ratio * record.seeds)
    assert hits >= 5


@pytest.mark.slow
def test_crossover_interval_covers_the_truth_with_training_noise():
    covered = 0
    settings = FitSettings(methods=METHODS, bootstrap_samples=30)
    for seed in range(8):
        found = fit(settings, noise=0.02, seed=100 + seed, items=600)[0]
        records = find_crossovers([found], CrossoverSettings()).crossovers
        record = next(
            r for r in records if (r.seeds, r.method, r.reference) == (32, METHODS[2], METHODS[0])
        )
        truth = true_crossover(32, METHODS[0], METHODS[2])
        for crossing in record.crossings[-1:]:
            covered += (crossing.low or 0) <= truth <= (crossing.high or np.inf)
    # At 95% coverage, five or fewer of eight have a chance of about 1 in 200.
    assert covered >= 6


def test_sign_changes():
    x = np.array([0.0, 1.0, 2.0, 3.0])
    assert sign_changes(x, np.array([-1.0, 1.0, 2.0, 3.0])) == ([(0.5, 1)], -1, 1)
    assert sign_changes(x, np.array([1.0, 2.0, -2.0, -1.0])) == ([(1.5, -1)], 1, -1)
    assert sign_changes(x, np.array([-1.0, 1.0, 1.0, -3.0])) == ([(0.5, 1), (2.25, -1)], -1, -1)
    # A run of zeros is one change at its middle, or none if the sign stays.
    assert sign_changes(x, np.array([-1.0, 0.0, 0.0, 1.0])) == ([(1.5, 1)], -1, 1)
    assert sign_changes(x, np.array([1.0, 0.0, 0.0, 1.0])) == ([], 1, 1)
    assert sign_changes(x, np.array([0.0, 0.0, 0.0, 1.0])) == ([], 1, 1)
    assert sign_changes(x, np.zeros(4)) == ([], 0, 0)


def test_interval_of_a_crossing_is_that_of_the_draws():
    x, draws = lines(np.linspace(4, 6, 201))
    found = crossed(x, x - 5.0, draws)
    assert (found.status, found.draws_without_crossing) == ("one", 0.0)
    crossing = found.crossings[0]
    assert np.log(crossing.at) == pytest.approx(5.0)
    assert ends(crossing) == pytest.approx((4.05, 5.95), abs=0.011)
    assert (crossing.lead_before, crossing.lead_after) == pytest.approx((5.0, 5.0))


def test_an_interval_that_reaches_beyond_the_range_says_so():
    x, draws = lines(np.linspace(7, 12, 101))
    crossing = crossed(x, x - 9.0, draws).crossings[0]
    assert ends(crossing) == (pytest.approx(7.1, abs=0.06), None) and crossing.high_beyond_range
    assert crossing.share_of_draws == pytest.approx(0.6, abs=0.02)
    x, draws = lines(np.linspace(-2, 3, 101))
    crossing = crossed(x, x - 1.0, draws).crossings[0]
    assert ends(crossing) == (None, pytest.approx(2.9, abs=0.06)) and crossing.low_beyond_range


def test_draws_that_turn_the_other_way_widen_the_interval_on_both_sides():
    x, draws = lines(np.full(100, 5.0))
    draws[:10] *= -1
    assert ends(crossed(x, x - 5.0, draws, 0.9).crossings[0]) == (None, None)


def test_no_several_and_equal_crossings():
    x = np.linspace(0, 4, 5)
    up = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert crossed(x, up, up[None]).status == "none"
    twice = np.array([-1.0, 1.0, 1.0, -1.0, -1.0])
    found = crossed(x, twice, np.array([twice, twice]))
    assert found.status == "several"
    assert [crossing.overtaken_by for crossing in found.crossings] == ["b", "a"]
    assert crossed(x, np.zeros(5), np.zeros((2, 5))).status == "equal"


def test_a_crossing_that_draws_do_not_exclude_is_possible():
    x = np.linspace(0, 4, 41)
    difference = -0.5 - 0 * x
    draws = difference + np.linspace(-1, 1, 21)[:, None] * x / 4
    found = crossed(x, difference, draws)
    assert (found.status, found.crossings) == ("none", ())
    (turn,) = found.possible
    # The steepest of the draws crosses at 2.
    assert (turn.overtaken_by, ends(turn)) == ("b", (pytest.approx(2.0, abs=0.1), None))
    sure = crossed(x, difference, difference - 0 * draws)
    assert (sure.possible, sure.share_of_the_other) == ((), 0.0)


def test_where_the_other_leads_throughout_in_many_draws_it_is_said():
    x = np.linspace(0, 4, 41)
    draws = np.repeat([[-0.5], [0.5]], [70, 30], axis=0) * np.ones_like(x)
    found = crossed(x, np.full_like(x, -0.2), draws)
    assert (found.status, found.possible, found.share_of_the_other) == ("none", (), 0.3)


def test_crossovers_by_cost_are_where_equal_amounts_give_equal_accuracy(usual):
    price = ModelPrice(usd_per_million_prompt_tokens=1.0, usd_per_million_completion_tokens=10.0)
    found = find_crossovers([usual], CrossoverSettings(), {"mini_teacher": price})
    by_cost = {
        r.measure: r
        for r in found.costs
        if (r.seeds, r.reference, r.method) == (32, METHODS[0], METHODS[2])
    }
    assert set(by_cost) == {"tokens", "usd", "hours"}
    (crossing,) = by_cost["usd"].crossings
    amount = crossing.amount
    # A query of the teacher costs 350 millionths, one of the augmenter 500 more.
    spent = {METHODS[0]: amount / 350e-6, METHODS[2]: amount / 850e-6}
    reached = [usual.accuracy(32, m, np.array([b / 32]))[0][0] for m, b in spent.items()]
    assert reached[0] == pytest.approx(reached[1], abs=1e-3)
    by_queries = next(
        r
        for r in found.crossovers
        if (r.seeds, r.reference, r.method) == (32, METHODS[0], METHODS[2])
    ).crossings[-1]
    # New questions cost more a query: in money they take over later.
    assert spent[METHODS[0]] > by_queries.budget
    assert crossing.low < amount < crossing.high
    unpriced = find_crossovers([usual], CrossoverSettings()).costs
    (reason,) = {r.reason for r in unpriced if r.measure == "usd"}
    assert reason == "price of mini_teacher"
    table = crossover_table(found)
    assert set(table["measure"]) == {"budget_ratio", "tokens", "usd", "hours"}


def test_a_line_of_costs_is_straight_in_logarithms_and_proportional_beyond():
    line = CostLine(np.array([10.0, 1000.0]), np.array([1.0, 10.0]))
    assert line.of(100) == pytest.approx(np.sqrt(10))
    assert line.budget(line.of(np.array([3.0, 50.0, 4000.0]))) == pytest.approx([3.0, 50.0, 4000.0])
    assert line.of(2000) == pytest.approx(20)
    assert line.of(5) == pytest.approx(0.5)


def test_crossovers_on_a_single_budget_are_too_few():
    found = fit(FitSettings(bootstrap_samples=5), seeds=(8,), ratios=(4,), items=50)[0]
    records = find_crossovers([found], CrossoverSettings()).crossovers
    assert {record.status for record in records} == {"too_few_budgets"}
    assert leaders(found, 8) == []
    advice = advise(found, 8, 32)
    assert len([one for one in advice.outlook if one.measured]) == 3
