"""Scorer by a function of the task's own, for answers that none of the other scorers can read.

The function lies in a Python file beside the task's file, and is named MODULE:FUNCTION. It is
called as `function(output, item)`, with a model's text and a `TaskItem`, and returns whether the
text gives the right answer. Both readings, strict and flexible, are what it says.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from seedbed.evaluation.scorers import Score, module_file
from seedbed.tasks.items import TaskItem


class FunctionScorer:
    """Scores outputs by a function of the task's own."""

    def __init__(self, function: Callable[[str, TaskItem], bool], name: str) -> None:
        """Score by a function; `name` is how messages call it."""
        self._function = function
        self._name = name

    def score(self, output: str, item: TaskItem) -> Score:
        """Return the score of an output; see `seedbed.evaluation.scorers.Scorer`.

        Raises:
            ValueError: if the function raises anything, or returns anything but True or False.
        """
        place = f"the scorer {self._name}, on item {item.item_id!r},"
        try:
            right = self._function(output, item)
        except Exception as error:
            raise ValueError(f"{place} raised {type(error).__name__}: {error}") from error
        if not isinstance(right, bool):
            raise ValueError(f"{place} returned {right!r:.80}, which is neither True nor False")
        return Score(right, right, output, "")

    def close(self) -> None:
        """Do nothing: the scorer holds nothing."""


def from_text(text: str, task_folder: Path | None) -> FunctionScorer:
    """Return the scorer of a function named MODULE:FUNCTION.

    Args:
        text: the function's name.
        task_folder: where MODULE.py lies.

    Raises:
        ValueError: if there is no such file or function, or the file cannot be run.
    """
    if task_folder is None:
        raise ValueError(f"the scorer {text} needs the folder of its task")
    path, (module_name, _, function_name) = module_file(text, task_folder), text.partition(":")
    # A name of its own, lest a task's `json.py` take the place of the library's.
    spec = spec_from_file_location(f"task_scorer_{module_name}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"the scorer {path} cannot be loaded: it is no Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"the scorer {path} cannot be loaded: {error!r}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(f"the scorer {path} has no function {function_name!r}")
    return FunctionScorer(function, f"{path}:{function_name}")
