"""Quantities that are written with more than one number, such as 2^4, 2 hours 30 minutes, a date.

None of the numbers alone is the quantity. A power has its computed value. An amount in two units of
one kind is measured in the first unit: "2 hours 30 minutes" is 2.5. A date, a clock time with
minutes and the exponent of a unit have no value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

# Larger exponents are not evaluated.
_MAX_EXPONENT = 133
_MAX_DIGITS = 40
_LIMIT = 10**_MAX_DIGITS


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity in a text.

    Attributes:
        value: its value, None if it has none.
        start: its start in the text.
        end: its end in the text.
        likely: whether it can be an answer.
    """

    value: Fraction | None
    start: int
    end: int
    likely: bool


_NUMERAL = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+"
_BASE = rf"(?<![A-Za-z\d.,^_])(?P<base>(?:{_NUMERAL})(?:\.\d+)?)"
_POWER = re.compile(
    rf"{_BASE}\s?\^\s?(?P<bracket>\()?(?P<exponent>[+-]?\d+)(?(bracket)\))(?P<more>\s?\^\s?[+-]?\d+|[.,]\d+)?"
    rf"|{_BASE.replace('base', 'worded')}\s(?:(?P<named>squared|cubed)\b"
    r"(?!\s(?:units?|met(?:er|re)s?|feet|foot|inch(?:es)?|miles?|yards?|[kcm]?m)\b)"
    r"|(?:raised\s)?to\sthe\s(?:power\s(?:of\s)?(?P<nth>\d{1,6})|(?P<ordinal>\d{1,6})(?:st|nd|rd|th)"
    r"\spower)\b)"
)
_SCIENTIFIC = re.compile(r"\d\s?[x×*·]\s?$")
_EXPONENT = re.compile(r"(?P<of>[^\s\d]?)(?<!\d)\s?\^\s?\(?[+-]?\d{1,9}(?:\.\d{1,9})?\)?")
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:1[5-9]|20)\d\d"
_DATE = re.compile(
    rf"(?<![\d/.-])(?:{_YEAR}-(?:0\d|1[0-2])-{_DAY}|{_DAY}([/.]){_DAY}\1{_YEAR})(?![\d/-])"
    rf"|\b{_MONTH}\s{_DAY}(?:st|nd|rd|th)?,?\s{_YEAR}\b"
    rf"|(?<![\d.,]){_DAY}(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH},?\s{_YEAR}\b"
    r"|(?<![\d:.])\d{1,2}:[0-5]\d:[0-5]\d(?![\d:])",
    re.IGNORECASE,
)
_FULL_HOUR = re.compile(r"(?<![\d:.,])(\d{1,2}):00(?![\d:])")
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_SCALED = re.compile(
    rf"(?<![\d.,])(\d{{1,3}})\s({'|'.join(_SCALES)})(?:,?\sand|,)?\s(\d{{1,3}})(?![\d.,:/]\d|\d)"
    rf"(?:\s({'|'.join(_SCALES)})\b)?",
    re.IGNORECASE,
)
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10}
_AND_A_PART = re.compile(
    rf"(?<![\d.,/])(\d{{1,6}})\sand\s(?:an?|one)[\s-]({'|'.join(_PARTS)})\b", re.IGNORECASE
)
_OF_A_WHOLE = {"third": 3, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9}
_SHARE = re.compile(rf"(?<![\d.,/])(\d{{1,3}})[\s-]({'|'.join(_OF_A_WHOLE)})s\b", re.IGNORECASE)
_UNITS = {
    "time": {
        r"weeks?|wks?": 604_800,
        r"days?": 86_400,
        r"hours?|hrs?|h": 3_600,
        r"minutes?|mins?|m": 60,
        r"seconds?|secs?|s": 1,
    },
    "calendar": {r"years?|yrs?": 12, r"months?": 1},
    "length": {
        r"yards?|yds?": 36,
        r"feet|foot|ft": 12,
        r"inch(?:es)?|in(?!\s(?:total|all|each|the|an?|his|her|their|one)\b)": 1,
    },
    "weight": {r"pounds?|lbs?": 16, r"ounces?|oz": 1},
    "volume": {r"gallons?|gal": 16, r"quarts?|qts?": 4, r"pints?|pts?": 2, r"cups?": 1},
    "metric length": {
        r"kilomet(?:er|re)s?|km": 1_000_000,
        r"met(?:er|re)s?|m": 1_000,
        r"centimet(?:er|re)s?|cm": 10,
        r"millimet(?:er|re)s?|mm": 1,
    },
    "metric weight": {r"kilograms?|kilos?|kg": 1_000, r"grams?|g": 1},
    "metric volume": {r"lit(?:er|re)s?|l": 1_000, r"millilit(?:er|re)s?|ml": 1},
    "money": {r"dollars?|euros?|bucks": 100, r"cents?|¢": 1},
    "sterling": {r"pounds?|quid": 100, r"pence|p": 1},
}
"""Size of each unit in the smallest unit, by kind of unit."""
_SIZES = {
    (kind, size): re.compile(rf"\s{{0,3}}(?:{names})(?!\w)", re.IGNORECASE)
    for kind, units in _UNITS.items()
    for names, size in units.items()
}
_ANY_UNIT = re.compile(
    rf"\s?(?:{'|'.join(names for units in _UNITS.values() for names in units)})(?!\w)",
    re.IGNORECASE,
)
_AND = re.compile(r"(?:,?\s{1,3}(?:and\s{1,3})?|,)?")
_EACH = re.compile(r"\s(?:each|per|every|daily|apiece|an?)\b", re.IGNORECASE)
_PLAIN = re.compile(rf"(?<![A-Za-z\d.,:/^])(?:{_NUMERAL})(?:\.\d+)?(?![\d:/^]|[.,]\d)")
_SYMBOL_AND_CENTS = re.compile(
    r"(?P<sign>[$€£])(?P<whole>\d{1,9})\s(?:and\s)?(?P<cents>\d{1,2})\s?(?:cents?|pence|¢|p)(?!\w)"
)
_AND_CENTS = re.compile(
    r"(?<![\d.,])(?P<whole>\d{1,9})\s(?:dollars|euros|pounds)\s(?:and\s)?(?P<cents>\d\d)(?=[.!]?\s*$)",
    re.IGNORECASE | re.MULTILINE,
)


