"""Chats: messages rendered with a model's chat template and tokenized."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from seedbed.artifacts import read_json
from seedbed.thinking import closed, opened, split_thinking, text_reader

THINKING = "reasoning_content"
"""Key of a message's thinking; most chat templates use this name."""

FORMS = (THINKING, "reasoning", "thinking", "tags", "prompt")
"""Ways in which a chat template can take thinking: as a key of the message with one of the first
three names, between tags in the content, or after a prompt that opens the thinking."""

TEMPLATE_DATE = "26 Jul 2024"
"""The date that chat templates write into prompts, whatever the day; Llama 3.1 to 3.3 fall back on
it. With today's date, prompts would change from day to day, and a student would be evaluated with
other prompts than those it was trained with."""


def load_tokenizer(model: Path) -> Any:
    """Return a model's tokenizer, with a padding token and a chat template that reads no clock.

    Args:
        model: a folder in the Transformers layout.
    """
    from transformers import AutoTokenizer

    # If a folder has two tokenizers, use that of Transformers: mistral-common is not installed
    # everywhere, and its tokenizer has another template.
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


def fixed_template(template: str, values: Mapping[str, object]) -> str:
    """Return a chat template that sets some of its variables itself, whoever renders it.

    Args:
        template: Jinja.
        values: from a variable, e.g. `enable_thinking`, to its value.
    """
    lines = [f"{{%- set {name} = {_jinja(value)} %}}" for name, value in values.items()]
    return "".join(lines) + template


def _jinja(value: Any) -> str:
    """Return a value as a Jinja literal: the same as JSON, except for null."""
    return "none" if value is None else json.dumps(value)


def end_tokens(model: Path, tokenizer: Any) -> set[int]:
    """Return the tokens at which a model's generation stops."""
    file = model / "generation_config.json"
    ends = read_json(file).get("eos_token_id") if file.is_file() else None
    ends = [ends] if isinstance(ends, int) else ends or []
    return {*ends, tokenizer.eos_token_id} - {None}


def check_template(
    tokenizer: Any, ends: set[int], system: str | None, trained: bool, thinking: bool = False
) -> None:
    """Check that a chat template suits the model's role in the study.

    Args:
        tokenizer: the model's.
        ends: tokens at which its generation stops.
        system: the system message, if any.
        trained: whether the model is a student.
        thinking: whether it is also trained on the teacher's thinking.

    Raises:
        ValueError: if it does not; the message says why, and what to write.
    """
    if not tokenizer.chat_template:
        raise ValueError(
            "the model has no chat template, like most base models: set one with the key "
            "chat_template in its file, such as templates/plain.jinja"
        )
    answered = trained and not thinking
    try:
        prompt = _rendered(tokenizer, _probe(system)[:-1])
        whole = _rendered(tokenizer, _probe(system)) if answered else prompt
    # Templates are programs, and can raise anything.
    except Exception as error:
        kind = "a chat" if system is None else "a chat with the key system of its file"
        raise ValueError(f"the chat template does not take {kind}: {error}") from None
    if QUESTION not in prompt:
        raise ValueError(f"the chat template leaves out the question: {prompt!r}")
    if system is not None and system.strip() not in prompt:
        raise ValueError(
            f"the chat template leaves out the system message {system!r}, and writes {prompt!r}: "
            "leave out the key system of the model's file, or give another chat_template"
        )
    if system is not None and prompt.index(system.strip()) > prompt.index(QUESTION):
        raise ValueError(
            f"the chat template puts the system message after the question: {prompt!r}"
        )
    if answered:
        _check_row(tokenizer, ends, prompt, whole)
    elif trained:
        form = thinking_form(tokenizer, system)
        for thought in (THOUGHT, ""):
            whole = _row(tokenizer, _probe(system, thought), form)
            _check_row(tokenizer, ends, prompt, whole)


QUESTION, ANSWER = "How many apples are there?", "There are 7 apples."
THOUGHT = "Four and three are seven."


