"""Lengths of a study's texts before any query: counted on the tasks' own rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from seedbed.engines.responses import CHARACTERS_PER_TOKEN
from seedbed.study.estimate import ANSWER_TOKENS, ATTEMPTS, CHECK_TOKENS, Work
from seedbed.study.paths import RESOURCES, Paths
from seedbed.tasks.data_sets import items_of
from seedbed.tasks.items import TaskItem, read_items
from seedbed.tasks.prompts import question_prompt
from seedbed.tasks.selection import read_rows, select
from seedbed.tasks.settings import WorldSource

MOST_ROWS = 500
"""Lengths are counted on this many rows of a task, from the first."""


class Rows:
    """The rows of a study's tasks, if they are available, and their lengths.

    Args:
        paths: those of the study.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths, self._study = paths, paths.study
        self.items = lru_cache(maxsize=None)(self._items)
        self._count = lru_cache(maxsize=None)(self._counter)

    def lengths(self, part: Work) -> tuple[Work, str]:
        """Return a piece of work with the lengths of its task's rows, and how these were found.

        Args:
            part: work with assumed lengths.
        """
        study, items = self._study, self.items(part.task)
        config = study.models[part.model]
        thinking = config.engine.thinking_tokens
        answer = config.answer_tokens or thinking + min(
            ANSWER_TOKENS, study.tasks[part.task].max_tokens.answer
        )
        said = "answers stated" if config.answer_tokens else "answers assumed"
        if part.stage in ("training", "judging") or not part.queries:
            return part, "assumed"
        if part.stage != "questions":
            found = replace(part, completion_tokens=part.queries * answer)
            if not items:
                return found, "assumed" if not config.answer_tokens else said
            prompt, how = self._prompt(part, study.answer_prompt(part.task), items)
            return replace(found, prompt_tokens=part.queries * prompt), f"prompts {how}, {said}"
        if not items:
            added = part.queries * thinking
            return replace(part, completion_tokens=part.completion_tokens + added), "assumed"
        prompt, how = self._prompt(part, study.question_prompt(part.task, part.method), items)
        count, _ = self._count(part.model, part.task)
        question = sum(count(item.question) for item in items) / len(items)
        written = question + thinking
        check = study.self_check_prompt(part.task, part.method)
        if check is not None:
            prompt += self._prompt(part, check, items)[0]
            written += CHECK_TOKENS + thinking
        return (
            replace(part, prompt_tokens=ATTEMPTS * prompt, completion_tokens=ATTEMPTS * written),
            f"rows {how}",
        )

    def _prompt(self, part: Work, template: str, items: list[TaskItem]) -> tuple[float, str]:
        """Return the mean tokens of a prompt, and how they were counted."""
        count, how = self._count(part.model, part.task)
        system = self._study.models[part.model].system or ""
        total = 0
        for item in items:
            total += count(f"{system}{question_prompt(template, item)}")
        return total / len(items), how

    def _items(self, task: str) -> list[TaskItem]:
        """Return the first rows of a task; none if they are not available."""
        made = Path(f"{RESOURCES}/tasks/task={task}/train.parquet")
        source = self._study.tasks[task].source
        folder = self._paths.task_data_dir(task)
        # The job that makes the task reports problems of its rows.
        with suppress(OSError, ValueError):
            if made.is_file():
                return read_items(made)[:MOST_ROWS]
            if folder and not isinstance(source, WorldSource):
                named = self._study.tasks[task].prompt_columns
                rows = read_rows(source, "train", Path(folder), named)
                chosen = select(source, rows, "train", named)
                return items_of(source, chosen, "train", Path(folder))[:MOST_ROWS]
        return []

    def _counter(self, model: str, task: str) -> tuple[Callable[[str], int], str]:
        """Return a function that counts tokens, by the model's tokenizer or else by characters."""
        file = Path(self._paths.model(model, task)) / "tokenizer.json"
        if not file.is_file() and (folder := self._study.models[model].path):
            file = Path(folder) / "tokenizer.json"
        if file.is_file():
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(file))
            return lambda text: len(tokenizer.encode(text).ids), "counted"
        return lambda text: -(-len(text) // CHARACTERS_PER_TOKEN), "by characters"
