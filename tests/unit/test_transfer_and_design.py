"""Advice beyond the data, for tasks without results, and on what to measure next."""

from __future__ import annotations

import json
from dataclasses import asdict
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest
from analysis_simulation import METHODS, simulate, true_accuracy

from seedbed.analysis.curves import Between, NewTask, Noise, curves_from
from seedbed.analysis.curves.fitting import fit_decay
from seedbed.analysis.decide import design as cells_module
from seedbed.analysis.decide.advise import FURTHEST, advise, plans
from seedbed.analysis.decide.costs import CostLine, mean_line
from seedbed.analysis.decide.design import Candidate, Further, best_cells, doublings, next_cells
from seedbed.analysis.decide.transfer import near_tasks, transferred_advice, transferred_plans
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.answers import Question, advice_json, ask
from seedbed.analysis.report.text import advice_text
from seedbed.analysis.settings import FitSettings, ModelPrice, Title, Titles
from seedbed.analysis.tables.outcomes import outcomes_by_task

AA, QR, NQ = METHODS
SETTINGS = FitSettings(methods=METHODS, bootstrap_samples=60)
PRICES = {
    "mini_teacher": ModelPrice(
        usd_per_million_prompt_tokens=1.0, usd_per_million_completion_tokens=10.0
    )
}
TITLES = Titles(
    {name: Title(title=name, short=short) for name, short in zip(METHODS, "ABC", strict=True)}
)


def fit(*tables, settings=SETTINGS):
    cells = pl.concat([cells for cells, _ in tables], how="diagonal")
    return curves_from(
        *fit_decay(outcomes_by_task(cells, pl.concat([items for _, items in tables])), settings)
    )


LIFTS = (0.0, 0.06, -0.05)


def some_tasks(*changes, settings=SETTINGS, truth=true_accuracy):
    """Fits of tasks, which differ in their level and in what a query costs, each simulated with
    some arguments changed."""
    tables = []
    for number, (lift, change) in enumerate(zip(LIFTS, changes, strict=False)):

        def accuracy(method, seeds, ratio, lift=lift):
            return truth(method, seeds, ratio) + lift

        arguments = {"accuracy": accuracy, "items": 1500, "untrained": 0.45 + lift} | change
        cells, items = simulate(**arguments, seed=number, other={"task": f"task{number}"})
        dear = pl.col("^.*_tokens$") * 2**number
        tables.append((cells.with_columns(dear), items))
    return fit(*tables, settings=settings)


SMALL = {"items": 500, "seeds": (32,)}


@pytest.fixture(scope="module")
def tasks():
    """Fits of three tasks."""
    return some_tasks({}, {}, {})


def of_choices(fit, seeds, budgets):
    """Draws of the accuracies of some methods, the best first."""
    found = fit.of(seeds, [{method: budget} for method, budget in budgets.items()])
    return found.draws[:, np.argsort(-found.centre)]


@pytest.fixture(scope="module")
def usual(tasks):
    return tasks[0]


# --- the cheapest plan for an accuracy, within the data and beyond


@pytest.mark.slow
def test_a_plan_beyond_the_data_says_how_far_and_is_as_unsure_as_advice_there(usual):
    top = float(usual.accuracy(32, NQ, np.array([64.0]))[0][0])
    best = next(p for p in plans(usual, 32, top + 0.02, prices=PRICES) if p.method == NQ)
    assert best.method == NQ and 1 < best.beyond <= FURTHEST
    assert best.beyond == pytest.approx(best.budget / (64 * 32))
    advice = next(e for e in advise(usual, 32, best.budget).outlook if e.method == NQ)
    for name in ("accuracy", "low", "high"):
        assert getattr(best, name) == pytest.approx(getattr(advice, name))
    assert best.costs["usd"] == pytest.approx(best.budget * 850e-6)


