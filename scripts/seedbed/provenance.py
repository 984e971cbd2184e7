"""Provenance: which code and which versions made an artifact."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sqlite3
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

from seedbed import statements
from seedbed.statements import EFFECT, FUNCTION, MAIN

PACKAGE = "seedbed"
SCRIPTS = Path(__file__).resolve().parent.parent
# A cache of the facts about each file, because parsing is slow. It lies next to Python's bytecode
# or, if Python may not write bytecode, in Snakemake's folder in the working directory.
NOTES = (
    Path(".snakemake") / f"{PACKAGE}_digests.json"
    if sys.dont_write_bytecode
    else SCRIPTS / PACKAGE / "__pycache__" / "digests.json"
)
# A cache of the digests of scripts: a plan needs them for all rules, and code seldom changes.
DIGESTS = NOTES.with_name(NOTES.name.replace("digests", "script_digests"))
_MOST_NOTES = 500
UNTRACKED = frozenset(f"{PACKAGE}.{name}" for name in ("provenance", "statements", "checksums"))
"""Modules that record or check how a result was made, and do not influence it."""

DATA = frozenset({".html", ".css", ".js"})
"""Suffixes of files, other than Python, that are part of a script."""

LIBRARIES = ("torch", "transformers", "trl", "peft", "polars", "pyarrow", "scipy", "snakemake")


def code_digest(script: str | Path | None, modules: Iterable[str | Path] = ()) -> str:
    """Return a digest of the meaning of a script and of all project code that it reaches.

    It is the digest of the parts that `code_parts` returns.

    Args:
        script: a Python file; None for `modules` alone.
        modules: code that the script loads by a computed name, which no import statement shows:
            modules of the project by name (a world, a scorer), and other files by path (a task's
            own scorer). Files with a suffix in `DATA` are digested byte by byte.

    Returns:
        16 hexadecimal digits.
    """
    return _digest(script and Path(script).resolve(), tuple(modules))


def code_parts(script: str | Path | None, modules: Iterable[str | Path] = ()) -> dict[str, str]:
    """Return the digests of all code that a script reaches, part by part.

    The search starts from the statements that run when the script runs. It follows names to the
    functions, classes and constants that they refer to, through all modules of the project. The
    top-level code of an imported module always counts. A module that is used as an object, or
    loaded by a computed name, counts as a whole. If the script reaches code that inspects other
    code (such as `get_type_hints` or `__subclasses__`, see `seedbed.statements`), all files that it
    imports count as a whole.

    Args:
        script: as for `code_digest`.
        modules: as for `code_digest`.

    Returns:
        The digest by name, sorted by name: "seedbed/artifacts.py: write_json" for a function, class
        or constant; "seedbed/artifacts.py" for the file's imports and top-level code.

    Raises:
        ValueError: if one of `modules` does not exist.
        SyntaxError: if a file is not Python.
    """
    return dict(_parts(script and Path(script).resolve(), tuple(modules)))


@cache
def _digest(script: Path | None, modules: tuple[str | Path, ...]) -> str:
    def find() -> str:
        text = "\n".join(f"{name} {digest}" for name, digest in _parts(script, modules).items())
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    reached = [script, *(one.resolve() if isinstance(one, Path) else one for one in modules)]
    asked = json.dumps([_named(one) if isinstance(one, Path) else one for one in reached])
    found: str = _SCRIPTS.get(asked.encode(), _project(), find)
    _SCRIPTS.save()
    return found


@cache
def _parts(script: Path | None, modules: tuple[str | Path, ...]) -> dict[str, str]:
    data = [path.resolve() for path in modules if isinstance(path, Path) and path.suffix in DATA]
    code = tuple(
        module for module in modules if not isinstance(module, Path) or module.suffix not in DATA
    )
    parts = _Walk(script, code).parts()
    for path in data:
        parts[_shown(path, "file")] = hashlib.sha256(_content(path)).hexdigest()[:16]
    _FILES.save()
    return dict(sorted(parts.items()))


class _Magic(Exception):  # noqa: N818
    """The script reaches code that may inspect any other code."""


class _File:
    """A file, and the parts of it that the script reaches.

    Attributes:
        name: the file's name in the names of parts.
        facts: the result of `statements.read`.
        statements: indices of the reached statements.
        names: the reached names that the file defines.
        imported: the reached names that the file imports, each with its module and name there.
        whole: whether all of the file is reached.
        binds: indices of the statements that bind each name.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.facts = _read(path)
        self.statements: set[int] = set()
        self.names: set[str] = set()
        self.imported: set[tuple[str, str, str | None]] = set()
        self.whole = False
        self.binds = _binds(path)

    def parts(self) -> Iterator[tuple[str, str]]:
        """Yield a digest for each reached name, and one for the imports and top-level code."""
        found = self.facts["statements"]
        for name in self.names & self.binds.keys():
            digests = [found[place]["digest"] for place in self.binds[name]]
            yield f"{self.name}: {name}", "+".join(digests)
        effects = [place for place in self.statements if found[place]["kind"] in (EFFECT, MAIN)]
        # A value computed at import may depend on the statements before it.
        ordered = [
            found[place]["digest"]
            for place in sorted(self.statements)
            if effects and found[place]["kind"] != FUNCTION
        ]
        libraries = sorted(
            {module for module, _ in self.facts["runs"] if statements.external(module)}
        )
        imports = sorted(map(list, self.imported), key=str)
        if ordered or libraries or imports:
            content = json.dumps([ordered, libraries, imports])
            yield self.name, hashlib.sha256(content.encode()).hexdigest()[:16]


