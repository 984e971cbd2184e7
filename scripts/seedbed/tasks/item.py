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
        golds: all final answers that are right, where there are several; the first one is `gold`.
        history: role and content of the messages before the question.
        columns: by name, the data set's columns that prompts name.
    """

    item_id: str
    question: str
    context: str
    answer: str
    gold: str
    choices: tuple[str, ...] = ()
    database: str = ""
    cluster: str = ""
    golds: tuple[str, ...] = ()
    history: tuple[tuple[str, str], ...] = ()
    columns: tuple[tuple[str, str], ...] = ()

    @property
    def surroundings(self) -> str:
        """All that the question is asked about: another question may be in the same words."""
        columns = [value for _, value in self.columns]
        return "\n".join(filter(None, [self.context, self.conversation, *columns]))

    @property
    def conversation(self) -> str:
        """The messages before the question, as text; "" if there are none."""
        return "\n\n".join(f"{role.capitalize()}: {content}" for role, content in self.history)


COLUMNS = tuple(field.name for field in fields(TaskItem))
"""Columns of a table of items, in order."""
