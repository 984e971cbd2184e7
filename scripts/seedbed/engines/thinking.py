"""Thinking: additional tokens for it, and its separation from answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from seedbed.engines import Completion, Engine, Request
from seedbed.thinking import split_thinking


def without_thinking(completion: Completion) -> Completion:
    """Return a completion of a local model with the thinking separated from the text.

    The number of thinking tokens is estimated from the thinking's share of the characters.
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
    """An engine whose model may think before each answer.

    It adds an allowance of tokens to the `max_tokens` of every request.
    """

    def __init__(self, engine: Engine, tokens: int) -> None:
        self._engine = engine
        self._tokens = tokens

    def complete(
        self, requests: Iterable[Request], adapter: Path | None = None
    ) -> Iterator[Completion]:
        """Yield the engine's completions of the requests with the higher limit."""
        higher = (
            replace(request, max_tokens=request.max_tokens + self._tokens) for request in requests
        )
        return self._engine.complete(higher, adapter)
