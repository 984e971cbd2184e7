"""Scorer for programs: run them, in processes of their own, against an item's unit tests.

An item's gold is a JSON object: `tests`, the code of its tests in the form of HumanEval (a function
`check` that takes the candidate), of MBPP (assertions), of pytest (functions `test...`) or of
unittest; `entry`, the requested function; and `setup`, code that runs before the tests.
`seedbed.evaluation.scorers.code_reading` finds the program in a text, and
`seedbed.evaluation.sandbox.program_worker` runs it.

The flexible rule finds a program in free text, and accepts its only function under any name. The
strict rule requires an output that is the program, or one Markdown block, and nothing else.
"""

from __future__ import annotations

import functools
import json
import os
import queue
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seedbed.config.messages import problems
from seedbed.evaluation.sandbox import program_worker
from seedbed.evaluation.sandbox.worker import Worker, module_command
from seedbed.evaluation.scorers import Reading, Score
from seedbed.evaluation.scorers.code_reading import (
    Program,
    called_with,
    context_of,
    function_called,
    plain_text,
    read_program,
    reading_of,
)
from seedbed.evaluation.scorers.settings import ScorerOptions
from seedbed.tasks.items import TaskItem

MAX_INPUTS = 20
"""Maximum number of calls by which two programs are compared."""


class CodeScorer:
    """Scores programs by unit tests. Close it after use, or use it as a context manager."""

    def __init__(self, options: ScorerOptions | None = None) -> None:
        """Score with the limits of `options`; the first program starts the first process."""
        self._options = options = options or ScorerOptions()
        self.parallel = max(1, min(8, len(os.sched_getaffinity(0))))
        self._settings = {
            "isolated": True,
            "seconds": options.timeout,
            "memory_bytes": int(options.max_memory_mb * 1e6),
            "file_bytes": int(options.max_file_mb * 1e6),
            "processes": options.max_processes,
        }
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        self._workers: list[Worker] = []
        for _ in range(self.parallel):
            self._idle.put(None)
        weakref.finalize(self, _stop, self._workers)

    def score(self, output: str, item: TaskItem) -> Score:
        """Return the score of an output; see `seedbed.evaluation.scorers.Scorer`.

        Raises:
            ValueError: if the item has no tests, or this system cannot run programs safely.
        """
        gold = _gold(item)
        program = read_program(output, item.question, gold["entry"])
        if program is None:
            return Score(False, False, None, "no program")
        entry = gold["entry"] or program.entry
        request = gold | {
            "program": [context_of(item.question, entry), program.source],
            "entry": entry,
            "context": context_of(item.question, entry),
            "alias": program.entry if entry.isidentifier() else "",
        }
        reply = self._ask(request)
        passed = bool(reply["passed"])
        strict = passed and program.plain and program.entry == entry
        return Score(strict, passed, program.source, reply["reason"])

    def problem(self, answer: str, question: str, seed: TaskItem) -> str:
        """Return why an answer to a new question is unusable, "" if no problem is found."""
        program = read_program(answer, question)
        if program is None:
            return "unreadable_answer"
        return "program_failed" if self._outputs(program, question, ()) is None else ""

    def same(self, first: str, second: str, question: str, seed: TaskItem) -> bool:
        """Return whether two answers to a question are the same program.

        They are the same if their texts are, or if they return the same for the inputs of the
        seed's tests.
        """
        return self._same(
            read_program(first, question), question, read_program(second, question), question, seed
        )

    def same_as_seed(self, answer: str, question: str, seed: TaskItem) -> bool:
        """Return whether an answer to a question is the program of its seed."""
        reference = read_program(seed.answer, seed.question, _gold(seed)["entry"])
        return self._same(read_program(answer, question), question, reference, seed.question, seed)

    def close(self) -> None:
        """Stop the processes."""
        _stop(self._workers)

    def __enter__(self) -> CodeScorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _same(
        self,
        first: Program | None,
        first_question: str,
        second: Program | None,
        second_question: str,
        seed: TaskItem,
    ) -> bool:
        if first is None or second is None:
            return False
        text = plain_text(first.source)
        if text is not None and text == plain_text(second.source):
            return True
        gold = _gold(seed)
        inputs = tuple(called_with(gold["tests"], gold["entry"])[:MAX_INPUTS])
        left = self._outputs(first, first_question, inputs)
        right = self._outputs(second, second_question, inputs)
        # If every call fails, the seed's inputs do not fit the question, and nothing is compared.
        return left is not None and any(left) and left == right

    def _outputs(
        self, program: Program, question: str, inputs: tuple[str, ...]
    ) -> list[str] | None:
        """Return a program's outputs for inputs, None if the program cannot be loaded."""
        parts = [context_of(question, program.entry), program.source]
        request = {"program": parts, "entry": program.entry, "inputs": inputs}
        return self._ask(request).get("outputs")

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        worker = self._idle.get()
        try:
            if worker is None or not worker.running:
                worker = self._started()
            # Longer than the worker's own limit, so that the worker normally stops first.
            limit = 2 * self._options.timeout + 10
            reply = worker.ask_once(request, limit)
            if reply.get("transient") and "error" not in reply:
                reply = worker.ask_once(request, limit)
            if {"passed", "outputs", "failed"} & reply.keys():
                return reply
            reason = reply.get("ended") or reply.get("error", "")
            if "error" in reply:
                # Interrupted during a program; the next program gets a new process.
                worker.stop()
                worker = None
            return {"passed": False, "reason": reason}
        finally:
            self._idle.put(worker)

    def _started(self) -> Worker:
        """Start a worker, in namespaces if the system has them.

        Raises:
            ValueError: if the system has none, and the options require them.
        """
        for isolated in (True, False):
            settings = self._settings | {"isolated": isolated}
            worker = Worker(module_command(program_worker), [json.dumps(settings)])
            try:
                reply = json.loads(worker.start().recv_bytes())
            except (EOFError, OSError) as error:
                reply = {"error": f"its process ended ({error})"}
            if "error" not in reply:
                self._workers.append(worker)
                return worker
            worker.stop()
            if self._options.isolation == "namespaces":
                break
        raise ValueError(
            "programs of models cannot be kept from the network and from files here: the system "
            f"gives no user namespace ({reply['error']}). Run where it does, or accept the risk by "
            "`isolation: limits` under `scorer` in the task's file"
        )


def from_options(options: Mapping[str, object], folder: Path) -> CodeScorer:
    """Return a scorer with these options.

    Raises:
        ValueError: if an option is unknown to `ScorerOptions`, or its value is invalid.
    """
    try:
        return CodeScorer(ScorerOptions.model_validate(dict(options)))
    except ValidationError as error:
        raise ValueError(f"scorer 'code': {problems(error)}") from None


def read_content(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's content: its program without comments, docstrings and layout."""
    program = read_program(answer)
    text = None if program is None else plain_text(program.source)
    return Reading(None, "no program") if text is None else Reading(text)


def read_answer(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's final answer: its program."""
    return reading_of(read_program(answer))


@functools.lru_cache(maxsize=4096)
def _read_gold(item_id: str, gold: str) -> dict[str, str]:
    try:
        content = json.loads(gold)
        tests = content["tests"]
        found = {"entry": content.get("entry") or "", "setup": content.get("setup") or ""}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError(f"the gold of item {item_id!r} holds no tests of a program") from None
    return found | {"tests": tests, "entry": found["entry"] or function_called(tests)}


def _gold(item: TaskItem) -> dict[str, str]:
    return _read_gold(item.item_id, item.gold)


def _stop(workers: list[Worker]) -> None:
    while workers:
        workers.pop().stop()
