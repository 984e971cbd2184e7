"""The scorer of multiple choice: tables of cases, properties, hostile texts, real gold answers."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.evaluation.scorers import answers_equal, make_scorer
from seedbed.evaluation.scorers.choice import LETTERS, ChoiceScorer, read_choice, read_strict
from seedbed.tasks.items import TaskItem

PLACES = ("sea", "deep sea", "forest", "cave")
COUNTS = ("2", "4", "6", "8")


def item(gold: str, choices: tuple[str, ...] = PLACES) -> TaskItem:
    return TaskItem("item", "Where?", "", f"Answer: {gold}", gold, choices, cluster="item")


FLEXIBLE = [
    # The whole output is a label.
    ("B", "B"),
    ("b", "B"),
    ("B.", "B"),
    ("(B)", "B"),
    ("(b)", "B"),
    ("[B]", "B"),
    ("**B**", "B"),
    ("\\boxed{C}", "C"),
    ("Ｃ", "C"),
    ("2", "B"),
    ("(3)", "C"),
    ("A", "A"),
    ("a", "A"),
    # The whole output is a choice, with or without its label.
    ("deep sea", "B"),
    ("The deep sea.", "B"),
    ("DEEP SEA", "B"),
    ("a cave", "D"),
    ("B) deep sea", "B"),
    ("C: forest", "C"),
    ("C. the forest", "C"),
    ("B) forest", None),
    # A stated answer.
    ("Answer: C", "C"),
    ("answer: c", "C"),
    ("Answer:\nC", "C"),
    ("The answer is (C).", "C"),
    ("The correct answer is C) forest", "C"),
    ("The correct option is C", "C"),
    ("Answer: forest", "C"),
    ("The answer is a cave.", "D"),
    ("The answer is 3", "C"),
    ("Answer: C. The forest is where bears live, unlike the sea.", "C"),
    ("The answer is not A. The answer is C.", "C"),
    ("A) sea B) deep sea C) forest D) cave Answer: D", "D"),
    ("Answer: C, cave", None),
    ("Answer: B, C", None),
    ("Answer: B,C", None),
    ("Answer: (B), (C)", None),
    ("Answer: B) C)", None),
    ("Answer: B. C.", None),
    ("Answer: A, B, C, D", None),
    ("The answer is B, C and D.", None),
    ("The answer is B, because C is dry.", "B"),
    # What was asked for, at the end, is the answer whatever stands before it.
    ("Option A is the sea, which is wet. Option B is deep, which is dark.\nAnswer: B", "B"),
    ("The first choice is (A) sea; but it is not dark.\nAnswer: B", "B"),
    ("Answer: C) cave", None),
    ("Answer: A and B", None),
    ("Answer: A/B", None),
    ("The answer is A or C.", None),
    ("Answer: B\nAnswer: C", None),
    ("The answer is A. No, the answer is B.", None),
    ("Answer: E", None),
    ("Answer: 5", None),
    # Labels and texts in prose.
    ("It lives in the deep sea.", "B"),
    ("It lives in the sea.", "A"),
    ("I choose A.", "A"),
    ("A, because it swims", "A"),
    ("option C because A is wet", "C"),
    ("It must be (D), I think", "D"),
    ("sea or forest", None),
    ("A or B", None),
    ("C, D", None),
    ("(A) is wrong, (B) is right", None),
    ("A shark", None),
    ("dunno", None),
    ("", None),
    ("\x00\x01", None),
    ("...", None),
]


@pytest.mark.parametrize(("text", "label"), FLEXIBLE)
def test_flexible_reading(text, label):
    reading = read_choice(text, PLACES)
    assert reading.value == label
    assert (reading.reason == "") == (label is not None)


THREE = ("ice", "fire", "air")
FIVE = ("red", "green", "blue", "black", "white")
OTHER_COUNTS = [
    ("C", THREE, "C"),
    ("(3)", THREE, "C"),
    ("3", THREE, "C"),
    ("Answer: air", THREE, "C"),
    ("D", THREE, None),
    ("4", THREE, None),
    ("Answer: D", THREE, None),
    ("E", FIVE, "E"),
    ("(e)", FIVE, "E"),
    ("5", FIVE, "E"),
    ("E) white", FIVE, "E"),
    ("It is white.", FIVE, "E"),
    ("The answer is 5.", FIVE, "E"),
    ("Answer: F", FIVE, None),
    ("Answer: D or E", FIVE, None),
    ("(D) no, (E)", FIVE, None),
    ("E) black", FIVE, None),
    ("white or black", FIVE, None),
]


@pytest.mark.parametrize(("text", "choices", "label"), OTHER_COUNTS)
def test_three_and_five_choices(text, choices, label):
    reading = read_choice(text, choices)
    assert reading.value == label
    assert (reading.reason == "") == (label is not None)


def test_numbers_as_choices_are_texts_unless_the_labels_are_digits():
    assert read_choice("4", COUNTS).value == "B"
    assert read_choice("Answer: 4", COUNTS).value == "B"
    assert read_choice("Answer: D", COUNTS).value == "D"
    assert read_choice("The spider has 8 legs. Answer: D", COUNTS).value == "D"
    assert read_choice("4", COUNTS, digit_labels=True).value == "D"
    scorer = make_scorer("choice", {}, Path("none"))
    assert scorer.score("4", item("4", COUNTS)).flexible
    assert scorer.score("4", item("B", COUNTS)).flexible
    assert scorer.score("Answer: 4", item("4", COUNTS)).strict


def test_letter_case_counts_where_it_tells_choices_apart():
    genes = ("R", "rr", "Rr", "RR")
    assert read_choice("C) Rr", genes).value == "C"
    assert read_choice("Rr", genes).value == "C"
    assert read_choice("The answer is RR.", genes).value == "D"


STRICT = [
    ("Answer: B", "B"),
    ("The shark lives in the sea. Answer: B", "B"),
    ("Answer: B.\n", "B"),
    ("Answer: 2", "B"),
    ("answer: B", None),
    ("Answer: b", None),
    ("Answer: (B)", None),
    ("Answer:B", None),
    ("B", None),
    ("Answer: B because", None),
    ("Answer: A. Answer: B", None),
    ("Answer: E", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "label"), STRICT)
def test_strict_reading(text, label):
    assert read_strict(text, 4).value == label


def test_a_digit_that_is_the_text_of_a_choice_is_no_label():
    item = TaskItem("t", "How many?", "", "Answer: B", "B", choices=("2", "4", "6", "8"))
    scorer = ChoiceScorer()
    score = scorer.score("Answer: 4", item)
    assert (score.strict, score.flexible, score.extracted) == (False, True, "B")
    assert not scorer.score("Answer: 4", replace(item, gold="D")).strict
    # Where it is none, it stays a label.
    assert scorer.score("Answer: 3", replace(item, gold="C")).strict


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_any_number_of_choices(count):
    scorer = make_scorer("choice", {}, Path("none"))
    choices = ("red", "green", "blue", "black", "white")[:count]
    for place, text in enumerate(choices):
        gold = item(LETTERS[place], choices)
        for output in (LETTERS[place], f"({LETTERS[place]})", f"It is {text}.", str(place + 1)):
            assert scorer.score(output, gold).flexible
        assert scorer.score(f"Answer: {LETTERS[place]}", gold).strict
    over = scorer.score(f"Answer: {LETTERS[count]}", item("A", choices))
    assert (over.extracted, over.reason) == (None, "label is none of the choices")
    scorer.close()


def test_an_item_that_cannot_be_scored_is_an_error():
    scorer = make_scorer("choice", {}, Path("none"))
    for bad in (item("E"), item("sea"), item(""), item("A", ("one",)), item("A", ())):
        with pytest.raises(ValueError, match="item"):
            scorer.score("A", bad)


def test_equal_answers_compare_content():
    assert answers_equal("choice", "Answer: A", "Answer: B", ("sea", "cave"), ("farm", "Sea"))
    assert not answers_equal("choice", "Answer: A", "Answer: A", ("sea", "cave"), ("farm", "sea"))
    assert answers_equal("choice", "A", "The shark is grey. Answer: A")
    assert not answers_equal("choice", "A", "B")


HOSTILE = [
    *("9" * 100_000, "A " * 50_000, "answer " * 15_000, "(" * 100_000, "(A" * 50_000),
    *("option " * 14_000, "answer is " * 10_000, "sea " * 25_000, "\x00" * 100_000),
    *("{" * 100_000, "Answer: B " * 10_000, "A/" * 50_000, "ﷺ" * 30_000, "\ud800" * 1_000),
]


@pytest.mark.parametrize("text", HOSTILE, ids=[repr(text[:8]) for text in HOSTILE])
def test_hostile_texts_take_no_time(text):
    start = time.process_time()
    read_choice(text, PLACES)
    read_strict(text, 4)
    assert time.process_time() - start < 2


@given(st.text(alphabet=st.characters(), max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text_is_scored(text):
    score = make_scorer("choice", {}, Path("none")).score(text, item("A"))
    assert (score.extracted is None) == bool(score.reason)


@given(st.text(alphabet="ABCDabcd1234().:, *\nsea", max_size=40))
@settings(max_examples=200, deadline=None)
def test_only_labels_of_the_item_are_ever_read(text):
    assert read_choice(text, PLACES[:3]).value in (None, "A", "B", "C")


@given(st.sampled_from("ABCD"), st.sampled_from("ABCD"), st.sampled_from([" and ", " or ", "/"]))
def test_two_labels_are_no_answer_and_one_twice_is(one, two, joint):
    value = read_choice(f"Answer: {one}{joint}{two}", PLACES).value
    assert value == (one if one == two else None)


def test_every_arc_gold_scores_right_against_itself():
    folder = os.environ.get("SEEDBED_TEST_DATA")
    if not folder:
        pytest.skip("SEEDBED_TEST_DATA names no folder with the real data")
    import polars as pl

    frame = pl.read_parquet(Path(folder) / "allenai/ai2_arc/ARC-Challenge/test.parquet")
    assert frame.height == 1172
    scorer = make_scorer("choice", {}, Path("none"))
    for row in frame.iter_rows(named=True):
        choices = tuple(row["choices"]["text"])
        label = row["answerKey"]
        text = choices[row["choices"]["label"].index(label)]
        gold = item(label, choices)
        assert scorer.score(f"Answer: {label}", gold).strict
        for output in (label, f"({label})", f"{label}) {text}", f"The answer is {label}."):
            assert scorer.score(output, gold).flexible, (output, row)
        if choices.count(text) == 1:
            score = scorer.score(text, gold)
            assert score.flexible, (text, choices, score)
