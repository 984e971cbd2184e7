"""The paper's findings, tested on simulated studies that have them and that do not."""

from __future__ import annotations

import json

import polars as pl
import pytest
from analysis_simulation import METHODS, simulate

from seedbed.analysis.findings import check_findings, finding_text
from seedbed.analysis.fits import fits_from
from seedbed.analysis.fitting import fit_decay
from seedbed.analysis.outcomes import outcomes_by_task
from seedbed.analysis.settings import FitSettings

SETTINGS = FitSettings(methods=METHODS, bootstrap_samples=40, starts=2)


def findings(*parts, confidence=0.95):
    """The tests by finding, of tables of cells and items put together."""
    cells = pl.concat([part[0] for part in parts], how="diagonal").unique(
        "cell", maintain_order=True
    )
    items = pl.concat([part[1] for part in parts]).unique(["cell", "item_id"], maintain_order=True)
    by_task = outcomes_by_task(cells, items)
    fits = fits_from(*fit_decay(by_task, SETTINGS))
    content = check_findings(by_task, fits, ["mini_teacher", "mini_weak"], confidence)
    json.dumps(content, allow_nan=False)
    return {entry["finding"]: entry["tests"] for entry in content["findings"]}


def verdicts(tests):
    return [test["verdict"] for test in tests]


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


def test_a_shift_is_found_where_it_is(main):
    (*ends, later) = findings(main)[1]
    # Two points are too few to be told from nothing with 2,000 items.
    assert verdicts([ends[0], ends[1], ends[3]]) == ["found"] * 3
    assert [test["estimate"] for test in ends] == pytest.approx([0.05, 0.07, 0.02, 0.1], abs=0.03)
    # New questions make up for 5 points at BR 18, for 2 at BR 8; four budgets tell that roughly.
    assert later["estimate"] > 0.3
    assert "comes later (in ln BR) with 32 seeds than with 256" in later["claim"]
    assert finding_text(ends[0]).endswith("): found.")
    unsure = ends[2] | {"verdict": "open"}
    assert finding_text(unsure).endswith(" points could be seen with 80% power.")
    # 2.8 standard errors, of which half the interval is 1.96.
    half = (ends[0]["high"] - ends[0]["low"]) / 2
    assert ends[0]["detectable"] == pytest.approx(half * 2.802 / 1.96, rel=1e-3)


def test_no_shift_is_found_where_methods_are_equal():
    tests = findings(simulate(accuracy=flat, untrained=0.6, items=2000, seeds=(32, 256)))[1]
    assert "found" not in verdicts(tests[:4])


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
    assert verdicts([loses, more, robust]) == ["found"] * 3
    assert loses["estimate"] == pytest.approx(0.15, abs=0.03)
    assert more["estimate"] == pytest.approx(0.15, abs=0.03)
    assert robust["estimate"] == pytest.approx(0.03, abs=0.02)
    assert "to spare" in finding_text(robust)


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
    assert (little["verdict"], data["verdict"]) == (expected, expected)


def test_another_student_is_tested_alike_and_baselines_are_not_taken_for_one(main):
    other = simulate(
        accuracy=shifting, items=2000, seeds=(32,), other={"student": "mini_student_b"}
    )
    tests = findings(main, other)[4]
    assert {test["student"] for test in tests} == {"mini_student_b"}
    assert verdicts(tests) == ["found", "found"]


def test_replicates_put_noise_of_training_into_the_intervals(main):
    noisy = simulate(accuracy=shifting, items=2000, seeds=(32, 256), noise=0.03, replicates=2)
    wide, narrow = findings(noisy)[1][0], findings(main)[1][0]
    assert (wide["noise"], narrow["noise"]) == ("test items, seeds and training", "test items")
    assert wide["high"] - wide["low"] > 1.3 * (narrow["high"] - narrow["low"])


def test_a_study_without_the_methods_has_no_tests():
    alone = simulate(methods=METHODS[:1], items=50)
    assert not any(findings(alone).values())
    without = findings(simulate(items=50, seeds=(32,), ratios=(4,)))
    assert not any(without.values())
