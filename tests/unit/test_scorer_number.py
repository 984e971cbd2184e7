"""The scorer of numbers: tables of cases, properties, hostile texts, and real gold answers."""

from __future__ import annotations

import os
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.evaluation.scorers import answers_equal, make_scorer
from seedbed.evaluation.scorers.number import parse_number, read_number, read_strict
from seedbed.tasks.items import TaskItem


def item(gold: str) -> TaskItem:
    return TaskItem("item", "How many?", "", f"#### {gold}", gold, cluster="item")


FLEXIBLE = [
    # Plain forms and their punctuation.
    ("18", "18"),
    ("18.", "18"),
    ("18,", "18"),
    ("It is 5...", "5"),
    ("18!", "18"),
    ("5..", "5"),
    ("12…", "12"),
    ("3.0", "3"),
    ("0.10", "0.1"),
    (".5", "0.5"),
    ("-0", "0"),
    ("007", "7"),
    ("2.50 dollars", "2.5"),
    # Currency, percent, units and decoration.
    ("It costs $29.00.", "29"),
    ("€ 29", "29"),
    ("USD 29", "29"),
    ("$5k", "5000"),
    ("29$", "29"),
    ("29 €", "29"),
    ("US$29", "29"),
    ("Rs. 500", "500"),
    ("£1,250.75", "1250.75"),
    ("$1,000.00.", "1000"),
    ("18%", "18"),
    ("12 %", "12"),
    ("0.5%", "0.5"),
    ("25 percent", "25"),
    ("５％", "5"),
    ("25 cents", "25"),
    ("30km", "30"),
    ("**18**", "18"),
    ("`18`", "18"),
    ("\\boxed{18}", "18"),
    ("\\boxed{1{,}000}", "1000"),
    ("\\boxed{\\$18}", "18"),
    ("$\\frac{1}{2}$", "0.5"),
    # Thousands.
    ("1,234,567", "1234567"),
    ("1 000", "1000"),
    ("1 000", "1000"),
    ("1_000", "1000"),
    ("1'000'000", "1000000"),
    ("12,34,567", "1234567"),
    ("1,2345", "2345"),
    ("In 2020 150 came, 150 in all", "150"),
    ("1.5 million", "1500000"),
    ("3 hundred", "300"),
    # Signs and dashes.
    ("-5", "-5"),
    ("−5", "-5"),
    ("–5", "-5"),
    ("x = -5", "-5"),
    ("x = - 5", "-5"),
    ("-$5", "-5"),
    ("$-5", "-5"),
    ("$−1,000.50", "-1000.5"),
    ("minus 5", "-5"),
    ("negative 5", "-5"),
    ("The answer is -5", "-5"),
    ("10-5", "5"),
    ("10 - 5", "5"),
    ("10 minus 5", "5"),
    ("2–3 hours", "3"),
    ("10 to 15 apples", "15"),
    ("between 10 and 15", "15"),
    ("$10-$15", "15"),
    ("10 - 15 minutes", "15"),
    ("(4)-5", "5"),
    ("- 5 apples", "5"),
    ("5 - 3 = 2", "2"),
    # Fractions and powers of ten.
    ("1/2", "0.5"),
    ("1/3", "1/3"),
    ("3 1/2 cups", "3.5"),
    ("12/4", "3"),
    ("1e3", "1000"),
    ("5 x 10^3", "5000"),
    ("3/4 of a cake", "0.75"),
    ("-1/2", "-0.5"),
    ("½", "0.5"),
    ("The answer is ½.", "0.5"),
    ("1½", "1.5"),
    ("2 ½ cups", "2.5"),
    ("−1½", "-1.5"),
    ("⅓", "1/3"),
    ("1⁄2", "0.5"),
    ("\\frac{-3}{4}", "-0.75"),
    ("\\boxed{1\\frac{1}{2}}", "1.5"),
    ("2\\frac{3}{4} hours", "2.75"),
    ("1 and 1/2 hours", "1.5"),
    # Other digits and invisible characters.
    ("１８", "18"),
    ("١٨", "18"),
    ("1\u200b8", "18"),
    ("5 m²", "5"),
    # What is no answer: citations, ordinals, list marks, names, time spans, asides.
    ("18 [1]", "18"),
    ("18 [1, 2]", "18"),
    ("18 [1][2]", "18"),
    ("18 [3–5]", "18"),
    ("[1] 18", "18"),
    ("The total is 18. [1]", "18"),
    ("18.\n\nSources: [1] [2]", "18"),
    ("18^{2}", "18"),
    ("The answer is [18].", "18"),
    ("There are 7 on the 3rd shelf", "7"),
    ("1. First 3\n2. Then 4 more is 7\n3. Done", "7"),
    ("Step 2: so 9", "9"),
    ("There are 4 tins of B12", "4"),
    ("She earns $18 in 3 days.", "18"),
    ("He is there in 5 hours.", "5"),
    ("She makes 18 dollars every day for 7 days", "18"),
    ("It is 18 eggs, sold in 7 days", "18"),
    ("18 (3 per day)", "18"),
    ("It took 3 + 4 = 7 (seven) steps", "7"),
    ("<<3*4=12>>12", "12"),
    # Where the answer stands.
    ("#### 18", "18"),
    ("#### 1,234", "1234"),
    ("#### 18 apples", "18"),
    ("#### 18\nThat is 3 per day.", "18"),
    ("#### 17\n#### 18", "18"),
    ("The answer is 18 eggs in 7 days.", "18"),
    ("The answer is 3 + 4 = 7.", "7"),
    ("The answer is:\n18", "18"),
    ("Answer: 18\n\nQuestion: Tom has 3 apples", "18"),
    ("So 3 and 4 give 7. The answer is twelve.", "7"),
    ("She sold 3. Then 4. Done.", "4"),
    # No number, or none to compute with.
    ("", None),
    ("   \n", None),
    ("none", None),
    ("NaN", None),
    ("inf", None),
    ("1/0", None),
    ("1e999999", None),
    ("1e-999999", None),
    ("9" * 41, None),
    ("3 x 10^999999", None),
]


