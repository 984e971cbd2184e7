"""What became of what was paid: losses by reason, and answers that repeat each other."""

from __future__ import annotations

import polars as pl
import pytest

from seedbed.streams.losses import Losses, repeats
from seedbed.streams.record import DatasetCounts
from seedbed.study.losses import summary


def counts(**more):
    return DatasetCounts(queries=100, rows=80, **more)


def test_losses_of_a_dataset_are_by_reason_and_a_filter_loses_nothing():
    found = Losses.of_dataset(
        counts(empty_slots=4, dropped={"truncated": 9, "not_verified": 7, "rejected": 0})
    )
    assert found.lost == {"empty_slots": 4, "truncated": 9, "rejected": 0}
    (warning,) = found.warnings()
    assert warning.startswith("13 of 100 queries (13%) became no rows: 9 truncated (")
    assert "max_tokens.answer" in warning and "max_tokens.question" in warning
    assert "rejected" not in warning


@pytest.mark.parametrize(("truncated", "warned"), [(10, False), (11, True)])
def test_more_than_a_tenth_is_warned_of(truncated, warned):
    assert bool(Losses.of_dataset(counts(dropped={"truncated": truncated})).warnings()) == warned


def test_losses_are_known_before_a_dataset_is_made():
    answers = pl.DataFrame(
        {
            "prompt": ["q"] * 6,
            "answer": ["a", None, "", "b", "", "c"],
            "finish_reason": ["stop", None, "stop", "length", "rejected", "odd"],
        }
    )
    found = Losses.of_answers(answers)
    assert {name: count for name, count in found.lost.items() if count} == {
        "empty_slots": 1, "blank": 1, "truncated": 1, "rejected": 1, "not_finished": 1,
    }  # fmt: skip
    (first, *_) = summary({"s": found}, shown=3)
    assert "Of 6 queries in 1 stream, 0 became rows, and 6 wait" in first


def test_a_cache_that_ignores_the_seed_is_noticed():
    long = "It takes 3 hours, as there are 2 and 1 more of them.\n#### 3"

    def answers(text):
        rows = [(f"question {n % 4}", text(n)) for n in range(40)]
        return pl.DataFrame(rows, schema=["prompt", "answer"], orient="row")

    assert repeats(answers(lambda n: f"{n} {long}")) == (36, 0)
    assert repeats(answers(lambda n: f"{n % 4} {long}")) == (36, 36)
    # Short answers, and the same answer to different questions, are no sign.
    assert repeats(answers(lambda n: "#### 3")) == (0, 0)
    assert repeats(answers(lambda n: f"{n // 4} {long}")) == (36, 0)
    found = Losses(40, 40, {}, further=36, repeated=36)
    assert "36 of 36 further answers" in found.warnings()[0]
    assert Losses(40, 40, {}, further=36, repeated=10).warnings() == []


def test_few_of_many_warnings_are_shown():
    bad = Losses.of_dataset(counts(dropped={"truncated": 50}))
    said = summary({f"s{n}": bad for n in range(7)}, shown=2)
    assert len(said) == 4
    assert "5 more" in said[-1]
