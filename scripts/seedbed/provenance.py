"""Provenance: which code and which versions made an artifact."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGE = "seedbed"
SCRIPTS = Path(__file__).resolve().parent.parent
# What was read of each file, beside what Python itself notes of them: reading takes longer.
NOTES = SCRIPTS / PACKAGE / "__pycache__" / "digests.json"
_MOST_NOTES = 1000
LIBRARIES = ("torch", "transformers", "trl", "peft", "polars", "pyarrow", "scipy", "snakemake")


def code_digest(script: str | Path, modules: Iterable[str | Path] = ()) -> str:
    """Return a digest of the meaning of a script and of every project module that it reaches.

    It is taken of the syntax trees without docstrings, comments and positions, so formatting does
    not change it, and any change of what the code does is likely to. Modules are followed through
    `import` statements, those inside functions too.

    Args:
        script: a Python file.
        modules: what the script loads by a name that it computes, which no import statement shows:
            modules of the project by name (a world, a scorer), and other files by path (a task's
            own scorer).

    Returns:
        16 hexadecimal digits.
    """
    script = Path(script).resolve()
    files = reached(script, modules)
    _save_notes()
    text = "\n".join(f"{name} {_tree_digest(path)}" for name, path in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def reached(script: Path, modules: Iterable[str | Path] = ()) -> dict[str, Path]:
    """Return the files that `code_digest` is of: the script, and what it imports, by name."""
    files = {f"script:{script.name}": script}
    waiting = [*_imports(script)]
    for module in modules:
        if isinstance(module, Path):
            file = module.resolve()
            files[f"file:{file.name}"] = file
            waiting += _imports(file)
        else:
            waiting.append(module)
    while waiting:
        module = waiting.pop()
        if module in files:
            continue
        path = _module_path(module)
        if path is None:
            raise ValueError(f"{script} reaches {module}, which is not in {SCRIPTS / PACKAGE}")
        files[module] = path
        # Importing a.b.c runs a and a.b too.
        parents = module.split(".")[:-1]
        waiting += [".".join(parents[:n]) for n in range(1, len(parents) + 1)]
        waiting += _imports(path)
    return files


def provenance(script: str | Path, modules: Iterable[str | Path] = ()) -> dict[str, Any]:
    """Return what an artifact says of its making: the code's digest and the versions used."""
    return {"code": code_digest(script, modules), "versions": versions()}


def versions() -> dict[str, str]:
    """Return the versions of Python, SQLite and the libraries that results depend on."""
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _module_path(module: str) -> Path | None:
    path = SCRIPTS.joinpath(*module.split("."))
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    return None


def _tree_digest(path: Path) -> str:
    return _read(path)[0]


def _imports(path: Path) -> tuple[str, ...]:
    """Return the project's modules that a file imports, wherever in it."""
    return _read(path)[1]


@cache
def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the digest of a file's syntax tree, and the project's modules that it imports."""
    content = path.read_bytes()
    key = hashlib.sha256(b"\0".join([_reader(), os.fsencode(path), content])).hexdigest()
    noted, new = _notes()
    if key not in noted:
        noted[key] = new[key] = _parse(path, content)
    digest, imports = noted[key]
    return digest, tuple(name for name in imports if _module_path(name) is not None)


@cache
def _reader() -> bytes:
    """Return what notes depend on besides a file: how this module reads it, with which Python."""
    return platform.python_version().encode() + Path(__file__).read_bytes()


@cache
def _notes() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what was noted of files, by earlier processes too, and by this one alone."""
    try:
        found = json.loads(NOTES.read_bytes())
    except (OSError, ValueError):
        found = None
    return (found if isinstance(found, dict) else {}), {}


def _save_notes() -> None:
    noted, new = _notes()
    if not new:
        return
    kept = noted if len(noted) <= _MOST_NOTES else new
    temporary = NOTES.with_name(f"{NOTES.name}.{os.getpid()}")
    try:
        NOTES.parent.mkdir(exist_ok=True)
        temporary.write_text(json.dumps(kept))
        temporary.replace(NOTES)
    except OSError:  # Not ours to write, or no room: then without notes.
        with suppress(OSError):
            temporary.unlink()
    new.clear()


def _parse(path: Path, content: bytes) -> tuple[str, list[str]]:
    tree = ast.parse(content, filename=str(path))
    found = []
    # Statements alone: expressions hold neither docstrings nor imports, and are most of a tree.
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = _import_source(node, path)
            found.append(source)
            # `from package import module` reaches the module as well as the package.
            found += [f"{source}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            children = getattr(node, field, None)
            if isinstance(children, list):
                waiting += children
    ours = [name for name in found if name == PACKAGE or name.startswith(f"{PACKAGE}.")]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), [*dict.fromkeys(ours)]


def _import_source(node: ast.ImportFrom, path: Path) -> str:
    """Return the full name of what a `from ... import` in a file takes its names from."""
    if not node.level:
        return node.module or ""
    if not path.is_relative_to(SCRIPTS):
        return ""  # a script that belongs to no package
    # `.` is the folder of the file, of a package's own __init__.py too; each more dot one higher.
    package = path.relative_to(SCRIPTS).parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])
