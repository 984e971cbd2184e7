"""Private parts of Snakemake are used in one module, and versions that lack one are refused."""

from __future__ import annotations

import ast
import io
import logging
import re
import tokenize
from functools import cache
from inspect import BoundArguments, Signature
from pathlib import Path
from threading import Timer
from types import FrameType, ModuleType

import pytest
import snakemake
from pydantic import BaseModel
from snakemake.exceptions import WorkflowError

from seedbed.run import snakemake_internals as internals
from seedbed.run import snakemake_parts as parts

FILE = Path(parts.__file__)
ROOT = FILE.parents[3]


class Changed:
    """A class that has lost an attribute, an argument and a text."""

    def __init__(self) -> None:
        self.kept = 1

    def stay(self, kept: int) -> str:
        return f"{kept} is kept in here" + self.mentioned.gone


def test_the_installed_version_has_all_parts():
    assert parts.missing_parts() == []
    assert parts.refusal(snakemake.__version__, []) is None


def test_each_part_that_is_gone_is_named():
    missing = parts.missing_parts(
        {Changed: ("stay", "kept", "gone")},
        {Changed.stay: ("kept", "lost")},
        {Changed.stay: ("kept in", "lost in")},
    )
    assert missing == ["Changed.gone", "Changed.stay(lost)", "'lost in' in Changed.stay"]


@pytest.mark.parametrize(
    ("version", "missing"), [("9.27.4", ["DAG.finish"]), ("9.28.0", []), ("8.30.0", ["DAG.finish"])]
)
def test_another_version_is_refused_with_the_one_to_install(version, missing):
    said = parts.refusal(version, missing)
    assert version in said
    assert all(name in said for name in missing)
    assert "pip install 'snakemake==9.27.*'" in said


def test_the_check_is_made_on_import(monkeypatch):
    monkeypatch.setattr(snakemake, "__version__", "10.1.0")
    with pytest.raises(WorkflowError, match=r"Snakemake 10\.1\.0 .*9\.27"):
        exec(compile(FILE.read_text(), FILE, "exec"), {"__name__": "checked"})


# --- where they are used

LISTED = {name for names in parts.PARTS.values() for name in names}
KEPT = {"dag", "modifier", "persistence", "scheduler", "workflow"}
"""What objects of Snakemake are called that nothing but the module reads."""
PASSED = {"job", "rule", "reason"}
"""Those that the project hands on; it reads what is listed."""
BEFORE = {"current_basedir"}
"""What begin.smk reads of a workflow to find the module; it is listed, and so checked."""
PUBLIC = {"common_settings", "dryrun_exec", "external_jobid", "job", "logger", "workflow"}
"""Of the interface of executor plugins."""
OTHERS = {
    *("_asdict", "_exit", "_fields", "_getframe", "_Hash"),  # Python
    *("_attn_implementation", "_cdata", "_from_config", "_initial_global_step"),  # PyTorch, and
    *("_prepare_inputs", "_python_dispatch", "_pytree"),  # Transformers
}
"""Names with an underscore that are of other libraries."""


Attributes = list[tuple[str, str, int]]
"""Attributes, each with the name that stands before its dot, and its line."""


@cache
def read(file: Path) -> tuple[Attributes, set[str]]:
    """Return the attributes in a file, and the names that it, its classes and objects define."""
    text = file.read_text()
    attributes: Attributes = []
    defined = set()
    if file.suffix != ".py":
        # A Snakefile is no Python, but of the same tokens.
        tokens = [*tokenize.generate_tokens(io.StringIO(text).readline)]
        for before, dot, name in zip(tokens, tokens[1:], tokens[2:], strict=False):
            if dot.string == ".":
                attributes.append((before.string, name.string, name.start[0]))
        return attributes, defined
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            before = getattr(node.value, "id", getattr(node.value, "attr", ""))
            attributes.append((before, node.attr, node.lineno))
            if before == "self" and isinstance(node.ctx, ast.Store):
                defined.add(node.attr)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
    return attributes, defined


def test_private_parts_are_used_in_one_module():
    module = {Path(one.__file__) for one in (internals, parts)}
    patterns = ("scripts/**/*.py", "tests/**/*.py", "rules/*.smk", "Snakefile")
    files = {file for pattern in patterns for file in ROOT.glob(pattern)} - module
    own = {name for file in files for name in read(file)[1]} | OTHERS
    # Tests, records and texts are other jobs.
    passed = {*dir(BaseModel), *dir(str), *dir(dict), *own, *LISTED, *PUBLIC}
    found = [
        f"{file}:{line}: {before}.{name}"
        for file in sorted(files)
        for before, name, line in read(file)[0]
        if (re.match("_[^_]", name) and name not in own)
        or (before.lstrip("_") in KEPT and name not in BEFORE)
        or (before in PASSED and name not in passed and ROOT / "tests" not in file.parents)
    ]
    assert found == []


def test_all_that_the_module_uses_is_checked_on_import():
    attributes, defined = read(Path(internals.__file__))
    known = LISTED | PUBLIC | defined
    for kind in (str, dict, set, property, Path, FrameType, Signature, BoundArguments, Timer):
        known |= {*dir(kind)}
    known |= {*dir(logging.getLogger()), *dir(logging.Handler())}
    others = {
        name
        for name, one in vars(internals).items()
        if isinstance(one, ModuleType) and not one.__name__.startswith("snakemake")
    }
    found = {
        f"{before}.{name}"
        for before, name, _ in attributes
        if name not in known and before not in others | {"yaml"}
    }
    assert found == set()
