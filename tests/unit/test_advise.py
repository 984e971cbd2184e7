"""Which method leads where, what to expect of it, and the least budget for an accuracy."""

from __future__ import annotations

import json
from itertools import pairwise, product

import numpy as np
import pytest
from analysis_simulation import METHODS, true_accuracy
from fitted_studies import fit, usual_study

from seedbed.analysis.curves import Between
from seedbed.analysis.decide.advise import (
    Stretch,
    advise,
    best_shares,
    leaders,
    leading_stretches,
    merged,
    plans,
)
from seedbed.analysis.decide.crossovers import crossover_table, find_crossovers
from seedbed.analysis.decide.transfer import transferred_advice
from seedbed.analysis.settings import CrossoverSettings, FitSettings


@pytest.fixture(scope="module")
def usual():
    return usual_study()


def other_tasks(count, lift=0.0):
    """Fits of tasks that differ in their level, by `lift` from one to the next."""
    fits = []
    for number in range(count):
        place = {"task": f"task{number}"}

        def accuracy(method, seeds, ratio, number=number):
            return true_accuracy(method, seeds, ratio) - lift * number

        tables = {"accuracy": accuracy, "other": place, "untrained": 0.45 - lift * number}
        fits += fit(items=1500, seed=number, **tables)
    return fits


@pytest.mark.slow
@pytest.mark.parametrize(
    "kwargs",
    [
        {"seeds": (32,), "ratios": (1, 2, 4, 8, 16, 32)},
        {"methods": METHODS[:1]},
        {"untrained": None},
        {"accuracy": lambda method, seeds, ratio: 0.6, "untrained": 0.6},
        {"accuracy": lambda method, seeds, ratio: 0.0, "untrained": 0.0},
        {"accuracy": lambda method, seeds, ratio: 1.0, "untrained": 1.0},
        {"replicates": 2, "ratios": (1, 16)},
    ],
    ids=["one size", "one method", "no baseline", "all equal", "all 0", "all 1", "replicates"],
)
def test_degenerate_studies_are_fitted(kwargs):
    settings = FitSettings(methods=METHODS, bootstrap_samples=5)
    found = fit(settings, items=200, **kwargs)[0]
    for seeds, method in product(found.seeds, found.methods):
        centre, draws = found.accuracy(seeds, method, np.array([1.0, 16.0]))
        assert np.isfinite(draws).all() and (draws >= 0).all() and (draws <= 1).all()
        truth = kwargs.get("accuracy", true_accuracy)
        assert centre == pytest.approx([truth(method, seeds, x) for x in (1, 16)], abs=0.12)
    content = find_crossovers([found], CrossoverSettings())
    crossover_table(content)
    for record in content.crossovers:
        assert record.status
    json.dumps(content.model_dump(mode="json"), allow_nan=False)
    advise(found, found.seeds[0], found.seeds[0] * 16)


