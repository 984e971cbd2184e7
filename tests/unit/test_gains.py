"""Gains hold the noise between training runs: identical methods are not told apart by it."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import polars as pl
import pytest
from analysis_simulation import METHODS, coordinates

from seedbed.analysis.curves import curves_from, fit_curves, noise_between_runs
from seedbed.analysis.decide.purchases import Known, PurchaseRecord, Request
from seedbed.analysis.decide.rounds import Purchase
from seedbed.analysis.report.charts import augmenters, costs, mixtures, verification
from seedbed.analysis.report.spend.about import About, Named
from seedbed.analysis.report.spend.outcome import outcome
from seedbed.analysis.settings import AugmenterSettings, FitSettings
from seedbed.analysis.tables.comparisons import paired_difference
from seedbed.analysis.tables.outcomes import Outcomes
from seedbed.analysis.tables.replicates import Noise, RunNoise
from seedbed.streams.record import DatasetCounts, DatasetRecord

ITEMS, NOISE = 2000, 0.02
AA, QR, NQ = METHODS
SHARES = {"mix_halves": {AA: 0.5, NQ: 0.5}, "mix_thirds": dict.fromkeys(METHODS, 1 / 3)}
TRUTH = {0: 0.45, 1: 0.5, 4: 0.56, 16: 0.62, 64: 0.66}
"""By budget ratio, the accuracy of all methods and mixtures; 0 for the base model."""


def scored(cells, seed, replicates=1):
    """The outcomes of cells that differ by their budget ratio, items and training runs alone."""
    from scipy.stats import norm

    cells = [
        {**cell, "replicate": number}
        for cell in cells
        for number in range(replicates if cell["budget"] else 1)
    ]
    generator = np.random.default_rng([seed, 9])
    ratios = [cell["budget"] / cell["seeds"] if cell["seeds"] else 0 for cell in cells]
    shares = [TRUTH[ratio] + (NOISE * generator.normal() if ratio else 0) for ratio in ratios]
    score = np.sqrt(0.7) * generator.normal(size=ITEMS)
    score = score + np.sqrt(0.3) * generator.normal(size=(len(cells), ITEMS))
    correct = (score < norm.ppf(shares)[:, None]).astype(float)
    table = pl.DataFrame(cells).with_columns(budget_ratio=pl.Series(ratios, dtype=pl.Float64))
    return Outcomes("mini_math", table, tuple(map(str, range(ITEMS))), np.arange(ITEMS), correct)


def study(seed, replicates):
    """A study of 32 seeds with mixtures, a weak augmenter, and verified answers."""
    kinds = [
        *((name, {}) for name in METHODS),
        *((name, {"augmenter": "mini_teacher"}) for name in SHARES),
        *((name, {"augmenter": "weak"}) for name in (QR, NQ)),
        *((name, {"filter": "verified"}) for name in METHODS),
    ]
    cells = [
        coordinates(method, 32, 32 * ratio, **other)
        for (method, other), ratio in product(kinds, (1, 4, 16, 64))
    ]
    return scored([*cells, coordinates("untrained", 0, 0)], seed, replicates)


@cache
def tables(replicates):
    """By figure, the rows of differences and gains of some studies."""
    found = {}
    settings = AugmenterSettings(methods=METHODS, augmenters=("mini_teacher", "weak"))
    for seed in range(8 if replicates == 1 else 10):
        outcomes = {"mini_math": study(seed, replicates)}
        runs = {}
        if replicates == 1:
            fitted = FitSettings(methods=METHODS, bootstrap_samples=100, shares=SHARES)
            runs = noise_between_runs(curves_from(*fit_curves(outcomes, fitted)))
        for name, content in (
            ("mixtures", mixtures.content(outcomes, settings, runs)),
            ("augmenters", augmenters.content(outcomes, settings, runs)),
            ("verification", verification.content(outcomes, settings, runs)),
            ("costs", costs.content(outcomes, {}, settings, runs)),
        ):
            found.setdefault(name, []).append(content.table)
    return {name: pl.concat(parts) for name, parts in found.items()}


ESTIMATED = "test items, and training as the model estimates it"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("replicates", "noise"), [(1, ESTIMATED), (3, "test items, seeds and training")]
)
@pytest.mark.parametrize(
    ("name", "kind", "columns"),
    [
        ("mixtures", "gain", ("low", "high")),
        ("augmenters", "difference", ("low", "high")),
        ("verification", "difference", ("low", "high")),
        ("costs", None, ("gain_low", "gain_high")),
    ],
)
def test_intervals_of_gains_cover_the_truth(replicates, noise, name, kind, columns):
    """With the noise of the items alone, 50 to 61% of them do."""
    table = tables(replicates)[name]
    rows = table.filter(pl.col("kind") == kind) if kind else table
    truth = 0.0
    if kind is None:
        ratio = pl.col("budget") / pl.col("seeds")
        truth = ratio.replace_strict(TRUTH, return_dtype=pl.Float64) - TRUTH[0]
    covered = (pl.col(columns[0]) <= truth) & (truth <= pl.col(columns[1]))
    share = rows.select(covered.mean()).item()
    assert 0.9 <= share <= 1.0 and rows.height >= 64
    assert rows["noise"].unique().to_list() == [noise]


def gains_of_a_spend(seed, pilot):
    """The gains of the last student of a spend, in which the queries do not matter."""
    ratio = 16 if pilot else 1
    trained = [coordinates(name, 32, 32 * 4) for name in METHODS if pilot]
    final = coordinates("mix_all_bought", 32, 32 * ratio, augmenter="mini_teacher")
    outcomes = scored([coordinates("untrained", 0, 0), *trained, final], seed)
    asked = Request(
        task="mini_math",
        seeds=32,
        draw=1,
        methods={AA: "answers", QR: "rephrased", NQ: "new"},
        augmenter="a",
        teacher="t",
        student="s",
        queries=32 * ratio,
        usd=None,
        rounds=1,
        share=0.2,
    )
    last = PurchaseRecord(
        request=asked,
        round=1,
        budget=32 * ratio,
        known=Known(),
        measured=[],
        purchase=Purchase(kind="final", queries={AA: 32 * ratio}, reason=""),
        code="0",
    )
    about = About(
        description="",
        task=Named(title="", source=""),
        methods={name: name for name in METHODS},
        models={},
        prompts={},
        generation={},
        training={},
        overlap_words=None,
    )
    record = DatasetRecord(dataset={}, settings={}, counts=DatasetCounts(rows=1), code="0")
    rows = pl.DataFrame({"method": [AA]})
    return outcome(about, [last], record, rows, outcomes, None).gains


@pytest.mark.slow
@pytest.mark.parametrize(("pilot", "studies", "least"), [(True, 15, 0.9), (False, 30, 0.8)])
def test_gains_of_a_spend_cover_the_truth(pilot, studies, least):
    """With the items alone 53 to 60% do. Without a pilot the priors expect less noise than here."""
    truth = [TRUTH[16] - TRUTH[0], TRUTH[16] - TRUTH[4]] if pilot else [TRUTH[1] - TRUTH[0]]
    covered = [
        one.difference.low <= expected <= one.difference.high
        for seed in range(studies)
        for one, expected in zip(gains_of_a_spend(seed, pilot), truth, strict=True)
    ]
    assert np.mean(covered) >= least


def test_a_gain_over_the_untrained_student_holds_one_training():
    """Of two students that were trained, both have noise of training; and draws of seeds cancel."""
    reference, method = np.zeros((1, 100)), np.zeros((1, 100))
    method[0, :20] = 1.0
    runs = RunNoise(0.001, 50.0)
    found = [
        paired_difference(reference, method, np.arange(100), runs=runs, trained=trained)
        for trained in (1, 2)
    ]
    alone = paired_difference(reference, method, np.arange(100), runs=None)
    variances = [one.standard_error**2 - alone.standard_error**2 for one in found]
    assert variances == pytest.approx([0.001, 0.002])
    noise = Noise(seed_variance=0.032, run_variance=0.001, draw_freedom=3, run_freedom=12)
    assert noise.runs == RunNoise(0.001, 12)
    assert noise.of_a_student(32).variance == pytest.approx(0.002)
    assert noise.of_a_student(32).freedom == pytest.approx(4 / (1 / 3 + 1 / 12))
    assert Noise(0.0, 0.001, 0, 12).of_a_student(32) == RunNoise(0.001, 12)
