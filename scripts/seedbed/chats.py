"""Chats: messages as a model's own template puts them, in tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from seedbed.artifacts import read_json

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

    # Of a folder that has both, the tokenizer of Transformers: that of mistral-common is not
    # installed everywhere, and has a template of its own.
    tokenizer = AutoTokenizer.from_pretrained(model, mistral_format=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    template = tokenizer.chat_template
    if isinstance(template, str) and "strftime_now" in template:
        tokenizer.chat_template = (
            f'{{%- set date_string = "{TEMPLATE_DATE}" %}}'
            "{%- macro strftime_now(format) %}{{ date_string }}{% endmacro %}" + template
        )
    return tokenizer


def fixed_template(template: str, values: Mapping[str, Any]) -> str:
    """Return a chat template in which some variables have values, whoever renders it.

    Args:
        template: Jinja.
        values: by variable, e.g. `enable_thinking`, what it is.
    """
    lines = [f"{{%- set {name} = {_jinja(value)} %}}" for name, value in values.items()]
    return "".join(lines) + template


def _jinja(value: Any) -> str:
    """Return a value as Jinja writes it: JSON does, but for null."""
    return "none" if value is None else json.dumps(value)


def end_tokens(model: Path, tokenizer: Any) -> set[int]:
    """Return the tokens that end what a model generates."""
    file = model / "generation_config.json"
    ends = read_json(file).get("eos_token_id") if file.is_file() else None
    ends = [ends] if isinstance(ends, int) else ends or []
    return {*ends, tokenizer.eos_token_id} - {None}


def check_template(tokenizer: Any, ends: set[int], system: str | None, trained: bool) -> None:
    """Check that a chat template does what a model's part in a study needs.

    Args:
        tokenizer: the model's.
        ends: tokens that end what it generates.
        system: message that sets the model up, if any.
        trained: whether the model is a student.

    Raises:
        ValueError: saying what the template does otherwise, and what to write.
    """
    if not tokenizer.chat_template:
        raise ValueError(
            "the model has no chat template, as base models have none: give one by the key "
            "chat_template in its file, such as templates/plain.jinja"
        )
    question, answer = "How many apples are there?", "There are 7 apples."
    chat = [{"role": "user", "content": question}]
    if system is not None:
        chat = [{"role": "system", "content": system}, *chat]
    try:
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        row = [*chat, {"role": "assistant", "content": answer}]
        whole = tokenizer.apply_chat_template(row, tokenize=False) if trained else prompt
    # Templates are programs, and raise what they like.
    except Exception as error:
        kind = "a chat" if system is None else "a chat with the key system of its file"
        raise ValueError(f"the chat template does not take {kind}: {error}") from None
    if question not in prompt:
        raise ValueError(f"the chat template leaves out the question: {prompt!r}")
    if system is not None and system.strip() not in prompt:
        raise ValueError(
            f"the chat template leaves out the system message {system!r}, and writes {prompt!r}: "
            "leave out the key system of the model's file, or give another chat_template"
        )
    if system is not None and prompt.index(system.strip()) > prompt.index(question):
        raise ValueError(
            f"the chat template puts the system message after the question: {prompt!r}"
        )
    if trained:
        _check_row(tokenizer, ends, prompt, whole, answer)


def _check_row(tokenizer: Any, ends: set[int], prompt: str, whole: str, answer: str) -> None:
    if not whole.startswith(prompt):
        raise ValueError(not_a_prefix(prompt, whole))
    written = whole[len(prompt) :]
    if answer not in written:
        raise ValueError(f"the chat template leaves out the answer to train on: {whole!r}")
    ids = tokenizer(written, add_special_tokens=False)["input_ids"]
    # Some templates break the line after the end.
    while ids and ids[-1] not in ends and not tokenizer.decode(ids[-1:]).strip():
        ids.pop()
    if not ids or ids[-1] not in ends:
        known = ", ".join(repr(tokenizer.decode([end])) for end in sorted(ends)) or "none"
        raise ValueError(
            f"the chat template ends an answer with {written[-40:]!r}, and no token there ends "
            f"what the model generates (known ends: {known}): a student would not learn to stop"
        )


class Asked(Protocol):
    """What a model is asked, as `seedbed.engines.Request`."""

    @property
    def key(self) -> str:
        """The caller's name for it."""

    @property
    def messages(self) -> Sequence[tuple[str, str]]:
        """Pairs of role and content."""

    @property
    def max_tokens(self) -> int:
        """The most tokens of the answer."""


AskedT = TypeVar("AskedT", bound=Asked)


def encode_prompts(
    tokenizer: Any,
    requests: Iterable[AskedT],
    context: int,
    template: Mapping[str, Any] | None = None,
) -> list[tuple[AskedT, list[int]]]:
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
