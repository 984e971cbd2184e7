"""Scorer for multiple choice with two to 26 options, such as ARC.

The strict rule requires the output to end in `Answer: B`. The flexible rule accepts a letter,
`(B)`, a digit, or the full text of one choice, in the first of these places that exists:

1. the whole output, if it contains nothing else;
2. the last statement of the answer: after "answer is" or "answer:", in many languages, in a box,
   before "is the correct answer", or alone on the last line;
3. a label or a choice's text at the beginning, followed by an explanation;
4. the last sentence that only names a choice ("So it is C."); after "Wait, no." it also replaces
   an earlier statement;
5. the choice that a list of the choices calls right;
6. the labels or texts that the output names and does not call wrong.

An output that names two different choices in the same way has no answer. Neither rule reads the
parts that `seedbed.evaluation.scorers.outputs` removes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from seedbed.evaluation.scorers import PlainScorer, Reading, Score, any_gold
from seedbed.evaluation.scorers.latex import BOX_END, BOX_START, plain_latex
from seedbed.evaluation.scorers.outputs import final_part
from seedbed.tasks.items import TaskItem

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Only the end of a longer text is read: the final answer is at the end.
MAX_CHARACTERS = 10_000
# Letters up to this one are read as labels even if there are fewer choices: of four choices, "E" is
# a label that names none of them.
_FEWEST_LABELS = 8

_LABEL = r"(?:[A-Z]|1\d|2[0-6]|[1-9])"
_STRICT = re.compile(rf"\bAnswer: ({_LABEL})\.?\Z")
_CUE = re.compile(
    r"(?P<adjective>\b\w{1,20}\s)?\b(?P<noun>answer|ans|choice|option)\b(?P<between>[^\n.:=]{0,40}?)"
    r"(?:\bis\b(?P<negation>\s(?:\w+ly\s)?not\b)?"
    r"|\b(?:must|should|would|has to|can only) be\b|[:=])",
    re.IGNORECASE,
)
# "The correct option is", but "Option B: ..." lists one.
_CHOSEN = re.compile(
    r"(?:correct|right|best|proper|final|appropriate|suitable|accurate|likely|only|my|chosen|"
    r"answer)\s?\Z",
    re.IGNORECASE,
)
_NOT_CHOSEN = re.compile(
    r"(?:wrong|incorrect|other|another|tempting|common|bad|false|worst)\s?\Z", re.IGNORECASE
)
_NO_STATEMENT = re.compile(
    r"\b(?:not|cannot|never|choices|options|neither|nor)\b|n't\b|\b[A-Z]\b", re.IGNORECASE
)
_LIST_NOUN = re.compile(
    r"\b(?:not|cannot|never|choices|options|neither|nor)\b|n't\b", re.IGNORECASE
)
# "Some might think that the answer is B": not the model's own statement.
_SUPPOSED = re.compile(
    r"\b(?:(?:might|may)\s(?:think|say|assume|believe|guess)|if|whether|some|many|people|students)"
    r"\b[^\n.,;]{0,40}\Z",
    re.IGNORECASE,
)
_QUALIFIERS = re.compile(
    r"(?:(?:definitely|clearly|(?:most\s)?likely|probably|therefore|thus|indeed|simply|obviously"
    r"|option|choice|letter|label|number|statement)\s+[*_`\"'“(]*){1,3}(?=[(\[*_\"'“]*[A-Z1-9]\b)",
    re.IGNORECASE,
)
# A label marked as such; a bare letter may be a word ("A shark") or a name ("vitamin C").
_MARKED = re.compile(
    r"(?<![\w^])\((?P<bracketed>[A-Za-z]|1\d|2[0-6]|[1-9])\)"
    rf"|(?<![\w(^.,/-])(?P<closed>{_LABEL})\)"
    rf"|\b(?:[Oo]ption|[Cc]hoice|[Ll]etter)\s(?P<named>{_LABEL})\b"
)
# "Vitamin C", "substance B": a name.
_NAMED = re.compile(
    r"\b(?:vitamins?|hepatitis|plan|grade|points?|type|group|class|figure|diagram|graph|chart|table|"
    r"plant|planet|substance|liquid|solid|gas|material|object|student|person|sample|container|"
    r"beaker|tube|box|car|team|element|metal|rock|layer|station|location|area|region|site|position"
    r"|cell|part|section|phase|stage|model|method|experiment|trial|line|curve|angle|side|block|wire"
    r"|circuit|bulb|town|city|star|organism|species|population|strain|magnet|ball|ramp|mr|mrs|dr)"
    r"\.?\s\Z",
    re.IGNORECASE,
)
_BEFORE_DIGIT = re.compile(
    r"(?:\A|[\n:;,.]\s?|\b(?:is|be|choose|pick|select|option|choice|answer|number|with|and|or|so)\s)\Z",
    re.IGNORECASE,
)
_BARE = re.compile(r"(?<![\w'’°-])(?<!\d\s)([A-Z])(?![\w'’-])")
_ARTICLE = re.compile(r"\s[a-z]")
_AFTER_ARTICLE = re.compile(r"\s(?:and|or|is|was|because|since|as|but|not|nor)\b")
_LEADING_LABEL = re.compile(r"[(\[]?([A-Za-z]|1\d|2[0-6]|[1-9])(?!\w|['’]\w|[-‑][a-z])[)\].:]{0,2}")
_HEDGE = r"(?:(?:possibly|maybe|perhaps|probably|even|also|else|option|choice)\s){0,2}"
_JOINING = re.compile(
    r"\b(?:and|or|both|possibly|maybe|perhaps|probably|even|also|else|option|choice|as well as"
    r"|plus)\b"
)
_ANOTHER_LABEL = re.compile(
    r"\s{0,3}(?P<sign>,|/|&|;|->|→|and\b|or\b|as well as\b|plus\b)+\s{0,3}(?:and\s|or\s)?"
    rf"{_HEDGE}[(\[]?"
    rf"(?P<listed>{_LABEL})\b"
    rf"|\s{{1,3}}(?:\((?P<bracketed>{_LABEL})\)|(?P<closed>{_LABEL})[).](?!\w))"
)
_LISTED_LABEL = re.compile(
    rf"[)\]]?(?:\s{{0,3}}(?:,|/|&|and\b|or\b)+){{1,2}}\s{{0,3}}(?:or\s|and\s)?{_HEDGE}[(\[]?"
    rf"(?P<listed>{_LABEL})\b"
)
_TOGETHER = re.compile(
    r"\b(?:both|all|correct|right|as well|also|too(?=\s{0,3}(?:[.,;!\n]|\Z)))\b", re.IGNORECASE
)
_IS_ANSWER = re.compile(
    r"\s(?:is|was|seems|must be)\s(?:(?:therefore|thus|clearly|indeed|also|obviously)\s)?"
    r"(?:(?:the\s|an?\s|your\s|my\s)?(?:(?!not\b)\w{1,12}\s){0,2}(?:answer|choice|option)\b"
    r"|(?:the\s)?(?:correct|best)\b)",
    re.IGNORECASE,
)
_REASONS = r"(?:because|since|as(?!\swell)|unlike|whereas|while|not|rather\sthan|instead\sof)\b"
# Beginnings of sentences that only name a choice, if the sentence ends after the choice.
_CONCLUDES = re.compile(
    r"(?<![\w'’])(?:(?:its|(?:it|that|this|which)(?:['’]s|\s(?:is|must\sbe|should\sbe|would\sbe|has\sto\sbe"
    r"|leaves|means|matches|corresponds\sto|points\sto)))"
    r"|(?:i(?:['’](?:d|ll)|\swould|\swill)?\s)(?:choose|pick|select|say|go\swith|opt\sfor|think|believe"
    r"|mean|guess)(?:\s(?:that\s)?it(?:['’]s|\sis))?"
    r"|going\swith|leav(?:es|ing)(?:\sus)?(?:\swith)?|make\sthat|(?:my|answer|choice)\sto"
    r"|my\s(?:pick|guess|selection)\sis|(?:best|correct|right|only|true|appropriate)\sone\sis"
    r"|so|thus|hence|therefore|actually"
    r"|(?:so|thus|hence|therefore|conclusion|verdict|decision|correction|selection|result|solution"
    r"|response|actually|no|rather|wait|sorry)(?=\s?[,:.—–-]))(?:[^\S\n]|[,:.—–-]){1,6}",
    re.IGNORECASE,
)
_REVISES = re.compile(
    r"\b(?:wait|actually|correction|sorry|oops|scratch\sthat|on\ssecond\sthought|hmm+|no|i\smean"
    r"|make\sthat|let\sme\s(?:re-?\w+|double[\s-]?check)|chang\w+\smy\sanswer)\b",
    re.IGNORECASE,
)
_DOUBTED = re.compile(
    r"(?:\b(?:not|cannot|never|if|whether|might|could|may|some|many|people|students)\b|n['’]t\b)"
    r"[^\n.,;:]{0,40}\Z",
    re.IGNORECASE,
)
# The nouns for "answer" in other languages, and the words for "is" after them.
_ANYWHERE = re.compile(
    r"(?<!\w)(?:respuesta|réponse|antwort|lösung|risposta|resposta|ответ|jawaban|odpowiedź|odpověď"
    r"|cevap|antwoord|svar|svaret|vastaus|válasz|απάντηση|đáp án|câu trả lời|उत्तर|الإجابة|الجواب"
    r"|תשובה|答案|答え|正解|正答|정답|답)(?:\s?[^\n.:=。,;]{0,30}?)"
    r"(?::|=|\s-|(?<!\w)(?:es|est|ist|lautet|è|é|adalah|jest|je|is|är|er|on|là|है)(?!\w)|[是为為選选は은는])"
    r"\s{0,3}(?:(?:la|die|das|der|le|el|a|o|option|opción|opção|opzione|choix|buchstabe|letra"
    r"|lettre|вариант|选项|選項)\s){0,2}",
    re.IGNORECASE,
)
_RIGHT_MARK = r"(?:(?:correct|right|yes|true|best)(?!\w|\s(?:answer|next|above|below))|[✓✔✅☑🗸👍])"
_WRONG_MARK = r"(?:(?:incorrect|wrong|no|not|false|eliminated?|ruled\sout)(?!\w)|[✗✘❌✖❎👎])"
_LISTED_VERDICT = re.compile(
    r"(?:^|\n|[.;,]\s)[\s\-*•>\d.)]{0,6}?(?:option\s|choice\s)?\(?(?P<label>[A-Z])(?![\w'’])[)\].:]{0,2}",
    re.IGNORECASE,
)
_VERDICT = re.compile(
    rf"[\s\-–—:=(\[*,.]{{0,6}}(?:(?:is|would\sbe|seems|looks)\s(?:\w+ly\s)?)?"
    rf"(?:(?P<right>{_RIGHT_MARK})|(?P<wrong>{_WRONG_MARK}))",
    re.IGNORECASE,
)
_IS_BETTER = re.compile(
    r"(?<![\w'’])\(?([A-Z])\)?\s(?:is|seems|looks)\s(?:\w+ly\s)?(?:the\s)?(?:right|better|best|correct)\b"
    r"(?!\s(?:next|above|below|before|after|there|on|at|in|beside|behind))"
)
_WRONG = re.compile(
    r"[)\].:]?[^.\n;,]{0,80}?(?:\b(?:is|are|was|were|would be|seems?|looks?)\s(?:\w+ly\s)?"
    r"(?:not|wrong|incorrect|false|out|impossible|irrelevant|unlikely|ruled out|eliminated)\b"
    r"|n't\b|\bcannot\b|\bdoes not\b|\bcan be (?:ruled|eliminated))",
    re.IGNORECASE,
)
_EXCLUDED = re.compile(
    r"\bneither\s\(?([A-Z])\)?,?\s(?:nor|or)\s\(?([A-Z])\b|\bnot\s\(?([A-Z])\b(?!['’])",
    re.IGNORECASE,
)
_LABELS = r"(?:\(?[A-Z]\)?(?![\w'’])(?:,\s|\s?[/&]\s?|,?\s(?:and|or|nor)\s)?){1,26}"
# "It cannot be A or B", "the wrong options are A and D".
_REJECTS = re.compile(
    r"(?:(?i:\b(?:not|cannot|never|neither|nor|unlike|rules?\sout|ruling\sout|ruled\sout|eliminat\w+|"
    r"exclud\w+|discard\w*|reject\w*|rather\sthan|instead\sof)\b|n['’]t\b"
    r"|\b(?:wrong|incorrect|false)\s(?:answers?|options?|choices?|ones?)\b)"
    r"(?:\s(?!but\b|so\b|only\b|because\b|since\b|as\b|if\b|than\b|hence\b|thus\b)[a-z'’]+){0,4}?"
    rf"[\s:]{{1,2}})({_LABELS})"
)
# "Not the sea but the forest".
_REFUSED = re.compile(
    r"\b(?:not|unlike|rather than|instead of)\s(?!only\b)[^,.;:\n]{1,80}?(?=\sbut\b|[,.;:\n]|\Z)",
    re.IGNORECASE,
)
_LISTING = re.compile(r"(?:^|\n|[.;]\s)\s{0,3}\(?([A-Z])\)?[.):]\s")
_NUMBER = re.compile(
    r"(?P<sign>[-+−]?)[$€£]?\s?(?P<digits>\d[\d,]*+(?:\.\d++)?|\.\d++)"
    r"(?:\s?[x×*]\s?10\s?\^?\s?(?P<power>-?\d{1,3})|/(?P<below>\d{1,6}))?"
)
_STRUCK = re.compile(r"(?<!~)~~(?!~)[^~\n]{1,80}~~(?!~)")
_HAN = "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
_BESIDE_HAN = re.compile(rf"(?<={_HAN})(?=[A-Za-z0-9(\[])|(?<=[A-Za-z0-9)\]])(?={_HAN})")
_COPULA = re.compile(r"(?<=[A-Za-z0-9)])\s?(?:です|である|だ|입니다|이다)(?!\w)")
_DECORATION = " \t\r\n*_`\"'“”‘’„«»「」『』.,;:!?$。、"


class ChoiceScorer(PlainScorer):
    """Scores outputs whose final answer is one of the item's choices."""

    @any_gold
    def score(self, output: str, item: TaskItem) -> Score:
        """Return the score of an output; see `seedbed.evaluation.scorers.Scorer`."""
        count = len(item.choices)
        if not 2 <= count <= len(LETTERS):
            raise ValueError(f"item {item.item_id!r} has {count} choices; 2 to 26 can be scored")
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


