"""The scorer of multiple choice: tables of cases, properties, hostile texts, real gold answers."""

from __future__ import annotations

import json
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
    ("B", "B"), ("b", "B"), ("B.", "B"), ("(B)", "B"), ("(b)", "B"), ("[B]", "B"), ("**B**", "B"),
    ("\\boxed{C}", "C"), ("Ｃ", "C"), ("2", "B"), ("(3)", "C"), ("A", "A"), ("a", "A"),
    # The whole output is a choice, with or without its label.
    ("deep sea", "B"), ("The deep sea.", "B"), ("DEEP SEA", "B"), ("a cave", "D"),
    ("B) deep sea", "B"), ("C: forest", "C"), ("C. the forest", "C"), ("B) forest", None),
    # A stated answer.
    ("Answer: C", "C"), ("answer: c", "C"), ("Answer:\nC", "C"), ("The answer is (C).", "C"),
    ("The correct answer is C) forest", "C"), ("The correct option is C", "C"),
    ("Answer: forest", "C"), ("The answer is a cave.", "D"), ("The answer is 3", "C"),
    ("Answer: C. The forest is where bears live, unlike the sea.", "C"),
    ("The answer is not A. The answer is C.", "C"),
    ("A) sea B) deep sea C) forest D) cave Answer: D", "D"), ("Answer: C, cave", None),
    ("Answer: B, C", None), ("Answer: B,C", None), ("Answer: (B), (C)", None),
    ("Answer: B) C)", None), ("Answer: B. C.", None), ("Answer: A, B, C, D", None),
    ("The answer is B, C and D.", None), ("The answer is B, because C is dry.", "B"),
    # What was asked for, at the end, is the answer whatever stands before it.
    ("Option A is the sea, which is wet. Option B is deep, which is dark.\nAnswer: B", "B"),
    ("The first choice is (A) sea; but it is not dark.\nAnswer: B", "B"), ("Answer: C) cave", None),
    ("Answer: A and B", None), ("Answer: A/B", None), ("The answer is A or C.", None),
    ("Answer: B\nAnswer: C", "C"), ("The answer is A. No, the answer is B.", "B"),
    ("Answer: E", None), ("Answer: 5", None),
    # Labels and texts in prose.
    ("It lives in the deep sea.", "B"), ("It lives in the sea.", "A"), ("I choose A.", "A"),
    ("A, because it swims", "A"), ("option C because A is wet", "C"),
    ("It must be (D), I think", "D"), ("sea or forest", None), ("A or B", None), ("C, D", None),
    ("(A) is wrong, (B) is right", "B"), ("A shark", None), ("dunno", None), ("", None),
    ("\x00\x01", None), ("...", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "label"), FLEXIBLE)
def test_flexible_reading(text, label):
    reading = read_choice(text, PLACES)
    assert reading.value == label
    assert (reading.reason == "") == (label is not None)


THREE = ("ice", "fire", "air")
FIVE = ("red", "green", "blue", "black", "white")
OTHER_COUNTS = [
    ("C", THREE, "C"), ("(3)", THREE, "C"), ("3", THREE, "C"), ("Answer: air", THREE, "C"),
    ("D", THREE, None), ("4", THREE, None), ("Answer: D", THREE, None), ("E", FIVE, "E"),
    ("(e)", FIVE, "E"), ("5", FIVE, "E"), ("E) white", FIVE, "E"), ("It is white.", FIVE, "E"),
    ("The answer is 5.", FIVE, "E"), ("Answer: F", FIVE, None), ("Answer: D or E", FIVE, None),
    ("(D) no, (E)", FIVE, "E"), ("E) black", FIVE, None), ("white or black", FIVE, None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "choices", "label"), OTHER_COUNTS)
def test_three_and_five_choices(text, choices, label):
    reading = read_choice(text, choices)
    assert reading.value == label
    assert (reading.reason == "") == (label is not None)