def joined_units(text: str) -> str:
    """Return a text in which the numbers of 2h30, 5'6" etc. are separated from their units."""
    text = re.sub(r"(?<![\w.])(\d{1,3})h(?=\d{1,2}(?:m(?:ins?)?)?\b)", r"\1 h ", text)
    text = re.sub(r"(?<=\d h )(\d{1,2})(?!\d|\s?[a-z])", r"\1 min", text)
    text = re.sub(r"(?<=\d)(\s?(?:ft|lbs?|hrs?|mins?|yds?))\.(?=\s\d)", r"\1", text)
    return re.sub(
        r"(?<![\w.])(\d{1,2})['’′]\s?(\d{1,2})(?:\"|”|″|''|′′)", r"\1 feet \2 inches", text
    )


def quantities(text: str) -> list[Quantity]:
    """Return the quantities in a normalised text that have more than one number, in order."""
    found: list[Quantity] = []
    taken = bytearray(len(text) + 1)
    if "^" in text or "power" in text or "squared" in text or "cubed" in text:
        _add(found, taken, _powers(text))
        _add(found, taken, _exponents(text))
    if re.search(r"\d[-/.:]\d", text) or re.search(_YEAR, text):
        _add(found, taken, (Quantity(None, *m.span(), False) for m in _DATE.finditer(text)))
        hours = (Quantity(Fraction(m[1]), *m.span(), True) for m in _FULL_HOUR.finditer(text))
        _add(found, taken, hours)
    _add(found, taken, _scaled(text))
    _add(found, taken, _in_two_units(text))
    return sorted(found, key=lambda quantity: quantity.start)


def _add(found: list[Quantity], taken: bytearray, more: Iterator[Quantity]) -> None:
    """Add the quantities that do not overlap those already found."""
    for quantity in more:
        if not any(taken[quantity.start : quantity.end]):
            taken[quantity.start : quantity.end] = b"\x01" * (quantity.end - quantity.start)
            found.append(quantity)


def _powers(text: str) -> Iterator[Quantity]:
    for match in _POWER.finditer(text):
        before = text[max(0, match.start() - 6) : match.start()]
        if match["base"] == "10" and _SCIENTIFIC.search(before):
            # 5 x 10^3 is one number.
            continue
        named = {"squared": "2", "cubed": "3"}.get(match["named"] or "")
        exponent = match["exponent"] or named or match["nth"] or match["ordinal"]
        digits = (match["base"] or match["worded"]).replace(",", "")
        base = Fraction(digits) if len(digits) <= _MAX_DIGITS else Fraction(_LIMIT)
        plain = not match["more"] and not before.rstrip().endswith(("/", "√"))
        value = _power(base, exponent) if plain else None
        yield Quantity(value, match.start(), match.end(), True)