from_options = ChoiceScorer.from_options


def read_strict(output: str, count: int, choices: Sequence[str] = ()) -> Reading:
    """Read the label of an output that ends in `Answer: B`, as a letter.

    Args:
        output: the text.
        count: number of choices.
        choices: the choices' texts, if their labels were shown as letters. A digit that equals one
            of the texts, or the number in one, is then not a label.
    """
    return _read_strict(_final_part(output, choices, False), count, choices)


def _read_strict(text: str, count: int, choices: Sequence[str]) -> Reading:
    match = _STRICT.search(text[-MAX_CHARACTERS:].rstrip())
    if match is None:
        return Reading(None, "does not end in 'Answer: label'")
    if match[1].isdigit() and _with_number(match[1], [choice.strip() for choice in choices]):
        return Reading(None, "the text of a choice, not its label")
    return _one_of([_position(match[1])], count)


def read_choice(output: str, choices: Sequence[str], digit_labels: bool = False) -> Reading:
    """Read which choice a free text names, as a letter.

    Args:
        output: the text.
        choices: the texts of the choices, in label order.
        digit_labels: whether labels were shown as 1, 2, ...: a digit is then read as a label first,
            and as a choice's text second. With letters as labels, the text comes first.
    """
    return _read(_final_part(output, choices, digit_labels), choices, digit_labels)


