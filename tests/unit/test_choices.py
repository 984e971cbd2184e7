import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.tasks.choices import LETTERS, choices_of, with_choices

CHOICE = st.text("abc (),?!A1", min_size=1, max_size=9).map(str.strip).filter(bool)


@given(st.text("ab ?\n", max_size=20), st.lists(CHOICE, min_size=2, max_size=len(LETTERS)))
def test_choices_that_were_laid_out_are_read_again(question, choices):
    assert choices_of(with_choices(question, choices)) == tuple(choices)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which flies? owl A, cow B, worm C", ("owl", "cow", "worm")),
        ("Which flies? a white owl A, cow B", ("a white owl", "cow")),
        ("Which flies? owl A, cow C", ()), ("Which flies? owl A, cow B, and more", ()),
        ("Which flies? owl A", ()), ("Which flies?", ()), ("", ()), ("Which?\n(A) owl", ()),
        ("Which?\n(B) owl\n(C) cow", ()), ("Which?\n(A) owl\nbut not\n(B) cow", ()),
    ],
)  # fmt: skip
def test_which_choices_are_found(question, expected):
    assert choices_of(question) == expected


@given(st.text())
def test_any_text_has_choices_or_none(text):
    assert len(choices_of(text)) != 1
