"""The models behind the curves: equations, derivatives, likelihood, noise between replicates."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import polars as pl
import pytest
from analysis_simulation import METHODS, TRUE, simulate, true_accuracy
from scipy.integrate import quad
from scipy.optimize import least_squares

from seedbed.analysis.curves.decay import (
    DECAYS,
    RESPONSES,
    SHARING,
    AccuracyModel,
    Points,
    candidates,
    values_of,
    variants,
)
from seedbed.analysis.curves.fitting import noise_of, qaicc
from seedbed.analysis.curves.least_squares import minimise
from seedbed.analysis.curves.likelihood import CellData, fit_model, refit, residuals_of
from seedbed.analysis.curves.replicates import Noise, noise_between_replicates
from seedbed.analysis.tables.outcomes import outcomes_by_task, resampled_accuracies


def model_of(response="exponential", harm=False, start=False, sharing="", decay="exponential"):
    return AccuracyModel(response, harm, start, METHODS, 32.0, sharing, decay)


def some_points():
    places = list(product(range(3), (32.0, 64.0), (1.0, 4.0, 16.0, 64.0)))
    method, seeds, ratio = map(np.array, zip(*[*places, (0, 32.0, 0.0)], strict=True))
    return Points(method, seeds, ratio)


def cells_at(accuracy, points, items):
    return CellData(points, accuracy, items, np.zeros(len(accuracy), dtype=int))


def true_values(model):
    names = {"A0": TRUE["A0"], "Ainf": TRUE["Ainf"], "kappa": TRUE["kappa"], "h": 0.01}
    names |= {"gamma": TRUE["gamma"], "delta": TRUE["delta"], "a": -0.2, "b": 0.9}
    names |= {f"v:{m}": v for m, v in TRUE["value"].items()} | {"untrained": 0.3, "tau": 9.0}
    names |= {f"delta:{m}": 0.1 * i for i, m in enumerate(METHODS)}
    return values_of(model, names | {f"tau:{m}": t for m, t in TRUE["tau"].items()})


def cells_of_draws(effect):
    """Exact accuracies of four draws; the last has an effect, and the higher budgets only."""
    places = [
        (m, s, x, r)
        for m, s, x, r in product(range(3), (32.0, 64.0), (1.0, 4.0, 16.0, 64.0), range(4))
        if r < 3 or x > 4
    ]
    method, seeds, ratio, replicate = map(np.array, zip(*places, strict=True))
    points = Points(method, seeds, ratio)
    truth = model_of().accuracy(true_values(model_of()), points)
    return CellData(points, truth + effect * (replicate == 3), 2000, replicate), truth


def ends(interval):
    """The ends of an interval on the axis of x; None where it is open."""
    return tuple(end and float(np.log(end)) for end in (interval.low, interval.high))


def test_exponential_form_equals_its_equation():
    model, points = model_of(), some_points()
    expected = [
        true_accuracy(METHODS[m], s, x) if x else TRUE["A0"]
        for m, s, x in zip(points.method, points.seeds, points.ratio, strict=True)
    ]
    assert model.accuracy(true_values(model), points) == pytest.approx(expected)


@pytest.mark.parametrize("decay", DECAYS)
def test_the_value_of_a_query_falls_as_its_equation_says(decay):
    """Effective examples are its integral; at tau it is 1/e of a fresh query's."""
    value = {"exponential": lambda u: np.exp(-u), "harmonic": lambda u: 1 / (1 + (np.e - 1) * u)}
    assert value[decay](1.0) == pytest.approx(1 / np.e)
    model = model_of(decay=decay)
    values, tau, ratios = true_values(model), TRUE["tau"][METHODS[1]], (1.0, 10.0, 640.0)
    points = Points(np.ones(3, int), np.full(3, 32.0), np.array(ratios))
    for accuracy, ratio in zip(model.accuracy(values, points), ratios, strict=True):
        e = TRUE["value"][METHODS[1]] * 32 * quad(lambda x: value[decay](x / tau), 0, ratio)[0]
        rise = 1 - np.exp(-((e / TRUE["kappa"]) ** TRUE["gamma"]))
        assert accuracy == pytest.approx(TRUE["A0"] + (TRUE["Ainf"] - TRUE["A0"]) * rise)


