"""The scorer of exact strings: tables of cases, properties, hostile texts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seedbed.evaluation.scorers import answers_equal, make_scorer
from seedbed.evaluation.scorers.exact import read_exact
from seedbed.tasks.items import TaskItem

SCORER = make_scorer("exact", {}, Path("none"))


def item(gold: str) -> TaskItem:
    return TaskItem("item", "Where?", "", f"Answer: {gold}", gold, cluster="item")


# (output, gold, right by the strict reading, right by the flexible one)
CASES = [
    # The format that was asked for, or the answer alone.
    ("Answer: Paris", "Paris", True, True),
    ("It is on the Seine.\nAnswer: Paris", "Paris", True, True),
    ("  Answer: Paris \n\n", "Paris", True, True), ("Paris", "Paris", True, True),
    (" Paris\n", "Paris", True, True), ("Answer: Buenos Aires", "Buenos Aires", True, True),
    ("Answer: Washington, D.C.", "Washington, D.C.", True, True),
    ("Answer: C++", "C++", True, True), ("Answer: .NET", ".NET", True, True),
    ("Answer: -5", "-5", True, True), ("Answer: ?", "?", True, True),
    ("Answer: Answer: x", "Answer: x", True, True),
    # One Unicode form.
    ("Answer: Ｐａｒｉｓ", "Paris", True, True), ("Answer: Zu\u0308rich", "Zürich", True, True),
    ("Answer:\u00a0Paris", "Paris", True, True), ("Answer: ﬁre", "fire", True, True),
    # What the flexible reading takes no notice of.
    ("paris", "Paris", False, True), ("Answer: PARIS", "Paris", False, True),
    ("Answer: STRASSE", "Straße", False, True), ("Paris.", "Paris", False, True),
    ("Answer: Paris.", "Paris", False, True), ("Answer: Paris...", "Paris", False, True),
    ("Answer: Paris!", "Paris", False, True), ('Answer: "Paris"', "Paris", False, True),
    ("Answer: “Paris”.", "Paris", False, True), ("Answer: 'Paris'", "Paris", False, True),
    ("Answer: **Paris**", "Paris", False, True), ("**Answer:** Paris", "Paris", False, True),
    ("**Answer**: _Paris_", "Paris", False, True), ("Answer: `Paris`", "Paris", False, True),
    ("Answer: Buenos   Aires", "Buenos Aires", False, True),
    ("Answer: Par\u200bis", "Paris", False, True), ("answer: Paris", "Paris", False, True),
    ("Answer:Paris", "Paris", False, True), ("ANSWER: Paris", "Paris", False, True),
    # Where the flexible reading finds it.
    ("The answer is Paris.", "Paris", False, True),
    ("The final answer is: Paris", "Paris", False, True),
    ("The answer is **Paris**.", "Paris", False, True), ("Answer:\nParis", "Paris", False, True),
    ("Answer:\n\n  **Paris**", "Paris", False, True),
    ("Answer: Rome\nNo. Answer: Paris", "Paris", False, True),
    ("Answer: Paris\n\nQuestion: What is next?", "Paris", True, True),
    ("It is on the Seine.\nParis", "Paris", False, True),
    ("So it is. Answer: Paris", "Paris", False, True),
    ("The answer is \\boxed{\\text{Paris}}.", "Paris", False, True),
    ("<answer>Paris</answer>", "Paris", False, True),
    # What a model thinks, and what it runs on to, is no answer.
    ("<think>Rome? Answer: Rome</think>\nParis", "Paris", True, True),
    ("<think>Rome?\n</think>\n\nIt is so.\nAnswer: Paris", "Paris", True, True),
    ("<think>\nAnswer: Paris", "Paris", False, False),
    ("Answer: Paris\nQ: What is next?\nAnswer: Rome", "Paris", True, True),
    ("Answer: Paris\n\n**Problem:** And Italy?\nAnswer: Rome", "Paris", True, True),
    ("Paris\n\nQuestion: And Italy?\nAnswer: Rome", "Paris", True, True),
    ("Answer: Paris<|im_end|>\n<|im_start|>user\nRome", "Paris", True, True),
    ("Paris</s>", "Paris", True, True),
    ("Question: The capital of France?\nAnswer: Paris", "Paris", True, True),
    # What is wrong by both.
    ("Rome", "Paris", False, False), ("Answer: Rome", "Paris", False, False),
    ("Answer: Paris, France", "Paris", False, False),
    ("Answer: Paris or Rome", "Paris", False, False),
    ("The answer is not Paris.", "Paris", False, False),
    ("Answer: Paris\nAnswer: Rome", "Paris", False, False),
    ("Paris\nor Rome", "Paris", False, False), ("Answer: Pari", "Paris", False, False),
    ("Answer: Paris 1", "Paris", False, False), ("Answer: Zurich", "Zürich", False, False),
    ("Answer: ", "Paris", False, False), ("Answer:", "Paris", False, False),
    ("", "Paris", False, False), (" \n\t ", "Paris", False, False), ("...", "Paris", False, False),
    ("\x00", "Paris", False, False),
    # Nothing is left of these but by the strict reading.
    ("!", "?", False, False), ("", "?", False, False),
]  # fmt: skip


@pytest.mark.parametrize(("output", "gold", "strict", "flexible"), CASES)
def test_both_readings(output, gold, strict, flexible):
    score = SCORER.score(output, item(gold))
    assert (score.strict, score.flexible) == (strict, flexible)
    assert (score.extracted is None) == bool(score.reason)


@pytest.mark.parametrize("gold", ["", "  ", "two\nlines", "x" * 1_001])
def test_a_gold_that_is_not_one_line_is_an_error(gold):
    with pytest.raises(ValueError, match="gold of item 'item' is not one line"):
        SCORER.score("x", item(gold))


def test_options_are_refused():
    with pytest.raises(ValueError, match="scorer 'exact' has no option mark"):
        make_scorer("exact", {"mark": "A:"}, Path("none"))


def test_equal_answers():
    assert answers_equal("exact", "On the Seine.\nAnswer: Paris", "paris")
    assert answers_equal("exact", "The answer is “Paris”.", "Answer: Paris")
    assert not answers_equal("exact", "Paris", "Rome")
    assert not answers_equal("exact", "", "")


TEXTS = st.text(alphabet=st.characters(), max_size=300)


@given(TEXTS, TEXTS)
@example("\ud800", "\ud800")
@settings(max_examples=200, deadline=None)
def test_any_text_is_scored(output, gold):
    try:
        score = SCORER.score(output, item(gold))
    except ValueError as error:
        assert "not one line" in str(error)
        return
    assert score.strict <= score.flexible
    assert (score.extracted is None) == bool(score.reason)


GOLDS = st.text(
    alphabet=st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40
).filter(lambda gold: read_exact(gold).value is not None)


@given(GOLDS)
@settings(max_examples=200, deadline=None)
def test_every_gold_is_right_by_itself_and_in_the_format(gold):
    for output in (gold, f"Answer: {gold}", f"I think so.\nAnswer: {gold}\n"):
        score = SCORER.score(output, item(gold))
        assert (score.strict, score.flexible) == (True, True)


@given(
    GOLDS, st.sampled_from(["{}.", "'{}'", "**{}**", "answer:  {}", "The answer is {}.", "\n{}"])
)
@settings(max_examples=200, deadline=None)
def test_every_gold_is_found_in_every_frame(gold, frame):
    assert SCORER.score(frame.format(gold), item(gold)).flexible


@given(GOLDS, GOLDS)
@settings(max_examples=100, deadline=None)
def test_another_string_is_wrong(first, second):
    if read_exact(first).value != read_exact(second).value:
        assert not SCORER.score(f"Answer: {first}", item(second)).flexible


HOSTILE = [
    *("answer " * 15_000, "answer: " * 12_000, "answer is " * 10_000, "answer" * 16_000),
    *("\n" * 100_000, " " * 100_000, "*" * 100_000, '"' * 100_000, "." * 100_000),
    *("\x00" * 100_000, "\ud800" * 1_000, "ﷺ" * 30_000, "\u0301" * 100_000, "x" * 1_000_000),
    *("answer*" * 15_000, "answer is:\n" * 9_000, "Answer: \n" * 11_000, "\u2028" * 100_000),
]


@pytest.mark.parametrize("text", HOSTILE, ids=[repr(text[:8]) for text in HOSTILE])
def test_hostile_texts_take_no_time(text):
    start = time.process_time()
    SCORER.score(text, item("Paris"))
    assert time.process_time() - start < 2
