"""Chats: messages as a model's own template puts them, in tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedbed.engines import Request

TEMPLATE_DATE = "26 Jul 2024"
"""What templates that tell a model the date tell it, whatever the day: the one that those of Llama
3.1 to 3.3 fall back on. With the day of the run, tomorrow's prompts would not be today's, and a
student would be asked in other words than it was trained with."""


def load_tokenizer(model: Path) -> Any:
    """Return a model's tokenizer, with a token to pad with, and a chat template without a clock.

    Args:
        model: a folder in the Transformers layout.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    template = tokenizer.chat_template
    if isinstance(template, str) and "strftime_now" in template:
        tokenizer.chat_template = (
            f'{{%- set date_string = "{TEMPLATE_DATE}" %}}'
            "{%- macro strftime_now(format) %}{{ date_string }}{% endmacro %}" + template
        )
    return tokenizer


def encode_prompts(
    tokenizer: Any, requests: Iterable[Request], context: int
) -> list[tuple[Request, list[int]]]:
    """Return the requests with the tokens of their prompts.

    Args:
        tokenizer: the model's.
        requests: any number.
        context: tokens that the model takes, prompt and answer together.

    Raises:
        ValueError: if a prompt leaves no room for an answer in the model's context.
    """
    prompts = []
    for request in requests:
        messages = [{"role": role, "content": content} for role, content in request.messages]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)[
            "input_ids"
        ]
        if context - len(ids) < request.max_tokens:
            raise ValueError(
                f"request {request.key}: {len(ids)} prompt tokens and {request.max_tokens} to "
                f"answer do not fit into {context}"
            )
        prompts.append((request, ids))
    return prompts


@dataclass(frozen=True, slots=True)
class Row:
    """A chat to train on, in tokens.

    Attributes:
        ids: of the whole chat.
        prompt_tokens: how many of them are the prompt, which has no loss.
    """

    ids: list[int]
    prompt_tokens: int


def encode_rows(
    tokenizer: Any, chats: Sequence[Sequence[dict[str, str]]], system: str | None = None
) -> list[Row]:
    """Return chats in tokens, to train on their last messages.

    Args:
        tokenizer: the model's.
        chats: messages with `role` and `content`, the last one the answer.
        system: message that goes before each chat, if any.

    Raises:
        ValueError: if a prompt is not how the whole chat begins: a student would be trained with
            another prompt than it is asked with.
    """
    if system is not None:
        chats = [[{"role": "system", "content": system}, *chat] for chat in chats]
    if not chats:
        return []
    prompts = tokenizer.apply_chat_template(
        [chat[:-1] for chat in chats], add_generation_prompt=True, return_dict=True
    )["input_ids"]
    whole = tokenizer.apply_chat_template(list(chats), return_dict=True)["input_ids"]
    for prompt, ids in zip(prompts, whole, strict=True):
        if ids[: len(prompt)] != prompt:
            raise ValueError(not_a_prefix(tokenizer.decode(prompt), tokenizer.decode(ids)))
    return [Row(ids, len(prompt)) for prompt, ids in zip(prompts, whole, strict=True)]


def not_a_prefix(prompt: str, row: str) -> str:
    """Return what to say of a chat template whose prompt is not how the whole chat begins."""
    same = next(
        (n for n, (one, other) in enumerate(zip(prompt, row, strict=False)) if one != other),
        min(len(prompt), len(row)),
    )
    start = max(0, same - 60)
    return (
        "the chat template writes a prompt otherwise when its answer follows, so the student would "
        f"be trained with another prompt than it is asked with. Asked: {prompt[start:]!r}. "
        f"Trained: {row[start : same + 200]!r}."
    )
