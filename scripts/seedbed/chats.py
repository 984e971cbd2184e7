"""Chats: messages as a model's own template puts them, in tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    tokenizer: Any,
    requests: Iterable[Request],
    context: int,
    template: Mapping[str, Any] | None = None,
) -> list[tuple[Request, list[int]]]:
    """Return the requests with the tokens of their prompts.

    Args:
        tokenizer: the model's.
        requests: any number.
        context: tokens that the model takes, prompt and answer together.
        template: arguments of the chat template, as whether to think.

    Raises:
        ValueError: if a prompt leaves no room for an answer in the model's context.
    """
    prompts = []
    for request in requests:
        messages = [{"role": role, "content": content} for role, content in request.messages]
        encoded = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True, **(template or {})
        )
        ids = encoded["input_ids"]
        if context - len(ids) < request.max_tokens:
            raise ValueError(
                f"request {request.key}: {len(ids)} prompt tokens and {request.max_tokens} to "
                f"answer do not fit into {context}"
            )
        prompts.append((request, ids))
    return prompts