def _final_part(output: str, choices: Sequence[str], digit_labels: bool) -> str:
    def answered(head: str, tail: str) -> bool:
        return _read(head, choices or [""] * len(LETTERS), digit_labels).value is not None

    return final_part(output, answered)


def _read(text: str, choices: Sequence[str], digit_labels: bool) -> Reading:
    strict = _read_strict(text, len(choices), () if digit_labels else choices)
    if strict.value is not None:
        return strict
    marked = _plain(text[-MAX_CHARACTERS:])
    text = _unboxed(marked)
    if not text.strip(_DECORATION):
        return Reading(None, "empty")
    options: list[str] = [_unboxed(_plain(choice)).strip(_DECORATION) for choice in choices]
    folded = [option.casefold() for option in options]
    if len(set(folded)) == len(set(options)):
        # Letter case matters only where it tells choices apart ("Rr" and "RR").
        options = folded
    count = len(choices)
    alone = _lone(text, options, digit_labels)
    if alone:
        return _one_of(alone, count)
    plain = _unboxed(marked)
    concluded = list(_concluded(plain, options, digit_labels))
    stated = max(_stated(marked, options, digit_labels), default=None, key=lambda pair: pair[0])
    if stated is None:
        first = _first(text, options, digit_labels)
        stated = (0, first) if first else None
    if stated is not None:
        return _one_of(_revised(plain, stated, concluded), count)
    if concluded:
        return _one_of(concluded[-1][1], count)
    right, wrong = _verdicts(text, options)
    if len(right) == 1:
        return _one_of(right, count)
    wrong |= _said_to_be_wrong(text)
    mentioned = _mentioned(text, options)
    if len(mentioned) > 1:
        taken = _texts(text, options)
        kept = _REFUSED.sub(lambda match: match[0] if taken[match.start()] else " ", text)
        mentioned = _mentioned(kept, options) & mentioned or mentioned
    for named in (_marked(text, options), mentioned, _bare(text)):
        if named - wrong:
            return _one_of(named - wrong, count)
    return Reading(None, "no choice named")


