"""Scorer for answers that are one number, such as those of GSM8K.

Numbers are compared exactly, as fractions. The strict rule wants the output to end in `#### 12`.
The flexible rule looks, in this order, behind the last `####`, in the last `\\boxed{}`, behind the
last "answer is" or "answer:", and in the last sentence that holds a number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from seedbed.evaluation.scorers import Reading, Score
from seedbed.tasks.items import TaskItem

# Longer numbers are no answers: exact arithmetic on what a model may write (1e999999) has no end.
MAX_DIGITS = 40
MAX_EXPONENT = 40
# The final answer stands at the end, and a text this long has gone astray anyway.
MAX_CHARACTERS = 10_000

_MARKER = "####"
_THIN_SPACES = "\u00a0\u2007\u2009\u200a\u202f"
_MINUS_SIGNS = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"
_FRACTION_SLASH = "\u2044"
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_CURRENCY = "$€£¥₹"

# Every repetition is possessive (++) or bounded, so that matching takes linear time.
_DIGITS = (
    r"(?:\d{1,3}(?:,\d{3})++(?!\d)"  # 1,234,567
    r"|\d{1,2}(?:,\d{2}(?!\d))++,\d{3}(?!\d)"  # 12,34,567
    rf"|\d{{1,3}}(?:[ {_THIN_SPACES}'’_]\d{{3}})++(?!\d)"  # 1 234 567
    r"|\d++)"
)
_NUMBER = re.compile(
    rf"(?<![A-Za-z\d])(?P<digits>{_DIGITS}(?:\.\d++)?|(?<!\.)\.\d++)"
    r"(?:[eE](?P<exponent>[+-]?\d++)"
    r"|\s?(?:[x×*·]|\\times|\\cdot)\s?10\s?\^\s?\{?(?P<power>[+-]?\d++)\}?"
    r"|(?:\s{1,2}(?P<numerator>\d{1,6}))?\s?/\s?(?P<denominator>\d++)(?![.,]?\d))?"
)
_SCALE_WORD = re.compile(r"\s?(hundred|thousand|million|billion|trillion)s?\b", re.IGNORECASE)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_THOUSANDS = re.compile(r"[kK](?!\w)")
_SIGN_WORD = re.compile(r"\b(?:minus|negative)\s$", re.IGNORECASE)
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b", re.IGNORECASE)
_UNIT = (
    r"(?:seconds?|minutes?|mins?|hours?|hrs?|days?|nights?|weeks?|months?|years?|weekends?"
    r"|km|kilomet(?:er|re)s?|met(?:er|re)s?|miles?|feet|foot|inch(?:es)?|yards?|cm|mm"
    r"|kg|kilograms?|grams?|pounds?|lbs?|ounces?|oz|lit(?:er|re)s?|gallons?|mph|kmh)"
)
_WITH_UNIT = re.compile(rf"\s?-?{_UNIT}\b", re.IGNORECASE)
_QUALIFIER = re.compile(
    r"\b(?:in|for|per|every|each|within|after|over|during|last|first|next|past|these|those)"
    r"(?:\s(?:the|a|an|his|her|its|their|all))?\s$",
    re.IGNORECASE,
)
_INDEX_BEFORE = re.compile(
    r"\b(?:step|question|problem|equation|line|part|example|case)\s#?$", re.IGNORECASE
)
_LIST_MARK = re.compile(r"^[ \t]{0,8}\(?(\d{1,2})[.):][ \t]+(?=\S)", re.MULTILINE)
_CITATION = re.compile(r"\[\d{1,3}(?:\s?[,;-]\s?\d{1,3}){0,9}\]|\^\{?\d{1,3}\}?")
_CALCULATION = re.compile(r"<<[^<>]*+>>")
_CUE = re.compile(r"\banswer\b[^\d\n.:=]{0,40}?(?:\bis\b|\bequals\b|\bbe\b|[:=])", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?]+(?:\s|$)|\n")
_STRICT = re.compile(r"####[ \t]?([+-]?(?:\d{1,3}(?:,\d{3})++|\d++)(?:\.\d++)?)\Z")


@dataclass(frozen=True, slots=True)
class _Found:
    """A number in a text, where it stands, and whether it can be the answer itself."""

    value: Fraction | None
    start: int
    end: int
    likely: bool


class NumberScorer:
    """Scores outputs whose final answer is a number."""

    def score(self, output: str, item: TaskItem) -> Score:
        """Return the score of an output; see `seedbed.evaluation.scorers.Scorer`."""
        gold = parse_number(item.gold)
        strict, flexible = read_strict(output), read_number(output)
        return Score(
            strict=strict.value is not None and Fraction(strict.value) == gold,
            flexible=flexible.value is not None and Fraction(flexible.value) == gold,
            extracted=flexible.value,
            reason=flexible.reason,
        )

    def close(self) -> None:
        """Do nothing: the scorer holds nothing."""


def from_options(options: Mapping[str, Any], folder: Path) -> NumberScorer:
    """Return a scorer; it takes no options and needs no files.

    Raises:
        ValueError: if there is an option.
    """
    if options:
        raise ValueError(f"scorer 'number' has no option {', '.join(sorted(options))}")
    return NumberScorer()


def read_content(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's content: its number."""
    return read_number(answer)


