"""What advice chooses among: methods, mixtures, smaller budgets, no training; and priors alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from analysis_simulation import METHODS, true_accuracy
from fitted_studies import fit, usual_study

from seedbed.analysis.decide.advise import MARGIN, advise, plans
from seedbed.analysis.decide.choices import Spending, mixtures, weigh
from seedbed.analysis.decide.costs import CostLine, mixed_line
from seedbed.analysis.decide.priors import QueryPrices, prior_advice, prior_plans
from seedbed.analysis.decide.rounds import Pilot, SpendState, next_purchase
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.answers import Question, advice_json, ask
from seedbed.analysis.report.text import advice_text
from seedbed.analysis.settings import FitSettings, Title, Titles

AA, QR, NQ = METHODS
KINDS = {AA: "answers", QR: "rephrased", NQ: "new"}
THIRDS = dict.fromkeys(METHODS, 1 / 3)
SETTINGS = FitSettings(methods=METHODS, bootstrap_samples=100, shares={"mix_thirds": THIRDS})
TITLES = Titles(
    {name: Title(title=name, short=short) for name, short in zip(METHODS, "ABC", strict=True)}
)


def said(advice):
    return say.advice_sentences(advice, "so much", TITLES.short)


# --- mixtures


@pytest.fixture(scope="module")
def mixed():
    """A study in which thirds of the methods are better than each, by four points."""

    def accuracy(method, seeds, ratio):
        lift = 0.04 if method == "mix_thirds" else 0.0
        return true_accuracy(NQ if lift else method, seeds, ratio) + lift

    (found,) = fit(SETTINGS, seeds=(32,), methods=(*METHODS, "mix_thirds"), accuracy=accuracy)
    return found


def test_cells_of_a_mixture_inform_the_model_and_are_choices(mixed):
    assert mixed.methods == list(METHODS) and mixed.record.mixtures == {"mix_thirds": THIRDS}
    assert {cell.method for cell in mixed.record.mixed} == {"mix_thirds"}
    assert {cell.method for cell in mixed.record.cells} == {*METHODS}
    measured = {cell.budget: cell for cell in mixed.record.mixed}[512]
    advice = advise(mixed, 32, 512)
    entry = next(one for one in advice.outlook if one.method == "mix_thirds")
    assert entry.measured and entry.accuracy == pytest.approx(measured.accuracy, abs=0.03)
    # The measured mixture also informs the expectations of unmeasured ones.
    other = next(one for one in advice.outlook if not one.measured)
    alone = advice.alone[0].accuracy
    assert alone + 0.01 < min(entry.accuracy, other.accuracy)
    assert len(advice.best.shares) > 1
    assert "mix_thirds" in {one.method for one in plans(mixed, 32, 0.6)}


def test_a_mixture_that_was_not_measured_is_named_by_its_shares_and_marked():
    advice = advise(usual_study(), 32, 128)
    (mixture,) = (one for one in advice.outlook if len(one.shares) > 1)
    assert not mixture.measured and sum(mixture.shares.values()) == pytest.approx(1)
    parts = [f"{100 * of:.3g}% {TITLES.short(name)}" for name, of in mixture.shares.items()]
    assert advice.best == mixture
    assert f"buy 128 queries, {say.listed(parts)} (not measured)" in said(advice)[0]
    # It is what the model has for these queries, and the best of the divisions.
    queries = {name: of * 128 for name, of in mixture.shares.items()}
    assert mixture.accuracy == pytest.approx(float(usual_study().of(32, [queries]).centre[0]))
    asked = [{name: of * 128 for name, of in one.items()} for one in mixtures(METHODS)]
    assert mixture.accuracy >= usual_study().of(32, asked).centre.max() - 1e-3


def test_mixtures_are_divisions_in_steps_that_their_number_allows():
    assert len(mixtures(METHODS)) == 18 and len(mixtures(METHODS[:2])) == 9
    assert mixtures(METHODS[:1]) == []
    assert {share for of in mixtures(METHODS) for share in of.values()} == {0.2, 0.4, 0.6, 0.8}


def test_a_mixture_costs_what_its_parts_cost():
    lines = {
        AA: CostLine(np.array([10.0, 100.0]), np.array([1.0, 10.0])),
        NQ: CostLine(np.array([20.0, 200.0]), np.array([8.0, 40.0])),
    }
    line = mixed_line(lines, {AA: 0.25, NQ: 0.75})
    for budget in (40.0, 80 / 3, 400.0, 4000.0):
        parts = lines[AA].of(budget / 4) + lines[NQ].of(budget * 3 / 4)
        assert line.of(budget) == pytest.approx(parts, rel=0.03)
        assert line.budget(line.of(budget)) == pytest.approx(budget)


# --- at most the budget, the cheapest, and no training


@pytest.mark.slow
def test_less_than_the_budget_is_advised_where_more_does_harm():
    def collapse(method, seeds, ratio):
        return 0.45 if ratio == 64 else true_accuracy(method, seeds, ratio)

    advice = advise(fit(accuracy=collapse, items=1000)[0], 32, 2048)
    assert advice.saves and advice.best.budget < 2048 and advice.doubling is None
    assert "and no more: the student" in said(advice)[0]
    assert said(advice)[2].startswith("More queries are not expected to help")


@pytest.mark.slow
def test_uncertainty_alone_leaves_no_budget_unused():
    """Ten times beyond the data, where the truth rises throughout, nothing is gained by less."""
    settings = FitSettings(methods=METHODS, bootstrap_samples=400)
    for seed in range(3):
        found = fit(
            settings, seeds=(32,), ratios=(1, 4, 16), items=1000, untrained=0.5, seed=seed,
            accuracy=lambda method, seeds, ratio: 0.8 - 0.2 / ratio,
        )[0]  # fmt: skip
        weighed = weigh(found, 32, dict.fromkeys(METHODS, 5120), None, Spending.of(found, 32, {}))
        named = [weighed.choices[at] for at in weighed.shown]
        assert {one.budget for one in named if one.name in METHODS} == {5120}
        for method, whole in weighed.whole.items():
            smaller = [at for at, one in enumerate(weighed.choices) if one.name == method]
            assert weighed.centres[smaller].max() < weighed.centres[whole] + 0.002


@pytest.mark.slow
def test_the_cheapest_choice_within_the_margin_is_named():
    """All methods are level from few queries on: the cheapest of few tokens is as good."""

    def level(method, seeds, ratio):
        return 0.5 if ratio == 1 else 0.6

    found = fit(accuracy=level, items=2000, untrained=0.4)[0]
    advice = advise(found, 32, 2048)
    cheaper = advice.cheaper
    assert cheaper is not None and cheaper.by == "tokens"
    assert cheaper.cost < 0.8 * cheaper.instead_of
    assert advice.best.accuracy - cheaper.choice.accuracy <= MARGIN
    alike = [one for one in advice.outlook if advice.best.accuracy - one.accuracy <= MARGIN]
    assert cheaper.cost <= min(one.costs["tokens"] for one in alike)
    spending = Spending.of(found, 32, {})
    assert spending.lines["tokens"][AA].of(1) < spending.lines["tokens"][NQ].of(1)
    (note,) = (one for one in say.advice_notes(advice, TITLES.short) if "cheapest" in one)
    assert "expected to lose at most 0.5 points" in note and " tokens." in note


@pytest.mark.slow
def test_a_student_that_data_would_harm_is_not_to_be_trained():
    advice = advise(fit(accuracy=lambda *_: 0.3, untrained=0.7, items=400)[0], 32, 128)
    assert advice.best.method == "untrained" and advice.best.budget == 0
    assert said(advice)[0].startswith("With 32 seeds and so much, do not train: the base model")
    assert advice.best.costs["teacher_queries"] == 0.0 and advice.doubling is None
    # Where training helps, it is no choice.
    assert "untrained" not in {one.method for one in advise(usual_study(), 32, 128).outlook}


# --- what cannot be judged, or should be run again


def test_methods_that_cannot_be_judged_are_named_with_the_reason():
    def kept(cell):
        return cell.method != NQ or cell.budget_ratio == 1

    record = usual_study().record
    cells = tuple(cell for cell in record.cells if kept(cell))
    few = type(usual_study())(
        record.model_copy(update={"cells": cells, "unmeasured": ("other",)}),
        usual_study().posterior,
    )
    advice = advise(few, 32, 2048)
    assert set(advice.unjudged) == {NQ, "other"}
    assert {name for one in advice.outlook for name in one.shares} == {AA, QR}
    (note,) = (one for one in say.advice_notes(advice, TITLES.short) if "Not judged" in one)
    assert "C: BR 64 is more than 10 times beyond its cells, BR 1 to 1" in note
    assert "other: no student of it was evaluated" in note


def test_a_refusal_says_what_can_be_asked():
    with pytest.raises(ValueError, match=r"beyond: ask about 4 to 20,480 queries"):
        advise(usual_study(), 32, 20481)
    advise(usual_study(), 32, 20480)
    with pytest.raises(ValueError, match=r"ask about 4 to 20,480 queries"):
        advise(usual_study(), 32, 3)
    advise(usual_study(), 32, 4)


def test_a_training_that_probably_failed_is_to_be_run_again():
    found = usual_study()
    far = [{"cell": "method=new_question/seeds=32", "probability": 0.93}]
    record = type(found.record).model_validate(
        found.record.model_dump() | {"far_off": tuple(far)}, strict=False
    )
    advice = advise(type(found)(record, found.posterior), 32, 128)
    notes = say.advice_notes(advice, TITLES.short)
    expected = "Probably a failed training, to be run again: method=new_question/seeds=32 (93%)."
    assert expected in notes
    answer = ask([type(found)(record, found.posterior)], Question("mini_math", 32, 128), 0.95)
    told = advice_json(Question("mini_math", 32, 128), answer)["answers"][0]
    assert told["failed"] == far


# --- a task without any results


@pytest.mark.parametrize(("seeds", "budget"), [(40, 60), (40, 2000), (300, 30_000)])
def test_priors_divide_a_budget_as_a_spend_without_a_student_does(seeds, budget):
    state = SpendState(methods=KINDS, seeds=seeds, budget=budget, pilot=Pilot(rounds=0))
    bought = next_purchase(state)
    question = Question("elsewhere", seeds, budget)
    answers = ask([], question, 0.95, methods=KINDS)
    (answer,) = answers
    advice = answer.said
    assert advice.basis == "priors" and advice.reason == bought.reason
    shares = {name: queries / budget for name, queries in bought.queries.items()}
    assert advice.best.shares == pytest.approx(shares)
    buy, sure, _ = said(advice)
    assert all(
        f"{queries:,} of {TITLES.short(name)}" in buy for name, queries in bought.queries.items()
    )
    assert "this task has no results, so this is advice from priors alone" in buy
    assert f"lose {100 * advice.best.expected_regret:.1f} points to the best division" in sure
    text = advice_text("study trial", question, answers, 0.95, TITLES)
    assert text.startswith("elsewhere (study trial)\n  With ")
    json.dumps(advice_json(question, answers), allow_nan=False)


def test_a_small_spend_with_a_student_divides_by_the_same_priors():
    """Below a few queries a seed there is no pilot."""
    bought = next_purchase(SpendState(methods=KINDS, seeds=100, budget=200))
    advice = prior_advice(KINDS, 100, 200, 0.95)
    assert bought.kind == "final" and bought.reason == advice.reason
    assert advice.pilot is None


def test_a_pilot_is_priced_where_there_are_priors_alone():
    advice = prior_advice(KINDS, 40, 4000, 0.95)
    assert advice.pilot is not None and advice.pilot.queries == 800
    assert 0 < advice.pilot.gain < advice.best.expected_regret
    assert "a pilot of 800 queries of each method" in said(advice)[2]


def test_one_other_task_is_not_enough_for_transfer_so_that_priors_answer():
    (answer,) = ask([usual_study()], Question("elsewhere", 32, 64), 0.95)
    assert answer.said.basis == "priors" and "two other tasks are needed" in answer.reason


PRICES = QueryPrices(
    usd={AA: 0.001, QR: 0.002, NQ: 0.004}, models=["Teacher"], lengths="answers: assumed"
)


def test_priors_divide_dollars_by_what_queries_cost():
    answers = ask([], Question("elsewhere", 40, usd=2.0), 0.95, methods=KINDS, assumed=PRICES)
    advice = answers[0].said
    assert (advice.basis, advice.budget, advice.usd) == ("priors", None, 2.0)
    budgets = {one.method: one.budget for one in advice.outlook}
    assert [budgets[name] for name in METHODS] == [2000, 1000, 500]
    for one in advice.outlook:
        cost = sum(of * one.budget * PRICES.usd[name] for name, of in one.shares.items())
        assert one.costs["usd"] == pytest.approx(cost)
        assert 2.0 - max(PRICES.usd.values()) < cost <= 2.0 + 1e-9
    queries = QueryPrices(usd=dict.fromkeys(METHODS, 0.001))
    alike = prior_advice(KINDS, 40, None, 0.95, 2.0, queries)
    by_queries = prior_advice(KINDS, 40, 2000, 0.95)
    assert alike.best.shares == pytest.approx(by_queries.best.shares)
    # Where new questions cost much, fewer are bought.
    dear = prior_advice(KINDS, 40, None, 0.95, 2.0, QueryPrices(usd=PRICES.usd | {NQ: 0.02}))
    assert dear.best.shares.get(NQ, 0) < alike.best.shares[NQ]
    text = advice_text("study trial", Question("elsewhere", 40, usd=2.0), answers, 0.95, TITLES)
    assert "With 40 seeds and $2.00, buy " in text and " $2.00\n" in text
    flat = " ".join(text.split())
    assert (
        "with the prices of Teacher and text lengths that are not measured yet (answers: a" in flat
    )
    found = advice_json(Question("elsewhere", 40, usd=2.0), answers)["answers"][0]
    assert found["assumed"]["usd"] == PRICES.usd and json.dumps(found, allow_nan=False)


def test_dollars_without_a_price_name_it_and_what_to_give():
    half = QueryPrices(usd={AA: 0.001}, unknown={NQ: "price of writer", QR: "price of writer"})
    advice = prior_advice(KINDS, 40, None, 0.95, 2.0, half)
    assert [one.method for one in advice.outlook] == [AA] and advice.unjudged.keys() == {QR, NQ}
    assert "price of writer" in say.advice_notes(advice, TITLES.short)[0]
    with pytest.raises(ValueError, match=r"usd: .* price of writer.*Give the price in the model's"):
        ask([], Question("elsewhere", 40, usd=2.0), 0.95, methods={NQ: "new"}, assumed=half)
    with pytest.raises(ValueError, match=r"usd: 0\.0001 does not pay for a query"):
        prior_advice(KINDS, 40, None, 0.95, 1e-4, PRICES)


@pytest.mark.slow
def test_priors_say_how_likely_an_accuracy_is_reached():
    known = {one.method: one for one in prior_plans(KINDS, 100, 0.4, 0.95, 0.3, PRICES)}
    assert len(known) == 4 and not any(one.measured for one in known.values())
    for one in known.values():
        assert one.accuracy >= 0.4 and 0.3 < one.probability < 0.7
        each = sum(of * PRICES.usd[name] for name, of in one.shares.items())
        assert one.costs["usd"] == pytest.approx(one.budget * each)
    # The student that is better untrained takes less, and a higher aim takes more.
    better = {one.method: one for one in prior_plans(KINDS, 100, 0.4, 0.95, 0.38)}
    higher = {one.method: one for one in prior_plans(KINDS, 100, 0.45, 0.95, 0.3)}
    for name in METHODS:
        assert better[name].budget < known[name].budget < (higher[name].budget or 1e9)
    # Without it the task may be of any difficulty, and the answer says so.
    blind = {one.method: one for one in prior_plans(KINDS, 100, 0.4, 0.95)}
    for name in METHODS:
        assert blind[name].high - blind[name].low > 1.5 * (known[name].high - known[name].low)
    question = Question("elsewhere", 100, target=0.4)
    text = advice_text("study t", question, ask([], question, 0.95, methods=KINDS), 0.95, TITLES)
    flat = " ".join(text.split())
    assert "this is advice from priors alone. It reaches it with a probability of " in flat
    assert "add untrained_accuracy=0.3 if it is 30%" in flat


def test_a_student_that_reaches_it_untrained_is_not_trained():
    question = Question("elsewhere", 100, target=0.4, untrained=0.45)
    answers = ask([], question, 0.95, methods=KINDS)
    text = advice_text("study trial", question, answers, 0.95, TITLES)
    assert "Do not train: the base model already answers 45.0% right." in text
    with pytest.raises(ValueError, match="untrained_accuracy: results answer"):
        ask([usual_study()], Question("mini_math", 32, target=0.4, untrained=0.4), 0.95)
