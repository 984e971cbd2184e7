"""Numbers in English words, such as "minus twenty-five" or "one hundred and two"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_ONES = {
    "zero": 0,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
}
_TENS = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000}
_ANY = "|".join([*sorted(_ONES, key=len, reverse=True), *_TENS, *_SCALES])
_NUMBER = re.compile(
    rf"\b(?P<sign>(?:minus|negative)\s)?(?P<half>half\s)?(?:an?\s(?=(?:{'|'.join(_SCALES)})\b))?"
    rf"(?P<words>(?:{_ANY})(?:(?:[\s-]|\sand\s|,\s)(?:{_ANY})){{0,9}})\b",
    re.IGNORECASE,
)
# "three quarters", "two and a half", "two point five", "seven-eighths", "five 6"
_GOES_ON = re.compile(
    r"[\s-](?:half|halves|quarters?|thirds?|fourths?|fifths?|sixths?|sevenths?|eighths?|ninths?"
    r"|tenths?|hundredths?|thousandths?|point|squared|cubed|to the power"
    r"|and (?:a|one|two|three) \w|\d)|/",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class WordNumber:
    """A number in words.

    Attributes:
        value: the number, None if this module does not understand the words.
        word: the words in lower case.
        start: its start in the text.
        end: its end in the text.
    """

    value: Fraction | None
    word: str
    start: int
    end: int


def word_numbers(text: str, start: int = 0) -> Iterator[WordNumber]:
    """Yield the numbers in words in a text, in order, from position `start`."""
    for match in _NUMBER.finditer(text, start):
        words = match["words"].lower()
        value = _value([w for w in re.split(r"[\s,-]+", words) if w != "and"])
        if value is not None and match["half"]:
            value = value / 2
        if value is not None and match["sign"]:
            value = -value
        further = _GOES_ON.match(text, match.end())
        end = match.end() if further is None else further.end()
        yield WordNumber(None if further else value, words, match.start(), end)


def _value(words: list[str]) -> Fraction | None:
    """Return the value of the words, or None if they are not a number."""
    total, group, last = 0, 0, "scale"
    for word in words:
        if word in _ONES:
            small = 0 < _ONES[word] < 10
            if last == "ones" or (last == "tens" and not small):
                return None
            group, last = group + _ONES[word], "ones"
        elif word in _TENS:
            if last in ("ones", "tens"):
                return None
            group, last = group + _TENS[word], "tens"
        elif word in ("hundred", "dozen"):
            group, last = max(group, 1) * _SCALES[word], "scale"
        else:
            total, group, last = total + max(group, 1) * _SCALES[word], 0, "scale"
    return Fraction(total + group)