def read_answer(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's final answer: its number."""
    return read_number(answer)


def parse_number(text: str) -> Fraction:
    """Return the value of a text that is one number and nothing else.

    Raises:
        ValueError: if it is not.
    """
    plain = _normalised(text).strip()
    found = _numbers(plain)
    if len(found) == 1 and found[0].value is not None:
        around = plain[: found[0].start] + plain[found[0].end :]
        if not around.strip(_CURRENCY + "%. "):
            return found[0].value
    raise ValueError(f"not a number: {text[:80]!r}")


def read_strict(output: str) -> Reading:
    """Read the number of an output that ends in `#### 12`, the value as a plain decimal."""
    text = output[-MAX_CHARACTERS:].rstrip()
    match = _STRICT.search(text)
    if match is None:
        return Reading(None, "does not end in '#### number'")
    value = _value(match[1].lstrip("+-"), None, None, None)
    if value is None:
        return Reading(None, "number out of range")
    return Reading(_canonical(-value if match[1].startswith("-") else value))


def read_number(output: str) -> Reading:
    """Read the final number of a free text, the value as a plain decimal or a fraction."""
    text = _normalised(output[-MAX_CHARACTERS:])
    reason = "no number"
    for part in _places(text):
        found = _numbers(part.text)
        chosen = part.choose(found)
        if chosen is None:
            continue
        if chosen.value is None:
            reason = "number out of range"
            break
        return Reading(_canonical(chosen.value))
    return Reading(None, reason if text.strip() else "empty")


@dataclass(frozen=True, slots=True)
class _Place:
    """A part of the text, and whether its first or its last number is the answer."""

    text: str
    first: bool

    def choose(self, found: list[_Found]) -> _Found | None:
        aside = _in_brackets(self.text)
        best = [n for n in found if n.likely and not aside[n.start]]
        pool = best or [n for n in found if n.likely] or found
        if not pool:
            return None
        if not self.first:
            return pool[-1]
        # "The answer is 3 + 4 = 7" states 7: follow the first number to the end of its sum.
        chosen = 0
        while chosen + 1 < len(pool) and _joined(self.text, pool[chosen], pool[chosen + 1]):
            chosen += 1
        return pool[chosen]


def _places(text: str) -> list[_Place]:
    """Return where the answer may stand, the most trusted place first."""
    places = []
    marker = text.rfind(_MARKER)
    if marker >= 0:
        behind = text[marker + len(_MARKER) :].lstrip()
        places.append(_Place(behind.split("\n", 1)[0], first=True))
    boxed = text.rfind("\\boxed{")
    if boxed >= 0:
        inside = text[boxed + len("\\boxed{") :][:200]
        places.append(_Place(inside.split("}", 1)[0], first=True))
    cue = None
    for cue in _CUE.finditer(text):  # noqa: B007 (only the last one matters)
        pass
    if cue is not None:
        behind = text[cue.end() :].lstrip()
        places.append(_Place(_SENTENCE_END.split(behind, maxsplit=1)[0], first=True))
    sentences = [part for part in _SENTENCE_END.split(text) if any(c.isdigit() for c in part)]
    # List marks and citations alone make no sentence: look for one with a likely number first.
    for sentence in reversed(sentences):
        if any(number.likely for number in _numbers(sentence)):
            places.append(_Place(sentence, first=False))
            break
    if sentences:
        places.append(_Place(sentences[-1], first=False))
    return places


def _normalised(text: str) -> str:
    """Return the text with plain digits, minus signs and no decoration."""
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
        text = "".join(map(_plain_character, text))
    text = _CALCULATION.sub("", text)
    for old, new in (("{,}", ","), ("\\,", ""), ("\\$", "$"), ("\\%", "%"), ("**", ""), ("`", "")):
        text = text.replace(old, new)
    text = re.sub(r"(?<=\d)(?=\\[dt]?frac\{)|(?<=\d) and (?=\d{1,20}/\d)", " ", text)
    text = re.sub(r"\\[dt]?frac\{(-?\d{1,20})\}\{(\d{1,20})\}", r"\1/\2", text)
    text = re.sub(r"\b(?:USD|EUR|GBP|INR|US|CA|AU|Rs\.?)\s?(?=[\d$])", "$", text)
    return _without_list_marks(text)


def _without_list_marks(text: str) -> str:
    """Return the text without the marks of numbered lists: those that count up from 1."""
    count = 0

    def drop(match: re.Match[str]) -> str:
        nonlocal count
        if int(match[1]) not in (1, count + 1):
            return match[0]
        count = int(match[1])
        return ""

    plain = _LIST_MARK.sub(drop, text)
    return plain if any(map(str.isdigit, plain)) else text


def _plain_character(character: str) -> str:
    if character in _MINUS_SIGNS:
        return "-"
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    compatible = unicodedata.normalize("NFKC", character)
    if _FRACTION_SLASH in compatible:
        # A space before ½ keeps it apart from the whole number of 1½.
        space = " " if len(compatible) > 1 else ""
        return space + compatible.replace(_FRACTION_SLASH, "/")
    return "." if character == "\uff0e" else "," if character == "\uff0c" else character


def _numbers(text: str) -> list[_Found]:
    """Return the numbers in a normalised text, in order."""
    cited = bytearray(len(text) + 1)
    for match in _CITATION.finditer(text):
        cited[match.start() : match.end()] = b"\x01" * (match.end() - match.start())
    found = []
    for match in _NUMBER.finditer(text):
        start, end = match.start(), match.end()
        value = _value(
            match["digits"],
            match["exponent"] or match["power"],
            match["numerator"],
            match["denominator"],
        )
        scale = _SCALE_WORD.match(text, end)
        if scale is not None:
            end = scale.end()
            value = None if value is None else value * 10 ** _SCALES[scale[1].lower()]
        elif _THOUSANDS.match(text, end) and start and text[start - 1] in _CURRENCY:
            end += 1
            value = None if value is None else value * 1000
        start, negative = _sign(text, start)
        if negative and value is not None:
            value = -value
        found.append(
            _Found(value, start, end, bool(not cited[start] and _likely(text, start, end)))
        )
    return found


def _value(
    digits: str, exponent: str | None, numerator: str | None, denominator: str | None
) -> Fraction | None:
    """Return the number that the parts make, or None if it is out of range."""
    plain = re.sub(rf"[, {_THIN_SPACES}'’_]", "", digits)
    parts = [plain, numerator or "", denominator or ""]
    if max(map(len, parts)) > MAX_DIGITS:
        return None
    value = Fraction(plain if not plain.startswith(".") else "0" + plain)
    if exponent is not None:
        if len(exponent) > 6 or abs(int(exponent)) > MAX_EXPONENT:
            return None
        return value * Fraction(10) ** int(exponent)
    if denominator is not None:
        if int(denominator) == 0:
            return None
        if numerator is not None:
            return value + Fraction(int(numerator), int(denominator))
        return value / int(denominator)
    return value


def _sign(text: str, start: int) -> tuple[int, bool]:
    """Return where the number begins with its sign and currency, and whether it is negative.

    A dash behind a number or a closing bracket subtracts or spans a range; it is no sign.
    """
    while start and text[start - 1] in _CURRENCY:
        start -= 1
    before = start
    if start and text[start - 1] == "-":
        before = start - 1
        while before and text[before - 1] in _CURRENCY:
            before -= 1
    elif text[max(0, start - 2) : start] == "- " and text[max(0, start - 4) : start].endswith(
        ("= - ", "=- ")
    ):
        before = start - 2
    else:
        word = _SIGN_WORD.search(text, max(0, start - 10), start)
        if word is None:
            return start, False
        before = word.start()
    previous = text[max(0, before - 2) : before].rstrip()[-1:]
    if previous and (previous.isalnum() or previous in ")]}%-"):
        # "answer -5" has a letter, a space and then the dash: that one is a sign.
        spaced = before > 0 and text[before - 1].isspace()
        if not (spaced and previous.isalpha()):
            return start, False
    return before, True


def _likely(text: str, start: int, end: int) -> bool:
    """Return whether a number can be an answer: no ordinal, no index, no time span or the like."""
    if _ORDINAL.match(text, end):
        return False
    before = text[max(0, start - 30) : start]
    if _INDEX_BEFORE.search(before):
        return False
    return not (_WITH_UNIT.match(text, end) and _QUALIFIER.search(before))


def _in_brackets(text: str) -> bytearray:
    """Return for each character of the text whether it stands in round brackets that close."""
    inside = bytearray(len(text) + 1)
    depth, start = 0, 0
    for position, character in enumerate(text):
        if character == "(":
            start = position if depth == 0 else start
            depth += 1
        elif character == ")" and depth:
            depth -= 1
            if depth == 0:
                inside[start:position] = b"\x01" * (position - start)
    return inside


def _joined(text: str, left: _Found, right: _Found) -> bool:
    between = text[left.end : right.start].strip()
    return 0 < len(between) <= 3 and not between.strip("+-*/=×÷x%() " + _CURRENCY)


def _canonical(value: Fraction) -> str:
    """Return a whole number or a finite decimal as such, any other number as a fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, places = value.denominator, 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest //= prime
            power += 1
        places = max(places, power)
    if rest != 1:
        return str(value)
    digits = str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
