"""Task items: one question, its reference answer, and what a scorer needs."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class TaskItem:
    """A question with its reference answer.

    Attributes:
        item_id: unique in its split and stable from run to run.
        question: what is asked; the choices, if any, are part of the text.
        context: what the question is asked about (a database schema), or "".
        answer: the worked reference answer, as a student would learn it.
        gold: the final answer: a number as text, a choice's label, or SQL.
        choices: texts of the choices in label order; empty unless the task is multiple choice.
        database: file name below the task's `databases` folder, or "".
        cluster: items that share it are not independent (one database, say); for standard errors.
    """

    item_id: str
    question: str
    context: str
    answer: str
    gold: str
    choices: tuple[str, ...] = ()
    database: str = ""
    cluster: str = ""


COLUMNS = tuple(field.name for field in fields(TaskItem))
"""Columns of a table of items, in order."""