class _Walk:
    """The search for the code that a script reaches."""

    def __init__(self, script: Path | None, modules: tuple[str | Path, ...]) -> None:
        self._script = script
        self._modules = modules
        self._files: dict[str | Path, _File] = {}
        self._waiting: deque[tuple[_File, int]] = deque()
        self._objects: set[str] = set()
        self._uses: set[tuple[str, str, tuple[str, ...]]] = set()

    def parts(self) -> dict[str, str]:
        """Return the digests of the reached parts, by name."""
        try:
            self._walk()
        except _Magic:
            files = reached(self._script, self._modules)
            return {
                _shown(path, "script" if path == self._script else "file"): _whole(path)
                for module, path in files.items()
                if module not in UNTRACKED
            }
        return {name: digest for file in self._files.values() for name, digest in file.parts()}

    def _walk(self) -> None:
        if self._script is not None:
            script = _File(self._script, _shown(self._script, "script"))
            self._files[self._script] = script
            self._import(script, main=True)
        for module in self._modules:
            if isinstance(module, Path):
                path = module.resolve()
                file = _File(path, _shown(path, "file"))
                self._files[f"file:{path}"] = file
                self._import(file)
                self._take_whole(file)
            else:
                if _module_path(module) is None:
                    raise ValueError(_missing(self._script, module))
                self._take_module(module)
        while self._waiting:
            file, place = self._waiting.popleft()
            statement = file.facts["statements"][place]
            if statement["magic"] == 2:
                raise _Magic
            if statement["magic"] == 1:
                self._take_whole(file)
            for name in statement["uses"]:
                self._use(file, name, statement["attributes"].get(name))
            for module, inner in statement["imports"]:
                self._take_import(module, inner, None)

    def _import(self, file: _File, main: bool = False) -> None:
        """Reach the code that runs when a file is imported or run as the script."""
        for place, statement in enumerate(file.facts["statements"]):
            if statement["kind"] == EFFECT or (main and statement["kind"] == MAIN):
                self._take(file, place)
        for module, name in file.facts["runs"]:
            self._load(module)
            if name is not None:
                self._load(f"{module}.{name}")
        for module in file.facts["stars"]:
            self._take_module(module)

    def _load(self, module: str) -> _File | None:
        """Reach a module's import, and return its file; None if it is not the project's."""
        path = None if module in UNTRACKED else _module_path(module)
        if path is None:
            return None
        file = self._files.get(module)
        if file is None:
            file = self._files[module] = _File(path, _shown(path, "file"))
            # Importing a.b.c runs a and a.b too.
            if "." in module:
                self._load(module.rpartition(".")[0])
            self._import(file)
            if any(module.startswith(f"{package}.") for package in self._objects):
                self._take_whole(file)
        return file

    def _take(self, file: _File, place: int) -> None:
        if place not in file.statements:
            file.statements.add(place)
            file.names.update(file.facts["statements"][place]["names"])
            self._waiting.append((file, place))

    def _take_whole(self, file: _File) -> None:
        if not file.whole:
            file.whole = True
            for place in range(len(file.facts["statements"])):
                self._take(file, place)
            for name in file.facts["bindings"]:
                self._use(file, name, None)

    def _take_module(self, module: str) -> None:
        """Reach all of a module and, if it is a package, all of its modules that are loaded."""
        file = self._load(module)
        if file is not None and module not in self._objects:
            self._objects.add(module)
            self._take_whole(file)
            for name in [name for name in self._files if str(name).startswith(f"{module}.")]:
                self._take_whole(self._files[name])

    def _use(self, file: _File, name: str, attributes: list[str] | None) -> None:
        """Reach the code that a name in a file refers to.

        Args:
            file: the file whose code uses the name.
            name: the name.
            attributes: the attributes of the name that the code uses; None if it uses the name
                itself.
        """
        use = (file.name, name, tuple(attributes or ()))
        if use in self._uses:
            return
        self._uses.add(use)
        for place in file.binds.get(name, ()):
            file.names.add(name)
            self._take(file, place)
        bindings = file.facts["bindings"].get(name, ())
        for module, imported in bindings:
            file.imported.add((name, module, imported))
            self._take_import(module, imported, attributes)
        if not bindings and name not in file.binds:
            for module in file.facts["stars"]:
                file.imported.add(("*", module, None))

    def _take_import(self, module: str, name: str | None, attributes: list[str] | None) -> None:
        """Reach the code that an import statement, or the use of an imported name, refers to."""
        file = self._load(module)
        if file is None:
            return
        bindings = [] if name is None else file.facts["bindings"].get(name, [])
        # A package may import its own modules.
        known = name in file.binds or any(binding != [module, name] for binding in bindings)
        if name is not None and (known or bindings):
            self._use(file, name, attributes)
        submodule = f"{module}.{name}" if name else module
        if name == "*":
            self._take_module(module)
        elif _module_path(submodule) is not None:
            for attribute in attributes or ():
                self._take_import(submodule, attribute, None)
            if not attributes:
                self._take_module(submodule)
        elif not known:  # Perhaps the module has `__getattr__`.
            self._take_module(module)