DECIMALS = ("0.4", "0.7", "1.0", "1.5")
LENGTHS = ("1 cm", "2 cm", "4 cm", "8 cm")
INTEGERS = ("1", "2", "4", "6")
MANY = tuple(f"place {n}" for n in range(1, 27))
CHATS = [
    ("C\n\nOption D is wrong.", PLACES, "C"), ("C\nOption D is wrong.", PLACES, "C"),
    ("**C**\n\nA, B and D are wrong because they are wet.", PLACES, "C"),
    ("(C)\n\nThe sea is wet, and so is the deep sea.", PLACES, "C"),
    ("C.\n\nExplanation: option A is too wet; (D) is too dark.", PLACES, "C"),
    ("C) forest\n\nA) sea is wet.\nD) cave is dark.", PLACES, "C"),
    ("**C. forest**\n\nThe cave is too dark.", PLACES, "C"),
    ("forest\n\nThe cave is too dark.", PLACES, "C"),
    ("(C) forest because A is wrong", PLACES, "C"), ("C) forest, since D is not.", PLACES, "C"),
    ("Option C\n\nOption D is wrong.", PLACES, "C"), ("C: forest\n\nD is not.", PLACES, "C"),
    ("C - forest\n\nD is not.", PLACES, "C"), ("Answer: C\n\nOption D is wrong.", PLACES, "C"),
    ("The answer is C.\n\nOption D is wrong, as is (A).", PLACES, "C"),
    ("C. The forest is dry, unlike option D.", PLACES, "C"),
    ("C, because option D is too dark.", PLACES, "C"), ("C\n\nThe answer is not D.", PLACES, "C"),
    ("C\n\nA common wrong answer is D.", PLACES, "C"),
    ("C\n\nSome might think that the answer is D.", PLACES, "C"),
    ("\\boxed{C}\n\nOption D is wrong.", PLACES, "C"), ("$\\boxed{\\text{C}}$", PLACES, "C"),
    ("\\boxed{\\textbf{(C) } \\text{forest}}", PLACES, "C"),
    ("The answer is $\\mathbf{C}$.", PLACES, "C"), ("<answer>C</answer>", PLACES, "C"),
    ("<think>It is D. Answer: D</think>\n\nC", PLACES, "C"), ("<think>It is D.", PLACES, None),
    ("<think>Answer: D</think>", PLACES, None),
    ("Answer: C\n\nQuestion: Which is wet?\n(A) sea (B) sand\nAnswer: A", PLACES, "C"),
    ("C\n\nQ: Which is wet?\nAnswer: A", PLACES, "C"),
    ("Answer: C<|im_end|>\n<|im_start|>user\nA or B?", PLACES, "C"),
    ("Answer: C</s>Answer: A", PLACES, "C"),
    ("Question: Where do bears live?\nAnswer: C", PLACES, "C"),
    ("The answer is 1.5.", DECIMALS, "D"), ("1.5", DECIMALS, "D"), ("1.50", DECIMALS, "D"),
    ("The answer is 1.0", DECIMALS, "C"), ("The answer is 1.", DECIMALS, "C"),
    ("Answer: 0.4", DECIMALS, "A"), ("The answer is .7", DECIMALS, "B"),
    ("The answer is 2.5.", DECIMALS, None), ("The answer is 4 cm.", LENGTHS, "C"),
    ("The answer is 4.", LENGTHS, "C"), ("2", LENGTHS, "B"),
    ("The answer is 2 cm, not 4 cm", LENGTHS, "B"), ("The answer is 4", INTEGERS, "C"),
    ("1", INTEGERS, "A"), ("The answer is 1,000 m.", ("10 m", "100 m", "1000 m", "10000 m"), "C"),
    ("The answer is 5 km.", ("5 m", "5 km", "50 m", "50 km"), "B"),
    ("The answer is 9.8 m/s^(2).", PLACES, None),
    ("It falls with 9.8 m/s^(2), so it is in the forest.", PLACES, "C"),
    ("It has an area of 5 m^(2) (about 3), in the cave.", PLACES, "D"),
    ("The air holds CO(2), so it is the cave.", PLACES, "D"),
    ("At 20 °C it is the cave.", PLACES, "D"), ("It is 100 °C there.", PLACES, None),
    ("The answer is B. No, it is not. The answer is C.", PLACES, "C"),
    ("Answer: B\n\nWait, that is wrong.\n\nAnswer: C", PLACES, "C"),
    ("B\n\nOn second thought, the correct answer is C.", PLACES, "C"),
    ("The answer is C, A is too wet.", PLACES, "C"),
    ("Answer: C, D is too dark and A is too wet.", PLACES, "C"),
    ("Answer: C, A and B are wrong.", PLACES, "C"),
    ("The answer is C, since A, B and D are wet.", PLACES, "C"), ("Answer: B, C", PLACES, None),
    ("The answer is B and C.", PLACES, None), ("Answer: B, C are both right", PLACES, None),
    ("Option A is wrong. Option B is wrong. Option C is the correct answer.", PLACES, "C"),
    ("A is too wet, B is too. So C is the best answer.", PLACES, "C"),
    ("The forest is the correct answer, not the cave.", PLACES, "C"),
    ("(A) sea\n(B) deep sea\n(C) forest\n(D) cave\n\nThe answer is (C).", PLACES, "C"),
    ("A) sea\nB) deep sea\nC) forest\nD) cave\n\nC", PLACES, "C"),
    ("The sea is wet. The cave is dark.\n\nC", PLACES, "C"),
    ("The answer is definitely C.", PLACES, "C"), ("The answer is option C", PLACES, "C"),
    ("The answer is that bears live in the forest, unlike the cave.", PLACES, "C"),
    ("The correct choice is: **C**", PLACES, "C"),
    ("Option D is wrong. It must be C.", PLACES, "C"), ("**Answer:** (C) forest", PLACES, "C"),
    ("### Answer\nC", PLACES, "C"), ("C\n\n(D) is incorrect because it is dark.", PLACES, "C"),
    ("The answer is neither A nor B; it is C.", PLACES, "C"), ("It is C, not D.", PLACES, "C"),
    ("**C) forest**\n\nWhy not the others:\n* **A) sea** - wet\n* **D) cave** - dark", PLACES, "C"),
    ("A. sea - wrong\nB. deep sea - wrong\nC. forest - correct\n\nAnswer: C", PLACES, "C"),
    ("The answer is C rather than D.", PLACES, "C"), ("\\boxed{\\text{forest}}", PLACES, "C"),
    ("Answer: C or D", PLACES, None), ("The answer is 1/2.", ("1/4", "1/2", "3/4", "1"), "B"),
    ("30", ("10%", "20%", "30%", "40%"), "C"),
    ("The answer is 5 g/cm³.", ("5 g/cm3", "2 g/cm3", "3 g", "4 g"), "A"),
    ("### Final Answer: C", PLACES, "C"), ("Z", MANY, "Z"), ("Answer: Q", MANY, "Q"),
    ("(K) place 11\n\nOption J is wrong.", MANY, "K"), ("26", MANY, "Z"),
    ("I think that it is place 3.", MANY, "C"), ("The answer is place 12.", MANY, "L"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "choices", "label"), CHATS)
