"""Thinking: what a model writes for itself before its answer, told apart from the answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from seedbed.engines import Completion, Engine, Request

_NAMES = r"(?:think|thinking|thought|seed:think)"
_START = rf"(?:<{_NAMES}>|\[THINK\]|◁think▷)"
_END = rf"(?:</{_NAMES}>|\[/THINK\]|◁/think▷)"
_WHOLE = re.compile(rf"{_START}(.*?){_END}", re.DOTALL | re.IGNORECASE)
_UNENDED = re.compile(rf"{_START}(.*)\Z", re.DOTALL | re.IGNORECASE)
_UNBEGUN = re.compile(rf"\A(.*){_END}", re.DOTALL | re.IGNORECASE)
_ANY = re.compile(rf"{_START}|{_END}", re.IGNORECASE)


def split_thinking(text: str) -> tuple[str, str]:
    """Return the thinking in a text, and the text without it.

    Thinking stands between tags. Some chat templates write the start tag into the prompt, so text
    before an end tag without a start is thinking; so is text after a start tag without an end,
    where a model was cut off while it thought.
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
    return "\n".join(filter(None, map(str.strip, thoughts))), rest.strip()


def without_thinking(completion: Completion) -> Completion:
    """Return a completion of a model in this process with its thinking apart from its text.

    Its tokens of thinking are estimated: the share of the text's characters, of its tokens.
    """
    thinking, text = split_thinking(completion.text)
    if not thinking:
        return completion if text == completion.text else replace(completion, text=text)
    share = len(thinking) / (len(thinking) + len(text))
    return replace(
        completion,
        text=text,
        thinking=thinking,
        thinking_tokens=round(share * completion.completion_tokens),
    )


class ThinkingEngine:
    """An engine whose model may think before each answer: every limit grows by an allowance."""

    def __init__(self, engine: Engine, tokens: int) -> None:
        self._engine = engine
        self._tokens = tokens

    def complete(
        self, requests: Iterable[Request], adapter: Path | None = None
    ) -> Iterator[Completion]:
        """Yield what the engine answers to the requests with the higher limit."""
        higher = (
            replace(request, max_tokens=request.max_tokens + self._tokens) for request in requests
        )
        return self._engine.complete(higher, adapter)
