"""Rooms of the library depend on each other in one direction, and modules in none in a circle."""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[2] / "scripts" / "seedbed"

# From the ground up; a room may import from those before it, and from itself.
ROOMS = (
    "",  # the modules beside the rooms
    "config",
    *("engines", "tasks", "evaluation", "training", "streams"),
    "analysis",
    "study",
    "run",
)
# Those of one floor may import each other, but their modules in no circle.
FLOORS = {room: floor for floor, room in enumerate(ROOMS)} | dict.fromkeys(ROOMS[2:7], 2)


@cache
def modules():
    """Return all modules by name, with the modules of the library that each imports anywhere."""
    files = {
        ".".join(("seedbed", *path.relative_to(LIBRARY).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in LIBRARY.rglob("*.py")
    }
    found = {}
    for name, path in files.items():
        wanted = set()
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    wanted.add(inner if inner in files else node.module)
        found[name] = (wanted & files.keys()) - {name}
    return found


def room(module):
    """Return the room of a module."""
    path = module.split(".")
    return path[1] if len(path) > 1 and (LIBRARY / path[1]).is_dir() else ""


def test_every_room_has_its_floor():
    assert {room(name) for name in modules()} == set(ROOMS)


def test_no_modules_import_each_other_in_a_circle():
    try:
        TopologicalSorter(modules()).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_no_module_imports_from_a_room_above():
    up = [
        f"{name} imports {other}"
        for name, others in modules().items()
        for other in others
        if FLOORS[room(other)] > FLOORS[room(name)]
    ]
    assert not up, "\n".join(sorted(up))


UNTYPED = {
    # Texts of others, as they are read: YAML, JSON, rows of data sets, HTTP, records of the hub.
    "seedbed/architectures.py": 2,
    "seedbed/config/documents.py": 1,
    "seedbed/engines/batch_engine.py": 4,
    "seedbed/models.py": 2,
    "seedbed/streams/extension.py": 1,
    "seedbed/study/equivalence.py": 2,
    "seedbed/study/sizes.py": 2,
    "seedbed/tasks/rows.py": 1,
    # JSON between a process and its sandbox, which imports none of the library.
    "seedbed/evaluation/sandbox/function_worker.py": 1,
    "seedbed/evaluation/sandbox/program_worker.py": 14,
    "seedbed/evaluation/sandbox/worker.py": 4,
    "seedbed/evaluation/scorers/code.py": 2,
    "seedbed/evaluation/scorers/function.py": 1,
    "seedbed/evaluation/scorers/sql.py": 1,
    # Arguments of libraries by name.
    "seedbed/engines/vllm_engine.py": 1,
    "seedbed/training/pretraining.py": 2,
    "seedbed/training/trainer.py": 1,
    # Rows of Polars' tables, Vega-Lite, and the page's own JSON.
    "seedbed/analysis/report/charts/drawing.py": 3,
    "seedbed/analysis/report/charts/files.py": 2,
    "seedbed/analysis/report/charts/theme.py": 1,
    "seedbed/analysis/report/page/filling.py": 3,
    "seedbed/analysis/report/sentences.py": 1,
}
"""Where mappings of any values are, and how many: at an edge, where others say what is in them."""


def test_mappings_of_any_values_stay_at_the_edge():
    scripts = LIBRARY.parent
    found = {
        str(path.relative_to(scripts)): len(
            re.findall(r"\b(?:dict|Mapping)\[str, Any\]", path.read_text(encoding="utf-8"))
        )
        for path in scripts.rglob("*.py")
    }
    assert {path: count for path, count in found.items() if count} == UNTYPED


def test_repeated_groups_are_atomic_rather_than_possessive():
    """Before 3.11.5, Python takes too much for possessive groups (CPython's gh-106052)."""
    for path in LIBRARY.rglob("*.py"):
        assert not re.search(r"\)(?:[*+?]|\{\d+,?\d*\})\+", path.read_text(encoding="utf-8")), path
