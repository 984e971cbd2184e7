"""The models, their fit, crossovers and advice, on studies with known answers."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import polars as pl
import pytest
from analysis_simulation import METHODS, TRUE, simulate, true_accuracy
from scipy.integrate import quad
from scipy.optimize import brentq, least_squares

import seedbed.analysis.curves.fitting as fitting_module
from seedbed.analysis.curves import FitsRecord, curves_from
from seedbed.analysis.curves.crossings import crossings, inverted, sign_changes
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
from seedbed.analysis.curves.fitting import fit_decay, noise_of, qaicc
from seedbed.analysis.curves.least_squares import minimise
from seedbed.analysis.curves.likelihood import CellData, fit_model, refit, residuals_of
from seedbed.analysis.curves.replicates import Noise, noise_between_replicates
from seedbed.analysis.decide.advise import _merged, advise, best_shares, leaders, plans, tied
from seedbed.analysis.decide.costs import CostLine
from seedbed.analysis.decide.crossovers import crossover_table, find_crossovers
from seedbed.analysis.decide.transfer import new_task_draws, transferred_advice
from seedbed.analysis.settings import CrossoverSettings, FitSettings
from seedbed.analysis.tables.outcomes import outcomes_by_task, resampled_accuracies

SETTINGS = FitSettings(methods=METHODS, bootstrap_samples=60, starts=4)


def fit(settings=SETTINGS, **kwargs):
    record, draws = fit_decay(outcomes_by_task(*simulate(**kwargs)), settings)
    # What is written is JSON: numbers of NumPy and NaN would fail here.
    text = json.dumps(record.model_dump(mode="json"), allow_nan=False)
    return curves_from(FitsRecord.model_validate_json(text), draws)


@pytest.fixture(scope="module")
def usual():
    return fit(items=2000)[0]


def with_accuracy(cell, accuracy):
    return cell.model_copy(update={"accuracy": accuracy})


def with_cells(fit, cells):
    return replace(fit, record=fit.record.model_copy(update={"cells": tuple(cells)}))


def that_missed(fit, **missed):
    """The fit with other misses of its models at held-out budgets."""
    models = tuple(entry.model_copy(update=missed) for entry in fit.record.models)
    return replace(fit, record=fit.record.model_copy(update={"models": models}))


def model_of(response="exponential", harm=False, start=False, sharing="", decay="exponential"):
    return AccuracyModel(response, harm, start, METHODS, 32.0, sharing, decay)


def has(fit, extension):
    """Whether the chosen model has an extension."""
    return extension in fit.record.chosen.split("+")


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


@pytest.mark.slow
def test_simulated_study_gives_true_curve_within_its_band(usual):
    assert usual.record.status == "fitted"
    assert usual.record.lack_of_fit < 2
    ratios = np.geomspace(1, 64, 9)
    inside = []
    for cell in usual.record.cells:
        at = (cell.seeds, cell.method, np.array([cell.budget_ratio]))
        assert cell.fitted == pytest.approx(usual.curve(*at)[0][0])
    for method, seeds in product(METHODS, (32, 64)):
        centre, draws = usual.curve(seeds, method, ratios)
        truth = [true_accuracy(method, seeds, x) for x in ratios]
        assert centre == pytest.approx(truth, abs=0.05)
        low, high = np.quantile(draws, [0.005, 0.995], axis=0)
        inside += list((low - 0.005 <= truth) & (truth <= high + 0.005))
    assert np.mean(inside) > 0.85


@pytest.mark.slow
def test_much_data_gives_the_true_parameters_and_form_back():
    content, _ = fit_decay(
        outcomes_by_task(*simulate(items=20_000, ratios=(1, 2, 4, 8, 16, 32, 64), seed=5)),
        FitSettings(methods=METHODS, bootstrap_samples=4, starts=2),
    )
    models = {entry.name: entry for entry in content.fits[0].models}
    ours = {p.name: p.value for p in models["exponential"].parameters}
    assert ours["tau:answer_augmentation"] == pytest.approx(4.0, rel=0.2)
    assert ours["tau:question_rephrase"] == pytest.approx(10.0, rel=0.2)
    assert ours["v:new_question"] == pytest.approx(0.55, rel=0.2)
    assert ours["delta"] == pytest.approx(0.15, abs=0.1)
    assert ours["A0"] == pytest.approx(0.45, abs=0.02)
    # So much data tells the true form from its rivals.
    others = [models[name].qaicc for name in ("power", "logit")]
    assert models["exponential"].qaicc < min(others)


def fall(method, seeds, ratio):
    """Accuracy that falls where seeds are overused, as small models' does."""
    table = {1: (0.69, 0.58, 0.53), 4: (0.74, 0.72, 0.71), 16: (0.75, 0.78, 0.83)}
    return (table | {64: (0.56, 0.57, 0.85)})[ratio][METHODS.index(method)]


