"""Thinking: the text that a model writes before its answer, and the tags around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

_NAMES = r"(?:think|thinking|thought|seed:think)"
# The tags of gpt-oss, Gemma 4 and Command A are special tokens.
_START = (
    rf"(?:<{_NAMES}>|\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|channel>thought\n"
    r"|<\|channel\|>(?:analysis|commentary)<\|message\|>)"
)
_FINAL = r"(?:<\|end\|>)?(?:<\|start\|>)?(?:assistant)?<\|channel\|>final<\|message\|>"
_END = rf"(?:</{_NAMES}>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<channel\|>|{_FINAL})"
_WHOLE = re.compile(rf"{_START}(.*?){_END}", re.DOTALL | re.IGNORECASE)
_UNENDED = re.compile(rf"{_START}(.*)\Z", re.DOTALL | re.IGNORECASE)
_UNBEGUN = re.compile(rf"\A(.*){_END}", re.DOTALL | re.IGNORECASE)
_ANY = re.compile(rf"{_START}|{_END}", re.IGNORECASE)
_MARK = re.compile(
    rf"</?{_NAMES}>|\[/?THINK\]|◁/?think▷|<\|(?:START|END)_THINKING\|>|<\|?channel\|?>|<\|message\|>",
    re.IGNORECASE,
)
_OPENED = re.compile(rf"<({_NAMES})>\s*\Z", re.IGNORECASE)
_CLOSED = re.compile(rf"{_END}\s*\Z", re.IGNORECASE)
# Granite also puts tags around the answer after its thinking.
_RESPONSE = re.compile(r"\A\s*<response>(.*?)(?:</response>\s*)?\Z", re.DOTALL)


def split_thinking(text: str) -> tuple[str, str]:
    """Return the thinking in a text, and the text without it.

    Thinking is the text between tags. Some chat templates write the start tag into the prompt, so
    text before an end tag without a start tag is thinking. So is text after a start tag without an
    end tag: the model was cut off while it thought.
    """
    if not _ANY.search(text):
        return "", text
    thoughts = _WHOLE.findall(text)
    rest = _WHOLE.sub("", text)
    if found := _UNBEGUN.search(rest):
        thoughts.insert(0, found[1])
        rest = rest[found.end() :]
    if found := _UNENDED.search(rest):
        thoughts.append(found[1])
        rest = rest[: found.start()]
    if found := _RESPONSE.search(rest):
        rest = found[1]
    return "\n".join(filter(None, map(str.strip, thoughts))), rest.strip()


def opened(prompt: str) -> str | None:
    """Return the name of the start tag at the end of a prompt; None if there is none."""
    found = _OPENED.search(prompt)
    return found[1] if found else None


def closed(prompt: str) -> bool:
    """Return whether a prompt ends with an end tag, so that the model does not think."""
    return _CLOSED.search(prompt) is not None


def text_reader(tokenizer: Any) -> Callable[[Sequence[int]], str]:
    """Return a function that decodes tokens, without special tokens other than thinking tags.

    Args:
        tokenizer: the model's.
    """
    special = {
        token: str(added)
        for token, added in tokenizer.added_tokens_decoder.items()
        if added.special
    }
    marks = {token for token, text in special.items() if _MARK.fullmatch(text)}

    def read(tokens: Sequence[int]) -> str:
        if marks.isdisjoint(tokens):
            return tokenizer.decode(tokens, skip_special_tokens=True)
        shown = [token for token in tokens if token not in special or token in marks]
        return tokenizer.decode(shown, skip_special_tokens=False)

    return read
