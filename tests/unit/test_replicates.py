"""What replicates tell of the noise between draws of the seeds and between training runs."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest
from analysis_simulation import simulate

from seedbed.analysis.tables.outcomes import outcomes_by_task, resampled_accuracies
from seedbed.analysis.tables.replicates import Noise, noise_between_replicates


def test_noise_between_draws_of_the_seeds_is_told_from_noise_between_runs():
    """Replicates of a size share an effect of 3 points; runs of their own have 1."""
    generator = np.random.default_rng(4)
    places = list(product(range(3), (32.0, 64.0), (1.0, 4.0, 16.0), range(8)))
    method, seeds, ratio, replicate = map(np.array, zip(*places, strict=True))
    place = (10_000 * method + seeds) * 100 + ratio

    def noise_of(accuracy, resampled):
        return noise_between_replicates(place, seeds, replicate, accuracy, resampled)

    own = generator.normal(0, 0.01, len(places))
    effects = generator.normal(0, 0.03, (2, 8))
    shared = effects[(seeds == 64).astype(int), replicate] / np.sqrt(seeds / 32)
    same = np.full((20, len(places)), 0.5)
    both = noise_of(0.5 + shared + own, same)
    assert both.seed_variance == pytest.approx(32 * effects.var(axis=1, ddof=1).mean(), rel=0.3)
    assert both.run_variance == pytest.approx(0.01**2, rel=0.2)
    # Two sizes of 8 draws; 18 places of 8 replicates.
    assert (both.draw_freedom, both.run_freedom) == (14, 126)
    runs = noise_of(0.5 + own, same)
    assert runs.seed_variance < 32 * 0.01**2 / 4
    first = replicate == 0
    place, seeds, replicate = place[first], seeds[first], replicate[first]
    assert noise_of((0.5 + shared + own)[first], same[:, first]) == Noise(0.0, 0.0, 0, 0)


def test_noise_of_draws_is_not_biased_where_sizes_differ():
    """Sizes of 100 and 1,000 seeds with three draws each: the mean of many studies is the truth."""
    generator = np.random.default_rng(6)
    places = list(product(range(3), (100.0, 1000.0), (1.0, 4.0, 16.0), range(3)))
    method, seeds, ratio, replicate = map(np.array, zip(*places, strict=True))
    place = (10_000 * method + seeds) * 100 + ratio

    def noise_of(accuracy, resampled):
        return noise_between_replicates(place, seeds, replicate, accuracy, resampled)

    same = np.full((4, len(places)), 0.5)
    found = []
    for _ in range(300):
        effects = generator.normal(0, 0.02, (2, 3))[(seeds == 1000).astype(int), replicate]
        own = generator.normal(0, 0.008, len(places))
        accuracy = 0.5 + effects * np.sqrt(100 / seeds) + own
        found.append(noise_of(accuracy, same))
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
