"""Scorer for answers that are one exact string on one line, such as a name.

The strict rule requires `Answer: TEXT` as the last line, or TEXT and nothing else. The flexible
rule reads the rest of the line after the last "answer:" or "answer is" (the next line, if the rest
is empty), or a box or tag `<answer>` after it, or else the last line. It ignores letter case,
doubled spaces, and quotes, emphasis and punctuation around the answer. Neither rule reads the parts
that `seedbed.evaluation.scorers.outputs` removes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from seedbed.evaluation.scorers import PlainScorer, Reading, Score, any_gold
from seedbed.evaluation.scorers.latex import BOX_END, BOX_START, plain_latex
from seedbed.evaluation.scorers.outputs import final_part
from seedbed.tasks.items import TaskItem

# Only the end of a longer text is read: the final answer is at the end.
MAX_CHARACTERS = 10_000
MAX_GOLD_CHARACTERS = 1_000

_MARKER = "Answer: "
_CUE = re.compile(r"\banswer(?:\s?[*_]{0,3}:|\s(?:is\b:?|=))", re.IGNORECASE)
_BOX = re.compile(f"{BOX_START}([^{BOX_START}{BOX_END}\n]*){BOX_END}")
_TAG = re.compile(r"<answer>\s{0,9}([^<>\n]{0,1000}?)\s{0,9}</answer>", re.IGNORECASE)
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_QUOTES = "\"'`´‘’‚“”„«»‹›*_"
_PUNCTUATION = ".,;:!?…。"


class ExactScorer(PlainScorer):
    """Scores outputs whose final answer is one exact string."""

    @any_gold
    def score(self, output: str, item: TaskItem) -> Score:
        """Return the score of an output; see `seedbed.evaluation.scorers.Scorer`."""
        gold = _normalised(item.gold).strip()
        if not gold or len(gold.splitlines()) != 1 or len(gold) > MAX_GOLD_CHARACTERS:
            raise ValueError(
                f"the gold of item {item.item_id!r} is not one line of at most "
                f"{MAX_GOLD_CHARACTERS} characters: the task needs a scorer of its own"
            )
        strict = gold in _strict_readings(output)
        flexible = read_exact(output)
        # A gold that looks like a box is read in the same way as an output.
        wanted = {_folded(gold), read_exact(gold).value}
        return Score(
            strict=strict,
            flexible=strict or (flexible.value is not None and flexible.value in wanted),
            extracted=flexible.value,
            reason=flexible.reason,
        )


from_options = ExactScorer.from_options


def read_content(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read the content of an answer: its string, by the flexible rule."""
    return read_exact(answer)


def read_answer(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's final answer, as `read_content` does."""
    return read_content(answer, choices)


def read_exact(output: str) -> Reading:
    """Read the answer of a free text, in lower case and without surrounding marks."""
    text = _normalised(_final_part(output)[-MAX_CHARACTERS:])
    cue = None
    for cue in _CUE.finditer(text):  # noqa: B007 (only the last one matters)
        pass
    boxed = _boxed(text, 0 if cue is None else cue.start())
    parts = [] if cue is None else text[cue.end() :].splitlines()
    for line in [*boxed, *parts, *reversed(text.splitlines())]:
        value = _folded(line)
        if value:
            return Reading(value)
    return Reading(None, "empty")


def _final_part(output: str) -> str:
    return final_part(output, _answered)


def _answered(head: str, tail: str) -> bool:
    """Return whether the text before a next question or turn contains the answer."""
    head = head[-MAX_CHARACTERS:]
    return (
        _CUE.search(head) is not None
        or head.rstrip(" \t").endswith("\n\n")
        or len(head.split("\n")) <= 2
    )


def _boxed(text: str, start: int) -> list[str]:
    """Return the content of the last box or tag of a text after `start`, if there is one."""
    text = _TAG.sub(f"{BOX_START}\\1{BOX_END}", _PRIVATE.sub("", text[start:]))
    if "boxed" in text:
        text = plain_latex(text)
    found = _BOX.findall(text)
    return found[-1:]


def _strict_readings(output: str) -> list[str]:
    """Return the strict readings of an output: all of it, and the marked part of its last line."""
    text = _normalised(_final_part(output)[-MAX_CHARACTERS:]).strip()
    last = text.splitlines()[-1] if text else ""
    marked = [last.removeprefix(_MARKER).strip()] if last.startswith(_MARKER) else []
    # The output without changes, because a gold may look like a token of a chat template.
    return [_normalised(output[-MAX_CHARACTERS:]).strip(), text, *marked]


def _normalised(text: str) -> str:
    """Return the text in Unicode form NFKC, which turns a full-width A into an A."""
    return unicodedata.normalize("NFKC", text)


def _folded(line: str) -> str:
    """Return a line in lower case, without doubled spaces and the marks around an answer."""
    # NFKC keeps control and format characters, which are invisible.
    seen = "".join(c for c in line if c.isspace() or unicodedata.category(c)[0] != "C")
    plain = " ".join(_normalised(seen.casefold()).split())
    return plain.strip(_QUOTES + " ").rstrip(_QUOTES + _PUNCTUATION + " ")
