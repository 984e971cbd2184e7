"""Runs scripts in this process, and prints which functions of the project each of them ran.

Reads a list of commands, each a list of a script and its words, as JSON; prints a list of lists of
[file, first line], as JSON.
"""

import json
import runpy
import sys
from pathlib import Path


def functions(command: list[str], root: Path) -> list[tuple[str, int]]:
    """Run a script, and return the functions below a folder that it ran."""
    seen = set()

    def note(frame: object, event: str, _: object) -> None:
        if event == "call":
            seen.add(frame.f_code)

    sys.argv = command
    sys.setprofile(note)
    try:
        runpy.run_path(command[0], run_name="__main__")
    finally:
        sys.setprofile(None)
    places = ((Path(code.co_filename).resolve(), code.co_firstlineno) for code in seen)
    return [(str(path), line) for path, line in places if path.is_relative_to(root)]


if __name__ == "__main__":
    scripts = Path("scripts").resolve()
    sys.path.insert(0, str(scripts))
    print(json.dumps([functions(command, scripts) for command in json.load(sys.stdin)]))
