"""Rooms of the library depend on each other in one direction, and modules in none in a circle."""

import ast
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


UNTYPED = (
    # Texts of others, as they are read: YAML, JSON, metadata of Parquet files, HTTP.
    *("artifacts.py", "config/documents.py", "models.py", "study/sizes.py", "tasks/"),
    *("streams/extension.py", "run/manifest.py", "run/progress.py", "engines/"),
    # JSON between a process and its sandbox.
    "evaluation/",
    # Syntax trees, and arguments of libraries by name.
    *("statements.py", "provenance.py", "config/values.py", "training/"),
    "run/snakemake_internals.py",
    # Vega-Lite, and the page's own JSON.
    *("analysis/report/charts/", "analysis/report/page/"),
    # Rows of tables, and parameters of rules.
    *("analysis/tables/", "study/job_settings.py"),
    *("analysis/curves/", "analysis/decide/"),
)
"""Where the library's values may have any type, below `seedbed`."""


def test_values_of_any_type_stay_at_the_edge():
    found = {
        str(path.relative_to(LIBRARY))
        for path in LIBRARY.rglob("*.py")
        if "dict[str, Any]" in path.read_text(encoding="utf-8")
    }
    assert {path for path in found if not path.startswith(UNTYPED)} == set()