def test_one_budget_is_enough_for_advice():
    found = fit(seeds=(50,), ratios=(16,))[0]
    near, far = advise(found, 50, 800), advise(found, 50, 8000)
    assert near.basis == "its cells" and len(near.alone) == len(far.alone) == 3
    assert far.beyond == pytest.approx(10)
    # What is known at the budget is less known elsewhere.
    for entry, other in product(near.alone, far.alone):
        assert 0 <= entry.low < entry.accuracy < entry.high <= 1
        assert other.high - other.low > entry.high - entry.low
    for seeds, budget in ((50, 8001), (50, 79), (5, 800), (501, 800 * 501 // 50)):
        with pytest.raises(ValueError, match="no advice is given for more than 10 times beyond"):
            advise(found, seeds, budget)


def test_advice_names_the_best_method_and_its_cost(usual):
    low, high = advise(usual, 32, 32), advise(usual, 32, 2048)
    # A little of another method is as good in the model, and may come first.
    assert high.best.shares["new_question"] >= 0.8
    assert high.alone[0].probability_best > 0.99 and high.alone[0].method == "new_question"
    assert low.basis == "its cells"
    assert high.best.accuracy == pytest.approx(true_accuracy("new_question", 32, 64), abs=0.03)
    assert high.best.low < high.best.accuracy < high.best.high
    # The simulation makes one and a half augmenter queries for each teacher query.
    assert high.best.augmenter_queries == pytest.approx(1.5 * 2048)
    (aa,) = (entry for entry in high.outlook if entry.method == "answer_augmentation")
    assert aa.augmenter_queries == 0
    assert high.best.further_queries == 0
    assert sum(entry.probability_best for entry in low.outlook) == pytest.approx(1)
    # What the best one loses to others is little; what they lose to it is what they are behind.
    behind = high.best.accuracy - aa.accuracy
    assert 0 <= high.best.expected_regret < 2e-3
    assert aa.expected_regret == pytest.approx(behind, abs=0.02)
    between = advise(usual, 48, 480).best
    assert between.accuracy == pytest.approx(true_accuracy("new_question", 48, 10), abs=0.05)


def test_the_least_budget_is_the_first_that_is_expected_to_reach_the_target(usual):
    found = {one.method: one for one in plans(usual, 32, 0.6)}
    assert {*METHODS} < {*found}
    for one in found.values():
        before, at = (
            float(usual.of(32, [{m: of * budget for m, of in one.shares.items()}]).centre[0])
            for budget in (one.budget / 1.03, one.budget)
        )
        assert before < 0.6 <= at == pytest.approx(one.accuracy)
        assert one.low < one.accuracy < one.high and 0.2 < one.probability < 0.9
    budgets = [one.budget for one in plans(usual, 32, 0.6)]
    assert budgets == sorted(budgets)
    # What the first budget reaches, and what none does.
    assert {one.budget for one in plans(usual, 32, 1e-6)} == {32}
    assert {one.probability for one in plans(usual, 32, 1e-6)} == {1.0}
    never = plans(usual, 48, 0.999)
    assert {one.budget for one in never} == {None} and never[0].accuracy < 0.999
    assert [one.accuracy for one in never] == sorted((o.accuracy for o in never), reverse=True)


@pytest.mark.slow
def test_a_failed_training_is_named_and_does_not_rule():
    def with_one_failed(method, seeds, ratio):
        at = (method, seeds, ratio) == ("new_question", 32, 16)
        return 0.3 if at else true_accuracy(method, seeds, ratio)

    found = fit(items=2000, accuracy=with_one_failed)[0]
    (far,) = found.record.far_off
    assert "method=new_question" in far.cell and "seeds=32" in far.cell and far.probability > 0.9
    centre = found.accuracy(32, "new_question", np.array([16.0])).centre[0]
    assert centre == pytest.approx(true_accuracy("new_question", 32, 16), abs=0.05)


def test_nothing_leads_where_all_methods_are_equal():
    found = fit(seeds=(32,), ratios=(1, 64), items=60, accuracy=lambda *_: 0.0, untrained=0.0)[0]
    assert leaders(found, 32) == []
    advice = advise(found, 32, 32)
    assert all(0.15 < entry.probability_best < 0.6 for entry in advice.alone)
    assert len(advice.leading) == 3


@pytest.mark.parametrize(
    ("seeds", "budget", "beyond"), [(16, 64, 2), (128, 512, 2), (32, 16, 2), (64, 16384, 4)]
)
def test_advice_beyond_the_data_says_how_far_and_is_less_sure(usual, seeds, budget, beyond):
    advice = advise(usual, seeds, budget)
    assert advice.beyond == pytest.approx(beyond)
    within = advise(usual, int(np.clip(seeds, 32, 64)), 64 * 32)
    assert within.beyond == 1

    def width(said):
        return np.mean([entry.high - entry.low for entry in said.outlook])

    assert width(advice) > width(within)


@pytest.mark.slow
def test_a_task_without_results_borrows_from_others():
    new, truth = "new_question", true_accuracy("new_question", 32, 32)
    said = [transferred_advice(other_tasks(3, lift), 32, 1024) for lift in (0.0, 0.1)]
    for advice in said:
        assert advice.basis == "other tasks" and advice.best.shares[new] >= 0.6
    near, far = (advice.alone[0] for advice in said)
    assert near.method == far.method == new and near.low < truth < near.high
    # The more the tasks differ, the less is known of another.
    assert far.high - far.low > 2 * (near.high - near.low)
    # What they have in common is still known: which method is best.
    assert far.probability_best > 0.9
    own = advise(other_tasks(1)[0], 32, 1024).alone[0]
    assert far.high - far.low > own.high - own.low
    with pytest.raises(ValueError, match="two other tasks"):
        transferred_advice(other_tasks(1), 32, 1024)


def test_draws_for_a_new_task_have_the_spread_between_tasks():
    generator = np.random.default_rng(1)
    levels = generator.normal(0.0, 0.5, 200)
    centres = np.stack([levels, levels + 1.0], axis=1)
    draws = centres[:, :, None] + generator.normal(0, 0.1, (200, 2, 500))
    new = Between.of(centres, draws).draws(centres, draws)
    assert new.std(axis=1) == pytest.approx(np.std(levels), rel=0.1)
    # The methods differ by the same in all tasks, and so they do in a new one.
    assert (new[1] - new[0]).mean() == pytest.approx(1.0, abs=0.05)
    assert (new[1] - new[0]).std() < 0.2 * new[0].std()


def test_the_cells_that_tell_most_are_those_that_the_lead_depends_on(usual):
    advice = advise(usual, 32, 512)
    made_of = {method for entry in advice.outlook[:2] for method in entry.shares}
    assert 0 < len(advice.design) <= 3
    for cell in advice.design:
        assert {*cell.shares} <= made_of
        assert 0 < cell.doubt_after <= cell.doubt_before
        assert cell.regret_before == pytest.approx(advice.best.expected_regret)
        assert 0 <= cell.regret_after < cell.regret_before


def test_leaders_follow_the_curves(usual):
    parts = leaders(usual, 32)
    assert parts[0].low == 1 and parts[-1].high == 64
    assert parts[-1].methods == ("new_question",)
    assert all(left.high == right.low for left, right in pairwise(parts))
    assert all(left.methods != right.methods for left, right in pairwise(parts))


@pytest.mark.slow
def test_methods_that_are_tied_lead_together():
    """Two equal methods cross by noise alone; which leads must not flip with it."""

    def accuracy(method, seeds, ratio):
        return 0.4 if method == "answer_augmentation" else 0.4 + 0.1 * min(1, ratio / 4)

    found = fit(seeds=(32,), ratios=(1, 4, 16, 64), items=400, accuracy=accuracy)[0]
    parts = leaders(found, 32)
    assert parts[-1].methods == ("question_rephrase", "new_question")
    assert parts[-1].low < 8 and parts[-1].high == 64
    # By expected accuracy alone, one of the two would lead here, the other there.
    ratios = np.geomspace(parts[-1].low, 64, 50)
    draws = [found.accuracy(32, name, ratios)[1] for name in parts[-1].methods]
    assert 0.05 < (draws[0] > draws[1]).mean() < 0.95


def stretches(leading):
    """Stretches of 401 budgets from 1 to 100, at which methods lead alone or tie."""
    centres = np.where(leading, 0.6, 0.5)
    draws = np.repeat(centres[:, None], 40, axis=1)
    return leading_stretches(np.geomspace(1, 100, 401), ["a", "b"], centres, draws, 0.95)


def test_stretches_too_narrow_to_matter_join_a_neighbour():
    """The share of draws passes the threshold with noise of its own."""
    leading = np.zeros((2, 401), dtype=bool)
    leading[0, :200] = leading[1, 200:] = True
    leading[1, 100] = leading[0, 300] = True
    found = stretches(leading)
    assert [part.methods for part in found] == [("a",), ("b",)]
    assert found[0].high == found[1].low == pytest.approx(10, rel=0.01)


def test_a_short_stretch_of_a_tie_stays_one():
    """Its middle is no place at which the data tell who leads."""
    leading = np.zeros((2, 401), dtype=bool)
    leading[0, :201] = leading[1, 151:] = True
    found = stretches(leading)
    assert [part.methods for part in found] == [("a",), ("a", "b"), ("b",)]
    assert found[1].high / found[1].low < 2


def test_adjacent_stretches_of_the_same_methods_are_joined():
    parts = [Stretch(("a",), 1, 2), Stretch(("a",), 2, 8), Stretch(("b",), 8, 9)]
    assert merged(parts) == [Stretch(("a",), 1, 8), Stretch(("b",), 8, 9)]
    assert merged(parts, np.log(2)) == [Stretch(("a",), 1, 9)]


def test_ties_share_the_probability_of_being_best():
    draws = np.array([[0.5, 0.6, 0.5], [0.5, 0.5, 0.4], [0.1, 0.1, 0.5]])
    assert best_shares(draws) == pytest.approx([(0.5 + 1 + 0.5) / 3, 0.5 / 3, 0.5 / 3])