@pytest.mark.parametrize(("text", "value"), FLEXIBLE)
def test_flexible_reading(text, value):
    reading = read_number(text)
    assert reading.value == value
    assert (reading.reason == "") == (value is not None)


STRICT = [
    ("#### 18", "18"),
    ("3 + 4 = 7. #### 7", "7"),
    ("so\n#### 1,234\n", "1234"),
    ("####18", "18"),
    ("#### -5", "-5"),
    ("#### 2.50", "2.5"),
    ("18", None),
    ("#### $18", None),
    ("#### 18.", None),
    ("#### 18 apples", None),
    ("#### 18\nThat is all", None),
    ("#### 1 000", None),
    ("#### eighteen", None),
    ("#### 18%", None),
    ("#### 1e3", None),
    ("#### 1,2345", None),
    ("#### " + "9" * 50, None),
    ("", None),
]


@pytest.mark.parametrize(("text", "value"), STRICT)
def test_strict_reading(text, value):
    assert read_strict(text).value == value


def test_a_score_tells_strict_from_flexible():
    scorer = make_scorer("number", {}, Path("none"))
    assert scorer.score("#### 7", item("7")).strict
    score = scorer.score("It is 7", item("7"))
    assert (score.strict, score.flexible, score.extracted, score.reason) == (False, True, "7", "")
    wrong = scorer.score("#### 8", item("7"))
    assert (wrong.strict, wrong.flexible, wrong.extracted) == (False, False, "8")
    silent = scorer.score("I cannot tell", item("7"))
    assert (silent.extracted, silent.reason) == (None, "no number")
    scorer.close()


def test_comparison_is_exact():
    scorer = make_scorer("number", {}, Path("none"))
    assert not scorer.score("0.1000000000000000001", item("0.1")).flexible
    assert not scorer.score("10000000000000000001", item("10000000000000000000")).flexible
    assert scorer.score("#### 1,000.00", item("1000")).strict
    assert scorer.score("2/6", item("1/3")).flexible