@pytest.mark.parametrize(
    ("response", "harm", "start", "sharing", "decay"),
    [
        *product(RESPONSES, (False, True), (False, True), [""], DECAYS),
        *product(RESPONSES, [True], [True], SHARING, DECAYS),
    ],
)
def test_derivatives_equal_differences(response, harm, start, sharing, decay):
    model, points = model_of(response, harm, start, sharing, decay), some_points()
    values = true_values(model)
    parameters = model.parameters([1, 64], [32, 64])
    logarithmic = np.array([parameter.logarithmic for parameter in parameters])
    fitted = np.where(logarithmic, np.log(np.where(logarithmic, values, 1.0)), values)

    def back(x):
        return np.where(logarithmic, np.exp(np.where(logarithmic, x, 0)), x)

    step = 1e-6
    differences = [
        model.accuracy(back(fitted + step * unit), points)
        - model.accuracy(back(fitted - step * unit), points)
        for unit in np.eye(len(fitted))
    ]
    gradient = model.accuracy_and_gradient(values, points)[1]
    assert gradient == pytest.approx(np.stack(differences, axis=1) / (2 * step), abs=1e-7, rel=1e-7)
    assert model.accuracy_and_gradient(values, points)[0] == pytest.approx(
        model.accuracy(values, points)
    )


def test_many_parameter_values_at_once_equal_one_by_one():
    model, points = model_of("power", harm=True), some_points()
    values = true_values(model) * np.linspace(0.9, 1.1, 5)[:, None]
    together = model.accuracy(values, points)
    gradients = model.accuracy_and_gradient(values, points)[1]
    for row, gradient, one in zip(together, gradients, values, strict=True):
        assert row == pytest.approx(model.accuracy(one, points))
        assert gradient == pytest.approx(model.accuracy_and_gradient(one, points)[1])


def test_variants_share_what_their_names_say():
    model = model_of()
    names = {one.sharing: set(one.parameter_names()) for one in variants(model)}
    free = set(model.parameter_names())
    assert free - names["one_value"] == {"v:question_rephrase", "v:new_question"}
    assert names["one_tau"] - free == {"tau"} and len(free - names["one_tau"]) == 3
    assert "no_delta" not in names
    assert names["each_delta"] - free == {f"delta:{method}" for method in METHODS}
    assert variants(model_of(sharing="no_delta")) == []
    assert "delta_m" in next(m for m in variants(model) if m.sharing == "each_delta").equation


def test_problems_side_by_side_are_minimised_as_scipy_minimises_each():
    """Exponential decays with noise, some of whose best values lie on a bound."""
    generator = np.random.default_rng(0)
    x = np.linspace(0, 4, 30)
    truth = generator.uniform([0.5, 0.2], [2.0, 3.0], (40, 2))
    targets = truth[:, :1] * np.exp(-truth[:, 1:] * x) + generator.normal(0, 0.05, (40, 30))
    low, high = np.array([0.0, 0.5]), np.array([1.5, 2.5])

    def residuals(values, rows):
        decay = np.exp(-values[:, 1:] * x)
        slopes = np.stack([decay, -values[:, :1] * x * decay], axis=-1)
        return values[:, :1] * decay - targets[rows], slopes

    found = minimise(residuals, np.full((40, 2), 9.0), low, high, tolerance=1e-10)
    assert found.converged.all()
    for row in range(40):

        def one(values, row=row):
            return residuals(values[None], np.array([row]))[0][0]

        best = least_squares(one, [1.0, 1.0], bounds=(low, high), xtol=1e-12, ftol=1e-12)
        assert found.cost[row] == pytest.approx(best.cost, rel=1e-5)
        assert found.x[row] == pytest.approx(best.x, abs=2e-3)
    assert (found.x[:, 1] == 2.5).any() and (found.x[:, 0] == 1.5).any()


def test_what_no_step_can_better_ends_as_it_is():
    def nothing(values, rows):
        return np.ones((len(values), 3)), np.zeros((len(values), 3, 2))

    found = minimise(nothing, np.zeros((2, 2)), np.full(2, -1.0), np.ones(2))
    assert found.converged.all() and (found.x == 0).all()
    none = minimise(nothing, np.zeros((0, 2)), np.full(2, -1.0), np.ones(2))
    assert none.x.shape == (0, 2)