def test_what_chat_models_write_is_read_as_a_person_reads_it(text, choices, label):
    reading = read_choice(text, choices)
    assert reading.value == label
    assert (reading.reason == "") == (label is not None)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Answer: B\n\nQuestion: Which is wet?\nAnswer: A", "B"),
        ("Answer: B\nQ: Which is wet?", "B"), ("Answer: B<|im_end|>", "B"),
        ("<think>\nAnswer: A\n</think>\nAnswer: B", "B"), ("<think>\nAnswer: A", None),
        ("<think>\nAnswer: A\n</think>", None), ("Answer: A\nNo.\nAnswer: B", "B"),
    ],
)  # fmt: skip
def test_the_strict_reading_is_of_the_last_answer(text, label):
    assert read_strict(text, 4).value == label


@pytest.mark.parametrize(("choices", "text"), [(DECIMALS, "Answer: 1"), (LENGTHS, "Answer: 4")])
def test_the_number_of_a_choice_is_no_label_in_the_strict_reading(choices, text):
    assert read_strict(text, 4, choices).value is None


def test_26_choices_can_be_scored():
    scorer = make_scorer("choice", {}, Path("none"))
    assert scorer.score("Answer: Z", item("Z", MANY)).strict
    assert not scorer.score("Answer: Z", item("Y", MANY)).flexible
    assert scorer.score("26", item("26", MANY)).flexible
    with pytest.raises(ValueError, match="27 choices"):
        scorer.score("A", item("A", (*MANY, "place 27")))


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
    ("Answer: B", "B"), ("The shark lives in the sea. Answer: B", "B"), ("Answer: B.\n", "B"),
    ("Answer: 2", "B"), ("answer: B", None), ("Answer: b", None), ("Answer: (B)", None),
    ("Answer:B", None), ("B", None), ("Answer: B because", None), ("Answer: A. Answer: B", "B"),
    ("Answer: E", None), ("", None),
]  # fmt: skip


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
    "Question:\nA\n" * 10000, "</think>" * 12000, "C is the correct answer. " * 4000,
    "is the answer " * 8000, "A, B, " * 17000, "A is " * 20000, "A " * 50000, "(A " * 30000,
    "\\boxed{A}" * 12000, "\\boxed{" * 12000, "<answer>" * 12000, "<answer>A</answer>" * 6000,
    "Q: A\n\n" * 15000, "A) sea\n" * 14000, "A. " * 33000, "option A " * 12000,
    "answer is that " * 7000, "answer is option option " * 4000, "if the answer is A" * 6000,
    "1" * 100000, "1," * 50000, "$1x10^" * 20000, "answer: A, A, A, " * 6000, "a" * 100000,
    "((((A" * 20000, "forest is the best " * 6000, "A" + " " * 99999, "A" + "x" * 99999 + " is not",
    "only option is " * 7000, "|" * 100000,
    *("{" * 100_000, "Answer: B " * 10_000, "A/" * 50_000, "ﷺ" * 30_000, "\ud800" * 1_000),
]  # fmt: skip


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