@cache
def _shown(path: Path, kind: str) -> str:
    """Return a file's name in the names of parts, which does not depend on the project's folder."""
    if path.is_relative_to(SCRIPTS):
        return path.relative_to(SCRIPTS).as_posix()
    return f"{kind} {path.name}"


def _missing(script: Path | None, module: str) -> str:
    return f"{script or 'this'} reaches {module}, which is not in {SCRIPTS / PACKAGE}"


def reached(script: Path | None, modules: Iterable[str | Path] = ()) -> dict[str, Path]:
    """Return the script itself and the files that it may import, by module name."""
    files = {} if script is None else {f"script:{script.name}": script}
    waiting = [] if script is None else [*_imports(script)]
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
            raise ValueError(_missing(script, module))
        files[module] = path
        # Importing a.b.c runs a and a.b too.
        parents = module.split(".")[:-1]
        waiting += [".".join(parents[:n]) for n in range(1, len(parents) + 1)]
        waiting += _imports(path)
    return files


class Provenance(TypedDict):
    """An artifact's record of the code and versions that made it."""

    code: str
    versions: dict[str, str]


def provenance(script: str | Path, modules: Iterable[str | Path] = ()) -> Provenance:
    """Return the code digest and the library versions that an artifact records."""
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


@cache
def _module_path(module: str) -> Path | None:
    if module.partition(".")[0] != PACKAGE:
        return None
    path = SCRIPTS.joinpath(*module.split("."))
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    return None


