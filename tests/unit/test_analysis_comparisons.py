"""Paired comparisons against hand calculations and published numbers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from analysis_simulation import METHODS, coordinates, simulate
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student_t

from seedbed.analysis.settings import CompareSettings, FitSettings, Titles, parse_settings
from seedbed.analysis.tables.comparisons import compare_methods, holm, paired_difference
from seedbed.analysis.tables.outcomes import (
    Group,
    clustered_standard_error,
    groups,
    mean_accuracy,
    outcomes_by_task,
    proportion_interval,
    resampled_accuracies,
)
from seedbed.analysis.tables.replicates import RunNoise
from seedbed.command_line import json_of
from seedbed.config.messages import problems

SETTINGS = CompareSettings(methods=METHODS)


def compare(cells, items, settings=SETTINGS, runs=None):
    return compare_methods(outcomes_by_task(cells, items), settings, runs or {})


def test_paired_standard_error_equals_the_hand_calculation():
    reference = np.array([[1, 1, 0, 0, 1, 0, 1, 1, 0, 0]], dtype=float)
    method = np.array([[1, 0, 1, 1, 1, 1, 1, 1, 0, 1]], dtype=float)
    # Differences: 0 -1 1 1 0 1 0 0 0 1; mean 0.3; sum of squares 5 - 10 x 0.09 = 4.1.
    found = paired_difference(reference, method, np.arange(10), runs=None)
    assert found.difference == pytest.approx(0.3)
    error = np.sqrt(4.1 / 9 / 10)
    assert found.standard_error == pytest.approx(error)
    # t of 9 degrees of freedom, from tables: 2.262157 at 97.5%, 0.883404 at 80%.
    assert found.low == pytest.approx(0.3 - 2.262157 * error, abs=1e-6)
    assert found.high == pytest.approx(0.3 + 2.262157 * error, abs=1e-6)
    assert found.detectable == pytest.approx((2.262157 + 0.883404) * error, abs=1e-6)
    # t = 1.4056, between the 90% and the 95% point (1.383, 1.833): two-sided p just below 0.2.
    assert 0.19 < found.p < 0.2


def test_the_noise_of_training_widens_by_the_hand_calculation():
    reference = np.array([[1, 1, 0, 0, 1, 0, 1, 1, 0, 0]], dtype=float)
    method = np.array([[1, 0, 1, 1, 1, 1, 1, 1, 0, 1]], dtype=float)
    found = paired_difference(reference, method, np.arange(10), runs=RunNoise(0.001, 5.0))
    from_items, from_runs = 4.1 / 9 / 10, 2 * 0.001
    assert found.standard_error**2 == pytest.approx(from_items + from_runs)
    freedom = (from_items + from_runs) ** 2 / (from_items**2 / 9 + from_runs**2 / 5)
    half = student_t.ppf(0.975, freedom) * found.standard_error
    assert found.high - found.low == pytest.approx(2 * half)
    # Two replicates have half of it.
    both = paired_difference(
        np.tile(reference, (2, 1)), np.tile(method, (2, 1)), np.arange(10), runs=RunNoise(0.001, 5)
    )
    assert both.standard_error**2 == pytest.approx(from_items + from_runs / 2)


def test_replicates_tell_the_noise_of_training_where_there_are_enough():
    group = Group("mini_math", "mini_student", "mini_teacher", "none", "mini_teacher")
    model = {group: RunNoise(0.03**2, 6.0)}
    words = []
    for replicates, seeds in ((1, (8,)), (2, (8,)), (3, (8, 64))):
        tables = simulate(
            items=400, replicates=replicates, seeds=seeds, ratios=(1,), untrained=None, noise=0.03
        )
        table = compare(*tables, runs=model)
        words.append(table["noise"].unique().item())
        # The error of the items alone is 1.6 points, less with replicates.
        assert (table["standard_error"] > 0.03 * (1.2 / replicates) ** 0.5).all()
    # Three cells with a second replicate have three degrees of freedom, eighteen have twelve.
    estimated = "test items, and training as the model estimates it"
    assert words == [estimated, estimated, "test items, seeds and training"]


def test_few_databases_have_the_tails_of_few():
    """Under no difference, 20 clusters of unlike sizes refuse about as often as they say."""
    generator = np.random.default_rng(3)
    sizes = generator.integers(4, 120, 20)
    clusters = np.repeat(np.arange(20), sizes)
    refused = 0
    for _ in range(600):
        both = generator.normal(0, 0.15, (2, 20))[:, clusters] + 0.5
        left, right = (generator.random(len(clusters)) < share for share in both)
        found = paired_difference(
            left[None].astype(float), right[None].astype(float), clusters, runs=None
        )
        refused += found.p < 0.05
    # By the normal distribution it is 8%; by t with 19 degrees of freedom nearer to 6.
    assert 0.03 <= refused / 600 <= 0.075


def test_p_holm_of_a_table_is_adjusted_in_each_family():
    one = simulate(items=60, seeds=(8,), ratios=(1, 4))
    two = simulate(
        items=60, seeds=(8,), ratios=(1,), untrained=None, other={"student": "other"}, seed=1
    )
    table = compare(pl.concat([one[0], two[0]]), pl.concat([one[1], two[1]]))
    sizes = {"mini_student": 6, "other": 3}
    for student, size in sizes.items():
        family = table.filter(pl.col("student") == student)
        assert family["family_size"].to_list() == [size] * size
        assert family["p_holm"].to_list() == pytest.approx(holm(family["p"].to_list()))
    assert (table["p_holm"] > table["p"]).any()


def test_clustered_standard_error_equals_the_hand_calculation():
    values = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    clusters = np.array([0, 0, 1, 1, 2, 2])
    # Mean 1/2; cluster totals of deviations 1, -1, 0; G/(G-1) = 3/2: sqrt(3/2 x 2) / 6.
    assert clustered_standard_error(values, clusters) == pytest.approx(np.sqrt(3) / 6)


def test_clustered_standard_error_of_single_items_is_the_usual_one():
    values = np.random.default_rng(0).normal(size=50)
    usual = values.std(ddof=1) / np.sqrt(50)
    assert clustered_standard_error(values, np.arange(50)) == pytest.approx(usual)


def test_resamples_of_few_clusters_vary_as_the_standard_error_says():
    cells, items = simulate(items=40, cluster_size=8, seeds=(8,), ratios=(1,))
    outcomes = outcomes_by_task(cells, items)["mini_math"]
    assert outcomes.cluster_count == 5
    drawn = resampled_accuracies(outcomes, 20_000, 0).std(axis=0)
    for spread, row in zip(drawn, outcomes.correct, strict=True):
        # Without the stretch it would be sqrt(4 / 5) of that.
        expected = clustered_standard_error(row, outcomes.clusters)
        assert spread == pytest.approx(expected, rel=0.05)


def test_where_all_is_right_each_cluster_counts_once_and_replicates_do_not():
    cells, items = simulate(
        lambda *_: 1.0, items=20, cluster_size=2, seeds=(8,), ratios=(1,), replicates=3
    )
    outcomes = outcomes_by_task(cells, items)["mini_math"]
    rows = [i for i, cell in enumerate(outcomes.cells["method"]) if cell == METHODS[0]]
    one, three = (mean_accuracy(outcomes, rows[:count], 0.95) for count in (1, 3))
    assert one == three
    # Wilson's interval of ten trials that all succeed: 1 / (1 + 1.96^2 / 10).
    assert three.low == pytest.approx(1 / (1 + 1.959964**2 / 10))


def test_a_single_cluster_has_no_standard_error():
    found = paired_difference(np.zeros((1, 4)), np.ones((1, 4)), np.zeros(4, dtype=int), runs=None)
    assert found.difference == 1.0
    assert (found.standard_error, found.low, found.high, found.p) == (None,) * 4


def test_replicates_are_averaged_by_item_and_their_spread_reported():
    reference = np.array([[0, 0, 0, 0], [0, 0, 0, 0]], dtype=float)
    method = np.array([[1, 0, 0, 0], [1, 1, 1, 0]], dtype=float)
    found = paired_difference(reference, method, np.arange(4), runs=None)
    assert found.difference == pytest.approx(0.5)
    # By item 1, 1/2, 1/2, 0: variance 1/6.
    assert found.standard_error == pytest.approx(np.sqrt(1 / 6 / 4))
    assert found.replicate_sd == pytest.approx(np.std([0.25, 0.75], ddof=1))


def test_pairing_is_tighter_than_two_separate_errors():
    cells, items = simulate(seeds=(32,), ratios=(1,), shared=0.9)
    row = compare(cells, items).filter(pl.col("method") == "new_question").row(0, named=True)
    p, q = row["accuracy_reference"], row["accuracy_method"]
    separate = np.sqrt((p * (1 - p) + q * (1 - q)) / 1000)
    assert row["standard_error"] < 0.6 * separate


@pytest.mark.slow
def test_intervals_cover_the_truth():
    covered = 0
    for seed in range(200):
        cells, items = simulate(
            lambda method, seeds, ratio: 0.5 if method == METHODS[0] else 0.6,
            seeds=(10,),
            ratios=(1,),
            items=300,
            cluster_size=3,
            seed=seed,
            untrained=None,
            methods=METHODS[:2],
        )
        row = compare(cells, items).row(0, named=True)
        covered += row["low"] <= 0.1 <= row["high"]
    # 95% of 200 is 190; below 180 or above 198 is a chance of about one in a hundred.
    assert 180 <= covered <= 198


def test_holm_equals_known_numbers():
    # Holm's method by hand: 4 x 0.01, 3 x 0.02 = 0.06, max(0.06, 2 x 0.03) = 0.06, 0.04 -> 0.06.
    assert holm([0.01, 0.04, 0.03, 0.02]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    # As R's p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm").
    expected = [0.05, 0.08, 0.09, 0.09, 0.09]
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx(expected)
    assert holm([0.6, None, 0.7]) == [1.0, None, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(values):
    adjusted = holm(values)
    for value, higher in zip(values, adjusted, strict=True):
        assert value <= higher <= min(1.0, len(values) * value) + 1e-12
    by_value = [a for _, a in sorted(zip(values, adjusted, strict=True))]
    assert by_value == sorted(by_value)


def test_every_pair_at_every_budget_is_compared():
    cells, items = simulate(items=50)
    table = compare(cells, items)
    # 3 pairs x 2 sizes x 4 budgets; one family.
    assert table.height == 24
    assert table["family_size"].unique().to_list() == [24]
    assert table.row(0, named=True)["reference"] == METHODS[0]
    by_cell = {row["cell"]: row["accuracy"] for row in cells.iter_rows(named=True)}
    row = table.filter(
        pl.col("reference") == METHODS[0], pl.col("method") == METHODS[2], pl.col("budget") == 2048
    ).row(0, named=True)
    assert row["seeds"] == 32 and row["budget_ratio"] == 64
    keys = list(by_cell)
    nq = next(k for k in keys if "new_question" in k and "budget=2048" in k)
    aa = next(k for k in keys if "answer_aug" in k and "budget=2048" in k and "seeds=32/" in k)
    assert row["difference"] == pytest.approx(by_cell[nq] - by_cell[aa])


def test_methods_without_augmenter_pair_with_every_augmenter():
    one = simulate(items=50, seeds=(8,), ratios=(1, 4))
    two = simulate(
        items=50,
        seeds=(8,),
        ratios=(1, 4),
        methods=METHODS[1:],
        untrained=None,
        other={"augmenter": "weak"},
        seed=1,
    )
    table = compare(pl.concat([one[0], two[0]]), pl.concat([one[1], two[1]]))
    # Each augmenter: 3 pairs x 2 budgets; no pair mixes two augmenters.
    assert table.group_by("augmenter").len().sort("augmenter").rows() == [
        ("mini_teacher", 6),
        ("weak", 6),
    ]


def test_only_shared_replicates_are_paired():
    cells, items = simulate(items=40, seeds=(8,), ratios=(1,), replicates=3)
    gone = cells.filter((pl.col("method") == METHODS[2]) & (pl.col("replicate") == 1))["cell"]
    kept = ~pl.col("cell").is_in(gone.to_list())
    table = compare(cells.filter(kept), items.filter(kept))
    assert dict(table.select("method", "replicates").filter(pl.col("replicates") < 3).rows()) == {
        METHODS[2]: 2
    }


def test_equal_and_opposite_outcomes():
    # Thirty signs alike: 2 x 0.5^30.
    for other, difference, p in ((1.0, 0.0, 1.0), (0.0, -1.0, pytest.approx(2 * 0.5**30))):
        cells, items = simulate(
            lambda method, seeds, ratio, other=other: 1.0 if method == METHODS[0] else other,
            methods=METHODS[:2],
            seeds=(8,),
            ratios=(1,),
            items=30,
        )
        row = compare(cells, items).row(0, named=True)
        assert (row["difference"], row["standard_error"], row["p"]) == (difference, 0.0, p)


def test_single_method_has_no_comparisons():
    cells, items = simulate(methods=METHODS[:1], items=20)
    assert compare(cells, items).is_empty()


def test_a_method_that_the_settings_lack_is_refused():
    cells, items = simulate(items=20)
    with pytest.raises(ValueError, match="new_question"):
        compare(cells, items, CompareSettings(methods=METHODS[:2]))


def test_groups_without_any_augmenter():
    cells, _ = simulate(methods=METHODS[:1], items=20)
    assert [group.augmenter for group in groups(cells)] == ["none"]


def test_resampling_keeps_cells_paired_and_clusters_whole():
    cells, items = simulate(items=400, cluster_size=4, seeds=(32,), ratios=(1, 4))
    outcomes = outcomes_by_task(cells, items)["mini_math"]
    draws = resampled_accuracies(outcomes, 2000, seed=3)
    assert draws.shape == (2000, cells.height)
    assert np.array_equal(draws, resampled_accuracies(outcomes, 2000, seed=3))
    difference = outcomes.correct[1] - outcomes.correct[0]
    error = clustered_standard_error(difference, outcomes.clusters)
    assert (draws[:, 1] - draws[:, 0]).std() == pytest.approx(error, rel=0.08)
    assert draws.mean(axis=0) == pytest.approx(outcomes.correct.mean(axis=1), abs=0.005)


def test_wilson_interval_equals_known_numbers():
    # Newcombe 1998, table I, method 3 (Wilson): 81 of 263.
    error = np.sqrt(81 / 263 * (1 - 81 / 263) / 263)
    found = proportion_interval(81 / 263, error, 263, 0.95)
    assert found == pytest.approx((0.2553, 0.3662), abs=1e-4)
    # The same table: 0 of 20.
    assert proportion_interval(0.0, 0.0, 20, 0.95) == pytest.approx((0.0, 0.1611), abs=1e-4)
    low, high = proportion_interval(1.0, None, 20, 0.95)
    assert high == 1.0 and low == pytest.approx(1 - 0.1611, abs=1e-4)


def test_cells_with_different_items_are_refused():
    cells, items = simulate(items=20, seeds=(8,), ratios=(1,))
    with pytest.raises(ValueError, match="same items"):
        outcomes_by_task(cells, items.head(items.height - 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"confidense": 0.9}', "confidense"),
        ('{"confidence": 1.0}', "confidence"),
        ('{"bootstrap_samples": 1}', "bootstrap_samples"),
        ('{"bootstrap_samples": "400"}', "bootstrap_samples"),
        ('{"seed": true}', "seed"),
        ("[1]", "--settings"),
        ("{", "--settings"),
    ],
)
def test_bad_settings_are_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse_settings(FitSettings, text)


def test_settings_and_titles_are_read():
    read_titles = json_of(Titles, problems)
    settings = parse_settings(FitSettings, '{"methods": ["b", "a"], "bootstrap_samples": 7}')
    assert settings.methods == ("b", "a") and settings.bootstrap_samples == 7
    titles = read_titles('{"b": {"title": "Big one", "short": "BO"}, "c": {"title": "Sea"}}')
    assert [titles.title("b"), titles.short("b"), titles.short("c")] == ["Big one", "BO", "Sea"]
    assert titles.title("not_given") == "not given"
    for bad in ('{"b": {"name": "x"}}', "[]", "{"):
        with pytest.raises(ValueError, match=r"b\.name|must be a JSON object|Expecting"):
            read_titles(bad)


def test_coordinates_of_the_simulation_are_in_the_order_of_the_key():
    assert list(coordinates("new_question", 8, 8))[:3] == ["task", "method", "augmenter"]
