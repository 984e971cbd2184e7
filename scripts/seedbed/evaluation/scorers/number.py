"""Scorer for answers that are one number, such as those of GSM8K.

Numbers are compared exactly, as fractions. The strict rule requires the output to end in `#### 12`.
The flexible rule takes the last number that is stated as the answer: after `####`, in `\\boxed{}`
or `<answer>`, or directly after "answer is" or "answer:". If there is none, it takes an answer at
the beginning, followed by an explanation; otherwise a number in the last sentence that contains
one: the number after the last "=", the one in bold, or the last one. A quantity written with
several numbers counts as one number or none (see `seedbed.evaluation.scorers.quantities`). Neither
rule reads the parts that `seedbed.evaluation.scorers.outputs` removes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from seedbed.evaluation.scorers import PlainScorer, Reading, Score, any_gold
from seedbed.evaluation.scorers.latex import BOX_END, BOX_START, plain_latex
from seedbed.evaluation.scorers.number_words import WordNumber, word_numbers
from seedbed.evaluation.scorers.outputs import begins_with_turn, final_part
from seedbed.evaluation.scorers.quantities import joined_units, quantities
from seedbed.tasks.items import TaskItem

# Longer numbers are not read: exact arithmetic on, for example, 1e999999 would take too long.
MAX_DIGITS = 40
MAX_EXPONENT = 40
# Only the end of a longer text is read: the final answer is at the end.
MAX_CHARACTERS = 10_000

_THIN_SPACES = "\u00a0\u2007\u2009\u200a\u202f"
_MINUS_SIGNS = "\u2010\u2011\u2012\u2013\u2212\u2796\u02d7\ufe63\uff0d"
_FRACTION_SLASH = "\u2044"
_SEPARATORS = {
    "\uff0e": ".",
    "\uff0c": ",",
    "\u066b": ".",
    "\u066c": ",",
    "\u02bc": "'",
    "\u2018": "'",
}
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_CURRENCY = "$€£¥₹₩₽₱₺₫₦₴₪฿¢₵₡"
_BOLD_START, _BOLD_END = "\ue002", "\ue003"
_FORMULA = re.compile(r"[$=\\×*+]|[\ue000\ue001]")
_PYTHON_POWER = re.compile(
    r"(?<![\d.])(?<!\*\*)(\d{1,40}(?:\.\d{1,9})?)\s?\*\*\s?(-?\d{1,6})(?![\d*]|\.\d)"
)
_SUPERSCRIPTS = re.compile("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,6}")
_PLAIN_SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_PRIVATE = re.compile("[\ue000-\uf8ff]")

# Every repetition is possessive (++), atomic or bounded, so that matching takes linear time. Groups
# are atomic, because possessive groups match too much before Python 3.11.5 (CPython's gh-106052).
_DIGITS = (
    r"(?:\d{1,3}(?>(?:,\d{3})+)(?!\d)"  # 1,234,567
    r"|\d{1,2}(?>(?:,\d{2}(?!\d))+),\d{3}(?!\d)"  # 12,34,567
    rf"|\d{{1,3}}(?>(?:[ {_THIN_SPACES}'’_]\d{{3}})+)(?!\d)"  # 1 234 567
    r"|\d{1,3}(?>(?:\.\d{3}){2,})(?![\d.])"  # 1.234.567
    r"|\d++)"
)
_NUMBER = re.compile(
    rf"(?<![A-Za-z\d])(?P<digits>{_DIGITS}(?:\.\d++)?|(?<!\.)\.\d++)"
    r"(?:[eE](?P<exponent>[+-]?\d++)"
    r"|\s?(?:[x×*·]|\\times|\\cdot)\s?10\s?\^\s?\{?(?P<power>[+-]?\d++)\}?"
    r"|(?:\s{1,2}(?P<numerator>\d{1,6}))?\s?/\s?(?P<denominator>\d++)(?![.,]?\d))?"
)
# "18,5" with a decimal comma; not the pair (3,4) or the list 1,2,3.
_DECIMAL_COMMA = re.compile(r"(?<![\d.,(\[{])(\d{1,4}),(\d{1,2})(?![\d,)\]}]|\.\d)")
_PAIR = re.compile(r"(?<![\d:.,])\d{1,2}:(?:[0-5][1-9]|[1-5]0|\d)(?![\d:])")
_LABELLED = re.compile(r"\b[A-Z][a-z]+\s$")
_SCALE_WORD = re.compile(r"\s?(hundred|thousand|million|billion|trillion)s?\b", re.IGNORECASE)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_THOUSANDS = re.compile(r"[kK](?!\w)")
_MILLIONS = re.compile(r"[mM](?!\w)")
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
_CITATION = re.compile(r"\[\d{1,3}(?:\s?[,;-]\s?\d{1,3}){0,9}\]")
_CALCULATION = re.compile(r"<<[^<>]*+>>")
_MARKER = re.compile(r"(?<!#)####(?!#)[ \t]*+(?P<line>[^\n]*)")
_HEADING_NUMBER = re.compile(r"\d{1,2}[.):][ \t]+[A-Za-z]")
_CUE = re.compile(
    r"\banswer\b(?P<between>[^\d\n.:=]{0,40}?)(?:(?P<verb>\bis\b|\bequals\b|\bbe\b)|[:=])"
    r"|^[ \t#>]{0,8}(?:(?:the|my)[ \t])?(?:final[ \t])?answer[ \t]{0,8}$",
    re.IGNORECASE | re.MULTILINE,
)
# "Result: 18", perhaps followed by notes such as "time: 3 s"
_RESULT = re.compile(
    r"(?:^|(?<=[{,;|]))[ \t#>|*_\-\"']{0,8}(?:final |overall |end )?"
    r"(?:result|output|solution|conclusion|value|total|sum)[*_\"' \t]{0,4}[:=|][*_\"' \t|]{0,4}",
    re.IGNORECASE | re.MULTILINE,
)
_NOTE_LABEL = (
    r"(?:time|duration|elapsed|run ?time|latency|steps?|units?|method|date|time ?stamp|confidence"
    r"|certainty|difficulty|level|tokens?|word count|model|source|page)"
)
_BESIDE = r"""[.,;|(){}\[\]\s*_"'-]*+"""
_NOTES = re.compile(
    rf"{_BESIDE}(?:{_NOTE_LABEL}(?:[ \t][a-z]{{1,10}})?[*_\"' \t]{{0,4}}[:=|]"
    rf"[^\n,;|]{{0,60}}+(?:[\n,;|]|\Z){_BESIDE}){{1,8}}\Z",
    re.IGNORECASE,
)
# At the end of a text, after anything.
_CLOSING_NOTE = re.compile(
    r"[\s(\[*_|\-]*"
    r"(?:confidence(?: level| score)?|certainty|difficulty|tokens?(?: used)?|word count)"
    r"[*_ \t]{0,4}[:=][^\n]{0,60}\Z|[\s(\[*_|\-]*(?:page \d{1,4} of \d{1,4}"
    r"|generated in [\d.]{1,9} ?(?:s|ms|sec|seconds))[.)\]*_\s]*\Z",
    re.IGNORECASE,
)
# "... confirming that 80 is the answer"
_IS_ANSWER = re.compile(r"\bis (?:the|our|my)(?: \w{1,10})? answer\b", re.IGNORECASE)
_NEGATED = re.compile(r"\s*(?:\w+ly\s)?not\b", re.IGNORECASE)
_NOT = re.compile(r"\b(?:not|cannot|never)\b|n't\b", re.IGNORECASE)
# "Let me check the answer:" does not announce an answer.
_SEEKING = re.compile(
    r"\b(?:check|verify|confirm|find|get|calculate|compute|reach|know)(?:ing)?\s"
    r"(?:(?:my|the|our|this|your)\s)?(?:final\s)?$",
    re.IGNORECASE,
)
_DIRECT = re.compile(
    rf"[\s\"'“‘*_~(\[:=≈{BOX_START}]*+"
    r"(?>(?:(?:about|approximately|around|exactly|just|only|simply|therefore|thus|then|now)\s++)*)"
    rf"[\s{_CURRENCY}]*+(?:[+-]|minus\s|negative\s)?[\s{_CURRENCY}]*+(?=\.?\d)",
    re.IGNORECASE,
)
_LEADING = re.compile(rf"[\s\"'“‘*_~(\[:=≈{BOX_START}]*+")
# After an answer: the rest explains it.
_EXPLAINS = re.compile(
    r"[\s\W]{0,20}(?:because|since|as|explanation|reason(?:ing)?|rationale|justification|here'?s"
    r"|here is|this is|let me|let's|steps?|step-by-step|solution|to (?:find|get|solve|calculate)"
    r"|check(?:ing)?|verif\w{1,8}|note|why)\b",
    re.IGNORECASE,
)
# After a sum: the rest is not a further step to the answer.
_ASIDE = re.compile(
    r"[\s\W]{0,20}(?:because|explanation|rationale|justification|here'?s why|this is because"
    r"|let me explain|check(?:ing)?|verif\w{1,8}|note)\b",
    re.IGNORECASE,
)
_REASON = re.compile(r"\b(?:because|since|as)\b", re.IGNORECASE)
# "= 15.36, which rounds down to 15": the restatement is the answer.
_IN_OTHER_WORDS = re.compile(
    rf"[^=]{{0,80}}?\b(?:round(?:s|ed|ing)?(?: up| down| off| it)*(?: up| down| off)? to(?: about)?"
    rf"|which (?:is|means|equals)|or|meaning [^=\d]{{1,60}})\s[{_CURRENCY}]*",
    re.IGNORECASE,
)
# "13^2 = 169, so 13"
_SO = re.compile(rf",[ \t](?:so|thus|hence|therefore),?[ \t][{_CURRENCY}]*", re.IGNORECASE)
_EXPLANATION = re.compile(
    r"^[ \t#*_>]{0,8}(?:explanation|reasoning|rationale|justification|here'?s why|here is why|why)"
    r"\b[^\n]{0,40}?[:?]|^[ \t#]{0,8}(?:explanation|reasoning|rationale|justification)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_UNIT_WORDS = (
    r"(?:[ \t-]?[A-Za-z]{1,15}(?:/[A-Za-z]{1,15})?){0,2}"
    r"(?:[ \t](?:per|an?|each|every)[ \t][A-Za-z]{1,15})?"
)
_BARE = re.compile(
    rf"[\s\"'“*_~(\[]*+[+-]?[{_CURRENCY} ]*+[+-]?(?:{_DIGITS}(?:\.\d++)?|\.\d++)"
    rf"[ \t]?[%{_CURRENCY}]?{_UNIT_WORDS}"
)
_BARE_LINE = re.compile(_BARE.pattern + r"[.!\s\"'”*_~)\]]*\Z")
_SENTENCE_END = re.compile(r"(?<!\bi\.e)(?<!\be\.g)(?<!\bvs)[.!?]+(?:\s|$)|\n")
_EQUALS = re.compile(r"(?<![<>!=:≤≥])[=≈](?![=>])")
_CONCLUDES = re.compile(
    r"\s*(?:so|thus|therefore|hence|in total|altogether|in all|finally|in the end)\b", re.IGNORECASE
)
# "18 more than 54", "5 more to have 20": the number after these words is not the result.
_REFERENCE = re.compile(
    r"\b(?:than|out of(?: the| those| these)?|instead of|(?:goal|target|limit) of|"
    r"(?:more|another|additional)\b[^.\d]{0,40}\bto (?:have|reach|make|get|buy|afford)"
    rf"(?: a| the)?)\s[{_CURRENCY}]*$",
    re.IGNORECASE,
)
# Between a result and a number that only qualifies it: "18 ± 2", "18 of the 20", "18, not 20",
# "18 eggs from 3 hens", "18 left after selling 2".
_SAYS_MORE = re.compile(
    rf"[ \t]{{0,3}}(?:±|\+/-|\+-)[ \t{_CURRENCY}]*"
    r"|[ \t](?:[a-z]{1,15}[ \t]){0,2}of(?:[ \t](?:the|those|these|all|his|her|their|its))[ \t]"
    r"|[ \t](?:(?:remain|remaining|left)[ \t])?(?:out[ \t])?of[ \t]"
    r"|[ \t][a-z]{1,15}[ \t]from[ \t](?:(?:the|those|these|all|his|her|their|its)[ \t])?"
    r"|[ \t](?:[a-z]{1,15}[ \t])?for[ \t](?:all|the|those|these|each of the|every one of the)[ \t]"
    rf"|,?[ \t]\(?(?:and|but)?[ \t]?not[ \t][{_CURRENCY}]*"
    r"|,?[ \t]\(?(?:including|excluding|counting|not counting|if you count|except(?: for)?)[ \t]"
    r"(?:the[ \t])?"
    r"|[^,.;:=\n]{0,60}[ \t]after[ \t](?:[a-z]{1,15}ing[ \t](?:[a-z]{1,15}[ \t]){0,2})"
    r"|[^,.;:=\n]{0,80}[ \t](?:by[ \t])?(?:selling|buying|using|working)[ \t]"
    r"(?:[a-z]{1,15}[ \t]){0,2}"
    r"|,[^,;:=\n\d]{0,40}\b(?:twice|double|triple|half(?: of)?)[ \t]"
    r"|,?[ \t]\(?(?:up|down|rounded(?: up| down| off)?)[ \t]from[ \t]"
    r"|,?[ \t]\(?(?:versus|vs\.?|compared (?:to|with)|as opposed to|rather than)[ \t]",
    re.IGNORECASE,
)
_DIGITS_KEPT = re.compile(
    r"\bto\s\d{1,2}\s(?:decimals?|significant|d\.?p|s\.?f|digits?|places?)\b", re.IGNORECASE
)
# "18, which is 2 less than 20"
_ASIDE_BEFORE = re.compile(r",[ \t](?:which[ \t]is[ \t]|or[ \t])?", re.IGNORECASE)
_LESS_THAN = re.compile(r"[ \t](?:[a-z]{1,15}[ \t])?(?:less|more|fewer)[ \t]than\b", re.IGNORECASE)
# "9 eggs for 2 dollars each"
_PRICED = re.compile(rf"[ \t][a-z]{{1,15}}[ \t](?:for|at)[ \t][{_CURRENCY}]?", re.IGNORECASE)
# "18: 9 eggs at 2 dollars each", "18, the product of 9 and 2", "18 is 20% of 90"
_SUM_BEHIND = re.compile(
    r"(?:[ \t][a-z]{1,15}){0,2}(?:"
    r"(?P<sure>:[ \t]|[ \t](?:-{2}|=>|->|<-|←|→|—)[ \t]|[ \t]\[|[.!][ \t])"
    r"|(?P<unsure>,[ \t]|[ \t](?:-|=)[ \t]|[ \t](?=from\b|using\b|with\b|by\b|as\b|is\b|being\b)))"
    r"(?:(?:that is|that's|i\.e\.,?|which is|is|or|being|namely|as|it is|it's)[ \t])?"
    r"(?P<source>(?:found |obtained |computed |made )?(?:by|from|using|with|as)[ \t])?"
    r"(?P<named>(?:the )?(?:product|sum|difference|total) of[ \t])?"
    rf"[{_CURRENCY}]?(?P<left>\d[\d,]{{0,12}}(?:\.\d{{1,9}})?)"
    r"(?:(?P<percent>[ \t]?%[ \t]of[ \t]|[ \t]percent of[ \t])"
    r"|(?:[ \t-][a-z]{1,15}){0,2}?[ \t](?P<word>times|at|for|x|by|of|multiplied by|plus"
    r"|added to|and|minus)[ \t]|[ \t]?(?P<sign>[×*+])[ \t]?)"
    rf"[{_CURRENCY}]?(?P<right>\d[\d,]{{0,12}}(?:\.\d{{1,9}})?)"
    r"(?:[ \t]?%|(?:[ \t][a-z]{1,15}){0,3})[.!)\]*_\s]*\Z",
    re.IGNORECASE,
)
_LABELS_NUMBER = re.compile(
    r"(?:\b[A-Z][a-z]+|\b(?:for|in|on|of|after|day|week|month|year|step))\s$"
)
# "18 is between 17 and 19", "18, in the range 17 to 19"
_IN_A_RANGE = re.compile(
    r"(?:[ \t][a-z]{1,15}){0,2}?,?[ \t][(\[]?(?:which[ \t])?(?:(?:is|are|lies|falls)[ \t])?"
    r"(?:(?:the|a)[ \t][a-z]{1,15}[ \t])?(?:between|(?:(?:with)?in[ \t])?(?:the[ \t]|a[ \t])?"
    rf"range(?:[ \t](?:of|from|is)|:)?)[ \t][{_CURRENCY}]*",
    re.IGNORECASE,
)
_TO = re.compile(rf"[ \t]?(?:and|to|-|\.\.)[ \t]?[{_CURRENCY}]*", re.IGNORECASE)
_LESS = re.compile(rf"[ \t]?[<≤]=?[ \t]?[{_CURRENCY}]*")
_MORE = re.compile(rf"[ \t]?[>≥]=?[ \t]?[{_CURRENCY}]*")
# "The answer is between 17 and 19, so 18": the first words do not state a number.
_BOUNDED = re.compile(
    r"[\s*_]*(?:somewhere |anywhere |a number )?(?:between|from|more than|less than|fewer than|over"
    r"|under|above|below|at least|at most)\b",
    re.IGNORECASE,
)
_EACH = re.compile(r"(?:[ \t][a-z]{1,15})?[ \t](?:each|apiece)\b", re.IGNORECASE)
_BECAUSE = re.compile(
    r"[ \t](?:because|since)\b|,[ \t]as[ \t](?:she|he|they|it|there|we|each|every|one)\b",
    re.IGNORECASE,
)
_RESULT_BEHIND = re.compile(
    r"[=≈]|\b(?:so|thus|therefore|then|hence|leaving|makes?)\b", re.IGNORECASE
)
_THAT_IS = re.compile(r",?[ \t]\(?(?:that is|that's|i\.e\.,?|which is|namely)[ \t]", re.IGNORECASE)
_ADDS = re.compile(
    rf"(?:[ \t]{{0,3}}[+*×·][ \t]{{0,3}}|[ \t](?:times|plus|multiplied by)[ \t])[{_CURRENCY}]?"
)
_UNITS_AND_OPERATOR = re.compile(
    r"[ \t%)]{0,3}(?:[A-Za-z]{1,15}[.,]?[ \t)]{1,3}){0,3}"
    rf"[+*/=≈×÷x-][ \t({_CURRENCY}]{{0,4}}"
)
_WORD = re.compile(r"[A-Za-z]{3}")
_DIGIT = re.compile(r"\d")
# After a number in words: the end of its statement, perhaps after a unit.
_WORDS_END = re.compile(
    r"(?:\s(?!times|more|less|fewer|plus|minus|of|by|and|multiplied|divided)[a-z]{1,15}){0,3}\s?(?:[,.;]|$)"
)
_STATES = re.compile(rf"(?<!#)####[ \t]*[-{_CURRENCY}\d]|boxed\s?\{{|</answer>", re.IGNORECASE)
_STRICT = re.compile(r"####[ \t]?([+-]?(?:\d{1,3}(?>(?:,\d{3})+)|\d++)(?:\.\d++)?)\Z")


@dataclass(frozen=True, slots=True)
class _Found:
    """A number in a text, with its position, and whether it can be the answer itself."""

    value: Fraction | None
    start: int
    end: int
    likely: bool


_RANGE = r"\s?(?:to|or|and/or|-|–)\s?"
# "3 to 5", "17 or 19", "between 17 and 19"; but "from 12 to 18" states an end value.
_RANGE_BEFORE = re.compile(
    rf"(?:(?<!from )(?<![\d.,$^/*+=-])(?<![*+/=-] )\$?(?P<low>\d[\d,.]*)%?{_RANGE}"
    r"|between \$?(?P<from>\d[\d,.]*) and )\$?\Z",
    re.IGNORECASE,
)
_RANGE_BEHIND = re.compile(rf"{_RANGE}\$?(?P<high>\d[\d,.]*)(?!\d|\s?[%=*/+-])", re.IGNORECASE)
_NOT_IT = re.compile(
    r"(?:\b(?:is|are|was|be)\s(?:definitely\s|clearly\s)?not|n['’]t(?:\sbe)?|\d\s(?:r|rem|remainder))\s?\$?\Z",
    re.IGNORECASE,
)
# "Wait, no. It's 18." at the end.
_REVISED_END = re.compile(
    r"\b(?:wait|actually|sorry|oops|correction|no)\b[,.:!—-]?"
    r"(?:[\s,.:!—-]|\b(?:it|is|it['’]s|its|that|that['’]s|this|should|must|be|make|the|correct|right|answer|to"
    r"|no|wait|sorry|actually)\b){0,12}(?<!\d)(?P<number>[-$]{0,2}\d[\d,.]*\d|[-$]{0,2}\d)"
    r"[%]?(?:\s[a-z]{1,15})?[.!]?\s*\Z",
    re.IGNORECASE,
)


class NumberScorer(PlainScorer):
    """Scores outputs whose final answer is a number."""

    @any_gold
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


from_options = NumberScorer.from_options


def read_content(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read the content of an answer: its number."""
    return read_number(answer)


def read_answer(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's final answer: its number."""
    return read_number(answer)


def parse_number(text: str) -> Fraction:
    """Return the value of a text that is one number and nothing else.

    Raises:
        ValueError: if the text is anything else.
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
    text = _final_part(output)[-MAX_CHARACTERS:].rstrip()
    match = _STRICT.search(text)
    if match is None:
        return Reading(None, "does not end in '#### number'")
    value = _value(match[1].lstrip("+-"), None, None, None)
    if value is None:
        return Reading(None, "number out of range")
    return Reading(_canonical(-value if match[1].startswith("-") else value))


def read_number(output: str) -> Reading:
    """Read the final number of a free text, the value as a plain decimal or a fraction."""
    strict = read_strict(output)
    if strict.value is not None:
        return strict
    text = _without_notes(_normalised(_final_part(output)[-MAX_CHARACTERS:]))
    revised = _REVISED_END.search(_unmarked(text)[-300:])
    if revised is not None:
        number = _Place(revised["number"]).choose()
        if number is not None and number.value is not None:
            return Reading(_canonical(number.value))
    for place in _places(text):
        chosen = place.choose()
        if chosen is not None:
            if chosen.value is None:
                return Reading(None, "number out of range")
            if isinstance(place, _Place) and place.leaves_open(chosen):
                return Reading(None, "no single number")
            return Reading(_canonical(chosen.value))
    return Reading(None, "no number" if _unmarked(text).strip() else "empty")


def _final_part(output: str) -> str:
    return final_part(output, _answered)


def _without_notes(text: str) -> str:
    """Return a text without closing notes that are not part of the answer."""
    for _ in range(3):
        tail = text[-200:].rstrip()
        note = _CLOSING_NOTE.search(tail)
        rest = text[:-200] + tail[: note.start()] if note is not None else ""
        if not any(map(str.isdigit, rest)):
            break
        text = rest
    return text


def _answered(head: str, tail: str) -> bool:
    """Return whether the text before a next question or turn contains the answer."""
    head = head[-MAX_CHARACTERS:]
    if _STATES.search(head):
        return True
    if begins_with_turn(head) and _STATES.search(tail):
        # The model asks itself questions on the way to its answer.
        return False
    if not any(map(str.isdigit, head)):
        return _CUE.search(head) is not None and any(True for _ in word_numbers(head))
    last = head.rstrip().rpartition("\n")[2]
    return bool(
        _CUE.search(head)
        or head.rstrip(" \t").endswith("\n\n")
        or _EQUALS.search(last)
        or _is_bare(last)
    )


def _is_bare(line: str) -> bool:
    """Return whether a line is a number, perhaps with a unit, and nothing else."""
    return _BARE_LINE.match(line) is not None


class _Place:
    """A part of the text in which one of the numbers may be the answer."""

    def __init__(self, text: str, first: bool = False) -> None:
        """Search `text` forward from its first number, or backward from its last."""
        self.text = text
        self._first = first
        self.found = _numbers(text)

    def choose(self) -> _Found | None:
        """Return the number that is the answer, or None if there is none."""
        pool = self.pool()
        if not pool:
            return None
        chosen = self._first_of(pool) if self._first else self._last_of(pool)
        beside = self.text[: chosen.start].rstrip()[-1:] + self.text[chosen.end :].lstrip()[:1]
        # The square root of a number, or a multiple of pi, is another number.
        return _Found(None, chosen.start, chosen.end, True) if "√" in beside else chosen

    def pool(self) -> list[_Found]:
        """Return the candidates: the likely numbers outside brackets, if there are any."""
        aside = _in_brackets(self.text)
        best = [n for n in self.found if n.likely and not aside[n.start]]
        return best or [n for n in self.found if n.likely] or self.found

    def leaves_open(self, chosen: _Found) -> bool:
        """Return whether a number is not the answer or is only an end of a range."""
        before, behind = self.text[: chosen.start][-60:], self.text[chosen.end :][:40]
        if _NOT_IT.search(before):
            return True
        values = {n.start: n.value for n in self.found}
        other = None
        if (low := _RANGE_BEFORE.search(before)) is not None:
            if behind[:1] == "%" and "%" not in low[0] and "or" in low[0].lower():
                # "0.5 or 50%"
                return False
            named = "low" if low["low"] else "from"
            place = chosen.start - len(before) + low.start(named)
            other, bounds = values.get(place), (values.get(place), chosen.value)
        elif (high := _RANGE_BEHIND.match(behind)) is not None:
            other = values.get(chosen.end + high.start("high"))
            bounds = (chosen.value, other)
        if other is None or other == chosen.value:
            return False
        low_value, high_value = bounds
        return low_value is not None and high_value is not None and low_value < high_value

    def sums(self) -> bool:
        """Return whether the first number is part of a sum."""
        return len(self._chain(self.pool())) > 1

    def behind_equals(self, pool: list[_Found]) -> _Found | None:
        """Return the number after the last "=" that is followed by one."""
        aside = _in_brackets(self.text)
        signs = [m.end() for m in _EQUALS.finditer(self.text) if not aside[m.start()]]
        for sign in reversed(signs):
            behind = [n for n in pool if n.start >= sign]
            if not behind:
                # "20 = A" states 20.
                before = [n for n in pool if n.end < sign]
                if before and not self.text[before[-1].end : sign - 1].strip():
                    return before[-1]
                continue
            if len(self._chain(behind)) == 1:
                return self._in_other_words(behind)
            # "18 = 9 * 2" states 18.
            before = [n for n in pool if n.end < sign]
            alone = before and (len(before) == 1 or not _joined(self.text, before[-2], before[-1]))
            return before[-1] if alone else None
        return None

    def _in_other_words(self, behind: list[_Found]) -> _Found:
        """Return the result, or its restatement: rounded, or in another unit."""
        result = behind[0]
        for number in behind[1:]:
            if _IN_OTHER_WORDS.fullmatch(self.text, result.end, number.start) or (
                number is behind[-1]
                and _SO.fullmatch(self.text, result.end, number.start)
                and _BARE_LINE.match(self.text, number.start)
            ):
                result = number
        return result

    def _first_of(self, pool: list[_Found]) -> _Found:
        # "The answer is 3 + 4 = 7" states 7: follow the first number to the end of its sum.
        chain = self._chain(pool)
        direct = _DIRECT.match(self.text)
        if len(chain) == 1 and (direct is None or direct.end() < pool[0].start):
            return self.behind_equals(pool) or pool[0]
        sums = self._unfinished(chain)
        return self._worked_out(sums) if 1 < len(sums) == len(chain) else chain[-1]

    def _chain(self, pool: list[_Found]) -> list[_Found]:
        """Return the first number and the numbers that a sum joins to it, up to its result."""
        length = result = 1
        while length < len(pool):
            left, right = pool[length - 1], pool[length]
            if "=" in self.text[left.end : right.start] and _joined(self.text, left, right, True):
                result = length + 1
            elif _joined(self.text, left, right):
                result = length + 1 if result == length else result
            elif not _joined(self.text, left, right, True):
                break
            length += 1
        return pool[:result]

    def _last_of(self, pool: list[_Found]) -> _Found:
        result = self.behind_equals(pool)
        if result is not None:
            return result
        pool = self._before_reasons(self._before_sum(self._before_bounds(pool)))
        while len(pool) > 1 and self._says_more(pool):
            pool = pool[:-1]
        sums = self._unfinished(pool)
        before = pool[: len(pool) - len(sums)]
        if len(sums) > 1 and before:
            between = self.text[before[-1].end : sums[0].start]
            if _THAT_IS.fullmatch(between):
                return before[-1]
        return self._worked_out(sums) if len(sums) > 1 else pool[-1]

    def _before_sum(self, pool: list[_Found]) -> list[_Found]:
        """Return the numbers before a sum in words that explains the result."""
        for place in range(len(pool) - 1):
            behind = _SUM_BEHIND.match(self.text, pool[place].end)
            if behind is None or _LABELS_NUMBER.search(self.text[: pool[place].start][-20:]):
                continue
            if _explains_number(behind, pool[place].value):
                return pool[: place + 1]
        return pool

    def _before_bounds(self, pool: list[_Found]) -> list[_Found]:
        """Return the numbers without mere bounds of a result, such as 19 in "17 < 18 < 19"."""
        between = [self.text[a.end : b.start] for a, b in pairwise(pool[-3:])]
        if between and _MORE.fullmatch(between[-1]):
            return pool[:-1]
        if len(between) == 2:
            if all(map(_LESS.fullmatch, between)):
                return pool[:-1]
            if _IN_A_RANGE.fullmatch(between[0]) and _TO.fullmatch(between[1]):
                return pool[:-2]
        return pool

    def _before_reasons(self, pool: list[_Found]) -> list[_Found]:
        """Return the numbers before "because", unless a result follows the reasons."""
        for reason in _BECAUSE.finditer(self.text):
            before = [n for n in pool if n.end <= reason.start()]
            if before and not _RESULT_BEHIND.search(self.text, reason.end()):
                return before
        return pool

    def _says_more(self, pool: list[_Found]) -> bool:
        """Return whether the last number only qualifies a result before it."""
        last = pool[-1]
        if _REFERENCE.search(self.text, 0, last.start):
            return True
        between = self.text[pool[-2].end : last.start]
        if len(between) > 120:
            return False
        return bool(
            _SAYS_MORE.fullmatch(between)
            or _DIGITS_KEPT.match(self.text, max(0, last.start - 3))
            or (_ASIDE_BEFORE.fullmatch(between) and _LESS_THAN.match(self.text, last.end))
            or (_PRICED.fullmatch(between) and _EACH.match(self.text, last.end))
        )

    def _unfinished(self, pool: list[_Found]) -> list[_Found]:
        """Return the last number, and the numbers before it that "+" or "*" joins to it."""
        start = len(pool) - 1
        while start and _ADDS.fullmatch(self.text[pool[start - 1].end : pool[start].start]):
            start -= 1
        return pool[start:]

    def _worked_out(self, sums: list[_Found]) -> _Found:
        """Return the value of a sum or product that the text leaves unevaluated."""
        value: Fraction | None = Fraction(0)
        factor = sums[0].value
        for left, right in pairwise(sums):
            if value is None or factor is None or right.value is None:
                return _Found(None, sums[0].start, sums[-1].end, True)
            if re.search(r"\+|plus", self.text[left.end : right.start]):
                value, factor = value + factor, right.value
            else:
                factor *= right.value
        value = None if value is None or factor is None else value + factor
        if value is not None and max(abs(value.numerator), value.denominator) >= 10**MAX_DIGITS:
            value = None
        return _Found(value, sums[0].start, sums[-1].end, True)


def _explains_number(behind: re.Match[str], value: Fraction | None) -> bool:
    """Return whether a match of `_SUM_BEHIND` only explains the number before it."""
    if behind["sure"] or behind["named"] or (behind["source"] and behind["word"] == "and"):
        return True
    left, right = (Fraction(behind[side].replace(",", "")) for side in ("left", "right"))
    sign = behind["sign"] or (behind["word"] or "times").lower()
    if behind["percent"]:
        return left * right / 100 == value
    if sign == "minus":
        return left - right == value
    return (left + right if sign in ("+", "plus", "added to", "and") else left * right) == value


class _WordPlace:
    """A part of the text whose answer is a number in words."""

    def __init__(self, number: WordNumber) -> None:
        self._number = number

    def choose(self) -> _Found | None:
        """Return the number, without a value if the words are not understood."""
        return _Found(self._number.value, self._number.start, self._number.end, True)


def _places(text: str) -> Iterator[_Place | _WordPlace]:
    """Yield the places that may contain the answer, the most trusted first."""
    unmarked = _unmarked(text, keep_boxes=True)
    strong: list[tuple[int, _Place | _WordPlace]] = []
    weak: list[tuple[int, _Place | _WordPlace]] = []
    for position, place, sure in _stated(unmarked):
        (strong if sure else weak).append((position, place))
    for _, place in sorted(strong, key=lambda pair: -pair[0]):
        yield place
    plain = _unmarked(text)
    yield from _answer_first(plain)
    for _, place in sorted(weak, key=lambda pair: -pair[0]):
        yield place
    yield from _last_sentence(text)


def _stated(text: str) -> Iterator[tuple[int, _Place | _WordPlace, bool]]:
    """Yield the places that are marked as the answer, as (position, place, whether it is sure)."""
    last_line = len(text.rstrip().rpartition("\n")[0])
    for marker in list(_MARKER.finditer(text))[-20:]:
        line = _unmarked(marker["line"])
        if _HEADING_NUMBER.match(line):
            continue
        place = _Place(line, first=_DIRECT.match(line) is not None)
        words = _leading_words(line)
        if words is not None:
            yield marker.start(), words, True
        elif any(n.likely for n in place.found) and (
            not _before_reasoning(place, text[marker.end() :], stated=False)
            if _DIRECT.match(line)
            else marker.start() >= last_line
        ):
            yield marker.start(), place, True
    for start, end in _boxes(text)[-20:]:
        inside = text[start + 1 : end]
        words = _leading_words(inside)
        if words is not None:
            yield start, words, True
        elif any(map(str.isdigit, inside)):
            yield start, _Place(inside, first=True), True
    for match in list(_IS_ANSWER.finditer(text))[-20:]:
        before = _SENTENCE_END.split(text[max(0, match.start() - 80) : match.start()])[-1]
        place = _Place(_unmarked(before))
        if place.found and place.found[-1].likely and not _NOT.search(before):
            yield match.start(), place, True
    for label in list(_RESULT.finditer(text))[-20:]:
        bare = _BARE.match(text, label.end())
        if bare is not None and _NOTES.fullmatch(text, bare.end()):
            yield label.start(), _Place(_unmarked(bare[0]), first=True), True
    for cue in list(_CUE.finditer(text))[-50:]:
        yield from _behind_cue(text, cue)


def _behind_cue(text: str, cue: re.Match[str]) -> Iterator[tuple[int, _Place | _WordPlace, bool]]:
    """Yield the numbers after a cue such as "the answer is"."""
    if _NEGATED.match(text, cue.end()) or _NOT.search(cue["between"] or ""):
        return
    if cue["verb"] is None and _SEEKING.search(text, max(0, cue.start() - 40), cue.start()):
        return
    behind = _unmarked(text[cue.end() : cue.end() + 2_000]).lstrip(" \t\n:*_")
    sentence = _SENTENCE_END.split(behind, maxsplit=1)[0]
    rest = behind[len(sentence) :]
    words = _leading_words(sentence)
    if words is not None:
        yield cue.start(), words, True
        return
    place = _Place(sentence, first=_BOUNDED.match(sentence) is None)
    if not place.found:
        return
    if _DIRECT.match(sentence):
        if not _before_reasoning(place, rest, stated=cue["verb"] is not None):
            yield cue.start(), place, True
    elif cue["verb"] is not None:
        yield cue.start(), place, False
    elif not _DIGIT.search(rest) or _ASIDE.match(rest):
        yield cue.start(), _Place(sentence), False


def _before_reasoning(place: _Place, rest: str, stated: bool) -> bool:
    """Return whether a place begins the reasoning, rather than states the answer.

    Args:
        place: the place after a marker or a cue.
        rest: the text after the place.
        stated: whether the cue has a verb, as in "the answer is".
    """
    if _ASIDE.match(rest) or _REASON.search(place.text):
        return False
    if not place.sums() and (stated or _is_bare(place.text)):
        return False
    return _Place(rest[:1_000]).behind_equals(_numbers(rest[:1_000])) is not None


def _answer_first(text: str) -> Iterator[_Place]:
    """Yield an answer at the beginning of the text, if the rest explains it."""
    text = text.lstrip()
    line, _, rest = text.partition("\n")
    if _WORD.search(rest) and _is_bare(line) and not _is_bare(text.rstrip().rpartition("\n")[2]):
        yield _Place(line)
        return
    bare = _BARE.match(line)
    if bare is not None and any(map(str.isdigit, bare[0])):
        number = _numbers(bare[0])
        end = number[0].end if number else bare.end()
        behind = text[end:]
        follows = re.match(r"(?:[.:;,]|[ \t]{0,2}[-—–])?[ \t]{0,2}(?=\w)|\s?\(", behind)
        unit = re.match(rf"[ \t]?[%{_CURRENCY}]?{_UNIT_WORDS}[.:;,]?[ \t]{{0,2}}", behind)
        for after in (follows, unit):
            if after is not None and _EXPLAINS.match(behind, after.end()):
                yield _Place(bare[0])
                return
        listed = re.search(r"^\s*\d{1,4}:\s", rest, re.MULTILINE)
        if re.match(r"\s?[;—]\s", behind) or (
            re.match(r"\s?%?[*_]*:[*_]*\s\s?(?=[^\n])", behind) and not listed
        ):
            yield _Place(bare[0])
            return
        sums = _SUM_BEHIND.match(_unmarked(text), end)
        if sums is not None and number and _explains_number(sums, number[0].value):
            yield _Place(bare[0])
            return
    header = _EXPLANATION.search(text)
    if header is not None and 0 < header.start() <= 300:
        head = _Place(text[: header.start()])
        if len({n.value for n in head.pool()}) == 1:
            yield head


def _last_sentence(text: str) -> Iterator[_Place | _WordPlace]:
    """Yield the last sentences that contain numbers."""
    whole = _unmarked(text)
    spoken = list(word_numbers(whole)) if len(whole) < 2_000 else []
    if not any(map(str.isdigit, whole)):
        counts = [n for n in spoken if n.word != "one"] or spoken[:1]
        if len(counts) == 1 and (counts[0].word != "one" or len(whole.split()) <= 3):
            yield _WordPlace(counts[0])
        return
    parts = [part for part in _SENTENCE_END.split(text) if part.strip()]
    if parts and not any(map(str.isdigit, parts[-1])) and _CONCLUDES.match(_unmarked(parts[-1])):
        counts = [n for n in word_numbers(_unmarked(parts[-1])) if n.word != "one"]
        if len(counts) == 1:
            yield _WordPlace(counts[0])
    sentences = [part for part in parts if any(map(str.isdigit, part))]
    # Sentences with a likely number first: a sentence may contain only a list mark or a citation.
    for sentence in reversed(sentences):
        if any(number.likely for number in _numbers(_unmarked(sentence))):
            yield _bold(sentence) or _Place(_unmarked(sentence))
            break
    if sentences:
        yield _Place(_unmarked(sentences[-1]))


def _bold(sentence: str) -> _Place | None:
    """Return a sentence's only number in bold, unless "=" gives another."""
    if _Place(plain := _unmarked(sentence)).behind_equals(_numbers(plain)) is not None:
        return None
    spans = [
        _Place(_unmarked(match[1]))
        for match in re.finditer(f"{_BOLD_START}([^{_BOLD_END}]*){_BOLD_END}(?!:)", sentence)
        if not match[1].rstrip().endswith(":")
    ]
    spans = [span for span in spans if any(number.likely for number in span.found)]
    return spans[0] if len(spans) == 1 else None


def _leading_words(text: str) -> _WordPlace | None:
    """Return the number in words at the beginning of a text, if there is one."""
    leading = _LEADING.match(text)
    start = leading.end() if leading else 0
    number = next(word_numbers(text[:200], start), None)
    if number is None or number.start != start:
        return None
    behind = text[number.end :]
    ends = _WORDS_END.match(behind)
    if _DIGIT.search(behind) and not (ends or re.match(r"\s?\(", behind)):
        return None
    words = re.sub(r"\(.*", "", behind).split()
    if number.word == "one" and (len(words) > 3 or words[:1] in (["of"], ["that"], ["which"])):
        return None
    return _WordPlace(number)


def _boxes(text: str) -> list[tuple[int, int]]:
    """Return the start and end of each box of a normalised text."""
    found, start = [], -1
    for match in re.finditer(f"[{BOX_START}{BOX_END}]", text):
        if match[0] == BOX_START:
            start = match.start()
        elif start >= 0:
            found.append((start, match.start()))
            start = -1
    return found


def _unmarked(text: str, keep_boxes: bool = False) -> str:
    """Return a normalised text without the marks of bold text and boxes."""
    text = text.replace(_BOLD_START, "").replace(_BOLD_END, "")
    return text if keep_boxes else text.replace(BOX_START, " ").replace(BOX_END, " ")


def _normalised(text: str) -> str:
    """Return the text with plain digits and minus signs, without markup.

    `_BOLD_START` and `_BOLD_END` replace the ends of bold text, `BOX_START` and `BOX_END` those of
    a box or a tag `<answer>`.
    """
    if not text.isascii():
        text = _PRIVATE.sub("", _INVISIBLE.sub("", text))
        text = _SUPERSCRIPTS.sub(lambda mark: f"^{mark[0].translate(_PLAIN_SUPERSCRIPTS)}", text)
        text = "".join(map(_plain_character, text))
    text = _CALCULATION.sub("", text)
    text = re.sub(r"<answer>((?:[^<]|<(?!/answer>)){0,500})</answer>", _boxed, text, flags=re.I)
    text = re.sub(r"<br\s?/?>", "\n", text, flags=re.IGNORECASE)
    text = re.sub(r"<sup>\s?([+-]?\d{1,4})\s?</sup>", r"^{\1}", text, flags=re.IGNORECASE)
    text = re.sub(r"</?[A-Za-z]{1,12}>|&nbsp;", " ", text)
    if "^{" in text:
        text = "\n".join(map(_footnotes, text.split("\n")))
    text = plain_latex(text)
    text = _PYTHON_POWER.sub(r"\1^\2", text)
    bold = f"{_BOLD_START}\\1{_BOLD_END}\\2"
    text = re.sub(r"\*\*([^*\n]{1,80}?)([.,;!?]{0,3})\*\*", bold, text)
    text = text.replace("**", "").replace("__", "").replace("`", "")
    text = re.sub(r"(?<=\d) and (?=\d{1,20}/\d)", " ", text)
    text = re.sub(r"\b(?:USD|EUR|GBP|INR|Rs\.?|[A-Z]{1,3}(?=\$))\s?(?=[\d$])", "$", text)
    # 1.234.567,50
    text = re.sub(r"(?<![\d.,])(\d{1,3}(?:\.\d{3}){1,5}),(\d{1,2})(?![\d,.]\d|\d)", _european, text)
    text = _DECIMAL_COMMA.sub(r"\1.\2", text)
    text = joined_units(text)
    return _without_list_marks(text)


def _footnotes(line: str) -> str:
    """Return a line with footnote marks in brackets, such as 18^{2} outside of formulas."""
    if _FORMULA.search(line):
        return line
    return re.sub(r"(?<=\d)(?<!\b10)\^\{(\d{1,3})\}", r" [\1]", line)


def _boxed(match: re.Match[str]) -> str:
    return f"{BOX_START} {match[1]} {BOX_END}"


def _european(match: re.Match[str]) -> str:
    return f"{match[1].replace('.', '')}.{match[2]}"


def _without_list_marks(text: str) -> str:
    """Return the text without the marks of numbered lists that count up from 1."""
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
    return _SEPARATORS.get(character, character)


def _numbers(text: str) -> list[_Found]:
    """Return the numbers in a normalised text, in order."""
    cited = bytearray(len(text) + 1)
    for match in _CITATION.finditer(text):
        cited[match.start() : match.end()] = b"\x01" * (match.end() - match.start())
    paired = _pairs(text)
    found = []
    place = 0
    for quantity in (*quantities(text), None):
        stop = len(text) if quantity is None else quantity.start
        found += _plain_numbers(text, place, stop, cited, paired)
        if quantity is None:
            break
        start, negative = _sign(text, quantity.start)
        value = quantity.value
        value = -value if negative and value is not None else value
        likely = quantity.likely and _likely(text, start, quantity.end)
        found.append(_Found(value, start, quantity.end, likely))
        place = quantity.end
    return found


def _plain_numbers(
    text: str, start: int, stop: int, cited: bytearray, paired: bytearray
) -> list[_Found]:
    """Return the numbers in a part of a text that are not part of another quantity.

    Args:
        text: the text.
        start: start of the part.
        stop: end of the part.
        cited: for each character, whether it is part of a citation mark.
        paired: for each character, whether it is part of a ratio or a time.
    """
    found = []
    for match in _NUMBER.finditer(text, start, stop):
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
        elif _MILLIONS.match(text, end) and start and text[start - 1] in _CURRENCY:
            end += 1
            value = None if value is None else value * 10**6
        elif _THOUSANDS.match(text, end) and (
            "." in match["digits"] or (start and text[start - 1] in _CURRENCY)
        ):
            end += 1
            value = None if value is None else value * 1000
        start, negative = _sign(text, start)
        if negative and value is not None:
            value = -value
        likely = not cited[start] and _likely(text, start, end)
        if paired[match.start()]:
            value, likely = None, False
        found.append(_Found(value, start, end, bool(likely)))
    return found


def _value(
    digits: str, exponent: str | None, numerator: str | None, denominator: str | None
) -> Fraction | None:
    """Return the value of the parts, or None if it is out of range."""
    plain = re.sub(rf"[, {_THIN_SPACES}'’_]", "", digits)
    if plain.count(".") > 1:
        plain = plain.replace(".", "")
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
    """Return the start of a number including its sign and currency, and whether it is negative.

    A dash after a number or a closing bracket is a subtraction or a range, not a sign.
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
        # The dash of "answer -5", after a letter and a space, is a sign.
        spaced = before > 0 and text[before - 1].isspace()
        if not (spaced and previous.isalpha()):
            return start, False
    return before, True


def _likely(text: str, start: int, end: int) -> bool:
    """Return whether a number can be an answer, i.e. is not an ordinal, index, time span, etc."""
    if _ORDINAL.match(text, end):
        return False
    before = text[max(0, start - 30) : start]
    if _INDEX_BEFORE.search(before):
        return False
    return not (_WITH_UNIT.match(text, end) and _QUALIFIER.search(before))


def _pairs(text: str) -> bytearray:
    """Return, for each character, whether it is part of a ratio or a time, such as 3:4 and 7:30."""
    inside = bytearray(len(text) + 1)
    for match in _PAIR.finditer(text):
        # "Week 3:4 pages" has a label, and 7:00 is 7.
        if not _LABELLED.search(text, max(0, match.start() - 20), match.start()):
            inside[match.start() : match.end()] = b"\x01" * len(match[0])
    return inside


def _in_brackets(text: str) -> bytearray:
    """Return, for each character of the text, whether it is in closed round brackets."""
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


def _joined(text: str, left: _Found, right: _Found, with_units: bool = False) -> bool:
    """Return whether an operator or "=" joins two numbers, optionally after a unit."""
    between = text[left.end : right.start]
    if with_units:
        match = _UNITS_AND_OPERATOR.fullmatch(between)
        return match is not None
    between = between.strip()
    return 0 < len(between) <= 3 and not between.strip("+-*/=≈×÷x%() " + _CURRENCY)


def _canonical(value: Fraction) -> str:
    """Return a number as a whole number or a finite decimal if it is one, else as a fraction."""
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