def arc() -> list[tuple[tuple[str, ...], int]]:
    """Return the choices of both splits' items, with the place of the right one."""
    folder = os.environ.get("SEEDBED_TEST_DATA")
    if not folder:
        pytest.skip("SEEDBED_TEST_DATA names no folder with the real data")
    import polars as pl

    files = [
        Path(folder) / f"allenai/ai2_arc/ARC-Challenge/{split}.parquet"
        for split in ("train", "test")
    ]
    rows = pl.concat([pl.read_parquet(file) for file in files]).iter_rows(named=True)
    found = [
        (tuple(row["choices"]["text"]), row["choices"]["label"].index(row["answerKey"]))
        for row in rows
    ]
    assert len(found) == 2228
    return found


FRAMES = [
    # `right`, `wrong` and `third` are labels with the texts `true`, `false` and `other`; `listed`
    # is all of them. Two that a model writes if it is not told how: a label or a choice first.
    "{right}\n\nOption {wrong} is wrong.",
    "**({right}) {true}**\n\nThe answer is not {wrong}, because {false} is something else.",
    "{right}\n\n{wrong} is wrong because {false} does not fit, and so is {third}.",
    "**{right}.**\n\nExplanation: ({wrong}) {false} is not right.",
    "{right}) {true}\n\n{wrong}) {false} is incorrect.",
    "{right}. {true}\n\nWhy not others:\n- **{wrong}. {false}**: no.\n- **{third}. {other}**: no.",
    "{right}. {true}, since option {wrong} does not fit.",
    "{right} because {wrong} ({false}) does not fit.",
    "Answer: {right}\n\nOption {wrong} is wrong.",
    "The answer is {right}, {wrong} is wrong because of the rest.",
    "The answer is {wrong}. No, wait.\n\nThe answer is {right}.",
    "The answer is {wrong}. Wait, no. It's {right}.",
    "The answer is {true}.",
    "The correct answer is {true}, because {false} and {other} do not fit.",
    "{true}. The others, such as {false}, do not fit.",
    "<think>Answer: {wrong}</think>\n{right}",
    "({wrong}) is wrong.\n\n\\boxed{{\\text{{{right}}}}}",
    "So it is.\nAnswer: {right}\n\nQuestion: What else? (A) x (B) y\nAnswer: {wrong}",
    "Option {wrong}: {false} is wrong.\n\nTherefore, {right} is the correct answer.",
    "{listed}\n\n{right}",
    "Let us look at each option.\n{listed}\n\nThe correct answer is **{right}) {true}**.",
    "{wrong}: incorrect\n{third}: incorrect\n{right}: correct",
    "It can't be {wrong} or {third}. So {right}.",
]


def framed(frame: str, choices: tuple[str, ...], place: int) -> str:
    second, third = (place + 1) % len(choices), (place + 2) % len(choices)
    return frame.format(
        right=LETTERS[place],
        wrong=LETTERS[second],
        third=LETTERS[third],
        true=choices[place],
        false=choices[second],
        other=choices[third],
        listed="\n".join(f"({LETTERS[n]}) {text}" for n, text in enumerate(choices)),
    )


def read_in(frame: str, items: list[tuple[tuple[str, ...], int]]) -> float:
    """Return which share of the items is read in a frame; none may be read as another."""
    right = 0
    for choices, place in items:
        text = framed(frame, choices, place)
        value = read_choice(text, choices).value
        assert value in (None, LETTERS[place]), (text, choices)
        right += value is not None
    return right / len(items)


@pytest.mark.parametrize("frame", FRAMES)
def test_no_real_item_reads_a_wrong_letter_in_any_frame(frame):
    assert read_in(frame, arc()[::25]) >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("frame", FRAMES[:2])
def test_no_real_item_at_all_reads_a_wrong_letter_where_the_label_comes_first(frame):
    assert read_in(frame, arc()) == 1


def test_answers_in_many_words_are_read_as_a_person_reads_them():
    file = Path(__file__).with_name("readings_choice.jsonl")
    cases = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(cases) > 850
    misread = [
        (case["text"], case["readings"], value)
        for case in cases
        if (value := read_choice(case["text"], case["choices"]).value) not in case["readings"]
    ]
    assert not misread


def test_no_number_that_is_the_text_of_a_choice_reads_a_wrong_letter():
    found = 0
    for choices, _ in arc():
        for place, text in enumerate(choices):
            if text[:1].isdigit() and choices.count(text) == 1:
                found += 1
                assert read_choice(f"The answer is {text}.", choices).value == LETTERS[place]
    assert found > 400