@pytest.mark.slow
def test_falling_accuracy_needs_the_harm_term():
    found = fit(accuracy=fall)[0]
    assert has(found, "harm")
    models = {entry.name: entry for entry in found.record.models}
    for response in RESPONSES:
        assert models[f"{response}+harm"].qaicc < models[response].qaicc - 20
    peak = found.curve(32, METHODS[0], np.array([8.0]))[0]
    assert peak > found.curve(32, METHODS[0], np.array([64.0]))[0] + 0.1
    # The shape is not of the family: that shows as noise beyond the test items', not as certainty.
    assert found.record.bootstrap.training_noise > 0.01
    assert found.record.dispersion.estimate > 1.5


@pytest.mark.slow
def test_training_noise_is_seen_and_widens_the_intervals(usual):
    noisy = fit(items=2000, noise=0.03, ratios=(1, 2, 4, 8, 16, 32, 64), seed=2)[0]
    assert noisy.record.bootstrap.training_noise == pytest.approx(0.03, rel=0.35)
    assert usual.record.bootstrap.training_noise < 0.01

    def width(found):
        draws = found.curve(32, METHODS[1], np.array([8.0]))[1]
        return np.ptp(np.quantile(draws, [0.025, 0.975]))

    assert width(noisy) > width(usual)


def test_an_untrained_student_of_its_own_level_is_recognised():
    found = fit(items=3000, untrained=0.15)[0]
    assert has(found, "start")
    at_zero = found.cell_draws["untrained", 0, 0]
    assert at_zero.mean() == pytest.approx(0.15, abs=0.03)


def test_the_same_seed_gives_the_same_fit():
    settings = FitSettings(bootstrap_samples=4, starts=2)
    runs = [fit(settings, items=300, methods=METHODS[:1]) for _ in range(2)]
    assert runs[0][0].record == runs[1][0].record
    for one, other in zip(runs[0][0].models, runs[1][0].models, strict=True):
        assert np.array_equal(one.draws, other.draws)


def test_the_curve_is_the_mean_of_models_by_their_weight(usual):
    by_name = {entry.name: entry for entry in usual.record.models}
    used = [entry for entry in by_name.values() if entry.weight]
    assert len(used) == len(usual.models) > 1
    assert sum(entry.weight for entry in used) == pytest.approx(1)
    first, second = used[:2]
    odds = np.exp((second.qaicc_above_best - first.qaicc_above_best) / 2)
    assert first.weight / second.weight == pytest.approx(odds)
    resamples = np.concatenate([member.resamples for member in usual.models])
    assert sorted(resamples) == list(range(SETTINGS.bootstrap_samples))
    at = np.array([8.0])
    points = Points(np.array([0]), np.array([32.0]), at)
    mean = sum(m.weight * m.model.accuracy(m.values, points) for m in usual.models)
    centre, draws = usual.curve(32, METHODS[0], at)
    assert centre == pytest.approx(mean)
    for member in usual.models:
        expected_draws = member.model.accuracy(member.draws, points)
        assert draws[member.resamples] == pytest.approx(expected_draws)


def test_the_choice_is_the_best_on_held_out_budgets_of_those_that_qaicc_hardly_tells_apart(usual):
    models = [entry for entry in usual.record.models if entry.held_out_error is not None]
    near = [entry for entry in models if entry.qaicc_above_best <= 2]
    best = min(near, key=lambda entry: entry.held_out_error)
    assert usual.record.chosen == best.name
    assert 0 < best.held_out_error < 0.1