@pytest.mark.parametrize("response", RESPONSES)
def test_endless_persistence_makes_budget_alone_count(response):
    model = model_of(response, harm=True, sharing="no_delta")
    names = model.parameter_names()
    values = true_values(model)
    values[[names.index(f"tau:{m}") for m in METHODS]] = 1e9
    same_budget = Points(np.zeros(2, int), np.array([32.0, 64.0]), np.array([8.0, 4.0]))
    first, second = model.accuracy(values, same_budget)
    assert first == pytest.approx(second)


@pytest.mark.parametrize("response", RESPONSES)
def test_only_harm_lets_accuracy_fall(response):
    ratios = np.geomspace(1, 1000, 50)
    points = Points(np.zeros(50, int), np.full(50, 32.0), ratios)
    for harm in (False, True):
        model = model_of(response, harm=harm)
        accuracy = model.accuracy(true_values(model), points)
        assert (np.diff(accuracy) >= -1e-12).all() == (not harm)


def test_exact_data_gives_the_true_parameters_back():
    model, points = model_of(), some_points()
    truth = true_values(model)
    data = cells_at(model.accuracy(truth, points), points, 10_000)
    found = fit_model(model, data, starts=8, seed=0)
    assert found.converged and not found.at_bound
    assert found.deviance == pytest.approx(0, abs=1e-4)
    assert found.agreeing >= 4
    assert found.values == pytest.approx(truth, rel=0.02)


def test_noise_between_draws_of_the_seeds_is_told_from_noise_between_runs():
    """Replicates of a size share an effect of 3 points; runs of their own have 1."""
    generator = np.random.default_rng(4)
    places = list(product(range(3), (32.0, 64.0), (1.0, 4.0, 16.0), range(8)))
    method, seeds, ratio, replicate = map(np.array, zip(*places, strict=True))
    points = Points(method, seeds, ratio)
    own = generator.normal(0, 0.01, len(places))
    effects = generator.normal(0, 0.03, (2, 8))
    shared = effects[(seeds == 64).astype(int), replicate] / np.sqrt(seeds / 32)
    same = np.full((20, len(places)), 0.5)
    both = noise_of(CellData(points, 0.5 + shared + own, 1000, replicate), same)
    assert both.seed_variance == pytest.approx(32 * effects.var(axis=1, ddof=1).mean(), rel=0.3)
    assert both.run_variance == pytest.approx(0.01**2, rel=0.2)
    # Two sizes of 8 draws; 18 places of 8 replicates.
    assert (both.draw_freedom, both.run_freedom) == (14, 126)
    runs = noise_of(CellData(points, 0.5 + own, 1000, replicate), same)
    assert runs.seed_variance < 32 * 0.01**2 / 4
    alone = CellData(points, 0.5 + shared + own, 1000, replicate).only(replicate == 0)
    assert noise_of(alone, same[:, replicate == 0]) == Noise(0.0, 0.0, 0, 0)


def test_noise_of_draws_is_not_biased_where_sizes_differ():
    """Sizes of 100 and 1,000 seeds with three draws each: the mean of many studies is the truth."""
    generator = np.random.default_rng(6)
    places = list(product(range(3), (100.0, 1000.0), (1.0, 4.0, 16.0), range(3)))
    method, seeds, ratio, replicate = map(np.array, zip(*places, strict=True))
    points = Points(method, seeds, ratio)
    same = np.full((4, len(places)), 0.5)
    found = []
    for _ in range(300):
        effects = generator.normal(0, 0.02, (2, 3))[(seeds == 1000).astype(int), replicate]
        own = generator.normal(0, 0.008, len(places))
        accuracy = 0.5 + effects * np.sqrt(100 / seeds) + own
        found.append(noise_of(CellData(points, accuracy, 1000, replicate), same))
    variances = [one.seed_variance for one in found]
    # The draws' variance is 0.04; the mean of 300 has a standard error of 5%.
    assert np.mean(variances) == pytest.approx(100 * 0.02**2, rel=0.15)
    assert np.mean([one.run_variance for one in found]) == pytest.approx(0.008**2, rel=0.1)


def test_the_luck_of_the_items_is_no_noise_between_replicates():
    """Replicates that differ by their items alone: what is left is next to nothing."""
    outcomes = outcomes_by_task(*simulate(items=500, replicates=3, shared=0.5))["mini_math"]
    trained = outcomes.cells["budget"].to_numpy() > 0
    cells = outcomes.cells.filter(pl.col("budget") > 0)
    noise = noise_between_replicates(
        cells.select(pl.struct("method", "seeds", "budget").rank("dense")).to_series().to_numpy(),
        cells["seeds"].to_numpy().astype(float),
        cells["replicate"].to_numpy(),
        outcomes.correct[trained].mean(axis=1),
        resampled_accuracies(outcomes, 400, 0)[:, trained],
    )
    from_items = 0.25 * 0.5 / 500
    assert noise.run_variance < 0.3 * from_items
    assert noise.seed_variance / 32 < 0.3 * from_items