def test_plans_for_seeds_beyond_the_study_are_looked_for_as_far_as_the_limit_goes(usual):
    found = plans(usual, 128, 0.6)
    assert {one.beyond for one in found} == {2.0}
    assert {one.looked_to for one in found} == {5 * 64 * 128}
    with pytest.raises(ValueError, match="1000 seeds: the data has 32 to 64, and no advice"):
        plans(usual, 1000, 0.6)


def test_what_nothing_reaches_has_the_best_that_is_expected(usual):
    never = plans(usual, 32, 0.999)
    assert {one.budget for one in never} == {None}
    for one in never:
        assert one.looked_to == 640 * 32 and one.looked_from <= one.at <= one.looked_to

        def centre(budget, one=one):
            return usual.of(32, [{m: of * budget for m, of in one.shares.items()}]).centre[0]

        assert one.accuracy == pytest.approx(centre(one.at))
        assert one.accuracy > centre(64 * 32) - 1e-3


def test_plans_are_ranked_by_money_where_it_is_known(usual):
    by_money = plans(usual, 32, 0.6, prices=PRICES)
    spent = [one.costs["usd"] for one in by_money if one.budget is not None]
    assert spent == sorted(spent)
    budgets = [one.budget for one in plans(usual, 32, 0.6)]
    assert budgets == sorted(budgets)


def test_expectations_of_many_ratios_equal_those_of_each(usual):
    ratios = np.array([0.5, 1.0, 8.0, 64.0, 300.0])
    centres, draws = usual.accuracy(32, QR, ratios)
    for place, ratio in enumerate(ratios):
        centre, drawn = usual.accuracy(32, QR, np.array([ratio]))
        assert centres[place] == pytest.approx(centre[0])
        assert draws[: len(drawn), place] == pytest.approx(drawn[:, 0])
    assert usual.beyond(32, QR, ratios) == pytest.approx([2, 1, 1, 1, 300 / 64])


# --- a task without results


@pytest.mark.parametrize(
    ("tasks", "between", "open_of_each", "alike"),
    [(2, 0.5, 0.1, False), (3, 0.5, 0.1, False), (3, 0.3, 0.15, False), (3, 0.05, 0.2, True)],
)
def test_intervals_of_a_new_task_cover_it(tasks, between, open_of_each, alike):
    """Tasks from a known normal distribution; half of the variance is shared by two methods."""
    generator = np.random.default_rng([tasks, 7])
    studies, samples = 500, 100
    covered, widths = np.zeros(3), []
    for _ in range(studies):
        level = generator.normal(0, between / np.sqrt(2), (tasks + 1, 1))
        truth = level + generator.normal(0, between / np.sqrt(2), (tasks + 1, 2))
        centres = truth[:tasks] + generator.normal(0, open_of_each, (tasks, 2))
        noise = generator.normal(0, open_of_each, (tasks, 2, samples))
        draws = centres[:, :, None] + noise
        found = Between.of(centres, draws).draws(centres, draws)
        found = np.stack([*found, found[1] - found[0]])
        low, high = np.quantile(found, [0.025, 0.975], axis=1)
        new = np.array([*truth[tasks], truth[tasks, 1] - truth[tasks, 0]])
        covered += (low <= new) & (new <= high)
        widths.append(high - low)
    share = covered / studies
    if alike:
        # Three tasks cannot show that all are alike: too wide, but not by all of the noise again.
        assert (share > 0.97).all()
        assert np.median(widths) < 1.8
    else:
        # The simulation's own error is 1 point for each, and 0.7 points for their mean.
        assert 0.93 < share.mean() < 0.97
        assert (share > 0.915).all() and (share < 0.985).all()