@pytest.mark.slow
def test_held_out_budgets_show_the_form_that_cannot_foretell_them():
    """A model whose seeds all last equally long misses what lies beyond."""
    found = fit(items=20_000, ratios=(1, 2, 4, 8, 16, 32, 64))[0]
    models = {entry.name: entry for entry in found.record.models}
    right = models["exponential"].held_out_error
    wrong = [entry for name, entry in models.items() if name.endswith("one_tau")]
    assert wrong and all(entry.held_out_error > 2 * right for entry in wrong)


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


@pytest.mark.slow
def test_draws_of_a_cell_spread_as_items_seeds_and_training_do():
    """The spread of a cell in the bootstrap is that of its known parts."""
    count = 12
    study = simulate(
        items=1500, replicates=count, ratios=(1, 4, 16), shared=0.6, noise=0.012, between=0.04
    )
    by_task = outcomes_by_task(*study)
    settings = FitSettings(methods=METHODS, bootstrap_samples=400, starts=2)
    (found,) = curves_from(*fit_decay(by_task, settings))
    noise = found.record.bootstrap
    assert noise.training_noise == pytest.approx(0.012, rel=0.25)
    # 22 degrees of freedom tell a standard deviation to 15%.
    assert noise.seed_draw_noise == pytest.approx(0.04, rel=0.4)
    outcomes = by_task["mini_math"]
    place = {"method": METHODS[1], "seeds": 32, "budget": 128}
    rows = outcomes.cells.with_row_index("row").filter(
        *(pl.col(name) == value for name, value in place.items())
    )["row"]
    assert len(rows) == count
    from_items = outcomes.correct[rows.to_list()].mean(axis=0).var(ddof=1) / 1500
    rest = (noise.training_noise**2 + noise.seed_draw_noise**2) / count
    spread = found.cell_draws[METHODS[1], 32, 128].std(ddof=1)
    assert spread == pytest.approx(np.sqrt(from_items + rest), rel=0.12)
    # A bootstrap of the items alone, or one whose noise is each cell's own, would have less.
    assert np.sqrt(from_items) < 0.8 * spread


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


@pytest.mark.slow
def test_replicates_that_differ_are_told_by_their_effects():
    """The third draw of the seeds is 4 points worse, and the record says so."""
    usual_draws = simulate(items=4000, replicates=3)
    worse = simulate(lambda *at: true_accuracy(*at) - 0.04, items=4000, replicates=3)
    of_third = pl.col("cell").str.contains("replicate=2")
    mixed = [
        pl.concat([ours.filter(~of_third), theirs.filter(of_third)])
        for ours, theirs in zip(usual_draws, worse, strict=True)
    ]
    content, _ = fit_decay(outcomes_by_task(*mixed), SETTINGS)
    (record,) = content.fits
    effects = {(one.seeds, one.replicate): one.effect for one in record.seed_draw_effects}
    assert set(effects) == set(product((32, 64), range(3)))
    for size in (32, 64):
        others = np.mean([effects[size, 0], effects[size, 1]])
        assert effects[size, 2] - others == pytest.approx(-0.04, abs=0.02)
    assert record.bootstrap.seed_draw_noise > 0.01


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
    settings = FitSettings(methods=METHODS, bootstrap_samples=5, starts=1)
    found = fit(settings, items=200, **kwargs)[0]
    assert found.record.status == "fitted"
    for seeds, method in product(found.seeds, found.methods):
        centre, draws = found.curve(seeds, method, np.array([1.0, 16.0]))
        assert np.isfinite(draws).all() and (draws >= 0).all() and (draws <= 1).all()
        truth = kwargs.get("accuracy", true_accuracy)
        assert centre == pytest.approx([truth(method, seeds, x) for x in (1, 16)], abs=0.12)
    content = find_crossovers([found], CrossoverSettings())
    crossover_table(content)
    for record in content.crossovers:
        assert record.status
    json.dumps(content.model_dump(mode="json"), allow_nan=False)
    advise(found, found.seeds[0], found.seeds[0] * 16)


