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


LOOSE = re.compile(r"\b(?:dict|Mapping)\[str, (?:Any|object|JsonValue)\]")
"""What says nothing of the values of a mapping."""

UNTYPED = {
    "texts of others: YAML, JSON, data sets, HTTP, records of the hub, messages of chats": """
        get_model seedbed/architectures seedbed/chats seedbed/config/documents
        seedbed/engines/batch_engine seedbed/engines/openai_engine seedbed/engines/rate_limits
        seedbed/engines/responses seedbed/models seedbed/study/equivalence seedbed/study/loading
        seedbed/study/reading seedbed/study/sizes seedbed/tasks/items seedbed/tasks/rows
        seedbed/tasks/selection seedbed/tasks/settings seedbed/run/reading
    """,
    "JSON between a process and its sandbox, which imports none of the library": """
        seedbed/evaluation/sandbox/function_worker seedbed/evaluation/sandbox/program_worker
        seedbed/evaluation/sandbox/worker seedbed/evaluation/scorers/code
        seedbed/evaluation/scorers/function seedbed/evaluation/scorers/sql
        seedbed/evaluation/scorers/sql_worker
    """,
    "arguments of libraries by name, and messages that they take": """
        seedbed/engines/vllm_engine seedbed/evaluation/judge seedbed/training/pretraining
        seedbed/training/trainer
    """,
    "options of a scorer, which each kind of task has of its own and checks itself": """
        seedbed/evaluation/scorers/__init__ seedbed/evaluation/scorers/settings
        seedbed/evaluation/settings
    """,
    "settings as a job was given them, compared or written, and never looked into": """
        get_task plot pretrain_model seedbed/analysis/settings seedbed/config/values
        seedbed/engines/settings seedbed/evaluation/evaluation seedbed/evaluation/record
        seedbed/records seedbed/run/adopting seedbed/run/manifest seedbed/run/planning
        seedbed/run/requests seedbed/run/snakemake_internals seedbed/run/submitting
        seedbed/study/agreement seedbed/study/job_settings seedbed/study/resources
        seedbed/streams/record seedbed/tasks/record seedbed/training/record
        seedbed/training/saves seedbed/training/settings seedbed/analysis/report/spend/about
    """,
    "what made a file: code, versions and what determines its rows": """
        seedbed/artifacts seedbed/provenance seedbed/streams/extension
        seedbed/analysis/curves/records seedbed/analysis/decide/contrasts
        seedbed/analysis/decide/crossovers
    """,
    "JSON that only a person or the page reads, and lines of ledgers and losses": """
        seedbed/analysis/report/answers seedbed/analysis/report/page/explorer
        seedbed/analysis/report/page/filling seedbed/analysis/report/page/plots
        seedbed/engines/books seedbed/run/status seedbed/streams/answers seedbed/study/losses
        seedbed/study/quote
    """,
    "rows of Polars' tables, and Vega-Lite": """
        seedbed/analysis/decide/costs seedbed/analysis/report/sentences
        seedbed/analysis/report/spend/page seedbed/analysis/report/charts/accuracy
        seedbed/analysis/report/charts/augmenters seedbed/analysis/report/charts/best_method
        seedbed/analysis/report/charts/cost_effectiveness seedbed/analysis/report/charts/costs
        seedbed/analysis/report/charts/crossovers seedbed/analysis/report/charts/diversity
        seedbed/analysis/report/charts/drawing seedbed/analysis/report/charts/files
        seedbed/analysis/report/charts/mixtures seedbed/analysis/report/charts/models
        seedbed/analysis/report/charts/places seedbed/analysis/report/charts/series
        seedbed/analysis/report/charts/shares seedbed/analysis/report/charts/theme
        seedbed/analysis/report/charts/verification
    """,
}
"""Where mappings of any values are, by why: at an edge, where others say what is in them."""


def test_mappings_of_any_values_stay_at_the_edge():
    """Also by another name, as in `Row = dict[str, Any]`."""
    scripts = LIBRARY.parent
    trees, found = {}, set()
    for path in scripts.rglob("*.py"):
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(scripts))[:-3]
        trees[name] = ast.parse(text)
        if LOOSE.search(text):
            found.add(name)
    names = {
        (name.replace("/", "."), node.targets[0].id)
        for name, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and LOOSE.search(ast.unparse(node.value))
    }
    for name, tree in trees.items():
        taken = {
            (node.module, alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        found |= {name} if taken & names else set()
    listed = [name for text in UNTYPED.values() for name in text.split()]
    assert len(listed) == len({*listed})
    assert sorted(found) == sorted(listed)


def test_repeated_groups_are_atomic_rather_than_possessive():
    """Before 3.11.5, Python takes too much for possessive groups (CPython's gh-106052)."""
    for path in LIBRARY.rglob("*.py"):
        assert not re.search(r"\)(?:[*+?]|\{\d+,?\d*\})\+", path.read_text(encoding="utf-8")), path