def test_money_for_a_task_without_results_is_by_what_the_others_cost(tasks):
    advice = transferred_advice(tasks, 32, usd=1.0, prices=PRICES)
    assert (advice.basis, advice.usd) == ("other tasks", 1.0)
    by_method = {entry.method: entry for entry in advice.outlook}
    # A query costs 350 millionths in the first task, and 2 and 4 times that in the others.
    assert by_method[AA].budget == pytest.approx(1 / (2 * 350e-6), abs=1)
    assert by_method[NQ].budget == pytest.approx(1 / (2 * 850e-6), abs=1)
    for entry in advice.outlook:
        assert entry.costs["usd"] == pytest.approx(1.0, rel=2e-3)
    assert by_method[NQ].augmenter_queries == pytest.approx(1.5 * by_method[NQ].budget)
    with pytest.raises(ValueError, match=f"usd: the cost of {AA} is not known: price of mini_tea"):
        transferred_advice(tasks, 32, usd=1.0)
    with pytest.raises(ValueError, match="does not pay for a query"):
        transferred_advice(tasks, 32, usd=1e-5, prices=PRICES)


def test_an_accuracy_in_a_task_without_results_is_looked_for_where_all_tasks_were_measured(tasks):
    found = transferred_plans(tasks, 32, 0.6, prices=PRICES)
    for one in found:
        assert 32 <= one.budget <= 2048 and one.beyond == 1
        assert one.low < 0.6 <= one.accuracy < one.high and 0.2 < one.probability < 0.8
        assert one.costs["usd"] > 0
        said = transferred_advice(tasks, 32, one.budget)
        if one.measured:
            (entry,) = (entry for entry in said.alone if entry.method == one.method)
            assert entry.accuracy == pytest.approx(one.accuracy)
    own = {one.method: one.high - one.low for one in plans(tasks[0], 32, 0.6)}
    assert all(one.high - one.low > own.get(one.method, 0) for one in found)
    assert {one.budget for one in transferred_plans(tasks, 32, 0.999)} == {None}
    with pytest.raises(ValueError, match="two other tasks"):
        transferred_plans(tasks[:1], 32, 0.6)


def test_a_task_without_results_is_offered_mixtures_as_tasks_with_results_are(tasks):
    advice = transferred_advice(tasks, 32, 256, prices=PRICES)
    (mixture,) = (one for one in advice.outlook if len(one.shares) > 1)
    own = advise(tasks[0], 32, 256, prices=PRICES)
    assert {len(one.shares) for one in own.outlook} == {len(one.shares) for one in advice.outlook}
    # All tasks gain by it, and so does what they let expect.
    assert advice.best == mixture and not mixture.measured
    queries = {method: of * 256 for method, of in mixture.shares.items()}
    logits = [np.log(c / (1 - c)) for c in (f.of(32, [queries]).centre[0] for f in tasks)]
    assert mixture.accuracy == pytest.approx(1 / (1 + np.exp(-np.mean(logits))))
    parts = [
        next(one for one in advice.alone if one.method == method).costs["usd"] * of
        for method, of in mixture.shares.items()
    ]
    assert mixture.costs["usd"] == pytest.approx(sum(parts), rel=0.02)
    assert mixture.low < mixture.accuracy < mixture.high
    # Costs and twice the budget are said as with results.
    assert advice.doubling is not None and advice.doubling.gain > 0
    assert advice.cheaper is None or advice.cheaper.by == "usd"
    buy, sure, more = say.advice_sentences(advice, "so much", TITLES.short)
    assert "(not measured): judging by other tasks, the student is expected to answer" in buy
    assert "points to the best division" in sure and more.startswith("Twice the budget is expected")


