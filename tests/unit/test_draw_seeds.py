import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from draw_seeds import draw_seeds


def split(rows):
    return pl.DataFrame({"item_id": [f"train-{n}" for n in range(rows)]})


@given(st.integers(1, 300), st.data())
def test_draws_are_nested_distinct_and_the_same_each_time(rows, data):
    train = split(rows)
    more = data.draw(st.integers(1, rows))
    fewer = data.draw(st.integers(1, more))
    replicate = data.draw(st.integers(1, 5))
    large = draw_seeds(train, more, replicate)
    assert large.height == more == large["item_id"].n_unique()
    assert set(large["item_id"]) <= set(train["item_id"])
    assert draw_seeds(train, fewer, replicate).equals(large[:fewer])
    assert draw_seeds(train, more, replicate).equals(large)


def test_replicates_differ_and_each_item_is_as_likely():
    train = split(100)
    draws = [draw_seeds(train, 10, replicate)["item_id"].to_list() for replicate in range(200)]
    assert len({tuple(draw) for draw in draws}) == 200
    counts = [sum(name in draw for draw in draws) for name in train["item_id"]]
    # 20 expected of each; the standard deviation is 4.2.
    assert min(counts) >= 3
    assert max(counts) <= 40


def test_all_columns_of_a_row_stay_together():
    train = split(50).with_columns(question=pl.col("item_id") + "?")
    drawn = draw_seeds(train, 20, 1)
    assert drawn["question"].to_list() == [f"{name}?" for name in drawn["item_id"]]


def test_more_seeds_than_items_are_refused():
    with pytest.raises(ValueError, match="11 seeds asked for, but the train split has 10 items"):
        draw_seeds(split(10), 11, 1)
