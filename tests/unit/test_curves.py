"""Fits of simulated studies: what they find, and how sure they are."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from analysis_simulation import METHODS, simulate, true_accuracy
from fitted_studies import fit, usual_study

from seedbed.analysis.curves import Point, curves_from
from seedbed.analysis.curves.fitting import fit_decay
from seedbed.analysis.settings import FitSettings
from seedbed.analysis.tables.outcomes import outcomes_by_task


@pytest.fixture(scope="module")
def usual():
    return usual_study()


def fall(method, seeds, ratio):
    """Accuracy that falls where seeds are overused, as small models' does."""
    table = {1: (0.69, 0.58, 0.53), 4: (0.74, 0.72, 0.71), 16: (0.75, 0.78, 0.83)}
    return (table | {64: (0.56, 0.57, 0.85)})[ratio][METHODS.index(method)]


def test_simulated_study_gives_true_curve_within_its_band(usual):
    ratios = np.geomspace(1, 64, 9)
    inside = []
    for cell in usual.record.cells:
        at = (cell.seeds, cell.method, np.array([cell.budget_ratio]))
        assert cell.fitted == pytest.approx(usual.accuracy(*at)[0][0])
        assert cell.fitted_low < cell.fitted < cell.fitted_high
    for method, seeds in product(METHODS, (32, 64)):
        centre, draws = usual.accuracy(seeds, method, ratios)
        truth = [true_accuracy(method, seeds, x) for x in ratios]
        assert centre == pytest.approx(truth, abs=0.05)
        low, high = np.quantile(draws, [0.005, 0.995], axis=0)
        inside += list((low - 0.005 <= truth) & (truth <= high + 0.005))
    assert np.mean(inside) > 0.85
    assert usual.record.far_off == ()


def test_accuracy_that_falls_is_followed_where_it_was_measured():
    found = fit(accuracy=fall)[0]
    at = [Point(METHODS[0], 32, ratio) for ratio in (16, 64)]
    peak, end = found.at(at).centre
    assert peak == pytest.approx(0.75, abs=0.06) and end < peak - 0.08


@pytest.mark.slow
def test_training_noise_is_seen_and_widens_the_intervals(usual):
    noisy = fit(items=2000, noise=0.03, ratios=(1, 2, 4, 8, 16, 32, 64), seed=2)[0]
    assert noisy.record.noise.training_runs == pytest.approx(0.03, rel=0.35)
    assert usual.record.noise.training_runs < 0.01

    def width(found):
        draws = found.accuracy(32, METHODS[1], np.array([8.0]))[1]
        return np.ptp(np.quantile(draws, [0.025, 0.975]))

    assert width(noisy) > width(usual)


def test_the_same_seed_gives_the_same_fit():
    settings = FitSettings(bootstrap_samples=4)
    runs = [fit(settings, items=300, methods=METHODS[:1], seeds=(32,)) for _ in range(2)]
    assert runs[0][0].record == runs[1][0].record
    at = (32, METHODS[0], np.array([3.0, 300.0]))
    assert np.array_equal(runs[0][0].accuracy(*at).draws, runs[1][0].accuracy(*at).draws)


def test_what_is_written_has_the_draws_that_were_fitted():
    settings = FitSettings(methods=METHODS, bootstrap_samples=30)
    by_task = outcomes_by_task(*simulate(items=300, seeds=(32,), ratios=(1, 16)))
    record, draws = fit_decay(by_task, settings)
    (found,) = curves_from(record, draws)
    for cell in record.fits[0].cells:
        drawn = found.accuracy(cell.seeds, cell.method, np.array([cell.budget_ratio])).draws
        assert cell.fitted == pytest.approx(drawn.mean())


def test_draws_of_different_calls_are_of_one_world(usual):
    """A difference is as sure however it is asked for."""
    points = [Point(method, 32, 8.0) for method in METHODS]
    together = usual.at(points).draws
    for place, point in enumerate(points):
        alone = usual.accuracy(32, point.method, np.array([8.0])).draws[:, 0]
        assert alone == pytest.approx(together[:, place])
    lead = usual.contrast([(1.0, points[0]), (-1.0, points[1])]).draws[:, 0]
    assert lead == pytest.approx(together[:, 0] - together[:, 1])


@pytest.mark.slow
def test_replicates_that_differ_are_told_by_the_noise_between_draws():
    """The third draw of the seeds is 4 points worse, and the record says so."""
    usual_draws = simulate(items=4000, replicates=3)
    worse = simulate(lambda *at: true_accuracy(*at) - 0.04, items=4000, replicates=3)
    of_third = pl.col("cell").str.contains("replicate=2")
    mixed = [
        pl.concat([ours.filter(~of_third), theirs.filter(of_third)])
        for ours, theirs in zip(usual_draws, worse, strict=True)
    ]
    settings = FitSettings(methods=METHODS, bootstrap_samples=60)
    content, _ = fit_decay(outcomes_by_task(*mixed), settings)
    (record,) = content.fits
    assert record.noise.draws_of_seeds > 0.01
    assert {cell.replicates for cell in record.cells} == {3}
    assert all(cell.replicate_sd is not None for cell in record.cells)


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
    settings = FitSettings(bootstrap_samples=2)
    content, draws = fit_decay(
        outcomes_by_task(*simulate(items=50, seeds=(8,), ratios=(1, 4))), settings
    )
    assert len(curves_from(content, draws)) == 1
    with pytest.raises(ValueError, match="same study"):
        curves_from(content, draws.with_columns(fit=pl.lit("another")))


def test_nothing_outside_imports_what_is_behind_the_interface():
    scripts = Path(__file__).parents[2] / "scripts"
    inner = {path.stem for path in (scripts / "seedbed/analysis/curves").glob("[a-z]*.py")}
    assert {"interface", "records", "fitting", "crossings"} <= inner
    pattern = re.compile(rf"analysis\.curves(\.| import )({'|'.join(sorted(inner))})\b")
    outside = [path for path in scripts.rglob("*.py") if path.parent.name != "curves"]
    found = [path.name for path in outside if pattern.search(path.read_text(encoding="utf-8"))]
    assert not found
