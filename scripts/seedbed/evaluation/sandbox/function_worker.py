"""Worker process that runs a task's own scorer; `seedbed.evaluation.scorers.function` starts it.

If the function crashes or blocks its process, the task's job survives. The worker's arguments are a
socket's file descriptor, and the function's file and name. It first reports whether the function
could be loaded, and then takes requests, one at a time, in JSON:

    {"output": text, "item": fields of the item}      {"value": true, false or a number}
    {"first": text, "second": text}                   {"value": true or false}
    either way also   {"raised": text}   or   {"returned": text}   for any other value
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from multiprocessing.connection import Connection
from numbers import Real
from pathlib import Path
from typing import Any

from seedbed.evaluation.sandbox import isolation
from seedbed.evaluation.sandbox.exchange import receive, send
from seedbed.tasks.item import TaskItem

MEMORY_BYTES = 32_000_000_000
FOLDER_BYTES = 1_000_000_000
MOST_TEXT = 200
"""Maximum number of characters of an exception, or of an invalid value, in a reply."""
SAME = "same"
"""Name of the optional function that compares two answers."""


def loaded(path: Path, name: str) -> dict[str, Callable[..., Any]]:
    """Load a file; return its function of this name and, if it has one, its function `same`.

    Raises:
        ValueError: if the file cannot be run, or has no such function.
    """
    # A distinct module name, so that a task's `json.py` does not replace the standard library's.
    spec = spec_from_file_location(f"task_scorer_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ValueError(f"the scorer {path} cannot be loaded: it is no Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # `SystemExit` too.
        raise ValueError(f"the scorer {path} cannot be loaded: {error!r}") from None
    if not callable(getattr(module, name, None)):
        raise ValueError(f"the scorer {path} has no function {name!r}")
    wanted = {name: getattr(module, name), SAME: getattr(module, SAME, None)}
    return {key: function for key, function in wanted.items() if callable(function)}


def _frozen(value: Any) -> Any:
    """Return a value of an item with its tuples, which JSON turned into lists, restored."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def answer(functions: dict[str, Callable[..., Any]], name: str, request: Any) -> dict[str, Any]:
    """Return the reply to a request."""
    try:
        if "item" in request:
            fields = {key: _frozen(value) for key, value in request["item"].items()}
            value = functions[name](request["output"], TaskItem(**fields))
        else:
            value = functions[SAME](request["first"], request["second"])
    except BaseException as error:
        return {"raised": f"{type(error).__name__}: {error}"[:MOST_TEXT]}
    # `Real` includes NumPy's numbers, such as the mean of a 32-bit array.
    if isinstance(value, Real):
        return {"value": value if isinstance(value, bool) else float(value)}
    return {"returned": repr(value)[:MOST_TEXT]}


def main() -> None:
    """Run the worker."""
    connection, path, name = Connection(int(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
    library = str(Path(isolation.__file__).parents[3])
    try:
        paths = [*isolation.system_paths(), *isolation.python_paths()]
        isolation.enter([*paths, library, str(path.parent)])
        isolation.new_processes()
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        isolation.new_folder(FOLDER_BYTES)
    except OSError:
        # Without namespaces the function runs all the same: it is the user's own code.
        pass
    isolation.end_with_parent()
    isolation.drop_privileges(other_user=False)
    isolation.limit(None, MEMORY_BYTES, FOLDER_BYTES)
    sys.path.append(library)
    try:
        functions = loaded(path, name)
    except ValueError as error:
        send(connection, {"error": str(error)})
        return
    send(connection, {"compares": SAME in functions})
    while True:
        try:
            request = receive(connection)
        except EOFError:
            return
        send(connection, answer(functions, name, request))