def test_replicates_give_cell_means_degrees_of_freedom():
    found = fit(FitSettings(bootstrap_samples=4, starts=1), replicates=2, items=200)[0]
    means = next(entry for entry in found.record.models if entry.name == "cell_means")
    assert (means.parameter_count, means.degrees_of_freedom) == (25, 24)
    assert {cell.replicates for cell in found.record.cells} == {2}
    assert all(cell.replicate_sd is not None for cell in found.record.cells)
    assert found.record.chosen != "cell_means"


def test_two_budgets_are_too_few_and_the_means_remain():
    found = fit(seeds=(50,), ratios=(1, 64))[0]
    assert (found.record.status, found.models) == ("too_few_cells", ())
    assert "7 cells" in found.record.reason
    advice = advise(found, 50, 3200)
    assert (advice.basis, advice.best.method) == ("means", "new_question")
    with pytest.raises(ValueError, match="only 50"):
        advise(fits_like(found, [50, 100]), 70, 700)
    records = find_crossovers([found], CrossoverSettings()).crossovers
    assert {r.status for r in records if r.basis == "curve"} == {"no_fit"}
    nq = [r for r in records if r.basis == "means" and r.method == "new_question"]
    assert nq[0].leader_at_highest == "new_question"


def fits_like(found, sizes):
    """The fit with other seed-set sizes."""
    return replace(found, record=found.record.model_copy(update={"seeds": tuple(sizes)}))


def true_crossover(seeds, reference, method):
    def difference(log_ratio):
        x = np.exp(log_ratio)
        return true_accuracy(method, seeds, x) - true_accuracy(reference, seeds, x)

    return float(np.exp(brentq(difference, 0, np.log(64))))


def true_crossover_of_means(seeds, reference, method):
    """Where straight lines in ln BR between the true accuracies of the cells cross."""
    ratios = np.array([1.0, 4.0, 16.0, 64.0])
    difference = [
        true_accuracy(method, seeds, x) - true_accuracy(reference, seeds, x) for x in ratios
    ]
    changes, _, _ = sign_changes(np.log(ratios), np.array(difference))
    return float(np.exp(changes[-1][0]))


def test_crossovers_of_the_simulated_study_lie_within_their_intervals(usual):
    records = find_crossovers([usual], CrossoverSettings()).crossovers
    assert len(records) == 2 * 3 * 2
    hits = 0
    for record in records:
        truth_of = true_crossover if record.basis == "curve" else true_crossover_of_means
        truth = truth_of(record.seeds, record.reference, record.method)
        assert record.leader_at_highest == record.method
        for last in record.crossings[-1:]:
            hits += (last.low or 0) <= truth <= (last.high or np.inf)
            assert last.budget == pytest.approx(last.budget_ratio * record.seeds)
    assert hits >= 10


@pytest.mark.slow
def test_crossover_interval_covers_the_truth_with_training_noise():
    covered = 0
    settings = FitSettings(methods=METHODS, bootstrap_samples=30, starts=1)
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


def test_interval_of_a_crossing_is_that_of_the_draws():
    x, draws = lines(np.linspace(4, 6, 201))
    found = crossed(x, x - 5.0, draws)
    assert (found.status, found.resamples_without_crossing) == ("one", 0.0)
    crossing = found.crossings[0]
    assert np.log(crossing.at) == pytest.approx(5.0)
    assert ends(crossing) == pytest.approx((4.05, 5.95), abs=0.011)
    assert (crossing.lead_before, crossing.lead_after) == pytest.approx((5.0, 5.0))


def test_an_interval_that_reaches_beyond_the_range_says_so():
    x, draws = lines(np.linspace(7, 12, 101))
    crossing = crossed(x, x - 9.0, draws).crossings[0]
    assert ends(crossing) == (pytest.approx(7.1, abs=0.06), None) and crossing.high_beyond_range
    assert crossing.share_of_resamples == pytest.approx(0.6, abs=0.02)
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


def test_where_no_difference_is_not_refused():
    x = np.linspace(0, 4, 401)
    noise = np.random.default_rng(0).normal(0, 1.0, (4000, 1))

    def stretches(difference):
        return inverted(x, difference, difference + noise, 0.95)

    ((low, high),) = stretches(4 * (x - 2))
    assert (low, high) == (pytest.approx(2 - 1.96 / 4, abs=0.02), pytest.approx(2.49, abs=0.02))
    assert stretches(np.full_like(x, 5.0)) == []
    assert stretches(np.full_like(x, 1.0)) == [(None, None)]
    assert stretches(4 * (x - 4)) == [(pytest.approx(3.51, abs=0.02), None)]
    assert len(stretches(6 * (x - 1) * (x - 3))) == 2