def _revised(
    text: str,
    stated: tuple[int, set[int | None]],
    concluded: list[tuple[int, set[int | None]]],
) -> set[int | None]:
    """Return the stated answer, or the later conclusion after words such as "Wait, no."."""
    change = _REVISES.search(text, stated[0])
    later = [named for place, named in concluded if change and place >= change.start()]
    return later[-1] if later else stated[1]


def _concluded(
    text: str, options: list[str], digit_labels: bool
) -> Iterator[tuple[int, set[int | None]]]:
    """Yield the choices in sentences such as "So it is C.", with their positions."""
    for cue in _CONCLUDES.finditer(text):
        if _DOUBTED.search(text, max(0, cue.start() - 60), cue.start()):
            continue
        named = _sentence(text[cue.end() : cue.end() + 300], options, digit_labels)
        if named:
            yield cue.start(), named
    for equation in re.finditer(r"=\s?([^=\n]{1,60}?)(?=\.?\s*(?:\n|\Z)|\.\s)", text):
        named = _with_number(equation[1].strip(), options, alone=True)
        if len(named) == 1:
            yield equation.start(), named


def _sentence(text: str, options: list[str], digit_labels: bool) -> set[int | None]:
    """Return the choice that the rest of a sentence names, if it adds only a reason."""
    line = text.split("\n", 1)[0]
    sentence = re.split(r"[.!;](?=\s|\Z)", line, maxsplit=1)[0]
    clause = re.split(rf",\s|\s(?=\(?{_REASONS})", sentence, maxsplit=1)[0]
    for part in (line, sentence, clause):
        part = part.strip(_DECORATION)
        named = _lone(part, options, digit_labels)
        if not named:
            continue
        number = re.match(r"\d", part)
        if number and not digit_labels and not _with_number(part, options, alone=True):
            # "So it is 3."
            return set()
        return named
    return set()


