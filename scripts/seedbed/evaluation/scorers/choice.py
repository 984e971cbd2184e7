"""Scorer for multiple choice with two to eight options, such as ARC.

The strict rule wants the output to end in `Answer: B`. The flexible rule takes a letter, `(B)`, a
digit, or the full text of one choice, from the whole output if that is all there is, else from
behind "answer is" or "answer:", else from the labels or texts that the output names. An output that
names two different choices in the same way has no answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seedbed.evaluation.scorers import Reading, Score
from seedbed.tasks.items import TaskItem

LETTERS = "ABCDEFGH"
# The final answer stands at the end, and a text this long has gone astray anyway.
MAX_CHARACTERS = 10_000

_STRICT = re.compile(r"\bAnswer: ([A-H]|[1-8])\.?\Z")
_STRICT_CUE = re.compile(r"\bAnswer: ([A-H]|[1-8])\b")
_CUE = re.compile(
    r"\b(?:answer|choice|option)\b(?P<between>[^\n.:=]{0,40}?)"
    r"(?:\bis\b(?P<negation>\s(?:definitely\s)?not\b)?|\bmust be\b|\bshould be\b|[:=])",
    re.IGNORECASE,
)
# A label with a sign of being one; a bare letter may be a word ("A shark") or a name ("vitamin C").
_MARKED = re.compile(
    r"\((?P<bracketed>[A-Ha-h1-8])\)"
    r"|(?<![\w(])(?P<closed>[A-H1-8])\)"
    r"|\b(?:[Oo]ption|[Cc]hoice|[Ll]etter)\s(?P<named>[A-H1-8])\b"
)
_BARE = re.compile(r"(?<![\w'’-])([A-H])(?![\w'’-])")
_ARTICLE = re.compile(r"\s[a-z]")
_AFTER_ARTICLE = re.compile(r"\s(?:and|or|is|was|because|since|as|but|not|nor)\b")
_LEADING_LABEL = re.compile(r"[(\[]?([A-Ha-h1-8])(?![\w'’])[)\].:]{0,2}")
_ANOTHER_LABEL = re.compile(
    r"\s{0,3}(?:,|/|&|;|and\b|or\b)+\s{0,3}(?:and\s|or\s)?[(\[]?(?P<listed>[A-H1-8])\b"
    r"|\s{1,3}(?:\((?P<bracketed>[A-H1-8])\)|(?P<closed>[A-H1-8])[).](?!\w))"
)
_DECORATION = " \t\r\n*_`\"'“”‘’.,;:!?$"


class ChoiceScorer:
    """Scores outputs whose final answer is one of the item's choices."""

    def score(self, output: str, item: TaskItem) -> Score:
        """Return the score of an output; see `seedbed.evaluation.scorers.Scorer`."""
        count = len(item.choices)
        if not 2 <= count <= len(LETTERS):
            raise ValueError(f"item {item.item_id!r} has {count} choices; 2 to 8 can be scored")
        gold = _position(item.gold)
        if gold is None or gold >= count:
            raise ValueError(f"gold {item.gold!r} of item {item.item_id!r} is none of its labels")
        digits = item.gold.isdigit()
        strict = read_strict(output, count, () if digits else item.choices)
        flexible = read_choice(output, item.choices, digits)
        return Score(
            strict=strict.value == LETTERS[gold],
            flexible=flexible.value == LETTERS[gold],
            extracted=flexible.value,
            reason=flexible.reason,
        )

    def close(self) -> None:
        """Do nothing: the scorer holds nothing."""


def from_options(options: Mapping[str, Any], folder: Path) -> ChoiceScorer:
    """Return a scorer; it takes no options and needs no files.

    Raises:
        ValueError: if there is an option.
    """
    if options:
        raise ValueError(f"scorer 'choice' has no option {', '.join(sorted(options))}")
    return ChoiceScorer()


def read_strict(output: str, count: int, choices: Sequence[str] = ()) -> Reading:
    """Read the label of an output that ends in `Answer: B`, as a letter.

    Args:
        output: the text.
        count: how many choices there are.
        choices: their texts, if the labels shown were letters: a digit that is one of them is no
            label.
    """
    text = output[-MAX_CHARACTERS:].rstrip()
    match = _STRICT.search(text)
    if match is None:
        return Reading(None, "does not end in 'Answer: label'")
    labels = _STRICT_CUE.findall(text)
    if {label for label in labels if label.isdigit()} & {choice.strip() for choice in choices}:
        return Reading(None, "the text of a choice, not its label")
    return _one_of(map(_position, labels), count)


def read_choice(output: str, choices: Sequence[str], digit_labels: bool = False) -> Reading:
    """Read which choice a free text names, as a letter.

    Args:
        output: the text.
        choices: the texts of the choices, in label order.
        digit_labels: the labels shown were 1, 2, ...; a digit is then a label before it is the
            text of a choice. Where they were letters, it is the other way round.
    """
    strict = read_strict(output, len(choices), () if digit_labels else choices)
    if strict.value is not None:
        return strict
    text = _plain(output[-MAX_CHARACTERS:])
    if not text.strip(_DECORATION):
        return Reading(None, "empty")
    options: list[str] = [_plain(choice).strip(_DECORATION) for choice in choices]
    folded = [option.casefold() for option in options]
    if len(set(folded)) == len(set(options)):
        # Letter case matters only where it tells choices apart ("Rr" and "RR").
        options = folded
    count = len(choices)

    whole = _statement(text, options, digit_labels, alone=True)
    if whole:
        return _one_of(whole, count)
    stated: set[int | None] = set()
    for cue in _CUE.finditer(text):
        if cue["negation"] is None and not re.search(r"\bnot\b", cue["between"]):
            behind = text[cue.end() : cue.end() + 400].lstrip(" \n*_`\"'“:=")
            stated |= _statement(behind.split("\n", 1)[0], options, digit_labels, alone=False)
    if stated:
        return _one_of(stated, count)
    for named in (_marked(text), _mentioned(text, options), _bare(text)):
        if named:
            return _one_of(named, count)
    return Reading(None, "no choice named")