def _probe(system: str | None, thought: str = "") -> list[dict[str, str]]:
    """Return a chat for testing templates."""
    answer = {"role": "assistant", "content": ANSWER}
    chat = [{"role": "user", "content": QUESTION}, answer]
    if thought:
        answer[THINKING] = thought
    return chat if system is None else [{"role": "system", "content": system}, *chat]


def _rendered(tokenizer: Any, chat: Sequence[Mapping[str, str]]) -> str:
    """Return a chat as text, with a generation prompt if its last message is not an answer."""
    asked = chat[-1]["role"] != "assistant"
    return tokenizer.apply_chat_template(list(chat), tokenize=False, add_generation_prompt=asked)


def thinking_form(tokenizer: Any, system: str | None) -> str:
    """Return the form in which a chat template takes thinking, one of `FORMS`.

    It is the first form in which rendered rows start with their prompt and can be split into the
    same thinking and answer again, with and without thinking.

    Raises:
        ValueError: if there is none; the message says what to write.
    """
    prompt, read = _rendered(tokenizer, _probe(system)[:-1]), text_reader(tokenizer)
    for form in FORMS:
        if form == "prompt" and opened(prompt) is None:
            continue
        for thought in (THOUGHT, ""):
            try:
                whole = _row(tokenizer, _probe(system, thought), form)
            except Exception:
                break
            written = whole[len(prompt) :]
            said = read(tokenizer(written, add_special_tokens=False)["input_ids"])
            thoughts, text = split_thinking(said)
            if not whole.startswith(prompt) or thoughts != thought or ANSWER not in text:
                break
        else:
            return form
    why = f"it writes {_rendered(tokenizer, _probe(system, THOUGHT))!r}"
    if closed(prompt):
        why = (
            f"the prompt ends with finished thinking, {prompt[-40:]!r}: leave out a key "
            "template of the model's file that turns thinking off, such as enable_thinking: false"
        )
    raise ValueError(
        "the chat template has no place for a teacher's thinking, which the study keeps (thinking: "
        f"keep); {why}. Give a chat_template that writes message.{THINKING} between <think> and "
        "</think> before the answer, or train without (thinking: drop)"
    )


def _row(tokenizer: Any, chat: Sequence[Mapping[str, str]], form: str) -> str:
    """Return a training row as text, with its thinking in the given form."""
    *asked, answer = chat
    thought, content = answer.get(THINKING, ""), answer["content"]
    if form == "prompt":
        prompt = _rendered(tokenizer, asked)
        # The text after an answer is its end.
        plain = _rendered(tokenizer, [*asked, {"role": "assistant", "content": ANSWER}])
        if thought:
            thought = f"{'' if prompt[-1].isspace() else chr(10)}{thought}\n"
        return f"{prompt}{thought}</{opened(prompt)}>\n\n{content}{plain.rpartition(ANSWER)[2]}"
    message = {"role": "assistant", "content": content}
    if thought and form == "tags":
        message["content"] = f"<think>\n{thought}\n</think>\n\n{content}"
    elif thought:
        message[form] = thought
    return _rendered(tokenizer, [*asked, message])


def _check_row(tokenizer: Any, ends: set[int], prompt: str, whole: str) -> None:
    if not whole.startswith(prompt):
        raise ValueError(not_a_prefix(prompt, whole))
    written = whole[len(prompt) :]
    if ANSWER not in written:
        raise ValueError(f"the chat template leaves out the answer to train on: {whole!r}")
    ids = tokenizer(written, add_special_tokens=False)["input_ids"]
    # Some templates add a line break after the end token.
    while ids and ids[-1] not in ends and not tokenizer.decode(ids[-1:]).strip():
        ids.pop()
    if not ids or ids[-1] not in ends:
        known = ", ".join(repr(tokenizer.decode([end])) for end in sorted(ends)) or "none"
        raise ValueError(
            f"the chat template ends an answer with {written[-40:]!r}, where no token stops the "
            f"model's generation (stop tokens: {known}): a student would not learn to stop"
        )


