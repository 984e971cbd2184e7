"""Generated worlds: small tasks, with all data that the training of tiny models on them needs."""

from __future__ import annotations

import random
from importlib import import_module
from pathlib import Path
from typing import Protocol

from seedbed.config.words import WORLDS
from seedbed.tasks.items import TaskItem

SKILLS = ("answer", "question_rephrase", "new_question", "self_check")


class World(Protocol):
    """A generated task."""

    kind: str

    def vocabulary(self) -> list[str]:
        """Return all words, numbers and signs of the world's texts, each once."""
        ...

    def items(self, split: str, count: int, seed: int) -> list[TaskItem]:
        """Return `count` items of the `train` or `test` split, with distinct questions.

        No question is in both splits. The same arguments give the same items, and a smaller `count`
        gives the first of them.

        Raises:
            ValueError: if the world has fewer than `count` questions in that split.
        """
        ...

    def example(self, skill: str, role: str, rng: random.Random) -> tuple[dict[str, str], str]:
        """Return one pretraining example of a skill: the prompt's fields, and the response."""
        ...

    def write_files(self, folder: Path) -> None:
        """Write the task's databases, if it has any, with the same bytes each time."""
        ...


def load_world(name: str) -> World:
    """Return the world with this name.

    Raises:
        ValueError: if there is none.
    """
    if name not in WORLDS:
        raise ValueError(f"no generated world {name!r}; there are: {', '.join(WORLDS)}")
    return import_module(f"seedbed.tasks.worlds.{name}").WORLD
