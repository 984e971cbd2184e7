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
    # At five times the pilot's budget, new questions may yet be better.
    assert 0.6 < found.chances["question_rephrase"] < 0.95
    assert found.chances["answer_augmentation"] < 0.05 < found.chances["new_question"]
    assert sum(found.chances.values()) == pytest.approx(1)
    # Five times the data, so more than the pilot's student; its interval is of many points.
    wide = found.expected_accuracy
    assert 220 / 400 < wide.accuracy < 0.75 and wide.low + 0.1 < wide.accuracy < wide.high - 0.05
    assert 0.005 < found.expected_regret < 0.05
    assert found.reason.startswith("The rest goes to question_rephrase, ")


def test_near_the_budget_a_clear_lead_is_surer():
    bought = dict.fromkeys(METHODS, 320)
    rights = {"answer_augmentation": 100, "question_rephrase": 220, "new_question": 150}
    found = next_purchase(
        state(bought=bought, outcomes=outcomes(rights, bought), finished_rounds=1)
    )
    assert found.queries == bought | {"question_rephrase": 360}
    assert found.chances["question_rephrase"] > 0.8


def test_of_methods_that_are_level_the_rest_is_for_those_that_last_longer():
    bought = dict.fromkeys(METHODS, 200)
    found = next_purchase(
        state(
            bought=bought, outcomes=outcomes(dict.fromkeys(METHODS, 150), bought), finished_rounds=1
        )
    )
    assert found.queries["answer_augmentation"] == 200
    assert found.chances["new_question"] > found.chances["answer_augmentation"] > 0.02


def test_a_failed_training_does_not_rule_a_method_out():
    bought = dict.fromkeys(METHODS, 200)
    rights = {"answer_augmentation": 150, "question_rephrase": 160, "new_question": 2}
    found = next_purchase(
        state(bought=bought, outcomes=outcomes(rights, bought), finished_rounds=1)
    )
    assert found.chances["new_question"] > 0.1


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
    rights = {"answer_augmentation": 20, "question_rephrase": 380, "new_question": 20}
    known = {"bought": bought, "outcomes": outcomes(rights, bought)}
    found = next_purchase(state(pilot=pilot, finished_rounds=1, **known))
    assert found.kind == "final" and sum(found.queries.values()) == 1000


@pytest.mark.parametrize(
    ("budget", "queries"),
    [
        (16, {"answer_augmentation": 16}),
        (1, {"answer_augmentation": 1}),
    ],
)
def test_a_budget_of_a_few_queries_a_seed_has_no_pilot(budget, queries):
    found = next_purchase(state(budget=budget))
    assert found.kind == "final" and sum(found.queries.values()) == budget
    assert {name: found.queries[name] for name in queries}.keys() == queries.keys()
    assert all(abs(found.queries[name] - queries[name]) <= 1 for name in queries)
    assert found.expected_accuracy is None and found.expected_regret is None


def test_a_few_queries_a_seed_are_for_answers_and_rephrasings():
    found = next_purchase(state(budget=63))
    assert found.kind == "final" and sum(found.queries.values()) == 63
    assert found.queries.keys() == {"answer_augmentation", "question_rephrase"}
    assert found.queries["answer_augmentation"] > 35


def test_without_a_student_what_is_published_of_the_budget_ratio_decides():
    found = next_purchase(state(pilot=Pilot(rounds=0), budget=16 * 100))
    assert sum(found.queries.values()) == 1600
    assert found.queries["new_question"] > 800 > found.queries["answer_augmentation"] > 100
    assert "published" in found.reason and "expected to lose" in found.reason
    assert found.chances == {} and found.expected_accuracy is None


def test_methods_of_one_kind_share_the_budget():
    only = {"question_rephrase": "rephrased", "other": "rephrased"}
    found = next_purchase(state(methods=only, budget=16 * 40, pilot=Pilot(rounds=0))).queries
    assert sum(found.values()) == 640
    assert min(found["question_rephrase"], found["other"]) >= 0.3 * 640


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
def test_any_number_of_methods_gets_the_whole_budget(count):
    many = {f"method{i}": ("answers", "rephrased", "new")[i % 3] for i in range(count)}
    bought = dict.fromkeys(many, 97)
    rights = {name: 50 + 9 * i for i, name in enumerate(many)}
    found = next_purchase(
        state(methods=many, bought=bought, outcomes=outcomes(rights, bought), finished_rounds=1)
    )
    assert found.kind == "final" and sum(found.queries.values()) == 1000
    assert all(found.queries[name] >= 97 for name in many)


def test_one_method_gets_everything():
    found = next_purchase(state(methods={"new_question": "new"}))
    assert (found.kind, found.queries) == ("final", {"new_question": 1000})


def test_a_pilot_in_which_no_student_had_data_falls_back_on_the_budget_ratio():
    bought = dict.fromkeys(METHODS, 200)
    found = next_purchase(state(bought=bought, outcomes=outcomes({}, {}), finished_rounds=1))
    assert found.kind == "final" and sum(found.queries.values()) == 1000
    assert all(found.queries[name] >= 200 for name in METHODS)
    assert "published" in found.reason


def test_more_than_the_budget_is_refused():
    with pytest.raises(ValueError, match="1200 queries were bought of 1000"):
        next_purchase(state(bought={"new_question": 1200}))
