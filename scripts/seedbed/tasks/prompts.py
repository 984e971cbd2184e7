"""Prompts: templates filled in with the texts of an item."""

from __future__ import annotations

import string
from functools import lru_cache

from seedbed.tasks.items import TaskItem

_CONVERSATION = """Here is a conversation:

{conversation}

What follows is about its next message:

"""


def answer_prompt(template: str, item: TaskItem, question: str | None = None) -> str:
    """Return a teacher's or a student's prompt, without the messages before it.

    Args:
        template: template with `{question}`, `{context}`, and names of the data set's columns.
        item: the item, or the seed of the question.
        question: the question; by default, the item's own.
    """
    return _fill(template, item, item.question if question is None else question)


def question_prompt(template: str, item: TaskItem, question: str | None = None) -> str:
    """Return an augmenter's prompt for writing or checking a question.

    It starts with the messages before the item's question, unless the template includes them as
    `{conversation}`.

    Args:
        template: template as for `answer_prompt`, also with `{answer}`.
        item: the seed.
        question: the question to check; by default, the seed's own.
    """
    text = _fill(template, item, item.question if question is None else question)
    if not item.history or any(name == "conversation" for _, name in _pieces(template)):
        return text
    return _CONVERSATION.replace("{conversation}", item.conversation) + text


def _fill(template: str, item: TaskItem, question: str) -> str:
    values = {"context": item.context, "answer": item.answer, "conversation": item.conversation}
    values |= dict(item.columns)
    values["question"] = question
    return "".join(
        text + (values[name] if name is not None else "") for text, name in _pieces(template)
    )


@lru_cache(maxsize=64)
def _pieces(template: str) -> tuple[tuple[str, str | None], ...]:
    """Return the texts of a template, each with the name of the placeholder after it."""
    return tuple((text, name) for text, name, _, _ in string.Formatter().parse(template))