def read_content(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's content: the chosen text if the choices are given, else the label."""
    if choices:
        reading = read_choice(answer, choices)
        if reading.value is None:
            return reading
        chosen = choices[LETTERS.index(reading.value)]
        return Reading(_plain(chosen).strip(_DECORATION).casefold())
    return read_choice(answer, [""] * len(LETTERS))


def read_answer(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's final answer, as `read_content` does."""
    return read_content(answer, choices)


def _position(label: str) -> int | None:
    """Return the place of a label (0 for A, a or 1), or None if it is none."""
    label = label.strip()
    if len(label) != 1:
        return None
    if label in "12345678":
        return int(label) - 1
    place = LETTERS.find(label.upper())
    return place if place >= 0 else None


def _one_of(named: Iterable[int | None], count: int) -> Reading:
    places = {place for place in named if place is not None}
    if len(places) > 1:
        return Reading(None, "conflicting choices")
    if not places:
        return Reading(None, "no choice named")
    place = places.pop()
    if place >= count:
        return Reading(None, "label is none of the choices")
    return Reading(LETTERS[place])


def _plain(text: str) -> str:
    """Return the text in one Unicode form (NFKC), without control characters and doubled spaces."""
    text = unicodedata.normalize("NFKC", text).replace("\\text", "").replace("**", "")
    text = text.replace("\\boxed{", "answer: ").replace("}", " ").replace("{", "")
    text = "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else " " for c in text)
    return re.sub(r"[^\S\n]+", " ", text)


def _statement(text: str, options: list[str], digit_labels: bool, alone: bool) -> set[int | None]:
    """Return what a text that begins with the answer says: places of choices, most often one.

    Args:
        text: the text, from where the answer begins.
        options: the plain texts of the choices.
        digit_labels: whether a digit is a label rather than a text.
        alone: the text must be the answer and nothing else.
    """
    text = text.strip(" \n*_`\"'“”‘’")
    by_text = _begins_with(text, options, alone)
    label = _LEADING_LABEL.match(text)
    if label is None:
        return by_text
    sign, rest = label[1], text[label.end() :]
    place = _position(sign)
    marked = len(label[0]) > 1 or rest.startswith(",")
    if by_text and not marked and (sign in "aA" or (sign.isdigit() and not digit_labels)):
        # "A shark" is a shark, and "4" is the choice "4" where the labels are letters.
        return by_text
    if not marked and sign in "aA" and _ARTICLE.match(rest) and not _AFTER_ARTICLE.match(rest):
        return set()
    if sign.islower() and not marked and rest.strip(_DECORATION):
        return set()
    another = _ANOTHER_LABEL.match(rest)
    beside = _begins_with(rest.lstrip(_DECORATION + "-–—="), options, alone=True)
    if alone and rest.strip(_DECORATION) and not beside and another is None:
        return set()
    places = {place, _position(another[another.lastgroup or 0])} if another else {place}
    return places | beside


def _folded(text: str, options: list[str]) -> str:
    """Return the text in the letter case of the options: folded, unless case tells them apart."""
    return text.casefold() if all(o == o.casefold() for o in options) else text


def _begins_with(text: str, options: list[str], alone: bool) -> set[int | None]:
    """Return the choices whose full text the given text begins with, or is; the longest wins."""
    folded = _folded(text.strip(_DECORATION), options)
    bare = re.sub(r"^(?:the|a|an)\s", "", folded)
    best: set[int | None] = set()
    longest = 0
    for place, option in enumerate(options):
        if not option:
            continue
        for start in (folded, bare):
            same = start == option
            if not alone and start.startswith(option):
                same = not start[len(option) : len(option) + 1].isalnum()
            if same and len(option) >= longest:
                best = best | {place} if len(option) == longest else {place}
                longest = len(option)
    return best


def _marked(text: str) -> set[int | None]:
    return {_position(match[match.lastgroup or 0]) for match in _MARKED.finditer(text)}


def _mentioned(text: str, options: list[str]) -> set[int | None]:
    """Return the choices whose full texts stand in the text, not as part of a longer choice."""
    folded = _folded(text, options)
    taken = bytearray(len(folded))
    named: set[int | None] = set()
    order = sorted(range(len(options)), key=lambda place: -len(options[place]))
    for place in order:
        option = options[place]
        if not option:
            continue
        for match in re.finditer(rf"(?<!\w){re.escape(option)}(?!\w)", folded):
            start, end = match.span()
            same = any(options[other] == option for other in named if other is not None)
            if same or not any(taken[start:end]):
                taken[start:end] = b"\x01" * (end - start)
                named.add(place)
    return named


def _bare(text: str) -> set[int | None]:
    named: set[int | None] = set()
    for match in _BARE.finditer(text):
        behind = text[match.end() : match.end() + 10]
        if match[1] == "A" and _ARTICLE.match(behind) and not _AFTER_ARTICLE.match(behind):
            continue
        named.add(_position(match[1]))
    return named
