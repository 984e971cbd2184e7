"""What the page's table says of where one method takes over, against records written by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from seedbed.analysis.decide.shifts import shifts
from seedbed.analysis.settings import PublishedShift, Title, Titles

TITLES = Titles({"a": Title(title="Answers", short="AA"), "n": Title(title="New", short="NQ")})


def turn(by, at, low, high, lead=0.031, measure="budget_ratio"):
    place = {"budget_ratio": "budget_ratio"}.get(measure, "amount")
    return {"overtaken_by": by, place: at, "low": low, "high": high, "lead_after": lead}


def record(measure="budget_ratio", status="one", **other):
    return {
        "fit": "fit",
        "seeds": 100,
        "reference": "a",
        "method": "n",
        "basis": "curve",
        "measure": measure,
        "status": status,
        "range": [1.0, 64.0],
        "leader_at_lowest": "a",
        "lead": 0.034,
        "crossings": [],
        "possible": [],
        "inverted": [],
    } | other


def row(*records, published=(), fit="fit", **of_fit):
    """The only row of the table."""
    known = {"fit": fit, "student": "s", **of_fit}
    one = SimpleNamespace(record=known, models=("model",), methods=["a", "n"])
    (found,) = shifts(one, 100, records, published, TITLES)
    return found


def queries(**other):
    """What stands in the columns of the budget ratio."""
    return row(record(**other)).cells[:2]


def test_a_shift_has_its_place_its_intervals_and_its_costs():
    found = row(
        record(crossings=[turn("n", 9.87, 7.9, 13)], inverted=[{"low": 7.3, "high": 13.4}]),
        record("tokens", crossings=[turn("n", 76_123, 61_000, 98_000, measure="tokens")]),
        record("usd", crossings=[turn("n", 0.0741, 0.06, None, measure="usd")]),
        record("hours", status="unknown", reason="seconds of training"),
    )
    assert found.pair == "NQ and AA"
    assert found.cells == (
        ("NQ from 9.9", "(7.9 to 13)", "by up to 3.1 points"),
        ("7.3 to 13",),
        ("NQ from 76,000", "(61,000 to 98,000)"),
        ("NQ from $0.074", "(from $0.06 on, unbounded above)"),
        ("not known: seconds of training",),
    )
    assert found.published == ()


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (None, 3.4, "up to 3.4, unbounded below"),
        (3.4, None, "from 3.4 on, unbounded above"),
        (None, None, "unbounded on both sides"),
    ],
)
def test_unbounded_intervals_are_said_in_words(low, high, said):
    found = queries(crossings=[turn("n", 2, low, high)], inverted=[{"low": low, "high": high}])
    assert found[0][1] == f"({said})" and found[1] == (said,)


def test_none_several_and_what_cannot_be_said():
    none = queries(status="none", possible=[{"overtaken_by": "n", "low": 40.0, "high": None}])
    assert none == (
        (
            "none in the range: AA leads from 1 to 64, by up to 3.4 points",
            "not excluded: NQ leads above 40",
        ),
        ("nowhere",),
    )
    low = queries(status="none", possible=[{"overtaken_by": "a", "low": None, "high": 1.8}])
    assert low[0][1] == "not excluded: AA leads only above 1.8"
    several = queries(
        status="several",
        crossings=[turn("n", 2, 1.5, 3), turn("a", 30, 20, 40, lead=0.001)],
        inverted=[{"low": None, "high": 4}, {"low": 19, "high": None}],
    )
    assert several == (
        (
            "several:",
            "NQ from 2",
            "(1.5 to 3)",
            "by up to 3.1 points",
            "AA from 30",
            "(20 to 40)",
            "by up to 0.1 points",
        ),
        ("up to 4, unbounded below", "from 19 on, unbounded above"),
    )
    nothing = {"range": None, "lead": None, "inverted": None}
    assert queries(status="no_fit", **nothing) == (("no fitted curve",), ("–",))
    words = "fewer than two budgets in common"
    assert queries(status="too_few_budgets", **nothing) == ((words,), ("–",))
    by_tokens = row(record(), record("tokens", status="too_few_budgets", **nothing))
    assert by_tokens.cells[2] == ("no range in common",)
    assert queries(status="equal")[0] == ("no difference from 1 to 64",)


def test_published_shifts_stand_beside_those_of_the_first_method():
    published = [
        PublishedShift(source="elsewhere", seeds=150, low=27, high=51),
        PublishedShift(source="elsewhere", seeds=1000, low=17.6),
        PublishedShift(source="there", low=12),
    ]
    assert row(record(), published=published).published == (
        "27 to 51",
        "(elsewhere, 150 seeds)",
        "12",
        "(there)",
    )
    assert row(record(reference="n", method="a"), published=published).published == ()


def test_records_of_others_are_not_taken():
    others = [record(fit="other"), record(seeds=200), record(basis="means")]
    assert row(record(status="equal"), *others).cells[0] == ("no difference from 1 to 64",)