def test_a_mixture_of_the_study_is_a_choice_where_all_tasks_have_its_methods():
    def truth(method, seeds, ratio):
        return (
            true_accuracy(NQ, seeds, ratio) + 0.04
            if method == "mix_half"
            else true_accuracy(method, seeds, ratio)
        )

    settings = SETTINGS.model_copy(update={"shares": {"mix_half": {AA: 0.5, QR: 0.5}}})
    mixed = SMALL | {"methods": (*METHODS, "mix_half")}
    found = some_tasks(mixed, SMALL, settings=settings, truth=truth)
    advice = transferred_advice(found, 32, 512)
    (entry,) = (one for one in advice.outlook if one.method == "mix_half")
    # One task has students of it, and the other's fit can tell what to expect.
    assert entry.measured and "mix_half" in {
        one.method for one in transferred_plans(found, 32, 0.6)
    }
    lacking = some_tasks(mixed, SMALL | {"methods": (AA, NQ)}, settings=settings, truth=truth)
    advice = transferred_advice(lacking, 32, 512)
    assert {method for one in advice.outlook for method in one.shares} == {AA, NQ}
    assert any(len(one.shares) == 2 and not one.measured for one in advice.outlook)
    assert advice.unjudged == {QR: "in task1, no student of it was evaluated"}
    assert "mix_half" not in {one.method for one in transferred_plans(lacking, 32, 0.6)}


def test_costs_that_are_not_known_leave_the_choices(tasks):
    known, unknown = (transferred_advice(tasks, 32, 256, prices=p) for p in (PRICES, {}))
    assert [one.method for one in known.outlook] == [one.method for one in unknown.outlook]
    assert {one.costs["usd"] for one in unknown.outlook} == {None}
    assert all(one.costs["tokens"] > 0 for one in unknown.outlook)


def test_a_task_that_is_too_far_away_is_left_out_and_named(tasks):
    found = some_tasks(SMALL, SMALL, SMALL | {"seeds": (1000,)})
    for goal in ({"queries": 512}, {"usd": 1.0}, {"target": 0.6}):
        question = Question("elsewhere", 32, **goal)
        answers = ask(found, question, 0.95, PRICES)
        assert answers[0].transferred == ("task0", "task1")
        text = " ".join(advice_text("study t", question, answers, 0.95, TITLES).split())
        assert "transferred from task0 and task1. " in text
        # A loss is expected only where a budget is to be divided.
        assert ("loss errs on the high side" in text) == ("target" not in goal)
        assert "Not transferred from task2: 32 seeds: the data has 1000 to 1000, and" in text
        assert len(advice_json(question, answers)["answers"][0]["left_out"]) == 1
    (answer,) = ask(found[1:], Question("elsewhere", 32, 512), 0.95)
    assert answer.by_priors and "task2: 32 seeds: the data has" in answer.reason
    # Of what is too far for all, the tasks are named once.
    with pytest.raises(ValueError, match="task0, task1, task2: budget 3 for 32 seeds is BR"):
        near_tasks(tasks, 32, 3)


def test_a_student_that_data_would_harm_in_all_tasks_is_not_to_be_trained():
    harmed = some_tasks(*[SMALL | {"untrained": 0.7}] * 2, truth=lambda *_: 0.3)
    question = Question("elsewhere", 32, 128)
    (answer,) = answers = ask(harmed, question, 0.95)
    assert answer.said.best.method == "untrained" and answer.untrained == pytest.approx(
        0.7, abs=0.02
    )
    text = " ".join(advice_text("study t", question, answers, 0.95, TITLES).split())
    assert "do not train: judging by other tasks, the base model is expected to answer 7" in text
    assert "Trained on " in text
    question = Question("elsewhere", 32, target=0.6)
    text = advice_text("study t", question, ask(harmed, question, 0.95), 0.95, TITLES)
    assert "Do not train: judging by other tasks, the base model is expected to answer 7" in text
    # Where a task has not measured it, nothing is said of it.
    part = some_tasks(SMALL | {"untrained": None}, SMALL, truth=lambda *_: 0.3)
    advice = transferred_advice(part, 32, 128)
    assert advice.untrained is None and all(one.shares for one in advice.outlook)


def test_less_than_the_budget_is_bought_where_more_did_harm_in_all_tasks():
    def collapse(method, seeds, ratio):
        return 0.45 if ratio == 64 else true_accuracy(method, seeds, ratio)

    advice = transferred_advice(some_tasks(SMALL, SMALL, truth=collapse), 32, 2048)
    assert advice.saves and advice.best.budget < 2048 and advice.doubling is None
    sentences = say.advice_sentences(advice, "so much", TITLES.short)
    assert "and no more: judging by other tasks, the student" in sentences[0]
    assert sentences[2].startswith("More queries are not expected to help")


