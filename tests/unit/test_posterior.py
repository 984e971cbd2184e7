"""What the posterior says of simulated cells, of degenerate ones, and without any."""

import numpy as np
import polars as pl
import pytest
from analysis_simulation import (
    METHODS,
    RIVAL_TRUTHS,
    Truth,
    coordinates,
    paper_study,
    simulate,
    true_accuracy,
)
from scipy.stats import norm

from seedbed.analysis.posterior import (
    cells_of,
    chances_of_best,
    expected_regrets,
    fit_posterior,
)
from seedbed.analysis.tables.outcomes import Outcomes, outcomes_by_task

KINDS = ("answers", "rephrased", "new")


def study(**how):
    (found,) = outcomes_by_task(*simulate(**how)).values()
    return found


def scores(rights, items=400, clusters=None, grade=1.0):
    """Outcomes of given cells, (method, seeds, budget): accuracy, with independent items."""
    generator = np.random.default_rng(5)
    rows = [coordinates(*cell) for cell in rights]
    correct = np.array([generator.permutation(items) < share * items for share in rights.values()])
    clusters = np.arange(items) if clusters is None else np.arange(items) % clusters
    names = tuple(map(str, range(items)))
    return Outcomes("mini_math", pl.DataFrame(rows), names, clusters, grade * correct)


def interval(posterior, seeds, queries):
    draws = posterior.accuracy(seeds, np.array([queries]))[:, 0]
    return np.quantile(draws, [0.025, 0.5, 0.975])


def test_without_cells_the_published_findings_answer():
    posterior = fit_posterior(cells_of(None, METHODS), KINDS, samples=4000)
    few, many = (chances_of_best(posterior.accuracy(100, b * np.eye(3))) for b in (200, 100_000))
    assert few.argmax() == 0 and few[0] > 0.4
    assert many.argmax() == 2 and many[2] > 0.5
    # Either may be wrong for a task.
    assert few[2] > 0.05 and many[0] > 0.02
    draws = posterior.accuracy(100, np.array([[0, 0, 0], [0, 0, 1000], [0, 0, 100_000]]))
    assert (draws > 0).all() and (draws < 1).all()
    assert (np.diff(draws.mean(axis=0)) > 0.02).all()
    assert draws[:, 1].std() > 0.1