@pytest.mark.parametrize("gold", ["", "seven", "1 and 2", "1e999999"])
def test_a_gold_that_is_no_number_is_an_error(gold):
    with pytest.raises(ValueError, match="not a number"):
        make_scorer("number", {}, Path("none")).score("7", item(gold))


def test_equal_answers():
    assert answers_equal("number", "3 + 4 = 7. #### 7", "7.0")
    assert answers_equal("number", "1,000", "#### 1000")
    assert not answers_equal("number", "7", "8")
    assert not answers_equal("number", "none", "none")
    with pytest.raises(ValueError, match="no scorer of kind"):
        answers_equal("numbers", "7", "7")


def test_unknown_kinds_and_options_are_refused():
    with pytest.raises(ValueError, match="no scorer of kind 'numbr'"):
        make_scorer("numbr", {}, Path("none"))
    with pytest.raises(ValueError, match="timeout"):
        make_scorer("number", {"timeout": 1}, Path("none"))


HOSTILE = [
    *("9" * 100_000, "9 " * 50_000, "1,111," * 15_000, "1 000" * 20_000, "1/" * 50_000),
    *("answer " * 15_000, "answer is " * 10_000, "(" * 100_000, "()" * 50_000, "####" * 25_000),
    *("[1" * 30_000, "[1," * 30_000, "9e" * 50_000, "<<" * 50_000, "<<1>" * 25_000),
    *("$" * 100_000, "-" * 100_000, "1'" * 50_000, " " * 100_000, "\n" * 100_000),
    *("\x00" * 100_000, "\\boxed{" * 15_000, "\\frac{1}{" * 10_000, "1." * 50_000),
    *("١" * 100_000, "\ud800" * 1_000, "1\n" * 50_000, "minus " * 15_000, "1 x 10^" * 14_000),
]


@pytest.mark.parametrize("text", HOSTILE, ids=[repr(text[:8]) for text in HOSTILE])
def test_hostile_texts_take_no_time(text):
    start = time.process_time()
    read_number(text)
    read_strict(text)
    assert time.process_time() - start < 2


@given(st.text(alphabet=st.characters(), max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text_is_scored(text):
    score = make_scorer("number", {}, Path("none")).score(text, item("7"))
    assert score.strict <= score.flexible
    assert (score.extracted is None) == bool(score.reason)


@given(st.text(alphabet="0123456789.,-+/$%[]()#= \n\\eExk−'_", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_arrangement_of_number_signs_is_read(text):
    reading = read_number(text)
    if reading.value is not None:
        # What was read is canonical: reading it again gives the same.
        assert read_number(reading.value).value == reading.value
    strict = read_strict(text)
    if strict.value is not None:
        assert strict.value == reading.value


@given(
    st.integers(-(10**12), 10**12),
    st.sampled_from(["{}", "#### {}", "The answer is {}.", "so x = {}", "${}", "{} [2]", "**{}**"]),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_a_whole_number_is_found_in_every_frame(number, frame, commas):
    text = frame.format(f"{number:,}" if commas else number)
    assert read_number(text).value == str(number)


@given(st.decimals(-1000, 1000, places=3, allow_nan=False))
def test_a_decimal_keeps_its_value(number):
    assert Fraction(read_number(f"#### {number}").value) == Fraction(number)
    assert parse_number(str(number)) == Fraction(number)


def test_every_gsm8k_gold_scores_right_against_itself():
    folder = os.environ.get("SEEDBED_TEST_DATA")
    if not folder:
        pytest.skip("SEEDBED_TEST_DATA names no folder with the real data")
    import polars as pl

    frame = pl.read_parquet(Path(folder) / "openai/gsm8k/main/test.parquet")
    scorer = make_scorer("number", {}, Path("none"))
    assert frame.height == 1319
    for answer in frame["answer"]:
        gold = answer.split("####")[1].strip()
        for text in (answer, gold, f"The answer is ${gold}."):
            score = scorer.score(text, item(gold))
            assert score.flexible, (text, score)
        assert scorer.score(answer, item(gold)).strict
