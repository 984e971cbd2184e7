"""Runs scripts in this process, and prints the functions of the project that each of them ran.

Reads JSON: a list of commands, each a list of a script and its arguments, and the names of files
whose functions, with the functions that they call, are left out. Prints a list of lists of [file,
first line].
"""

import json
import runpy
import sys
from pathlib import Path


def functions(command: list[str], root: Path, left_out: list[str]) -> list[tuple[str, int]]:
    """Run a script, and return the functions below a folder that it ran."""
    seen = set()

    def note(frame: object, event: str, _: object) -> None:
        if event == "call" and frame.f_code not in seen:
            caller = frame
            while caller is not None and not caller.f_code.co_filename.endswith(tuple(left_out)):
                caller = caller.f_back
            if caller is None:
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
    commands, left_out = json.load(sys.stdin)
    print(json.dumps([functions(command, scripts, left_out) for command in commands]))