def _imports(path: Path) -> Iterator[str]:
    """Yield the project's modules that a file imports, at the top level or inside functions."""
    facts = _read(path)
    inside = [place for statement in facts["statements"] for place in statement["imports"]]
    for module, name in [*facts["runs"], *inside]:
        # `from package import module` reaches the module as well as the package.
        for found in (module, f"{module}.{name}" if name else None):
            if found is not None and _module_path(found) is not None:
                yield found


class _Notes:
    """A cache on disk, whose keys are digests of everything that a result depends on.

    Args:
        path: the file with the results of earlier processes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new: dict[str, object] = {}

    @cached_property
    def _noted(self) -> dict[str, object]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            found = None
        return found if isinstance(found, dict) else {}

    def get(self, kind: bytes, content: bytes, find: Callable[[], Any]) -> Any:
        """Return the cached result of `find` for a kind and a content; call it if there is none."""
        key = hashlib.sha256(b"\0".join([_reader(), kind, content])).hexdigest()
        if key not in self._noted:
            # Through JSON, which turns tuples into lists, so that new and cached results are equal.
            self._noted[key] = self._new[key] = json.loads(json.dumps(find()))
        return self._noted[key]

    def save(self) -> None:
        """Save new results for later processes; if there are too many, save only the new ones."""
        if not self._new:
            return
        kept = self._noted if len(self._noted) <= _MOST_NOTES else self._new
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(exist_ok=True)
            temporary.write_text(json.dumps(kept))
            temporary.replace(self._path)
        except OSError:  # Without permission or disk space, nothing is cached.
            with suppress(OSError):
                temporary.unlink()
        self._new.clear()


_FILES = _Notes(NOTES)
_SCRIPTS = _Notes(DIGESTS)


@cache
def _content(path: Path) -> bytes:
    """Return the content of a file, read only once per process so that all digests agree."""
    return path.read_bytes()


@cache
def _project() -> bytes:
    """Return a digest of all code of the project, whether a script reaches it or not."""
    found = hashlib.sha256()
    for path in sorted(SCRIPTS.rglob("*.py")):
        with suppress(OSError):  # Editors may leave dangling links.
            found.update(json.dumps(_named(path)).encode())
    return found.digest()


def _named(path: Path) -> tuple[str, str]:
    """Return a file's name in the names of parts and a digest of its content."""
    return _shown(path, "file"), hashlib.sha256(_content(path)).hexdigest()


@cache
def _read(path: Path) -> statements.Facts:
    """Return the facts about a file, from the cache if it was read before."""
    inside = path.is_relative_to(SCRIPTS)
    package = path.relative_to(SCRIPTS).parent.parts if inside else None
    content = _content(path)
    return _FILES.get(
        repr(package).encode(), content, lambda: statements.read(content, str(path), package)
    )


@cache
def _binds(path: Path) -> dict[str, list[int]]:
    """Return the indices of the statements that bind each name in a file."""
    found: dict[str, list[int]] = {}
    for place, statement in enumerate(_read(path)["statements"]):
        if statement["kind"] != MAIN:
            for name in statement["names"]:
                found.setdefault(name, []).append(place)
    return found


@cache
def _whole(path: Path) -> str:
    content = _content(path)
    return _FILES.get(b"whole", content, lambda: statements.whole(content, str(path)))


@cache
def _reader() -> bytes:
    """Return what all cached results depend on: the code that reads files, and Python's version."""
    readers = (Path(__file__), Path(statements.__file__))
    return b"\0".join(
        [platform.python_version().encode(), *(file.read_bytes() for file in readers)]
    )