def test_the_likelihood_gives_a_draw_of_the_seeds_its_own_effect():
    data, truth = cells_of_draws(0.04)
    model = model_of()
    plain = fit_model(model, data, starts=6, seed=0)
    assert not len(plain.effects)
    weighed = fit_model(model, replace(data, seed_variance=32 * 0.03**2), starts=6, seed=0)
    assert weighed.converged
    draws = [tuple(draw) for draw in data.draws()[0]]
    assert draws == [(s, r) for s in (32, 64) for r in range(4)]
    # The curve is that of the mean draw: a quarter of the effect is everybody's.
    expected = [0.03 if replicate == 3 else -0.01 for _, replicate in draws]
    assert weighed.effects == pytest.approx(expected, abs=0.008)
    # It is not bent where the one draw has cells and the others alone do not.
    bent = [np.ptp(one.fitted - truth) for one in (plain, weighed)]
    assert bent[0] > 0.006 and bent[1] < 0.4 * bent[0]
    assert weighed.deviance < 0.5 * plain.deviance
    # An effect that is hardly allowed takes no freedom and changes nothing; a free one takes one.
    held = fit_model(model, replace(data, seed_variance=1e-9), starts=6, seed=0)
    assert held.freedom == pytest.approx(plain.freedom, abs=0.01)
    assert held.fitted == pytest.approx(plain.fitted, abs=1e-4)
    free = fit_model(model, replace(data, seed_variance=1e3), starts=6, seed=0)
    assert free.freedom == pytest.approx(plain.freedom - 8, abs=0.1)


def test_refits_find_other_effects_of_the_draws():
    data, truth = cells_of_draws(0.0)
    data = replace(data, seed_variance=32 * 0.03**2)
    found = fit_model(model_of(), data, starts=6, seed=0)
    moved = cells_of_draws(0.04)[0].accuracy
    again = refit(found, data, np.stack([data.accuracy, moved]))
    assert again.failed == 0
    curves = model_of().accuracy(again.values, data.points)
    assert again.with_effects[1] == pytest.approx(moved, abs=0.008)
    assert curves[0] == pytest.approx(truth, abs=0.003)
    assert curves[1] == pytest.approx(truth + 0.01, abs=0.004)


def test_derivatives_by_effects_equal_differences():
    data, _ = cells_of_draws(0.03)
    data = replace(data, seed_variance=0.05, dispersion=0.5)
    found = fit_model(model_of(), data, starts=4, seed=0)
    residuals, at, low, high = residuals_of(found, data, data.accuracy[None])
    assert len(at) == len(low) == len(high) == found.parameter_count + 8
    at = at + 0.01
    first = np.zeros(1, dtype=int)
    _, slopes = residuals(at[None], first)
    assert slopes.shape == (1, len(data.accuracy) + 8, len(at))
    for place in range(len(at)):
        step = np.zeros(len(at))
        step[place] = 1e-6
        ends = [residuals((at + sign * step)[None], first)[0][0] for sign in (1, -1)]
        assert slopes[0, :, place] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-3, abs=1e-3)


def test_refits_of_the_same_data_stay_where_they_are():
    model, points = model_of(), some_points()
    data = cells_at(model.accuracy(true_values(model), points), points, 10_000)
    found = fit_model(model, data, starts=8, seed=0)
    again = refit(found, data, np.stack([data.accuracy] * 3))
    assert again.failed == 0
    assert again.values == pytest.approx(np.stack([found.values] * 3), rel=0.02)


def test_qaicc_equals_the_hand_calculation():
    # k = 4: 30 / 1.5 + 8 + 2 x 4 x 5 / (20 - 5).
    assert qaicc(30.0, 1.5, 3, 20) == pytest.approx(20 + 8 + 40 / 15)
    assert qaicc(30.0, 1.5, 3, 5) is None


def test_candidates():
    assert len(candidates(METHODS, [32, 64], True)) == 24
    without = candidates(METHODS, [32], False)
    assert len(without) == 12
    assert not any(model.start or model.sharing != "no_delta" for model in without)
