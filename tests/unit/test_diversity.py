import os
from pathlib import Path

import polars as pl
import pytest
from diversity_of_texts import distinct, near
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.streams.diversity import grams, overlap_test, words

SENTENCES = st.lists(st.sampled_from(list("abcde")), max_size=12).map(" ".join)


def test_words_are_letters_and_digits_in_lower_case():
    assert words("It's 3 Éclairs, café_au-lait!") == [
        "it",
        "s",
        "3",
        "éclairs",
        "café",
        "au",
        "lait",
    ]
    assert words(" ?!\n") == []


@pytest.mark.parametrize(
    ("texts", "length", "expected"),
    [
        (["a b a b"], 1, 2 / 4),
        (["a b a b"], 2, 2 / 3),
        (["a b", "A, b!"], 2, 1 / 2),
        (["a b", "b a"], 1, 2 / 4),
        # Runs do not cross from one text into the next.
        (["a", "b"], 2, None),
        ([], 1, None),
    ],
)
def test_distinct_n_by_hand(texts, length, expected):
    assert distinct(texts, length) == expected


LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


@pytest.mark.parametrize(
    ("question", "length", "expected"),
    [
        (LONG, 13, True),
        ("Zero, " + LONG.upper() + "!", 13, True),
        # Twelve words in a row are shared, not thirteen.
        (" ".join(LONG.split()[:12]) + " and more of it", 13, False),
        (" ".join(LONG.split()[:13]) + " and more of it", 13, True),
        # A short question counts as a whole alone, and not for standing in another.
        ("short one?", 13, True),
        ("a short one?", 13, False),
        (" ".join(LONG.split()[1:5]), 13, False),
        (LONG, None, True),
        ("Zero, " + LONG, None, False),
        ("", None, False),
        ("?", 13, False),
    ],
)
def test_which_questions_overlap_with_the_test_split(question, length, expected):
    overlaps = overlap_test(["", ""], [LONG, "Short one"], length)
    assert overlaps("", question) is expected


def test_a_whole_question_counts_with_its_context():
    overlaps = overlap_test(["t(a)"], ["How many?"], 13)
    assert overlaps("T (A)", "how many")
    assert not overlaps("u(b)", "how many")


@given(SENTENCES, st.integers(1, 5))
def test_a_question_overlaps_with_itself(text, length):
    assert overlap_test([""], [text], length)("", text)


def test_near_repeats_by_hand():
    seed = "Tom has five red apples and gives two of them to Ann. How many are left?"
    name = seed.replace("Tom", "Tim")
    other = "How many apples are left if Tom, who had five, gives Ann two?"
    # 15 of 17 distinct runs are shared where the first word differs.
    assert near([seed, name, other, "", "of them"], [seed]).tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert near(["of them"], ["of them", seed]).tolist() == [True]


@settings(max_examples=60, deadline=None)
@given(st.lists(SENTENCES, max_size=8), st.lists(SENTENCES, max_size=5))
def test_near_is_jaccard_similarity_of_runs(questions, others):
    def similarity(first, second):
        left, right = grams(first, 3), grams(second, 3)
        return len(left & right) / len(left | right) if left | right else 0.0

    expected = [any(similarity(q, other) >= 0.6 for other in others) for q in questions]
    assert near(questions, others).tolist() == expected


@pytest.mark.skipif(
    "SEEDBED_TEST_DATA" not in os.environ,
    reason="SEEDBED_TEST_DATA names no folder with data sets in the hub's layout",
)
@pytest.mark.parametrize(
    ("name", "length", "test_items", "train_items"),
    [
        # Three test items share thirteen words in a row with train, where four questions do so.
        ("openai/gsm8k/main", 13, 3, 4),
        # Six questions of the train split are test questions.
        ("allenai/ai2_arc/ARC-Challenge", None, 7, 6),
    ],
)
def test_known_leaks_between_real_splits_are_found(name, length, test_items, train_items):
    folder = Path(os.environ["SEEDBED_TEST_DATA"], name)
    train, test = (
        pl.read_parquet(folder / f"{split}.parquet")["question"].to_list()
        for split in ("train", "test")
    )

    def overlapping(questions, others):
        overlaps = overlap_test([""] * len(others), others, length)
        return sum(overlaps("", question) for question in questions)

    assert (overlapping(test, train), overlapping(train, test)) == (test_items, train_items)