def _verdicts(text: str, options: list[str]) -> tuple[set[int | None], set[int | None]]:
    """Return the labels that a list of the choices or a sentence calls right, and those it calls
    wrong."""
    right: set[int | None] = set()
    wrong: set[int | None] = set()
    for label in _LISTED_VERDICT.finditer(text):
        place = _position(label["label"])
        if place is None or place >= len(options):
            continue
        own = re.compile(rf"[\s(]{{0,2}}{re.escape(options[place])}(?!\w)\)?", re.IGNORECASE)
        text_of_choice = own.match(text, label.end()) if options[place] else None
        end = text_of_choice.end() if text_of_choice else label.end()
        verdict = _VERDICT.match(text, end)
        if verdict is not None:
            (right if verdict["right"] else wrong).add(place)
    right.update(
        _position(match[1])
        for match in _IS_BETTER.finditer(text)
        if not _NAMED.search(text, max(0, match.start() - 14), match.start())
    )
    return right, wrong


def _stated(
    text: str, options: list[str], digit_labels: bool
) -> Iterator[tuple[int, set[int | None]]]:
    """Yield the answers that a text states, with their positions."""
    for box in re.finditer(f"{BOX_START}([^{BOX_START}{BOX_END}]*){BOX_END}", text):
        inside = _behind(box[1], options, digit_labels)
        if inside:
            yield box.start(), inside
    plain = _unboxed(text)
    for cue in _ANYWHERE.finditer(plain):
        said = _sentence(plain[cue.end() : cue.end() + 300], options, digit_labels)
        if said:
            yield cue.start(), said
    for cue in _CUE.finditer(plain):
        if not _states(plain, cue):
            continue
        behind = plain[cue.end() : cue.end() + 400].lstrip(" \n*_`\"'“:=")
        said = _behind(behind.split("\n", 1)[0], options, digit_labels)
        if said:
            yield cue.start(), said
    yield from _called_the_answer(plain, options)
    lines = [line for line in plain.split("\n") if line.strip(_DECORATION)]
    if len(lines) > 1:
        last = _lone(lines[-1], options, digit_labels)
        if all(re.fullmatch(r"\W*[A-Z]\W*", line) for line in lines):
            last = {_position(label) for label in re.findall(r"[A-Z]", plain)}
        # The last choice of a repeated list is not an answer.
        if last and not _lists(lines[-2], lines[-1], options, digit_labels):
            yield plain.rfind(lines[-1]), last


def _states(text: str, cue: re.Match[str]) -> bool:
    """Return whether a cue such as "the answer is" states an answer."""
    adjective, between = cue["adjective"] or "", cue["between"]
    if cue["negation"] is not None or _NOT_CHOSEN.search(adjective):
        return False
    if _SUPPOSED.search(text, max(0, cue.start() - 60), cue.start() + len(adjective)):
        return False
    if cue["noun"].lower() in ("answer", "ans"):
        # "Answer choice D is wrong" does not state the answer.
        return not (_LIST_NOUN.search(between) or re.search(r"(?<![\w'])[B-Z]\b", between))
    if adjective and not _CHOSEN.search(adjective):
        return False
    return not _NO_STATEMENT.search(between) and (bool(adjective) or not between.strip())


def _behind(text: str, options: list[str], digit_labels: bool) -> set[int | None]:
    """Return the answer directly after a cue."""
    said = _statement(text, options, digit_labels, alone=False)
    if said:
        return said
    qualified = _QUALIFIERS.match(text)
    if qualified is not None:
        return _statement(text[qualified.end() :], options, digit_labels, alone=False)
    # "The answer is that bears live in the forest, unlike ..."
    clause = re.split(
        r"[.,;(]\s|\b(?:because|since|unlike|not|rather|instead)\b", text, maxsplit=1
    )[0]
    named = _mentioned(clause, options)
    return named if len(named) == 1 and len(clause) < 200 else set()


def _called_the_answer(text: str, options: list[str]) -> Iterator[tuple[int, set[int | None]]]:
    """Yield the choices that are followed by "is the correct answer", with their positions."""
    taken = _texts(text, options)
    for verb in _IS_ANSWER.finditer(text):
        if taken[verb.start()]:
            continue
        start = max(0, verb.start() - 200)
        before = re.split(r"[\n;!?]|\.\s", text[start : verb.start()])[-1]
        if _LIST_NOUN.search(before) or _SUPPOSED.search(before):
            continue
        if re.search(r"\b(?:wrong|incorrect|worst|other)\b", verb[0], re.IGNORECASE):
            continue
        bare = re.search(r"(?<![\w'’-])([A-Z])\W{0,3}\Z", before)
        bare = bare or re.search(r"(?:\A\W*|\boption\s)([b-z])\Z", before)
        if bare and _NAMED.search(before, 0, bare.start(1)):
            continue
        named = (
            {_position(bare[1])}
            if bare
            else _marked(before, options) or _mentioned(before, options)
        )
        if len(named) == 1 and _TOGETHER.search(before) is None:
            yield verb.start(), named


