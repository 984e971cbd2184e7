"""Scorer that calls a task's own function, for answers that no other scorer can read.

MODULE:FUNCTION names a function of MODULE.py in the task's folder. It is called as
`function(output, item)`, with a model's output and a `TaskItem`, and returns whether the output
gives the right answer, or a grade from 0 to 1. Its result is both the strict and the flexible
reading. The file may have a function `same(first, second)`, which returns whether two answers to
one question mean the same.

The function runs in a process of its own; see `seedbed.evaluation.sandbox.function_worker`.
"""

from __future__ import annotations

import ast
import json
import math
import weakref
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seedbed.evaluation.sandbox import function_worker
from seedbed.evaluation.sandbox.worker import Worker, module_command
from seedbed.evaluation.scorers import Score, module_file
from seedbed.tasks.item import TaskItem

MAX_SECONDS = 60
"""Wall-clock limit of one call; loading the file may take ten times as long."""
RIGHT = 0.5
"""Lowest grade that counts as right."""


class FunctionScorer:
    """Scores outputs by the task's own function."""

    def __init__(self, path: Path, function: str) -> None:
        """Score by a function of a file.

        Raises:
            ValueError: if it cannot be loaded.
        """
        self._name = f"{path}:{function}"
        self._path = path
        self._worker = Worker(module_command(function_worker), [str(path.resolve()), function])
        weakref.finalize(self, self._worker.stop)
        self.compares = self._start()

    def score(self, output: str, item: TaskItem) -> Score:
        """Return the score of an output; see `seedbed.evaluation.scorers.Scorer`.

        Raises:
            ValueError: if the function raises an exception, ends its process, takes too long, or
                returns anything but True, False or a number from 0 to 1.
        """
        place = f"the scorer {self._name}, on item {item.item_id!r},"
        value = self._value({"output": output, "item": asdict(item)}, place)
        if isinstance(value, bool):
            return Score(value, value, output, "")
        if not 0 <= value <= 1 or math.isnan(value):
            raise ValueError(f"{place} returned {value}, which is no grade from 0 to 1")
        return Score(value >= RIGHT, value >= RIGHT, output, "", value)

    def close(self) -> None:
        """Stop the process."""
        self._worker.stop()

    def _start(self) -> bool:
        """Start the process and return whether the file compares answers."""
        connection = self._worker.start()
        try:
            if not connection.poll(10 * MAX_SECONDS):
                raise ValueError(f"the scorer {self._path} cannot be loaded: it takes too long")
            reply = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            reply = {"error": f"the scorer {self._path} cannot be loaded: its process ended"}
        if "error" in reply:
            self._worker.stop()
            raise ValueError(reply["error"].replace(str(self._path.resolve()), str(self._path)))
        return bool(reply["compares"])

    def _value(self, request: dict[str, Any], place: str) -> bool | float:
        if not self._worker.running:
            self._start()
        reply = self._worker.ask_once(request, MAX_SECONDS)
        if "value" in reply:
            return reply["value"]
        if "raised" in reply:
            raise ValueError(f"{place} raised {reply['raised']}")
        if "returned" in reply:
            raise ValueError(
                f"{place} returned {reply['returned']}, which is neither True nor False, nor a "
                "grade from 0 to 1"
            )
        said = {"timeout": f"took more than {MAX_SECONDS} seconds"}
        raise ValueError(f"{place} {said.get(reply['error'], 'ended its process')}")


class ComparingFunctionScorer(FunctionScorer):
    """A `FunctionScorer` for a task whose file also compares two answers."""

    def problem(self, answer: str, question: str, seed: TaskItem) -> str:
        """Return "": only the task's function knows the form of an answer."""
        return ""

    def same(self, first: str, second: str, question: str, seed: TaskItem) -> bool:
        """Return whether two answers to a question made from a seed mean the same.

        Raises:
            ValueError: if the task's function raises an exception, or does not return True or
                False.
        """
        place = f"the function same of {self._path}, on a question made from {seed.item_id!r},"
        value = self._value({"first": first, "second": second}, place)
        if not isinstance(value, bool):
            raise ValueError(f"{place} returned {value}, which is neither True nor False")
        return value

    def same_as_seed(self, answer: str, question: str, seed: TaskItem) -> bool:
        """Return whether an answer means the same as the seed's answer."""
        return self.same(answer, seed.answer, question, seed)


def compares(text: str, task_folder: str | Path) -> bool:
    """Return whether a function's file also has a function `same`, without running the file."""
    try:
        tree = ast.parse(module_file(text, task_folder).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    return any(
        isinstance(node, ast.FunctionDef) and node.name == function_worker.SAME
        for node in tree.body
    )


def from_text(text: str, task_folder: Path | None) -> FunctionScorer:
    """Return the scorer of a function named MODULE:FUNCTION.

    Args:
        text: the function's name.
        task_folder: folder of MODULE.py.

    Raises:
        ValueError: if the file or the function does not exist, or the file cannot be run.
    """
    if task_folder is None:
        raise ValueError(f"the scorer {text} needs the folder of its task")
    kind = ComparingFunctionScorer if compares(text, task_folder) else FunctionScorer
    return kind(module_file(text, task_folder), text.partition(":")[2])
