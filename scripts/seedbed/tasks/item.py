"""Task items: a question, its reference answer, and the values that a scorer needs."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class TaskItem:
    """A question with its reference answer.

    Attributes:
        item_id: id, unique in its split and the same in every run.
        question: the question's text, including the choices, if there are any.
        context: the subject of the question, such as a database schema, or "".
        answer: the worked reference answer, as a student would learn it.
        gold: the final answer: a number as text, a choice's label, or SQL.
        choices: texts of the choices in label order; empty unless the task is multiple choice.
        database: file name in the task's `databases` folder, or "".
        cluster: name of a group of dependent items, e.g. on one database; for standard errors.
        golds: all right final answers, if there are several; the first is `gold`.
        history: role and content of the messages before the question.
        columns: values of the data set's columns that prompts use, by name.
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
        """The texts around the question, which distinguish questions with the same words."""
        columns = [value for _, value in self.columns]
        return "\n".join(filter(None, [self.context, self.conversation, *columns]))

    @property
    def conversation(self) -> str:
        """The messages before the question, as text; "" if there are none."""
        return "\n\n".join(f"{role.capitalize()}: {content}" for role, content in self.history)


COLUMNS = tuple(field.name for field in fields(TaskItem))
"""Columns of a table of items, in order."""
