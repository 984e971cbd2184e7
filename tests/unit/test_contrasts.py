"""Contrasts: the paper's findings, on simulated studies that have them and that do not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pytest
from analysis_simulation import METHODS, coordinates, shipped_contrasts, simulate
from scipy.stats import t as student_t

import seedbed.analysis.curves.measured as measured_module
from seedbed.analysis.curves import Curves, Estimate, Measured, curves_from
from seedbed.analysis.curves.fitting import fit_decay
from seedbed.analysis.decide.contrasts import check_contrasts
from seedbed.analysis.decide.settings import NamedContrast
from seedbed.analysis.report.sentences import contrast_text
from seedbed.analysis.settings import FitSettings, ModelPrice
from seedbed.analysis.tables.collect import cell_key
from seedbed.analysis.tables.outcomes import outcomes_by_task
from seedbed.analysis.tables.replicates import Noise
from seedbed.command_line import json_of
from seedbed.config.messages import problems

SETTINGS = FitSettings(methods=METHODS, bootstrap_samples=40)


AUGMENTERS = ("mini_teacher", "mini_mid", "mini_weak")


def findings(*parts, contrasts=(), confidence=0.95, augmenters=AUGMENTERS):
    """The tests by number, of tables of cells and items put together."""
    cells = pl.concat([part[0] for part in parts], how="diagonal").unique(
        "cell", maintain_order=True
    )
    items = pl.concat([part[1] for part in parts]).unique(["cell", "item_id"], maintain_order=True)
    by_task = outcomes_by_task(cells, items)
    fits = curves_from(*fit_decay(by_task, SETTINGS))
    record = check_contrasts(
        by_task, fits, contrasts or shipped_contrasts(), augmenters, confidence
    )
    json.dumps(record.model_dump(mode="json"), allow_nan=False)
    return {entry.finding: entry.tests for entry in record.findings}


def verdicts(tests):
    return [test.verdict for test in tests]


@pytest.fixture(scope="module")
def main():
    return simulate(accuracy=shifting, items=2000, seeds=(32, 256))


def shifting(method, seeds, ratio):
    """Answer augmentation first, new question later; later still with few seeds."""
    lead = {32: 0.05, 256: 0.02}[seeds]
    if method == METHODS[0]:
        return 0.6
    rise = 0.12 if method == METHODS[2] else 0.06
    return 0.6 - lead + rise * min(1.0, max(0.0, ratio - 1) / 40)


def flat(method, seeds, ratio):
    return 0.6


@pytest.mark.slow
def test_a_crossover_is_found_where_it_is(main):
    (*ends, later) = findings(main)[1]
    # Two points are too few to be told from nothing with 2,000 items.
    assert verdicts([ends[0], ends[1], ends[3]]) == ["found"] * 3
    assert [test.estimate for test in ends] == pytest.approx([0.05, 0.07, 0.02, 0.1], abs=0.03)
    # New questions make up for 5 points at BR 18, for 2 at BR 8; four budgets tell that roughly.
    assert later.estimate > 0.3
    assert "comes later (in ln BR) with 32 seeds than with 256" in later.claim
    assert ": found, +" in contrast_text(ends[0])
    unsure = ends[2].model_copy(update={"verdict": "open"})
    assert ": open, " in contrast_text(unsure) and "80% power for" in contrast_text(unsure)
    # 2.8 standard errors, of which half the interval is 1.96, with 2,000 items.
    half = (ends[0].high - ends[0].low) / 2
    assert ends[0].detectable == pytest.approx(half * 2.802 / 1.96, rel=0.03)


def test_a_contrast_equals_the_hand_calculation(monkeypatch):
    """Clusters of two items; noise of the seeds and of training of known sizes."""
    cells, items = simulate(
        accuracy=shifting, items=400, seeds=(32,), ratios=(1, 4), replicates=2, cluster_size=2
    )
    outcomes = outcomes_by_task(cells, items)["mini_math"]
    noise = Noise(seed_variance=0.032, run_variance=0.0004, draw_freedom=3, run_freedom=12)
    monkeypatch.setattr(measured_module, "noise_of", lambda *_: noise)
    measured = Measured(outcomes, {})
    places = [
        measured.cells.filter(method=method, budget=32)["row"].to_list()
        for method in (METHODS[0], METHODS[2])
    ]
    assert [len(place) for place in places] == [2, 2]
    one = dict.fromkeys(places[0], 0.5)
    found = measured.contrast(one | dict.fromkeys(places[1], -0.5))
    answers, new = (outcomes.correct[place].mean(axis=0) for place in places)
    assert found.estimate == pytest.approx(answers.mean() - new.mean())
    by_cluster = (answers - new).reshape(-1, 2).sum(axis=1)
    from_items = 200 / 199 * np.sum((by_cluster - by_cluster.mean()) ** 2) / 400**2
    # Four cells of weight 1/2; what a draw changes cancels between the methods.
    assert found.error**2 == pytest.approx(from_items + 4 * 0.25 * 0.0004)
    freedom = found.error**4 / (from_items**2 / 199 + 0.0004**2 / 12)
    assert found.freedom == pytest.approx(freedom)
    quantile = student_t.ppf(0.975, freedom)
    low, high = found.interval(0.95)
    assert (high - low) / 2 == pytest.approx(quantile * found.error)
    # One place alone has the draws' noise: two draws of weight 1/2, each of 0.032 / 32.
    alone = measured.contrast(one)
    by_cluster = answers.reshape(-1, 2).sum(axis=1)
    from_items = 200 / 199 * np.sum((by_cluster - by_cluster.mean()) ** 2) / 400**2
    assert alone.error**2 == pytest.approx(from_items + 2 * 0.25 * (0.001 + 0.0004))


@pytest.mark.slow
def test_the_items_luck_is_in_an_interval_once():
    """Replicates that differ by their items alone widen nothing, on the average of studies."""
    ratios = []
    for seed in range(6):
        study = simulate(
            accuracy=flat, items=1500, seeds=(32,), ratios=(1, 16), replicates=3, seed=seed
        )
        first = findings(study)[1][0]
        cells, scores = study
        means = {}
        for method in (METHODS[0], METHODS[2]):
            chosen = cells.filter(pl.col("method") == method, pl.col("budget") == 32)["cell"]
            of_method = scores.filter(pl.col("cell").is_in(chosen.to_list()))
            means[method] = (
                of_method.group_by("item_id").agg(pl.col("correct").mean()).sort("item_id")
            )
        paired = means[METHODS[0]]["correct"] - means[METHODS[2]]["correct"]
        ratios.append((first.high - first.low) / (2 * 1.96 * paired.std() / 1500**0.5))
    assert 0.97 < np.mean(ratios) < 1.2


@dataclass(frozen=True)
class Lines(Curves):
    """Lines of new questions over answers, told by where each draw crosses."""

    places: dict = field(default_factory=dict)
    ranges: dict = field(default_factory=dict)

    def _common(self, seeds, pair):
        return self.ranges[seeds]

    def accuracy(self, seeds, method, ratios):
        places = np.array(self.places[seeds], dtype=float)
        if method == METHODS[0]:
            return Estimate(np.zeros(len(ratios)), np.zeros((len(places) - 1, len(ratios))))
        lines = np.log(ratios) - np.log(places)[:, None]
        return Estimate(lines[0], lines[1:])


@pytest.mark.parametrize(
    ("few", "many", "expected"),
    [
        # Each in its own range: 100 seeds cross at 30, beyond all that 7,473 seeds have.
        ([30] * 9, [10] * 9, (np.log(3), np.log(3), np.log(3))),
        # With few it is beyond 64, with many at 16: later by 4 at least.
        ([100] * 9, [8] * 9, (None, np.log(8), np.inf)),
        # Beyond the range in both: nothing is known.
        ([100] * 9, [100] * 9, (None, -np.inf, np.inf)),
        # With many it is before BR 1.
        ([32] * 9, [0.5] * 9, (None, np.log(32), np.inf)),
        ([0.5] * 9, [8] * 9, (None, -np.inf, -np.log(8))),
    ],
)
def test_crossovers_beyond_a_range_are_known_to_lie_beyond(few, many, expected):
    ranges = {100: (1, 64), 7473: (1, 13)}
    curves = Lines(None, None, places={100: few, 7473: many}, ranges=ranges)
    found = curves.crossover_delay((METHODS[0], METHODS[2]), 100, 7473, 0.95)
    for value, number in zip(found, expected, strict=True):
        assert value == (None if number is None else pytest.approx(number, abs=0.01))


@pytest.mark.slow
def test_no_crossover_is_found_where_methods_are_equal():
    tests = findings(simulate(accuracy=flat, untrained=0.6, items=2000, seeds=(32, 256)))[1]
    assert "found" not in verdicts(tests[:4])


@pytest.mark.slow
def test_what_a_weak_augmenter_costs_is_told_by_method(main):
    def weaker(method, seeds, ratio):
        return shifting(method, seeds, ratio) - (0.15 if method == METHODS[2] else 0.0)

    weak = simulate(
        accuracy=weaker,
        methods=METHODS[1:],
        items=2000,
        seeds=(32,),
        ratios=(16,),
        untrained=None,
        other={"augmenter": "mini_weak"},
    )
    loses, more, robust = findings(main, weak)[2]
    assert verdicts([loses, more]) == ["found"] * 2
    assert loses.estimate == pytest.approx(0.15, abs=0.03)
    assert more.estimate == pytest.approx(0.15, abs=0.03)
    assert robust.estimate == pytest.approx(0.03, abs=0.02)
    assert "above the margin" in contrast_text(robust)


def test_the_weaker_augmenter_is_the_weaker_also_where_most_cells_have_it():
    """Most cells have the weak augmenter, one place the strong one and one the middling one."""

    def of(name, loss, ratios):
        return simulate(
            accuracy=lambda m, s, x: 0.6 - loss * (m == METHODS[2]),
            methods=METHODS if name == "mini_weak" else METHODS[1:],
            items=2000,
            seeds=(32,),
            ratios=ratios,
            untrained=None,
            other={"augmenter": name},
        )

    weak = of("mini_weak", 0.15, (1, 4, 16))
    tests = findings(weak, of("mini_teacher", 0.0, (16,)), of("mini_mid", 0.05, (16,)))[2]
    loses = tests[0]
    assert "loses by the weak augmenter with 32 seeds at BR 16" in loses.claim
    assert loses.estimate == pytest.approx(0.15, abs=0.03)
    assert loses.verdict == "found"


@pytest.mark.slow
@pytest.mark.parametrize(("gain", "expected"), [(0.0, "found"), (0.1, "opposite")])
def test_verification_is_held_against_more_data(main, gain, expected):
    def verified(method, seeds, ratio):
        return shifting(method, seeds, ratio) + gain

    kept = simulate(
        accuracy=verified,
        items=2000,
        seeds=(32,),
        ratios=(16,),
        untrained=None,
        other={"filter": "verified"},
    )
    little, data = findings(main, kept)[3]
    assert (little.verdict, data.verdict) == (expected, expected)


@pytest.mark.slow
def test_another_student_is_tested_alike_and_baselines_are_not_taken_for_one(main):
    other = simulate(
        accuracy=shifting, items=2000, seeds=(32,), other={"student": "mini_student_b"}
    )
    tests = findings(main, other)[4]
    assert {test.student for test in tests} == {"mini_student_b"}
    assert verdicts(tests) == ["found", "found"]


@pytest.mark.slow
def test_replicates_put_noise_of_training_into_the_intervals(main):
    noisy = simulate(accuracy=shifting, items=2000, seeds=(32, 256), noise=0.03, replicates=2)
    wide, narrow = findings(noisy)[1][0], findings(main)[1][0]
    assert (wide.noise, narrow.noise) == (
        "test items, seeds and training",
        "test items, and training as the model estimates it",
    )
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


def test_a_study_without_the_methods_has_no_tests():
    alone = simulate(methods=METHODS[:1], items=50)
    assert not any(findings(alone).values())
    without = findings(simulate(items=50, seeds=(32,), ratios=(4,)))
    assert not any(without.values())


@pytest.mark.slow
def test_a_contrast_of_ones_own_is_tested_at_the_places_that_all_points_have(main):
    """Twice the weight, a filter for each, and the next budget against the same one."""
    kept = simulate(
        accuracy=shifting, items=2000, seeds=(32,), untrained=None, other={"filter": "verified"}
    )
    test = {
        "claim": "Twice {method}, {filter}, {seeds} seeds, {budget} queries.",
        "methods": [METHODS[2]],
        "filters": ["verified", "none"],
        "better": [{"budget": "next", "weight": 2.0}],
        "worse": [{"weight": 2.0}],
    }
    own = {"name": "own", "sentence": "More is better.", "tests": [test]}
    tests = findings(main, kept, contrasts=read_contrasts(json.dumps([own])))[1]
    # Of four budgets three have a next one, with each filter; 256 seeds have no verified answers.
    assert [one.claim for one in tests][:2] == [
        "Twice new question, verified, 32 seeds, 32 queries.",
        "Twice new question, none, 32 seeds, 32 queries.",
    ]
    assert len(tests) == 9
    gain = shifting(METHODS[2], 32, 64) - shifting(METHODS[2], 32, 16)
    assert tests[5].estimate == pytest.approx(2 * gain, abs=0.06)


read_contrasts = json_of(list[NamedContrast], problems)


def found_by(tables, test, prices=None):
    """What one test of a contrast finds, without a curve."""
    text = json.dumps([{"name": "own", "sentence": "S.", "tests": [test]}])
    by_task = outcomes_by_task(*tables)
    record = check_contrasts(by_task, [], read_contrasts(text), AUGMENTERS, 0.95, prices)
    (contrast,) = record.findings
    return contrast.tests


def exactly(*cells):
    """Tables of cells with so many right answers of 1,000 items, the same items first."""
    rows, items = [], []
    for method, seeds, budget, right, other in cells:
        cell = coordinates(method, seeds, budget, **other)
        rows.append(
            {"cell": cell_key(cell), **cell, "teacher_queries": budget, "accuracy": right / 1000}
            | {f"{who}_queries": 0 for who in ("augmenter", "verification")}
            | {f"{who}_{kind}_tokens": 0 for who in ("augmenter", "verification")
               for kind in ("prompt", "completion")}
            | {"teacher_prompt_tokens": 10 * budget, "teacher_completion_tokens": 100 * budget}
            | {"generation_seconds": 1.0, "training_seconds": 1.0}
        )  # fmt: skip
        items.append(
            pl.DataFrame(
                {
                    "cell": cell_key(cell),
                    "item_id": [f"i{n:04}" for n in range(1000)],
                    "cluster": [f"i{n:04}" for n in range(1000)],
                    "correct": [n < right for n in range(1000)],
                }
            )
        )
    return pl.DataFrame(rows, infer_schema_length=None), pl.concat(items)


AA, _, NQ = METHODS
WEAK_TEACHER = {"teacher": "mini_mid"}
CHEAPER = {"better": [{"method": AA, "teacher": "mini_mid", "budget": "equal_usd"}]}
CHEAPER |= {"claim": "Cheap is better at BR {budget_ratio}.", "worse": [{"method": AA}]}


def of_two_teachers():
    return exactly(
        *((AA, 32, 32 * ratio, 500, {}) for ratio in (1, 4, 16)),
        (AA, 32, 32, 400, dict(WEAK_TEACHER)),
        (AA, 32, 320, 600, dict(WEAK_TEACHER)),
        (NQ, 32, 32, 500, {}),
    )


def price(usd):
    return ModelPrice(usd_per_million_prompt_tokens=usd, usd_per_million_completion_tokens=usd)


def test_teachers_are_compared_at_equal_dollars():
    """At a tenth of the price, 32 queries pay for 320; at a quarter, what lies between."""
    for strong, gains in ((10.0, {"1": 0.1}), (4.0, {"1": 0.1 * (2 * np.log10(4) - 1)})):
        prices = {"mini_teacher": price(strong), "mini_mid": price(1.0)}
        tests = found_by(of_two_teachers(), CHEAPER, prices)
        # 128 queries of the strong one pay for more than was asked of the cheap one.
        assert [test.claim for test in tests] == ["Cheap is better at BR 1."]
        assert tests[0].estimate == pytest.approx(gains["1"])
        assert tests[0].verdict == "found"


def test_a_price_that_is_not_known_is_named_in_place_of_a_test():
    tests = found_by(of_two_teachers(), CHEAPER)
    assert verdicts(tests) == ["not in this study"]
    assert "(not known: price of mini_mid, price of mini_teacher)" in contrast_text(tests[0])
    # Without cells of the other teacher there is nothing to say.
    alone = exactly((AA, 32, 32, 500, {}), (AA, 32, 128, 500, {}), (NQ, 32, 32, 500, {}))
    assert [test.claim for test in found_by(alone, CHEAPER)] == []


def test_more_seeds_are_held_against_more_queries():
    """From 32 seeds and 64 queries: 320 seeds bring 10 points, 640 queries 5 by two budgets."""
    tables = exactly(
        (AA, 32, 64, 500, {}),
        (AA, 32, 160, 530, {}),
        (AA, 32, 2560, 570, {}),
        (AA, 320, 64, 600, {}),
        (AA, 320, 640, 700, {}),
        (NQ, 32, 64, 500, {}),
    )
    test = {"claim": "Seeds, at {budget}.", "methods": [AA], "measured": [{}]}
    test |= {"better": [{"seeds_times": 10}], "worse": [{"budget_times": 10}]}
    (found,) = found_by(tables, test)
    assert found.claim == "Seeds, at 64." and found.estimate == pytest.approx(0.6 - 0.55)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"better": [{"method": "a", "budget": "next", "budget_times": 2}]},
            "cannot be combined with budget",
        ),
        (
            {
                "better": [{"method": "a", "budget_times": 2}],
                "worse": [{"method": "b", "budget": "next"}],
            },
            "one point must have the seeds and the budget of the test",
        ),
        ({"better": [{"method": "a", "seeds_times": 0}]}, "seeds_times: must be at least 1"),
        ({"better": []}, "tests.0: is missing: a test has better and worse"),
        ({"crossover": {"before": "a", "after": "b"}}, "crossover: cannot be combined with better"),
        ({"better": [{}]}, "better.0.method: is missing"),
        ({"claim": "With {seed} seeds."}, "did you mean 'seeds'"),
        ({"claim": "With {few} seeds."}, "unknown placeholder {few}"),
        ({"pooled": True, "claim": "With {seeds}."}, "unknown placeholder {seeds}"),
        ({"better": [{"metod": "a"}]}, "did you mean 'method'"),
        ({"budget": "least"}, "budget: 'least' is not valid"),
    ],
)
def test_what_is_wrong_with_a_contrast_is_named(change, said):
    test = {"claim": "A.", "better": [{"method": "a"}], "worse": [{"method": "b"}]} | change
    text = json.dumps([{"name": "own", "sentence": "S.", "tests": [test]}])
    with pytest.raises(ValueError) as found:
        read_contrasts(text)
    assert said in str(found.value).replace("[", ".").replace("]", "")


def test_names_of_a_contrast_are_told_with_their_places():
    crossover, weak, *_ = shipped_contrasts()
    found = {(kind, name) for kind, name, _ in weak.names()}
    assert found == {("methods", "new_question"), ("methods", "question_rephrase")}
    assert [at for _, _, at in crossover.names()][-1] == (*("tests", 2, "crossover", "after"),)