@pytest.mark.parametrize("count", [2, 3])
def test_draws_of_a_new_task_are_joint_in_all_calls(tasks, count):
    task = NewTask(tasks[:count], 32, {AA: 256, NQ: 256})
    asked = [{AA: 256.0}, {NQ: 256.0}, {AA: 100.0, NQ: 100.0}, {}]
    together = task.of(32, asked).draws
    for place, one in enumerate(asked):
        assert task.of(32, [one]).draws[:, 0] == pytest.approx(together[:, place])
    # Half of each is not surer than each: it differs between tasks as they do.
    widths = np.diff(np.quantile(together, [0.1, 0.9], axis=0), axis=0)[0]
    assert widths[2] > 0.7 * min(widths[:2])


def test_directions_that_the_places_do_not_show_vary_between_tasks_too():
    """Weights for one method, of eight tasks, hold for another whose level is independent."""
    generator = np.random.default_rng(5)
    centres = generator.normal(0.0, 0.5, (8, 2))
    draws = centres[:, :, None] + generator.normal(0, 0.05, (8, 2, 400))
    between = Between.of(centres[:, :1], draws[:, :1])
    found = between.draws(centres, draws)
    whole = Between.of(centres, draws).draws(centres, draws)
    widths = [np.diff(np.quantile(one, [0.1, 0.9], axis=1), axis=0)[0] for one in (found, whole)]
    assert widths[0] == pytest.approx(widths[1], rel=0.15)


def test_two_tasks_have_long_tails_that_stay_shares(tasks):
    with np.errstate(over="raise"):
        for one in transferred_plans(tasks[:2], 32, 0.6):
            assert 0 <= one.low < one.accuracy < one.high <= 1


def test_pilot_cells_are_new_ones_of_the_task_within_what_the_others_measured(tasks):
    advice = transferred_advice(tasks[:2], 32, 256, prices=PRICES)
    assert advice.design
    for cell in advice.design:
        assert cell.new and cell.seeds == 32 and 32 <= cell.budget <= 2048
        # A third choice would tell of the lead by the luck of few tasks alone.
        assert cell.method in {entry.method for entry in advice.outlook[:2]}
        assert cell.queries == cell.budget and cell.usd > 0
        assert 0 < cell.doubt_after < cell.doubt_before
        assert cell.regret_before == pytest.approx(advice.best.expected_regret)


def test_costs_of_tasks_have_their_geometric_mean_between_and_beyond_the_cells(usual):
    one = CostLine(np.array([10.0, 1000.0]), np.array([1.0, 10.0]))
    other = CostLine(np.array([20.0, 500.0]), np.array([4.0, 90.0]))
    budgets = np.array([5.0, 15.0, 100.0, 700.0, 4000.0])
    mean = mean_line([one, other])
    assert mean.of(budgets) == pytest.approx(np.sqrt(one.of(budgets) * other.of(budgets)))
    assert mean.budget(mean.of(budgets)) == pytest.approx(budgets)


@pytest.mark.parametrize("goal", [{"queries": 1000}, {"usd": 1.0}, {"target": 0.6}])
def test_a_transferred_answer_says_whose_it_is(tasks, goal):
    question = Question("elsewhere", 32, **goal)
    answers = ask(tasks, question, 0.95, PRICES)
    text = advice_text("study trial", question, answers, 0.95, TITLES)
    # The answer comes first.
    assert text.startswith("elsewhere (study trial)\n  With 32 seeds")
    assert "judging by other tasks" in " ".join(text.split())
    assert "transferred from task0, task1 and task2" in text
    said = advice_json(question, answers)["answers"][0]
    assert said["task"] == "elsewhere" and said["transferred"] == ["task0", "task1", "task2"]
    json.dumps(said, allow_nan=False)