def test_a_crossing_that_resamples_do_not_exclude_is_possible():
    x = np.linspace(0, 4, 41)
    difference = -0.5 - 0 * x
    draws = difference + np.linspace(-1, 1, 21)[:, None] * x / 4
    found = crossed(x, difference, draws)
    assert (found.status, found.crossings) == ("none", ())
    (turn,) = found.possible
    # The steepest of the resamples crosses at 2.
    assert (turn.overtaken_by, ends(turn)) == ("b", (pytest.approx(2.0, abs=0.1), None))
    sure = crossed(x, difference, difference - 0 * draws)
    assert (sure.possible, sure.share_of_the_other) == ((), 0.0)


def test_where_the_other_leads_throughout_in_many_resamples_it_is_said():
    x = np.linspace(0, 4, 41)
    draws = np.repeat([[-0.5], [0.5]], [70, 30], axis=0) * np.ones_like(x)
    found = crossed(x, np.full_like(x, -0.2), draws)
    assert (found.status, found.possible, found.share_of_the_other) == ("none", (), 0.3)


def test_lines_between_means_that_cross_have_the_crossing_in_their_inverted_stretch(usual):
    """Where every cell alone is beyond doubt, the lines cross between two of them."""
    cells = [
        with_accuracy(cell, 0.6 + lead.get(cell.budget_ratio, 0.0) * (cell.method == METHODS[2]))
        for lead in [{1: -0.10, 4: -0.06, 16: 0.05, 64: 0.10}]
        for cell in usual.record.cells
    ]
    generator = np.random.default_rng(5)
    draws = {
        (cell.method, cell.seeds, cell.budget): cell.accuracy + generator.normal(0, 0.007, 200)
        for cell in cells
    }
    found = find_crossovers(
        [replace(with_cells(usual, cells), cell_draws=draws)],
        CrossoverSettings(),
    )
    several = [r for r in found.crossovers if r.basis == "means" and r.crossings]
    assert several
    for record in several:
        for crossing in record.crossings:
            assert any(
                (part.low or 0) <= crossing.budget_ratio <= (part.high or np.inf)
                for part in record.inverted
            )


