"""Fits of simulated studies: what they find, and how sure they are."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from analysis_simulation import METHODS, simulate, true_accuracy
from fitted_studies import SETTINGS, fit, that_missed, usual_study

import seedbed.analysis.curves.fitting as fitting_module
from seedbed.analysis.curves import curves_from
from seedbed.analysis.curves.decay import RESPONSES, Points
from seedbed.analysis.curves.fitting import fit_decay
from seedbed.analysis.settings import FitSettings
from seedbed.analysis.tables.outcomes import outcomes_by_task


@pytest.fixture(scope="module")
def usual():
    return usual_study()


def has(fit, extension):
    """Whether the chosen model has an extension."""
    return extension in fit.record.chosen.split("+")


def fall(method, seeds, ratio):
    """Accuracy that falls where seeds are overused, as small models' does."""
    table = {1: (0.69, 0.58, 0.53), 4: (0.74, 0.72, 0.71), 16: (0.75, 0.78, 0.83)}
    return (table | {64: (0.56, 0.57, 0.85)})[ratio][METHODS.index(method)]


def ends(interval):
    """The ends of an interval on the axis of x; None where it is open."""
    return tuple(end and float(np.log(end)) for end in (interval.low, interval.high))


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


@pytest.mark.slow
def test_an_untrained_student_of_its_own_level_is_recognised():
    found = fit(items=3000, untrained=0.15)[0]
    assert has(found, "start")
    at_zero = found.cell_draws["untrained", 0, 0]
    assert at_zero.mean() == pytest.approx(0.15, abs=0.03)


@pytest.mark.slow
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


@pytest.mark.slow
def test_replicates_give_cell_means_degrees_of_freedom():
    found = fit(FitSettings(bootstrap_samples=4, starts=1), replicates=2, items=200)[0]
    means = next(entry for entry in found.record.models if entry.name == "cell_means")
    assert (means.parameter_count, means.degrees_of_freedom) == (25, 24)
    assert {cell.replicates for cell in found.record.cells} == {2}
    assert all(cell.replicate_sd is not None for cell in found.record.cells)
    assert found.record.chosen != "cell_means"


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
    plain = that_missed(usual, held_out_error=0.0, held_out_noise=0.0).accuracy(*place)[1]

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


@pytest.mark.slow
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


def test_fits_and_draws_of_different_studies_are_refused():
    settings = FitSettings(bootstrap_samples=2, starts=1)
    content, draws = fit_decay(
        outcomes_by_task(*simulate(items=50, seeds=(8,), ratios=(1, 4))), settings
    )
    assert len(curves_from(content, draws)) == 1
    with pytest.raises(ValueError, match="same study"):
        curves_from(content, draws.with_columns(fit=pl.lit("another")))


def test_nothing_outside_imports_what_is_behind_the_interface():
    scripts = Path(__file__).parents[2] / "scripts"
    inner = {path.stem for path in (scripts / "seedbed/analysis/curves").glob("[a-z]*.py")}
    assert {"interface", "records", "fitting", "likelihood"} <= inner
    pattern = re.compile(rf"analysis\.curves(\.| import )({'|'.join(sorted(inner))})\b")
    outside = [path for path in scripts.rglob("*.py") if path.parent.name != "curves"]
    found = [path.name for path in outside if pattern.search(path.read_text(encoding="utf-8"))]
    assert not found