def _first(text: str, options: list[str], digit_labels: bool) -> set[int | None]:
    """Return the choice at the beginning of a text, if the rest explains it."""
    lines = [line for line in text.split("\n") if line.strip(_DECORATION)]
    if len(lines) > 1:
        first = _lone(lines[0], options, digit_labels)
        if first and not _lists(lines[0], lines[1], options, digit_labels):
            return first
        if first:
            return set()
    by_text = _first_text(text, options)
    if by_text:
        return by_text
    label = _LEADING_LABEL.match(text.strip(" \n*_`\"'“”‘’"))
    if label is None or label[1].islower():
        return set()
    behind = text.strip(" \n*_`\"'“”‘’")[label.end() :]
    position = _position(label[1])
    if re.match(
        rf"\s?(?:;\s|[,–—-]?\s?(?:because|since|as(?!\swell))\b|\([^()\n]*\),?\s{_REASONS})", behind
    ):
        return {position}
    if position is not None and position < len(options):
        own = re.escape(options[position].strip())
        if re.match(rf"\s?{own}[.,;:]?\s(?:because|since|as)\b", behind, re.IGNORECASE):
            return {position}
    if label[0][-1] in ")]":
        marked = bool(_begins_with(behind, options, alone=False))
    else:
        marked = label[0][-1] in ".:"
    if not marked or _WRONG.match(behind):
        return set()
    if len({match[1] for match in _LISTING.finditer(text)}) > 1:
        # The text discusses several choices in turn.
        return set()
    return _statement(text, options, digit_labels, alone=False)


def _first_text(text: str, options: list[str]) -> set[int | None]:
    """Return the choice whose text is at the beginning of a text, if the rest only explains it."""
    folded = _folded(text.strip(_DECORATION), options)
    article = re.match(r"(?:the|an?)\s|", folded, re.IGNORECASE)
    for start in (0, article.end() if article else 0):
        # A letter is read as a label, even if it is the text of a choice.
        found = [
            o for o in options if len(o) > 1 and re.match(rf"{re.escape(o)}(?!\w)", folded[start:])
        ]
        longest = max(found, default="", key=len)
        if found and options.count(longest) == 1:
            break
    else:
        return set()
    first: set[int | None] = {options.index(longest)}
    rest = folded[start + len(longest) :]
    if re.match(rf"[,;]?\s\(?{_REASONS}", rest):
        return first
    if re.match(r"[.!;*_]*\n|[.!;]{1,2}\s|\s[–—-]\s", rest) is None:
        return set()
    sentences = re.split(r"[.!](?=\s)|[\n;]|\s[–—-]\s", rest)[:50]
    others = (_begins_with(sentence, options, alone=True) for sentence in sentences)
    return first if all(other <= first for other in others) else set()


def _lone(line: str, options: list[str], digit_labels: bool) -> set[int | None]:
    """Return the choice in a line that contains nothing else."""
    line = re.sub(r"\A[\W_]{0,4}A:\s(?=\W{0,2}[A-Z]\b)", "", line)
    line = re.sub(
        r"\A[\s*_#>✓✔✅☑👉➡→⇒∴=-]{1,6}(?<=[^-])(?=\W{0,3}\w)", "", line.rstrip(" \n✓✔✅☑👍")
    )
    line = line.strip(_DECORATION + "#>").removeprefix("- ")
    named = _statement(line, options, digit_labels, alone=True)
    qualified = None if named else _QUALIFIERS.match(line)
    if qualified is not None:
        return _statement(line[qualified.end() :], options, digit_labels, alone=True)
    return named


def _lists(one: str, two: str, options: list[str], digit_labels: bool) -> bool:
    """Return whether two lines with one choice each belong to a list of the choices."""
    if len(one.strip(_DECORATION + "()[]#>-")) == 1 or len(two.strip(_DECORATION + "()[]#>-")) == 1:
        return False
    first = _lone(one, options, digit_labels)
    second = _lone(two, options, digit_labels)
    return bool(first) and bool(second) and first != second