def _power(base: Fraction, exponent: str) -> Fraction | None:
    """Return a power, None if it is out of range."""
    if len(exponent) > 4 or abs(int(exponent)) > _MAX_EXPONENT or base >= _LIMIT:
        return None
    if not base and int(exponent) < 0:
        return None
    value = base ** int(exponent)
    return value if max(value.numerator, value.denominator) < _LIMIT else None


def _exponents(text: str) -> Iterator[Quantity]:
    """Yield the powers of units, variables and sums in brackets, which have no value."""
    for match in _EXPONENT.finditer(text):
        opening = text.rfind("(", 0, match.start()) if match["of"] == ")" else -1
        sums = opening >= 0 and any(map(str.isdigit, text[opening : match.start()]))
        yield Quantity(None, opening if sums else match.start(), match.end(), sums)


def _scaled(text: str) -> Iterator[Quantity]:
    """Yield numbers such as "2 million 300 thousand", "5 and a half", "2 thirds"."""
    for match in _SCALED.finditer(text):
        scale = _SCALES[match[2].lower()]
        rest = int(match[3]) * (_SCALES[match[4].lower()] if match[4] else 1)
        if rest < scale:
            yield Quantity(Fraction(int(match[1]) * scale + rest), *match.span(), True)
    for match in _AND_A_PART.finditer(text):
        value = int(match[1]) + Fraction(1, _PARTS[match[2].lower()])
        yield Quantity(value, *match.span(), True)
    for match in _SHARE.finditer(text):
        value = Fraction(int(match[1]), _OF_A_WHOLE[match[2].lower()])
        yield Quantity(value, *match.span(), True)


def _in_two_units(text: str) -> Iterator[Quantity]:
    """Yield amounts in several units of one kind, the larger first, measured in the first unit."""
    for pattern in (_SYMBOL_AND_CENTS, _AND_CENTS):
        for match in pattern.finditer(text):
            value = int(match["whole"]) + Fraction(int(match["cents"]), 100)
            yield Quantity(value, *match.span("whole")[:1], match.end(), True)
    if _ANY_UNIT.search(text) is None:
        return
    numbers = list(_PLAIN.finditer(text))
    place = 0
    while place < len(numbers):
        length, quantity = _amount(text, numbers[place : place + 5])
        if quantity is not None:
            restated = any(
                _worth(text, number, quantity[0]) == quantity[1]
                for number in numbers[max(0, place - 5) : place] + numbers[place + length :][:5]
            )
            value = quantity[1] / quantity[2]
            start, end = numbers[place].start(), quantity[3]
            yield Quantity(value, start, end, not restated)
        place += length


def _amount(
    text: str, numbers: Sequence[re.Match[str]]
) -> tuple[int, tuple[str, Fraction, int, int] | None]:
    """Return how many of the numbers form one amount, and its kind, worth, first unit and end."""
    best: tuple[int, tuple[str, Fraction, int, int] | None] = (1, None)
    for kind in _UNITS:
        first = _unit(text, numbers[0].end(), kind)
        if first is None:
            continue
        size, end = first
        total = _plain(numbers[0]) * size
        smallest = size
        for count, number in enumerate(numbers[1:], start=2):
            unit = _unit(text, number.end(), kind)
            apart = _AND.fullmatch(text, end, number.start())
            if unit is None or apart is None or unit[0] >= smallest:
                break
            if "," in apart[0] and "and" not in apart[0] and _EACH.match(text, unit[1]):
                # "5 days, 8 hours each"
                break
            if _plain(number) * unit[0] >= smallest:
                break
            smallest, end = unit
            total += _plain(number) * smallest
            if count > best[0]:
                best = (count, (kind, total, size, end))
    return best


def _unit(text: str, end: int, kind: str) -> tuple[int, int] | None:
    """Return the size of the unit of this kind at a position, and its end."""
    for (named, size), pattern in _SIZES.items():
        if named == kind and (match := pattern.match(text, end)) is not None:
            return size, match.end()
    return None


def _worth(text: str, number: re.Match[str], kind: str) -> Fraction | None:
    """Return the value of a number with its unit, in the smallest unit of this kind."""
    unit = _unit(text, number.end(), kind)
    return None if unit is None else _plain(number) * unit[0]


def _plain(number: re.Match[str]) -> Fraction:
    digits = number[0].replace(",", "")
    return Fraction(digits) if len(digits) <= _MAX_DIGITS else Fraction(_LIMIT)
