"""What the sentences say of records written by hand."""

from __future__ import annotations

import pytest

from seedbed.analysis.decide.contrasts import ContrastResult
from seedbed.analysis.decide.crossovers import Crossover
from seedbed.analysis.report import figure_sentences, sentences
from seedbed.analysis.settings import PublishedShift

SHORT = {"a": "AA", "n": "NQ"}.get


def turn(by="n", at=9.87, low=7.9, high=13.0, lead=0.031, axis="budget_ratio"):
    ends = {"low_beyond_range": low is None, "high_beyond_range": high is None}
    ends |= {"overtaken_by": by, "low": low, "high": high, "share_of_draws": 1.0}
    return ends | ({axis: at, "lead_before": 0.02, "lead_after": lead} if at else {})


def crossover(measure="budget_ratio", status="one", **other):
    place = dict.fromkeys(["fit", "task", "student", "teacher", "filter", "augmenter"], "x")
    found = {"seeds": 100, "reference": "a", "method": "n", "measure": measure}
    found |= {"status": status, "range": [1.0, 64.0], "leader_at_lowest": "a", "lead": 0.034}
    return Crossover.model_validate(place | found | other, strict=False)


@pytest.mark.parametrize(
    ("record", "facts"),
    [
        (crossover(crossings=[turn()]), ["to NQ at BR 9.9 (7.9 to 13)", "up to 3.1 points"]),
        (crossover(crossings=[turn(low=None)]), ["(below 1 to 13)"]),
        (crossover(crossings=[turn(high=None)]), ["(7.9 to above 64)"]),
        (crossover(crossings=[turn(lead=0.001)]), ["less than 0.5 points"]),
        (
            crossover("tokens", crossings=[turn(at=76_123.0, high=98_000.0, axis="amount")]),
            ["by tokens", "to NQ at 76,000 tokens (7.9 to 98,000)"],
        ),
        (
            crossover("usd", crossings=[turn(at=0.0741, low=0.06, high=None, axis="amount")]),
            ["by US dollars", "to NQ at $0.074 ($0.06 to above $64)"],
        ),
        (crossover("usd", "unknown", range=None, reason="price of m"), ["unknown (price of m)"]),
        (
            crossover(status="several", crossings=[turn(at=2.0), turn("a", 30.0)]),
            ["to NQ at BR 2 ", "to AA at BR 30 "],
        ),
        (
            crossover(status="none", possible=[turn(at=None, low=40.0, high=None)]),
            ["no crossover from BR 1 to 64, AA is ahead by up to 3.4 points", "NQ above BR 40"],
        ),
        (
            crossover(status="none", possible=[turn("a", None, None, 1.8)]),
            ["a crossover to AA below BR 1.8 is not excluded"],
        ),
        (
            crossover(status="none", share_of_the_other=0.3),
            ["NQ is ahead throughout with a probability of 30%"],
        ),
        (
            crossover(status="none", share_of_the_other=0.01, draws_without_crossing=0.45),
            ["AA is ahead by up to 3.4 points; AA is ahead throughout with a probability of 44%."],
        ),
        (
            crossover(status="none", share_of_the_other=0.0, draws_without_crossing=0.98),
            ["no crossover from BR 1 to 64, AA is ahead by up to 3.4 points."],
        ),
        (crossover(status="equal"), ["no difference from BR 1 to 64"]),
        (crossover(status="too_few_budgets", range=None), ["fewer than two budgets in common"]),
        (crossover("hours", "too_few_budgets", range=None), ["no range in common"]),
    ],
)
def test_a_crossover_has_its_place_its_interval_and_its_lead(record, facts):
    said = sentences.crossover_text(record, SHORT)
    assert said.startswith("AA and NQ") and said.endswith(".")
    assert [fact for fact in facts if fact not in said] == []


@pytest.mark.parametrize("status", ["unknown", "none", "equal", "too_few_budgets"])
@pytest.mark.parametrize("measure", ["budget_ratio", "tokens"])
def test_figures_say_of_a_crossover_what_the_summary_says(measure, status):
    known = None if status in ("unknown", "too_few_budgets") else [1.0, 64.0]
    record = crossover(measure, status, range=known, reason="price of m")
    note = figure_sentences.crossover_note(record)
    assert note and sentences.crossover_clauses(record, SHORT)[0].startswith(note)


def test_all_of_three_tied_methods_are_any_method():
    assert sentences.either("anq", "anq", str) == "any method"
    assert sentences.either("an", "anq", str) == "a or n"
    assert sentences.either("an", "an", str) == "a or n"


def contrast(verdict="open", **other):
    place = {"finding": 1, "task": "t", "student": "s", "claim": "A is ahead of N.", "low": -0.01}
    place |= {"estimate": 0.02, "high": 0.05, "verdict": verdict, "noise": "", "detectable": 0.04}
    place |= {"unit": "accuracy", "margin": 0.0}
    return ContrastResult.model_validate(place | other)


@pytest.mark.parametrize(
    ("test", "facts"),
    [
        (contrast(), ["open, +2.0 points (-1.0 to +5.0)", "80% power for 4.0 points"]),
        (contrast("found", low=0.01), ["A is ahead of N: found, +2.0 points (+1.0 to +5.0)."]),
        (contrast(unit="ln BR"), ["+0.02 (-0.01 to +0.05)", "80% power for 0.04"]),
        (contrast(margin=0.03), ["+2.0 points above the margin"]),
        (contrast(estimate=None, high=None), ["no estimate (-1.0 or more);"]),
        (contrast(low=None, high=0.005), ["+2.0 points (at most +0.5)"]),
        (contrast(low=None, high=None, detectable=None), ["open, +2.0 points (unbounded)."]),
        (contrast("not in this study", estimate=None), ["A is ahead of N: not in this study."]),
    ],
)
def test_a_contrast_has_its_verdict_and_its_interval(test, facts):
    said = sentences.contrast_text(test)
    assert [fact for fact in facts if fact not in said] == []


def test_published_crossovers_have_their_place_and_source():
    shift = PublishedShift(source="elsewhere", seeds=1500, low=27, high=51)
    assert sentences.published_text(shift) == "BR 27 to 51 (elsewhere, 1,500 seeds)"
    assert sentences.published_text(PublishedShift(source="there", low=12)) == "BR 12 (there)"


def test_leading_methods_are_named_from_where_they_lead():
    parts = [("AA or QR", ""), ("QR or NQ", "BR 1.5")]
    assert sentences.stretches_text(parts) == "use AA or QR; from BR 1.5, QR or NQ"
    assert sentences.stretches_text([("AA", "$2")]) == "from $2, use AA"
    assert sentences.either(["a", "n", "q"], ["a", "n", "q"], str) == "any method"
    assert sentences.either(["a", "n"], ["a", "n"], SHORT) == "AA or NQ"