def read_content(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's content: the chosen text if the choices are given, else the label."""
    if choices:
        reading = read_choice(answer, choices)
        if reading.value is None:
            return reading
        chosen = choices[LETTERS.index(reading.value)]
        return Reading(_unboxed(_plain(chosen)).strip(_DECORATION).casefold())
    return read_choice(answer, [""] * len(LETTERS))


def read_answer(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's final answer, as `read_content` does."""
    return read_content(answer, choices)


def _position(label: str) -> int | None:
    """Return the index of a label (0 for A, a or 1), or None if the text is not a label."""
    label = label.strip()
    if label.isascii() and label.isdigit():
        return int(label) - 1 if 1 <= int(label[:3]) <= len(LETTERS) else None
    place = LETTERS.find(label.upper()) if len(label) == 1 else -1
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
    """Return the text in Unicode form NFKC, without markup and doubled spaces.

    `BOX_START` and `BOX_END` replace the ends of a box or a tag `<answer>`.
    """
    text = unicodedata.normalize("NFKC", text)
    text = "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else " " for c in text)
    text = re.sub(r"</?(?:b|i|strong|em|p|br|span|code)\s?/?>", " ", text, flags=re.IGNORECASE)
    text = re.sub(r"<answer>", BOX_START, text, flags=re.IGNORECASE)
    text = re.sub(r"</answer>", BOX_END, text, flags=re.IGNORECASE)
    text = _STRUCK.sub(" ", plain_latex(text).replace("**", ""))
    text = re.sub(r"(?<=[A-Za-z)])(?:\s?_|\^)\s?(?=-?\d)", "", text)
    text = re.sub(r"(?<=\d)\s?per\s?cent\b", "%", text)
    if not text.isascii():
        text = re.sub("。", ". ", re.sub(f"[、,](?={_HAN})", ", ", text))
        text = _COPULA.sub("", _BESIDE_HAN.sub(" ", text))
    return re.sub(r"[^\S\n]+", " ", text)


def _unboxed(text: str) -> str:
    """Return a plain text without the characters that mark boxes."""
    return re.sub(r"[^\S\n]+", " ", text.replace(BOX_START, " ").replace(BOX_END, " "))


def _statement(text: str, options: list[str], digit_labels: bool, alone: bool) -> set[int | None]:
    """Return the indexes of the choices at the beginning of a text, usually one.

    Args:
        text: the text, from the beginning of the answer.
        options: the plain texts of the choices.
        digit_labels: whether a digit is a label rather than a text.
        alone: whether the text must contain the answer alone.
    """
    text = text.strip(" \n*_`\"'“”‘’")
    by_text = _begins_with(text, options, alone)
    number = _NUMBER.match(text)
    if number is not None and not (digit_labels and _is_label(text, number)):
        by_number = by_text or _with_number(text, options, alone)
        if by_number or not _is_label(text, number):
            return by_number
    label = _LEADING_LABEL.match(text)
    place = None if label is None else _position(label[1])
    labels = max(len(options), _FEWEST_LABELS)
    if label is None or place is None or place >= labels:
        return by_text
    sign, rest = label[1], text[label.end() :]
    marked = len(label[0]) > 1 or rest.startswith(",")
    if by_text and not marked and sign in "aA":
        # "A shark" is a shark.
        return by_text
    if not marked and sign in "aAI" and _ARTICLE.match(rest) and not _AFTER_ARTICLE.match(rest):
        return set()
    if sign.islower() and not marked and rest.strip(_DECORATION):
        return set()
    line = rest.split("\n", 1)[0]
    others = {n for n in _others(line, sign.isdigit()) if n is not None and n < labels}
    beside = _begins_with(rest.lstrip(_DECORATION), options, alone=True)
    beside = beside or _begins_with(rest.lstrip(_DECORATION + "-–—="), options, alone=True)
    inside = re.fullmatch(r"\s?\((.{1,300})\)[.!]?\s?", rest)
    if inside is not None:
        beside = beside or _begins_with(inside[1], options, alone=True)
    more = alone and rest.strip(_DECORATION + ")]") and not beside
    if more and (not others or re.search(r"[a-z]{3}", _JOINING.sub("", rest))):
        return set()
    return {place} | others | beside | _listed_with_texts(place, rest, options)


def _listed_with_texts(place: int, rest: str, options: list[str]) -> set[int | None]:
    """Return the further choices of "B) deep sea and C) forest"; `rest` is the text after the B."""
    found: set[int | None] = set()
    at: int | None = place
    while at is not None and at < len(options) and options[at]:
        listed = re.match(
            rf"[\s.:)\]]{{0,3}}{re.escape(options[at])}"
            r"(?:[\s,;/&.]|and\s|or\s){1,6}\(?(?P<label>[A-Z])[).:\]]",
            rest,
            re.IGNORECASE,
        )
        following = None if listed is None else _position(listed["label"])
        if listed is None or following is None or following >= len(options):
            break
        rest = rest[listed.end() :]
        if not _begins_with(rest, [options[following]], alone=False) or following in found:
            break
        found.add(following)
        at = following
    return found


def _is_label(text: str, number: re.Match[str]) -> bool:
    """Return whether a number at the beginning of a text can be a label, i.e. has no unit."""
    if not number["digits"].isdigit() or number[0] != number["digits"]:
        return False
    return re.match(r"\s?(?:[%°/^]|[A-Za-z])", text[number.end() :]) is None


def _others(rest: str, digits: bool) -> set[int | None]:
    """Return further labels after a label that belong to the same answer.

    Args:
        rest: the text after the label.
        digits: whether the label is a digit. A letter among digits, or a digit among letters, is
            not a label.
    """
    another = _ANOTHER_LABEL.match(rest)
    if another is None:
        return set()
    sign = another["listed"] or another["bracketed"] or another["closed"]
    if sign.isdigit() != digits:
        return set()
    named, end = {_position(sign)}, another.end()
    if another["listed"] is None:
        return named
    while (more := _LISTED_LABEL.match(rest, end)) is not None:
        named.add(_position(more["listed"]))
        end = more.end()
    goes_on = rest[end:].lstrip(" )]").strip("*_`\"'“”‘’")
    explains = re.match(r"[a-z]", goes_on) and another["sign"] in (",", ";")
    # "B, because A is wet", and "B, A is wet": A is mentioned, but is not part of the answer.
    if explains and not _TOGETHER.search(goes_on[:40]):
        return set()
    return named


def _with_number(text: str, options: list[str], alone: bool = False) -> set[int | None]:
    """Return the choices that begin with the same number and unit as a text."""
    number = _NUMBER.match(text)
    if number is None:
        return set()
    value, unit = _value(number), text[number.end() :].strip(_DECORATION).casefold()
    if alone and (len(unit) > 40 or re.search(r"(?:\A[*x-]|[+×÷=])\s?\d", unit)):
        return set()
    same: dict[int | None, str] = {}
    for place, option in enumerate(options):
        found = _NUMBER.match(option)
        if found is not None and value is not None and _value(found) == value:
            same[place] = option[found.end() :].strip(_DECORATION).casefold()
    units = {place for place, theirs in same.items() if theirs and unit.startswith(theirs)}
    if units:
        longest = max(len(same[place]) for place in units)
        return {place for place in units if len(same[place]) == longest}
    if re.match(r"(?:[%°/^]|[a-z])", unit) and alone:
        return {place for place, theirs in same.items() if not theirs and len(unit) < 20}
    return set(same)


def _value(number: re.Match[str]) -> Fraction | None:
    digits = number["digits"].replace(",", "")
    below = int(number["below"] or 1)
    if len(digits) > 40 or not below:
        return None
    value = Fraction(digits if digits[0] != "." else f"0{digits}") / below
    value *= Fraction(10) ** max(-40, min(40, int(number["power"] or 0)))
    return -value if number["sign"] in ("-", "−") else value


def _folded(text: str, options: list[str]) -> str:
    """Return the text in lower case, unless the options differ only in letter case."""
    return text.casefold() if all(o == o.casefold() for o in options) else text


def _begins_with(text: str, options: list[str], alone: bool) -> set[int | None]:
    """Return the choices whose full text the given text equals or begins with; the longest wins."""
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


def _marked(text: str, options: Sequence[str] = ()) -> set[int | None]:
    """Return the labels that a text marks as such."""
    aside = _in_brackets(text)
    found: set[int | None] = set()
    for match in _MARKED.finditer(text):
        label = match[match.lastgroup or 0]
        # "(about 3)" is an aside, "5 m^(2)" a unit, "C (4)" the text of C, and "5 m/s (3)" a note.
        if match["closed"] is not None and aside[match.start()]:
            continue
        if match["bracketed"] is not None and label.isdigit():
            before = text[max(0, match.start() - 12) : match.start()]
            if label in options or not _BEFORE_DIGIT.search(before):
                continue
        found.add(_position(label))
    return found


def _in_brackets(text: str) -> bytearray:
    """Return, for each character of the text, whether it is in round brackets of its line."""
    inside = bytearray(len(text) + 1)
    depth = 0
    for position, character in enumerate(text):
        inside[position] = depth > 0
        if character == "(":
            depth += 1
        elif character == "\n":
            depth = 0
        elif character == ")" and depth:
            depth -= 1
    return inside


def _said_to_be_wrong(text: str) -> set[int | None]:
    """Return the labels that a text calls wrong."""
    wrong: set[int | None] = set()
    for match in re.finditer(r"(?<![\w'’°-])\(?([A-Z])\b", text):
        if _WRONG.match(text, match.end()):
            wrong.add(_position(match[1]))
    for match in _EXCLUDED.finditer(text):
        wrong.update(_position(label) for label in match.groups() if label)
    for match in _REJECTS.finditer(text):
        wrong.update(_position(label) for label in re.findall(r"\b[A-Z]\b", match[1]))
    return wrong


def _mentioned(text: str, options: list[str]) -> set[int | None]:
    """Return the choices whose full texts occur in the text, not as part of a longer choice."""
    return {place for place, _, _ in _mentions(text, options)}


def _texts(text: str, options: list[str]) -> bytearray:
    """Return, for each character of the text, whether it is part of the full text of a choice."""
    taken = bytearray(len(text) + 1)
    for _, start, end in _mentions(text, options):
        taken[start:end] = b"\x01" * (end - start)
    return taken


def _mentions(text: str, options: list[str]) -> Iterator[tuple[int, int, int]]:
    """Yield the choices whose full texts occur in the text, with their start and end."""
    folded = _folded(text, options)
    taken = bytearray(len(folded))
    named: set[int] = set()
    order = sorted(range(len(options)), key=lambda place: -len(options[place]))
    for place in order:
        option = options[place]
        if not option:
            continue
        for match in re.finditer(rf"(?<!\w){re.escape(option)}(?!\w)", folded):
            start, end = match.span()
            same = any(options[other] == option for other in named)
            if same or not any(taken[start:end]):
                taken[start:end] = b"\x01" * (end - start)
                named.add(place)
                yield place, start, end


def _bare(text: str) -> set[int | None]:
    named: set[int | None] = set()
    for match in _BARE.finditer(text):
        behind = text[match.end() : match.end() + 10]
        if match[1] in "AI" and _ARTICLE.match(behind) and not _AFTER_ARTICLE.match(behind):
            continue
        if _NAMED.search(text, max(0, match.start() - 14), match.start()):
            continue
        named.add(_position(match[1]))
    return named