# --- which cells to measure next


def test_new_cells_are_offered_beside_those_of_the_study(usual):
    assert doublings(32, 1, 64) == [32, 64, 128, 256, 512, 1024, 2048]
    assert doublings(30, 1, 9) == [30, 60, 120, 270]
    offered = cells_module._candidates(usual, 48)
    budgets = {(c.seeds, c.new): set() for c in offered}
    for cell in offered:
        budgets[cell.seeds, cell.new].add(cell.budget // cell.seeds)
    assert budgets == {
        (32, False): {1, 4, 16, 64},
        (32, True): {2, 8, 32, 128},
        (64, False): {1, 4, 16, 64},
        (64, True): {2, 8, 32, 128},
        (48, True): {1, 2, 4, 8, 16, 32, 64, 128},
    }
    # Sizes beyond the study's are not offered.
    assert {cell.seeds for cell in cells_module._candidates(usual, 128)} == {32, 64}


def test_a_further_cell_costs_what_of_its_data_is_not_bought(usual, monkeypatch):
    monkeypatch.setattr(cells_module, "_LEAST_GAIN", 0.0)
    monkeypatch.setattr(cells_module, "_LEAST_WORTH", 0.0)
    monkeypatch.setattr(cells_module, "_LUCK", 0.0)
    monkeypatch.setattr(cells_module, "_COUNT", 1000)
    monkeypatch.setattr(cells_module, "_NAMED_FREE", 1000)
    found = {
        (cell.method, cell.seeds, cell.budget // cell.seeds): cell
        for cell in next_cells(usual, 48, of_choices(usual, 48, {NQ: 480, AA: 480}), PRICES)
    }
    between, beyond = found[NQ, 32, 8], found[NQ, 32, 128]
    again, size = found[NQ, 32, 16], found[NQ, 48, 16]
    assert between.new and (between.queries, between.usd) == (0, 0.0)
    # From BR 64, which is bought, to 128.
    assert beyond.new and beyond.queries == 64 * 32
    assert beyond.usd == pytest.approx(64 * 32 * 850e-6)
    assert not again.new and again.queries == 16 * 32
    assert again.usd == pytest.approx(16 * 32 * 850e-6)
    assert size.new and size.queries == 16 * 48
    assert json.loads(json.dumps(asdict(size)))["new"] is True


def test_a_cell_of_a_mixture_pays_for_what_of_its_parts_is_not_bought(usual, monkeypatch):
    monkeypatch.setattr(cells_module, "_LEAST_WORTH", 0.0)
    monkeypatch.setattr(cells_module, "_COUNT", 1000)
    monkeypatch.setattr(cells_module, "_NAMED_FREE", 1000)
    mixture = {"mix_half": {AA: 0.5, NQ: 0.5}}
    draws = of_choices(usual, 32, {NQ: 128, AA: 128})
    cells = next_cells(usual, 32, draws, PRICES, mixtures=mixture)
    found = {(c.seeds, c.budget // c.seeds): c for c in cells if c.method == "mix_half"}
    assert {*found} == {(seeds, 2**step) for seeds in (32, 64) for step in range(8)}
    # Half of BR 128 is BR 64, all of it bought.
    for cell in found.values():
        assert (cell.queries, cell.usd, cell.new, cell.measured) == (0, 0.0, True, False)
    skewed = {"mix_skewed": {AA: 0.25, NQ: 0.75}}
    cells = next_cells(usual, 32, draws, PRICES, mixtures=skewed)
    found = {(c.seeds, c.budget // c.seeds): c for c in cells if c.method == "mix_skewed"}
    assert found[32, 64].queries == 0 and found[32, 128].queries == 32 * 32
    assert found[32, 128].usd == pytest.approx(32 * 32 * 850e-6)


def test_the_best_cell_that_is_there_already_and_the_best_that_cost(usual):
    close = of_choices(usual, 48, {QR: 130, AA: 130})
    found = next_cells(usual, 48, close, PRICES)
    assert found[0].usd == 0 and len(found) > 1 and all(cell.usd > 0 for cell in found[1:])
    worth = [(c.regret_before - c.regret_after) / c.usd for c in found[1:]]
    assert worth == sorted(worth, reverse=True)
    # Without prices the same by queries.
    found = next_cells(usual, 48, close, {})
    assert found[0].queries == 0 and all(cell.queries > 0 for cell in found[1:])
    # NQ leads for sure: no cell would change that.
    assert next_cells(usual, 48, of_choices(usual, 48, {NQ: 3072, AA: 3072}), PRICES) == ()


@pytest.mark.parametrize("ahead", [0.0, 0.01, 0.03])
def test_what_a_cell_is_worth_is_what_the_choice_gains_by_it(ahead):
    """Two choices with a normal lead, and a cell that tells part of it: the known integral."""
    generator = np.random.default_rng(3)
    lead, spread, noise = generator.normal(size=(2, 40_000)), 0.02, 0.015
    lead = ahead + spread * (lead[0] - lead[0].mean()) / lead[0].std()
    draws = np.stack([0.5 + lead, np.full_like(lead, 0.5)], axis=1)
    cell = Candidate(NQ, 32, 64, new=True)
    further = Further([(cell, 0.6 + lead, Noise(noise**2, 0.0))], {(32, NQ): None})

    def loss(mean, deviation):
        """What is lost on average if the lead is below zero."""
        at = NormalDist(0, 1)
        share = mean / deviation
        return deviation * at.pdf(share) - mean * at.cdf(-share)

    moved = spread**2 / np.hypot(spread, noise)
    found = best_cells(draws, further)
    worth = loss(ahead, moved)
    if worth < 2e-4:
        assert found == ()
        return
    assert found[0].regret_before == pytest.approx(loss(ahead, spread), rel=0.03)
    gain = found[0].regret_before - found[0].regret_after
    assert gain == pytest.approx(worth, rel=0.03)


@pytest.mark.slow
def test_a_further_cell_lessens_the_doubt_about_as_foretold(monkeypatch):
    """Studies from a known truth, fitted once more with the cell."""
    monkeypatch.setattr(cells_module, "_LEAST_GAIN", 0.0)
    monkeypatch.setattr(cells_module, "_LEAST_WORTH", 0.0)
    monkeypatch.setattr(cells_module, "_LUCK", 0.0)
    monkeypatch.setattr(cells_module, "_COUNT", 1000)
    settings = FitSettings(methods=METHODS, bootstrap_samples=800)
    place = [("seeds", 32), ("budget", 32 * 16), ("method", NQ)]
    foretold, left = [], []
    for seed in range(3):
        cells, items = simulate(items=1000, seed=50 + seed, replicates=2)
        again = pl.col("replicate") == 1
        once = cells.filter(~again)
        more = cells.filter(~again | pl.all_horizontal(pl.col(k) == v for k, v in place))
        before, after = (
            fit(
                (part, items.filter(pl.col("cell").is_in(part["cell"].to_list()))),
                settings=settings,
            )[0]
            for part in (once, more)
        )
        budgets = {NQ: 32 * 8, AA: 32 * 8}
        (cell,) = (
            cell
            for cell in next_cells(before, 32, of_choices(before, 32, budgets), prices={})
            if (cell.method, cell.seeds, cell.budget) == (NQ, 32, 32 * 16)
        )
        doubts = [
            np.std(
                np.diff(
                    [one.accuracy(32, m, np.array([8.0])).draws[:, 0] for m in (NQ, AA)], axis=0
                )
            )
            for one in (before, after)
        ]
        foretold.append((cell.doubt_after / cell.doubt_before) ** 2)
        left.append((doubts[1] / doubts[0]) ** 2)
    assert np.mean(foretold) < 0.98
    assert 0.75 < np.mean(left) / np.mean(foretold) < 1.3
