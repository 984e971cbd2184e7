"""Finding the answer part of a model's output.

Three parts of an output are removed: thinking before the answer (`<think>...</think>`), tokens of a
chat template (`<|im_end|>`), and anything that the model writes after its answer instead of
stopping: a next question, or a next turn of a conversation.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# Later turns are not examined.
_MAX_TURNS = 50

_THOUGHTS = r"(?:think(?:ing)?|thoughts?|reasoning)"
_THINKING_STARTS = re.compile(
    rf"<{_THOUGHTS}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|channel\|>analysis", re.IGNORECASE
)
_THINKING_ENDS = re.compile(
    rf"</{_THOUGHTS}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)
_TOKEN = (
    r"(?:<[|｜][^|｜<>\n]{1,40}[|｜]>|</?s>|<(?:eos|bos|pad|unk|start_of_turn|end_of_turn)>"
    r"|\[/?INST\])"
)
_TEMPLATE = re.compile(_TOKEN)
_LEADING_TEMPLATE = re.compile(rf"\s*+(?>(?:{_TOKEN}(?:assistant|model)?\s*+)+)")
_MARK = r"(?:[*_]{1,3}|#{1,6}[ \t]{0,3}|>[ \t]?)?"
_TURN = re.compile(
    rf"^[ \t]{{0,8}}{_MARK}(?:"
    r"multiple[ -]choice(?:[ \t]question)?[ \t]?[*_]{0,3}:|"
    r"(?:(?:next|new|another|follow-?up|bonus|similar|practice|extra|additional)[ \t])?"
    r"(?:question|problem|exercise|puzzle|q)[ \t]?(?:\#?\d{1,3})?[ \t]?[*_]{0,3}:"
    r"|(?:human|user|assistant|instructions?)[ \t]?[*_]{0,3}:"
    r")"
    r"|^\#{1,6}[ \t]{0,3}(?:(?:next|new|another)[ \t])?"
    r"(?:question|problem|exercise|instructions?|input|response|human|user|assistant|system)"
    r"[ \t]?(?:\#?\d{1,3})?[ \t]{0,8}:?[ \t]{0,8}$"
    r"|^[ \t]{0,8}(?:question|problem|exercise|example)[ \t]\#?\d{1,3}[ \t]?[*_]{0,3}"
    r"(?:[.)][ \t]|:?[ \t]{0,8}$)"
    # On the same line, after the end of a sentence.
    r"|(?<=[\d.!?)}\]*$])[ \t]{1,3}(?-i:Question|Problem|Q|Human|User)[ \t]?\d{0,3}:(?=\s)",
    re.IGNORECASE | re.MULTILINE,
)


def final_part(output: str, answered: Callable[[str, str], bool]) -> str:
    """Return the part of an output that is the model's answer, "" if there is none.

    Args:
        output: a model's output.
        answered: called with the text before and the text from the beginning of what looks like a
            next question or turn; returns whether the former contains the answer. Until it does,
            the apparent next question counts as part of the answer: a model may restate a problem
            before it solves it.
    """
    return _without_next_turns(_without_template(without_thinking(output)), answered)


def without_thinking(output: str) -> str:
    """Return the text after an output's last thinking part, without a part that never ends."""
    end = None
    for end in _THINKING_ENDS.finditer(output):  # noqa: B007 (only the last one matters)
        pass
    text = output if end is None else output[end.end() :]
    start = _THINKING_STARTS.search(text)
    return text if start is None else text[: start.start()]


def _without_template(text: str) -> str:
    """Remove the first tokens of a chat template, and the text from the next such token on."""
    lead = _LEADING_TEMPLATE.match(text)
    if lead is not None:
        text = text[lead.end() :]
    token = _TEMPLATE.search(text)
    return text if token is None else text[: token.start()]


def begins_with_turn(text: str) -> bool:
    """Return whether a text begins like a next question or turn."""
    return _TURN.match(text.lstrip()) is not None


def _without_next_turns(text: str, answered: Callable[[str, str], bool]) -> str:
    for count, turn in enumerate(_TURN.finditer(text)):
        if count == _MAX_TURNS:
            break
        head = text[: turn.start()]
        if head.strip() and answered(head, text[turn.start() :]):
            return head
    return text