LEVEL = {("untrained", 0, 0): 0.2} | {(m, 32, 320): 0.5 for m in METHODS}
DEGENERATE = {
    "all wrong": scores(dict.fromkeys(LEVEL, 0.0)),
    "all right": scores(dict.fromkeys(LEVEL, 1.0)),
    "one wrong, one right": scores(dict.fromkeys(LEVEL, 0.0) | {(METHODS[0], 32, 320): 1.0}),
    "2 items": scores(LEVEL, items=2),
    "1 item": scores(LEVEL, items=1),
    "1 cluster": scores(LEVEL, clusters=1),
    "2 clusters": scores(LEVEL, clusters=2),
    "50,000 items": scores(LEVEL, items=50_000),
    "one method": scores({("untrained", 0, 0): 0.2, (METHODS[1], 32, 64): 0.4}),
    "no base model": scores({(m, 32, 320): 0.5 for m in METHODS}),
    "the base model alone": scores({("untrained", 0, 0): 0.2}),
    "one budget, three sizes": scores({(m, s, 640): 0.4 for m in METHODS for s in (16, 64, 640)}),
    "a failed cell": scores(LEVEL | {(METHODS[0], 32, 320): 0.0}),
    "a collapse at the top": scores(
        LEVEL | {(m, 32, 3200): 0.6 for m in METHODS} | {(m, 32, 32_000): 0.1 for m in METHODS}
    ),
    "grades that are all alike": scores(dict.fromkeys(LEVEL, 1.0), grade=0.5),
    "less than a query a seed": scores({(m, 320, 3): 0.3 for m in METHODS}),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_cells_get_intervals_of_accuracies(name):
    posterior = fit_posterior(cells_of(DEGENERATE[name], METHODS), KINDS, samples=200)
    queries = np.concatenate([b * np.eye(3) for b in (1, 320, 100_000)] + [np.zeros((1, 3))])
    draws = posterior.accuracy(32, queries)
    assert draws.shape == (200, 10)
    assert np.isfinite(draws).all() and (draws >= 0).all() and (draws <= 1).all()
    assert (draws.std(axis=0) > 1e-4).all()
    assert chances_of_best(draws).sum() == pytest.approx(1)
    assert (expected_regrets(draws) >= 0).all()


def test_zeros_are_little_and_ones_are_much_but_not_certain():
    low, high = (
        interval(fit_posterior(cells_of(DEGENERATE[name], METHODS), KINDS), 32, (320, 0, 0))
        for name in ("all wrong", "all right")
    )
    assert low[2] < 0.03 and high[0] > 0.97
    assert low[2] > 0.0005 and high[0] < 0.9995


def test_few_items_tell_less_than_many():
    widths = []
    for items in (2, 30, 400, 50_000):
        found = interval(
            fit_posterior(cells_of(scores(LEVEL, items), METHODS), KINDS), 32, (320, 0, 0)
        )
        widths.append(found[2] - found[0])
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0.3 and 0.01 < widths[-1] < 0.1


def test_few_clusters_tell_less_than_many():
    hard = np.random.default_rng(0).normal(size=20)

    def of(clusters):
        rows = [coordinates(*cell) for cell in LEVEL]
        own = np.random.default_rng(1).normal(size=(4, 400))
        correct = own + 0.7 * np.repeat(hard, 20) < 0
        return Outcomes("t", pl.DataFrame(rows), ("i",) * 400, clusters, correct.astype(float))

    apart, together = (
        cells_of(of(clusters), METHODS).noise
        for clusters in (np.arange(400), np.repeat(np.arange(20), 20))
    )
    assert (np.diag(together) > 2 * np.diag(apart)).all()
    two = cells_of(of(np.repeat([0, 1], 200)), METHODS).noise
    assert (np.diag(two) > 2 * np.diag(apart)).all()


def test_no_mean_of_cells_is_known_better_than_the_luck_that_they_share():
    """As if weights of both signs could tell how lucky all students were: it was 0.7 to 0.9."""
    rows = [coordinates(m, 32, b) for m in METHODS for b in (32, 128, 512, 2048)]
    for seed in range(5):
        generator = np.random.default_rng([seed, 11])
        drawn = generator.choice(20, 1000, p=generator.dirichlet(np.full(20, 2.0)))
        clusters = np.unique(drawn, return_inverse=True)[1]
        hard = np.sqrt(0.2) * generator.normal(size=20)[clusters]
        own = np.sqrt(0.4) * generator.normal(size=(1 + len(rows), 1000))
        correct = hard + np.sqrt(0.4) * own[0] + own[1:] < 0.25
        whole = Outcomes("t", pl.DataFrame(rows), ("i",) * 1000, clusters, correct.astype(float))
        noise = cells_of(whole, METHODS).noise
        shared = noise[~np.eye(len(rows), dtype=bool)].mean()
        assert 1 / np.linalg.inv(noise).sum() > 0.95 * shared


def test_graded_scores_have_their_own_variance():
    generator = np.random.default_rng(2)
    grades = np.clip(0.5 + 0.1 * generator.normal(size=(2, 300)), 0, 1)
    cells = pl.DataFrame([coordinates("untrained", 0, 0), coordinates(METHODS[0], 8, 80)])
    graded = Outcomes("t", cells, ("i",) * 300, np.arange(300), grades)
    whole = Outcomes("t", cells, ("i",) * 300, np.arange(300), (grades > 0.5).astype(float))
    variance = np.diag(cells_of(graded, METHODS).noise)
    # A deviation of 0.1, and a slope of 4 logits.
    assert np.allclose(variance, (4 * 0.1) ** 2 / 300, rtol=0.25)
    assert (np.diag(cells_of(whole, METHODS).noise) > 15 * variance).all()


@pytest.mark.slow
def test_a_failed_training_is_named_and_does_not_rule():
    whole = study(ratios=(1, 2, 4, 8, 16, 32), noise=0.005, items=1319)
    cells = cells_of(whole, METHODS)
    at = next(
        i
        for i, row in enumerate(whole.cells.iter_rows(named=True))
        if (row["method"], row["seeds"], row["budget_ratio"]) == (METHODS[2], 64, 16)
    )
    correct = whole.correct.copy()
    correct[at] *= np.arange(1319) % 3 == 0
    broken = Outcomes("t", whole.cells, whole.items, whole.clusters, correct)
    posterior = fit_posterior(cells_of(broken, METHODS), KINDS)
    assert set(posterior.failed) == {cells.names[at]}
    assert posterior.failed[cells.names[at]] > 0.95
    sound = fit_posterior(cells, KINDS)
    assert sum(sound.failed.values()) < 0.3
    for queries in ((0, 0, 64 * 16), (0, 0, 64 * 64), (0, 64 * 64, 0)):
        ours, theirs = interval(posterior, 64, queries), interval(sound, 64, queries)
        assert abs(ours[1] - theirs[1]) < 0.025


@pytest.mark.slow
def test_few_cells_of_a_curve_of_another_form_are_followed():
    """Nine cells: one method is flat from the first query on, where the others rise."""
    at = {
        METHODS[0]: {1: 0.69, 4: 0.69, 16: 0.69},
        METHODS[1]: {1: 0.58, 4: 0.72, 16: 0.78},
        METHODS[2]: {1: 0.53, 4: 0.71, 16: 0.83},
    }
    found = []
    for seed in range(8):
        whole = study(
            accuracy=lambda method, seeds, ratio: at[method][ratio],
            seeds=(50,),
            ratios=(1, 4, 16),
            items=1000,
            noise=0.008,
            untrained=0.4,
            seed=seed,
        )
        found.append(interval(fit_posterior(cells_of(whole, METHODS), KINDS), 50, (50, 0, 0)))
    low, middle, high = np.transpose(found)
    # It was 0.62, and in five of eight studies the interval ended below 0.69.
    assert middle.mean() > 0.64
    assert ((low <= 0.69) & (high >= 0.69)).sum() >= 6


def test_a_cell_above_the_others_has_not_failed():
    at = {(METHODS[0], 1): 0.6, (METHODS[0], 16): 0.6, (METHODS[1], 1): 0.4, (METHODS[1], 16): 0.5}
    at |= {(METHODS[2], 1): 0.4, (METHODS[2], 16): 0.9}
    whole = study(
        accuracy=lambda method, seeds, ratio: at[method, ratio],
        seeds=(8,),
        ratios=(1, 16),
        items=400,
    )
    posterior = fit_posterior(cells_of(whole, METHODS), KINDS)
    assert not any("budget=8/" in name for name in posterior.failed)


def test_the_order_of_methods_and_cells_does_not_matter():
    whole = study(ratios=(1, 4, 16))
    order = [2, 0, 1]
    names, kinds = [METHODS[m] for m in order], [KINDS[m] for m in order]
    rows = np.random.default_rng(0).permutation(len(whole.cells))
    mixed = Outcomes("t", whole.cells[rows], whole.items, whole.clusters, whole.correct[rows])
    queries = np.array([[640, 0, 0], [0, 640, 0], [0, 0, 640], [100, 200, 300]])
    one = fit_posterior(cells_of(whole, METHODS), KINDS, 2000).accuracy(64, queries)
    other = fit_posterior(cells_of(mixed, names), kinds, 2000).accuracy(64, queries[:, order])
    assert np.allclose(one.mean(axis=0), other.mean(axis=0), atol=0.004)
    assert np.allclose(one.std(axis=0), other.std(axis=0), rtol=0.25)


def test_methods_of_the_same_kind_are_alike():
    same = scores({("untrained", 0, 0): 0.2, ("a", 32, 320): 0.5, ("b", 32, 320): 0.5})
    posterior = fit_posterior(cells_of(same, ("a", "b")), ("new", "new"), 2000)
    chances = chances_of_best(posterior.accuracy(32, 3200 * np.eye(2)))
    assert chances[0] == pytest.approx(0.5, abs=0.08)


def test_a_method_without_a_cell_is_known_by_its_prior_and_the_task():
    level = {cell: share for cell, share in LEVEL.items() if cell[0] != METHODS[2]}
    draws = fit_posterior(cells_of(scores(level), METHODS), KINDS).accuracy(32, 320 * np.eye(3))
    spread = draws.std(axis=0)
    assert 1.2 * spread[:2].max() < spread[2] < 0.15


def test_the_same_cells_give_the_same_draws():
    whole = scores(LEVEL)
    one, other = (
        fit_posterior(cells_of(whole, METHODS), KINDS, seed=3).accuracy(32, 99 * np.eye(3))
        for _ in range(2)
    )
    assert (one == other).all()


@pytest.mark.slow
def test_noise_between_trainings_is_learnt_from_replicates():
    calm, noisy = (
        fit_posterior(
            cells_of(study(replicates=4, noise=noise, ratios=(4, 16)), METHODS), KINDS
        ).run_noise
        for noise in (0.0, 0.03)
    )
    # 0.03 in accuracy is about 0.12 in logits.
    assert calm < 0.05 < 0.08 < noisy


MIXTURE = "mix_thirds"
THIRDS = dict.fromkeys(METHODS, 1 / 3)


def test_mixtures_tell_what_methods_teach_alike():
    level = LEVEL | {(m, 32, 1280): 0.6 for m in METHODS}
    found = []
    for share in (0.6, 0.68):
        whole = scores(level | {(MIXTURE, 32, 1280): share}, items=4000)
        cells = cells_of(whole, METHODS, {MIXTURE: THIRDS})
        assert len(cells) == len(level) + 1
        found.append(interval(fit_posterior(cells, KINDS), 32, (1280, 1280, 1280))[1])
    assert found[1] > found[0] + 0.03


def test_mixtures_of_other_methods_and_other_cells_are_left_out():
    whole = scores(LEVEL | {(MIXTURE, 32, 320): 0.9, ("another", 32, 320): 0.9})
    assert len(cells_of(whole, METHODS)) == len(LEVEL)
    assert len(cells_of(whole, METHODS[:2], {MIXTURE: THIRDS})) == len(LEVEL) - 1


def test_a_mixture_of_one_is_the_method():
    posterior = fit_posterior(cells_of(study(), METHODS), KINDS)
    alone, near = posterior.accuracy(64, np.array([[0, 0, 640], [0.001, 0.001, 640]])).T
    assert np.allclose(alone, near, atol=2e-3)


TRUTHS = {"exponential": Truth(), **RIVAL_TRUTHS}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exponential", "logit", "mixed", "databases", "two_phase"])
def test_intervals_cover(name):
    """Of 12 studies of 27 cells, within the data and at twice and ten times the highest budget."""
    truth = TRUTHS[name]
    budgets = (200, 1600, 12_800)
    asked = np.concatenate([b * np.eye(3) for b in (1600, 25_600, 128_000)])
    inside = []
    for seed in range(12):
        generator = np.random.default_rng([seed, 9])
        rows, shares = [], []
        for m in METHODS:
            for s in (100, 400, 1600):
                for b in budgets:
                    rows.append(coordinates(m, s, b))
                    shares.append(truth.accuracy(m, s, b / s) + generator.normal(0, 0.008))
        rows.append(coordinates("untrained", 0, 0))
        shares.append(truth.floor)
        clusters = np.arange(1000) // (50 if truth.databases else 1)
        hard = np.sqrt(0.4) * generator.normal(size=1000)
        hard += np.sqrt(0.2) * generator.normal(size=clusters.max() + 1)[clusters]
        own = np.sqrt(0.4) * generator.normal(size=(len(rows), 1000))
        correct = hard + own < norm.ppf(shares)[:, None]
        whole = Outcomes("t", pl.DataFrame(rows), ("i",) * 1000, clusters, correct.astype(float))
        draws = fit_posterior(cells_of(whole, METHODS), KINDS).accuracy(400, asked)
        low, high = np.quantile(draws, [0.025, 0.975], axis=0)
        true = [truth.accuracy(m, 400, b / 400) for b in (1600, 25_600, 128_000) for m in METHODS]
        inside.append((low <= true) & (true <= high))
    covered = np.mean(inside, axis=0)
    assert covered.mean() > 0.9, covered
    assert covered.min() > 0.7, covered


@pytest.mark.slow
def test_beyond_the_cells_growth_is_known_to_a_factor():
    truth, inside, widths = RIVAL_TRUTHS["two_phase"], [], []
    for seed in range(6):
        posterior = fit_posterior(cells_of(paper_study(seed, truth), METHODS), KINDS)
        for at, method in enumerate(METHODS):
            low, _, high = interval(posterior, 7473, 200_000 * np.eye(3)[at])
            inside.append(low <= truth.accuracy(method, 7473, 200_000 / 7473) <= high)
        low, _, high = interval(posterior, 100, (1_000_000, 0, 0))
        widths.append(high - low)
    # They were 7 of 18, as the fast rise and the slow one were taken for one that goes on.
    assert sum(inside) >= 12
    # Seeds that are worn out teach nothing more: it was 0.27.
    assert np.mean(widths) < 0.18


def test_more_queries_help_where_they_did():
    posterior = fit_posterior(cells_of(study(seeds=(64,)), METHODS), KINDS)
    true = [true_accuracy(METHODS[2], 64, x, 32) for x in (4, 16, 64)]
    queries = np.array([[0, 0, 64 * x] for x in (4, 16, 64)])
    draws = posterior.accuracy(64, queries)
    assert (np.diff(draws, axis=1) > 0).mean() > 0.95
    assert np.allclose(draws.mean(axis=0), true, atol=0.04)
