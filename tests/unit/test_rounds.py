"""What to buy next of a budget: pilots, the rest, and the budget ratio where nothing is known."""

import numpy as np
import polars as pl
import pytest

from seedbed.analysis.decide.rounds import Pilot, SpendState, next_purchase
from seedbed.analysis.tables.outcomes import Outcomes

METHODS = {
    "answer_augmentation": "answers",
    "question_rephrase": "rephrased",
    "new_question": "new",
}


def outcomes(rights, budgets, items=400):
    """Return outcomes in which each method gets some of the items right, the same ones first."""
    names = [*rights, "untrained"]
    correct = np.array([np.arange(items) < rights.get(name, 10) for name in names], dtype=float)
    cells = pl.DataFrame(
        {
            "cell": names,
            "method": names,
            "budget": [*(budgets[name] for name in rights), 0],
            "seeds": [16] * len(rights) + [0],
        }
    )
    clusters = np.arange(items)
    return Outcomes("mini_math", cells, tuple(map(str, range(items))), clusters, correct)


def state(**changes):
    return SpendState(**{"methods": METHODS, "seeds": 16, "budget": 1000} | changes)


def test_each_method_gets_a_fifth_first():
    found = next_purchase(state())
    assert found.kind == "pilot"
    assert found.queries == dict.fromkeys(METHODS, 200)
    assert found.chances == {} and found.expected_accuracy is None


def test_the_best_of_the_pilot_gets_all_the_rest_and_nothing_is_thrown_away():
    bought = dict.fromkeys(METHODS, 200)
    rights = {"answer_augmentation": 100, "question_rephrase": 220, "new_question": 150}
    found = next_purchase(
        state(bought=bought, outcomes=outcomes(rights, bought), finished_rounds=1)
    )
    assert found.kind == "final"
    assert found.queries == bought | {"question_rephrase": 600}
    assert sum(found.queries.values()) == 1000
    assert found.chances["question_rephrase"] > 0.99 and sum(found.chances.values()) == (
        pytest.approx(1)
    )
    assert found.expected_accuracy.accuracy == 220 / 400
    assert found.expected_accuracy.low < 220 / 400 < found.expected_accuracy.high
    assert found.expected_regret == pytest.approx(0, abs=1e-3)
    assert "question_rephrase" in found.reason


def test_rounds_double_and_leave_out_a_method_that_is_hardly_best():
    pilot = Pilot(rounds=3, share=0.25)
    first = next_purchase(state(pilot=pilot))
    assert set(first.queries.values()) == {62}
    rights = {"answer_augmentation": 40, "question_rephrase": 200, "new_question": 199}
    known = {"bought": first.queries, "outcomes": outcomes(rights, first.queries)}
    second = next_purchase(state(pilot=pilot, finished_rounds=1, **known))
    assert second.kind == "pilot"
    assert second.queries == {
        "answer_augmentation": 62, "question_rephrase": 124, "new_question": 124
    }  # fmt: skip
    assert "answer_augmentation" in second.reason
    known = {"bought": second.queries, "outcomes": outcomes(rights, second.queries)}
    third = next_purchase(state(pilot=pilot, finished_rounds=2, **known))
    # Its student of an earlier round says nothing of the later ones.
    assert third.queries == second.queries | dict.fromkeys(list(METHODS)[1:], 248)


def test_a_sure_choice_ends_the_pilot():
    pilot = Pilot(rounds=3, share=0.25)
    bought = dict.fromkeys(METHODS, 62)
    rights = {"answer_augmentation": 40, "question_rephrase": 200, "new_question": 50}
    known = {"bought": bought, "outcomes": outcomes(rights, bought)}
    found = next_purchase(state(pilot=pilot, finished_rounds=1, **known))
    assert found.kind == "final" and sum(found.queries.values()) == 1000


@pytest.mark.parametrize(
    ("budget", "queries"),
    [
        (16, {"answer_augmentation": 16}),
        (63, {"answer_augmentation": 31, "new_question": 32}),
        (1, {"answer_augmentation": 1}),
    ],
)
def test_a_budget_of_a_few_queries_a_seed_has_no_pilot(budget, queries):
    found = next_purchase(state(budget=budget))
    assert found.kind == "final" and sum(found.queries.values()) == budget
    assert {name: found.queries[name] for name in queries}.keys() == queries.keys()
    assert all(abs(found.queries[name] - queries[name]) <= 1 for name in queries)
    assert found.expected_accuracy is None and found.expected_regret is None


def test_without_a_student_the_budget_ratio_decides():
    found = next_purchase(state(pilot=Pilot(rounds=0)))
    assert found.queries == {"question_rephrase": 500, "new_question": 500}
    assert "published" in found.reason


def test_methods_that_the_ratio_does_not_name_share_the_budget():
    only = {"question_rephrase": "rephrased", "other": "rephrased"}
    assert next_purchase(state(methods=only, budget=16)).queries == {
        "question_rephrase": 8, "other": 8
    }  # fmt: skip


def test_one_method_gets_everything():
    found = next_purchase(state(methods={"new_question": "new"}))
    assert (found.kind, found.queries) == ("final", {"new_question": 1000})


def test_a_pilot_in_which_no_student_had_data_falls_back_on_the_budget_ratio():
    bought = dict.fromkeys(METHODS, 200)
    found = next_purchase(state(bought=bought, outcomes=outcomes({}, {}), finished_rounds=1))
    assert found.queries == bought | {"question_rephrase": 400, "new_question": 400}


def test_more_than_the_budget_is_refused():
    with pytest.raises(ValueError, match="1200 queries were bought of 1000"):
        next_purchase(state(bought={"new_question": 1200}))