def test_crossovers_by_cost_are_where_equal_amounts_give_equal_accuracy(usual):
    price = {"usd_per_million_prompt_tokens": 1.0, "usd_per_million_completion_tokens": 10.0}
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
    reached = [usual.curve(32, m, np.array([b / 32]))[0][0] for m, b in spent.items()]
    assert reached[0] == pytest.approx(reached[1], abs=1e-3)
    by_queries = next(
        r
        for r in found.crossovers
        if (r.seeds, r.reference, r.method, r.basis) == (32, METHODS[0], METHODS[2], "curve")
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
    found = fit(FitSettings(bootstrap_samples=5, starts=2), seeds=(8,), ratios=(4,), items=50)[0]
    records = find_crossovers([found], CrossoverSettings()).crossovers
    assert {record.status for record in records} == {"too_few_budgets"}
    assert leaders(found, 8) == []
    advice = advise(found, 8, 32)
    assert len(advice.outlook) == 3


def test_advice_names_the_best_method_and_its_cost(usual):
    low, high = advise(usual, 32, 32), advise(usual, 32, 2048)
    assert high.best.method == "new_question"
    assert high.best.probability_best > 0.99
    assert low.basis == "curve and means"
    assert high.best.accuracy == pytest.approx(true_accuracy("new_question", 32, 64), abs=0.03)
    assert high.best.low < high.best.accuracy < high.best.high
    # The simulation makes one and a half augmenter queries for each teacher query.
    assert high.best.augmenter_queries == pytest.approx(1.5 * 2048)
    aa = next(entry for entry in high.outlook if entry.method == "answer_augmentation")
    assert aa.augmenter_queries == 0
    assert high.best.further_queries == 0
    assert sum(entry.probability_best for entry in low.outlook) == pytest.approx(1)
    # What the best one loses to others is little; what they lose to it is what they are behind.
    behind = high.best.accuracy - aa.accuracy
    assert 0 <= high.best.expected_regret < 1e-3
    assert aa.expected_regret == pytest.approx(behind, abs=0.02)
    between = advise(usual, 48, 480).best
    assert between.accuracy == pytest.approx(true_accuracy(between.method, 48, 10), abs=0.04)


def test_the_least_budget_is_the_first_that_is_expected_to_reach_the_target(usual):
    found = {one.method: one for one in plans(usual, 32, 0.6)}
    for method, one in found.items():
        before, at = (
            float(usual.accuracy(32, method, np.array([budget / 32]))[0][0])
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


def test_between_sizes_means_are_on_straight_lines_as_far_as_both_are_measured(usual):
    ratios = np.array([1.0, 5.0, 64.0, 65.0])
    low, high = usual.seeds[:2]
    between = np.sqrt(low * high)
    middle, draws = usual.means_at(between, "new_question", ratios)
    ends = [usual.means_at(seeds, "new_question", ratios) for seeds in (low, high)]
    assert middle == pytest.approx((ends[0][0] + ends[1][0]) / 2, nan_ok=True)
    assert draws == pytest.approx((ends[0][1] + ends[1][1]) / 2)
    assert list(np.isnan(middle)) == [False, False, False, True]
    known, _ = usual.accuracy(between, "new_question", ratios)
    curve = usual.curve(between, "new_question", ratios)[0]
    assert known[:3] == pytest.approx((middle[:3] + curve[:3]) / 2)
    # Beyond them, the lines go on as the curve does.
    assert known[3] - known[2] == pytest.approx(curve[3] - curve[2])
    assert usual.basis(between, ["new_question"]) == "curve and means"
    assert replace(usual, models=()).basis(between, ["new_question"]) == "means"


def test_advice_is_unsure_where_the_cells_contradict_the_curve(usual):
    """One cell is far above its curve, which shares strength with the others and hardly moves."""
    assert advise(usual, 32, 2048).rivals == ()
    place = ("question_rephrase", 32, 2048)
    cells = [
        with_accuracy(cell, 0.95) if (cell.method, cell.seeds, cell.budget) == place else cell
        for cell in usual.record.cells
    ]
    draws = usual.cell_draws | {place: np.full_like(usual.cell_draws[place], 0.95)}
    contradicted = replace(with_cells(usual, cells), cell_draws=draws)
    advice = advise(contradicted, 32, 2048)
    shares = {entry.method: entry.probability_best for entry in advice.outlook}
    assert 0.45 < shares["new_question"] <= 0.5 and 0.5 <= shares["question_rephrase"] < 0.55
    assert len(advice.rivals) == 1
    by_method = {entry.method: entry for entry in advice.outlook}
    # Its interval holds both what the curve and what the cell says.
    assert by_method["question_rephrase"].low < 0.85 and by_method["question_rephrase"].high == 0.95


def test_advice_within_the_data_and_beyond_has_intervals_of_what_it_expects(usual):
    """One method is beyond its data; another has a cell that contradicts its curve."""
    place = ("answer_augmentation", 32, 2048)
    cells = [
        with_accuracy(cell, 0.95) if (cell.method, cell.seeds, cell.budget) == place else cell
        for cell in usual.record.cells
        if (cell.method, cell.budget_ratio) != ("new_question", 64)
    ]
    draws = usual.cell_draws | {place: np.full_like(usual.cell_draws[place], 0.95)}
    fit = replace(with_cells(usual, cells), cell_draws=draws)
    advice = advise(fit, 32, 2048, look_further=False)
    assert (advice.beyond, advice.basis) == (pytest.approx(4), "curve and means")
    for entry in advice.outlook:
        assert entry.low <= entry.accuracy <= entry.high
    by_method = {entry.method: entry for entry in advice.outlook}
    assert by_method["answer_augmentation"].high == 0.95


def test_nothing_leads_where_all_methods_are_equal():
    found = fit(seeds=(32,), ratios=(1, 64), items=60, accuracy=lambda *_: 0.0, untrained=0.0)[0]
    assert leaders(found, 32) == []
    advice = advise(found, 32, 32)
    assert [entry.probability_best for entry in advice.outlook] == pytest.approx([1 / 3] * 3)
    assert len(advice.rivals) == 2


@pytest.mark.parametrize(
    ("seeds", "budget", "beyond"), [(16, 64, 2), (128, 512, 2), (32, 16, 2), (64, 16384, 4)]
)
def test_advice_beyond_the_data_says_how_far_and_is_less_sure(usual, seeds, budget, beyond):
    advice = advise(usual, seeds, budget)
    assert (advice.basis, advice.beyond) == ("curve and means", pytest.approx(beyond))
    for entry in advice.outlook:
        ratio = np.array([budget / seeds])
        centre, draws = usual.curve(seeds, entry.method, ratio)
        last, size = np.clip(ratio, 1, 64), np.clip(seeds, 32, 64)
        missed = usual.means_at(size, entry.method, last)[0]
        missed = missed - usual.curve(size, entry.method, last)[0]
        assert entry.accuracy == pytest.approx((centre + missed / 2)[0])
        curve_alone = np.ptp(np.quantile(draws, [0.025, 0.975]))
        assert entry.high - entry.low > 0.98 * curve_alone
    # The more curves missed held-out budgets by, the less they are trusted beyond the data.
    missed = advise(that_missed(usual, held_out_error=0.2), seeds, budget)
    assert missed.best.high - missed.best.low > 1.3 * (advice.best.high - advice.best.low)
    assert advise(usual, 32, 512).beyond == 1


@pytest.mark.slow
def test_held_out_noise_is_what_curves_of_the_right_form_miss_by():
    """Of the right form, curves miss held-out budgets by their noise; of a wrong one by more."""

    def misses(accuracy, seed):
        found = fit(accuracy=accuracy, items=800, ratios=(1, 2, 4, 8, 16, 32), seed=seed)[0]
        used = [entry for entry in found.record.models if entry.weight]
        weights = [entry.weight for entry in used]
        names = ("held_out_error", "held_out_noise")
        return [np.average([getattr(e, n) ** 2 for e in used], weights=weights) for n in names]

    def cliff(method, seeds, ratio):
        """What no form has: the highest budget brings a tenth less than any curve would say."""
        return true_accuracy(method, seeds, ratio) - (0.1 if ratio == 32 else 0.0)

    error, noise = np.mean([misses(true_accuracy, seed) for seed in range(6)], axis=0)
    assert 0.5 < error / noise < 2
    error, noise = misses(cliff, 0)
    assert error > 4 * noise


def test_beyond_the_data_draws_are_widened_by_the_miss_that_noise_does_not_explain(usual):
    place = (32, "new_question", np.array([16.0, 640.0]))
    plain = usual.accuracy(*place)[1]

    def widened(error, noise):
        fit = that_missed(usual, held_out_error=error, held_out_noise=noise)
        drawn = fit.accuracy(*place)[1]
        assert (drawn[:, 0] == plain[:, 0]).all()
        return drawn[:, 1] - plain[:, 1]

    # Ten times beyond, in steps of four as the highest budgets are from the next.
    steps = np.log(10) / np.log(4)
    assert widened(0.05, 0.03).std() == pytest.approx(0.04 * steps, rel=0.25)
    # Without a miss beyond noise, by what noise can hide.
    for error in (0.03, 0.02):
        hidden = 0.03 * np.sqrt(1 / 8) * steps
        assert widened(error, 0.03).std() == pytest.approx(hidden, rel=0.25)


def test_the_chosen_model_is_in_the_mean_however_little_its_weight(monkeypatch):
    monkeypatch.setattr(fitting_module, "_LEAST_WEIGHT", 1.1)
    (found,) = fit(items=300)
    (model,) = found.models
    assert (model.model.name, model.weight) == (found.record.chosen, 1.0)
    assert len(model.resamples) == SETTINGS.bootstrap_samples


@pytest.mark.parametrize(("seeds", "end"), [(32, 64.0), (48, 1.0), (64, 64.0)])
def test_what_is_expected_does_not_jump_where_the_data_ends(usual, seeds, end):
    for method in METHODS:
        ratios = end * np.exp(np.array([-1e-6, 0.0, 1e-6]))
        centre, draws = usual.accuracy(seeds, method, ratios)
        assert np.ptp(centre) < 1e-4
        assert np.ptp(draws, axis=1).max() < 1e-3
    beyond = np.array([64.0, 1e3, 1e6])
    centre, draws = usual.accuracy(seeds, METHODS[0], beyond)
    assert draws.min() >= 0 and draws.max() <= 1 and (np.diff(draws.std(axis=0)) > 0).all()


def test_without_a_curve_nothing_is_said_beyond_the_data():
    found = fit(seeds=(50,), ratios=(1, 64))[0]
    for seeds, budget in ((50, 6400), (25, 100)):
        with pytest.raises(ValueError, match="the data has"):
            advise(found, seeds, budget)


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
def test_a_task_without_results_borrows_from_others():
    near, far = (transferred_advice(other_tasks(3, lift), 32, 1024) for lift in (0.0, 0.1))
    truth = true_accuracy("new_question", 32, 32)
    for advice in (near, far):
        assert (advice.basis, advice.best.method) == ("other tasks", "new_question")
    assert near.best.low < truth < near.best.high
    # The more the tasks differ, the less is known of another.
    assert far.best.high - far.best.low > 2 * (near.best.high - near.best.low)
    # What they have in common is still known: which method is best.
    assert far.best.probability_best > 0.9
    own = advise(other_tasks(1)[0], 32, 1024)
    assert near.best.high - near.best.low > own.best.high - own.best.low
    with pytest.raises(ValueError, match="two other tasks"):
        transferred_advice(other_tasks(1), 32, 1024)


def test_draws_for_a_new_task_have_the_spread_between_tasks():
    generator = np.random.default_rng(1)
    levels = generator.normal(0.0, 0.5, 200)
    centres = np.stack([levels, levels + 1.0], axis=1)
    draws = centres[:, :, None] + generator.normal(0, 0.1, (200, 2, 500))
    new = new_task_draws(centres, draws)
    assert new.std(axis=1) == pytest.approx(np.std(levels), rel=0.1)
    # The methods differ by the same in all tasks, and so they do in a new one.
    assert (new[1] - new[0]).mean() == pytest.approx(1.0, abs=0.05)
    assert (new[1] - new[0]).std() < 0.2 * new[0].std()


def test_the_cells_that_tell_most_are_those_that_the_lead_depends_on(usual):
    advice = advise(usual, 32, 256)
    best, rival = (entry.method for entry in advice.outlook[:2])
    assert 0 < len(advice.next_cells) <= 3
    for cell in advice.next_cells:
        assert cell.method in (best, rival)
        assert 0 < cell.doubt_after < cell.doubt_before
    # Doubt is told in the same unit as accuracies.
    _, one = usual.curve(32, best, np.array([8.0]))
    _, other = usual.curve(32, rival, np.array([8.0]))
    assert advice.next_cells[0].doubt_before == pytest.approx((one - other).std(ddof=1))


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


def test_stretches_too_narrow_to_matter_join_a_neighbour():
    """The share of draws passes the threshold with noise of its own."""
    leading = np.zeros((2, 401), dtype=bool)
    leading[0, :200] = leading[1, 200:] = True
    leading[1, 100] = leading[0, 300] = True
    centres = np.where(leading, 0.6, 0.5)
    draws = np.repeat(centres[:, None], 40, axis=1)
    merged = list(_merged(tied(centres, draws, 0.95)))
    assert [(start, stop) for _, start, stop in merged] == [(0, 200), (200, 401)]


def test_ties_share_the_probability_of_being_best():
    draws = np.array([[0.5, 0.6, 0.5], [0.5, 0.5, 0.4], [0.1, 0.1, 0.5]])
    assert best_shares(draws) == pytest.approx([(0.5 + 1 + 0.5) / 3, 0.5 / 3, 0.5 / 3])


def test_fits_and_draws_of_different_studies_are_refused():
    settings = FitSettings(bootstrap_samples=2, starts=1)
    content, draws = fit_decay(
        outcomes_by_task(*simulate(items=50, seeds=(8,), ratios=(1, 4))), settings
    )
    assert len(curves_from(content, draws)) == 1
    with pytest.raises(ValueError, match="same study"):
        curves_from(content, draws.with_columns(fit=pl.lit("another")))
