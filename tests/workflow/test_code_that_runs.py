"""The code digest against what scripts really run: no function runs that it does not know of."""

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import tracer
from project import planned
from seedbed import provenance

MODULES = {"get_task": ["seedbed.tasks.worlds.mini_math"]}
SCRIPTS = (
    "get_task",
    "draw_seeds",
    "build_dataset",
    "collect_results",
    "fit_decay",
    "compare_methods",
)
UNTRACKED = [f"/{name.replace('.', '/')}.py" for name in sorted(provenance.UNTRACKED)]


def function_at(path, line):
    """Return the name of the top-level function or class that has a line."""
    for node in ast.parse(Path(path).read_text()).body:
        lines = [node.lineno, *(part.lineno for part in getattr(node, "decorator_list", []))]
        if min(lines) < line <= node.end_lineno or line in lines[:1]:
            # To define a class is not yet to use it.
            defined = isinstance(node, ast.ClassDef) and line in lines
            return None if defined else getattr(node, "name", None)
    return None


CHECKED = "seedbed/evaluation/scorers/"


@pytest.fixture(scope="module")
def ran(finished, tmp_path_factory):
    """Return the functions that each script ran."""
    copy = finished.copy(tmp_path_factory.mktemp("traced") / "project")
    said = planned(copy.folder, "-n", "-p", "--forceall", "--config", "study=micro")
    found = dict(re.findall(r"python \S+/scripts/(\w+)\.py (.*?) 2> ", said))
    commands = [[f"scripts/{script}.py", *shlex.split(found[script])] for script in SCRIPTS]
    done = subprocess.run(
        [sys.executable, tracer.__file__],
        cwd=copy.folder,
        input=json.dumps([commands, UNTRACKED]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return copy.folder / "scripts", dict(zip(SCRIPTS, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_script_runs_is_in_its_digest(ran, script):
    scripts, functions = ran
    original = Path(provenance.__file__).parents[1]
    parts = provenance.code_parts(original / f"{script}.py", MODULES.get(script, ()))
    named = {
        f"{Path(path).relative_to(scripts.resolve()).as_posix()}: {name}"
        for path, line in functions[script]
        if (name := function_at(path, line)) is not None
    }
    assert f"{script}.py: main" in named or len(named) > 3
    if script == "get_task":
        # It scores the reference answers to check them, and makes the same items by any scorer.
        named = {name for name in named if not name.startswith(CHECKED)}
    # They describe sections of the configuration when these are defined, and change no value.
    described = {"seedbed/config/values.py: changes", "seedbed/config/sections.py: tag"}
    assert named - described <= parts.keys()