class Asked(Protocol):
    """A request to a model, such as `seedbed.engines.Request`."""

    @property
    def key(self) -> str:
        """The caller's name for the request."""

    @property
    def messages(self) -> Sequence[tuple[str, str]]:
        """Pairs of role and content."""

    @property
    def max_tokens(self) -> int:
        """The maximum number of tokens of the answer."""


AskedT = TypeVar("AskedT", bound=Asked)


def encode_prompts(
    tokenizer: Any,
    requests: Iterable[AskedT],
    context: int,
    template: Mapping[str, object] | None = None,
) -> list[tuple[AskedT, list[int]]]:
    """Return the requests with the tokens of their prompts.

    Args:
        tokenizer: the model's.
        requests: any number.
        context: maximum tokens of prompt and answer together.
        template: arguments of the chat template, e.g. whether to think.

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
        ids: token ids of the whole chat.
        prompt_tokens: how many of them belong to the prompt, which has no loss.
    """

    ids: list[int]
    prompt_tokens: int


def encode_rows(
    tokenizer: Any, chats: Sequence[Sequence[dict[str, str | None]]], system: str | None = None
) -> list[Row]:
    """Return chats in tokens, to train on their last messages.

    Args:
        tokenizer: the model's.
        chats: messages with `role` and `content`. The last one is the answer, which may have
            thinking as `reasoning_content`. Keys that are null count as missing.
        system: system message for chats that have none, if any.

    Raises:
        ValueError: if the template does not take a chat, or the whole chat does not start with the
            prompt: a student would be trained with another prompt than it is evaluated with.
    """
    from jinja2 import TemplateError

    if not chats:
        return []
    first = [] if system is None else [{"role": "system", "content": system}]
    told = [
        [{key: text for key, text in one.items() if text is not None} for one in chat]
        for chat in chats
    ]
    rows = [chat if chat[0]["role"] == "system" else [*first, *chat] for chat in told]
    try:
        prompts = tokenizer.apply_chat_template(
            [row[:-1] for row in rows], add_generation_prompt=True, return_dict=True
        )["input_ids"]
        if has_thinking(chats):
            form = thinking_form(tokenizer, system)
            texts = [_row(tokenizer, row, form) for row in rows]
            whole = tokenizer(texts, add_special_tokens=False)["input_ids"]
        else:
            whole = tokenizer.apply_chat_template(rows, return_dict=True)["input_ids"]
    except TemplateError as error:
        roles = {tuple(message["role"] for message in row) for row in rows}
        said = "; ".join(sorted(", ".join(each) for each in roles))
        raise ValueError(
            f"the chat template does not take messages of these roles: {said} ({error}); give "
            "another by the key chat_template of the model's file"
        ) from None
    for prompt, ids in zip(prompts, whole, strict=True):
        if ids[: len(prompt)] != prompt:
            raise ValueError(not_a_prefix(tokenizer.decode(prompt), tokenizer.decode(ids)))
    return [Row(ids, len(prompt)) for prompt, ids in zip(prompts, whole, strict=True)]


def has_thinking(chats: Iterable[Sequence[Mapping[str, str | None]]]) -> bool:
    """Return whether any answer has thinking."""
    return any(chat[-1].get(THINKING) for chat in chats)


def not_a_prefix(prompt: str, row: str) -> str:
    """Return the error message for a template whose whole chat does not start with the prompt."""
    same = next(
        (n for n, (one, other) in enumerate(zip(prompt, row, strict=False)) if one != other),
        min(len(prompt), len(row)),
    )
    start = max(0, same - 60)
    return (
        "the chat template writes a prompt differently if an answer follows, so the student would "
        f"be trained and evaluated with different prompts. Evaluation: {prompt[start:]!r}. "
        f"Training: {row[start : same + 200]!r}."
    )
