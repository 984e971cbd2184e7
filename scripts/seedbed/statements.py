"""Statements of a Python file: the names that each binds and uses, and a digest of its meaning.

A digest leaves out code that Python does not run, or runs without effect: comments, formatting,
docstrings and other bare constants, `if TYPE_CHECKING:` blocks, annotations that nobody evaluates.
"""

from __future__ import annotations

import ast
import builtins
import dis
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any, TypedDict

FUNCTION, VALUE, EFFECT, MAIN = "function", "value", "effect", "main"
"""Kinds of top-level statements: a function, whose definition depends on nothing; a class or
constant, whose evaluation has no side effects; a statement that may have an effect when the file is
imported; and a block that runs only if the file is the script."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PURE_BUILTINS = _words(
    """
    abs bool bytes complex dict divmod enumerate float frozenset int len list map max min object
    pow range repr reversed round set slice sorted str sum tuple zip
    """
)
_PURE_METHODS = _words(
    """
    capitalize casefold decode difference encode format fromkeys get intersection items join keys
    lower lstrip partition removeprefix removesuffix replace rstrip split splitlines strip title
    union upper values with_name with_suffix
    """
)
_PURE = _words(
    """
    collections.Counter collections.OrderedDict collections.deque collections.namedtuple
    contextvars.ContextVar datetime.date datetime.datetime datetime.timedelta decimal.Decimal
    dataclasses.field dataclasses.fields enum.auto fractions.Fraction functools.partial
    itertools.chain itertools.product logging.getLogger math.exp math.log math.log2 math.log10
    math.sqrt numpy.arange numpy.array numpy.exp numpy.geomspace numpy.linspace numpy.log
    numpy.log2 numpy.log10 numpy.sqrt operator.attrgetter operator.itemgetter pathlib.Path
    pathlib.PurePosixPath polars.Array polars.Datetime polars.Enum polars.List polars.Schema
    polars.Struct polars.col polars.lit pydantic.AfterValidator pydantic.BeforeValidator
    pydantic.ConfigDict pydantic.Discriminator pydantic.Field pydantic.StringConstraints
    pydantic.Tag pydantic.WithJsonSchema re.compile re.escape string.Template types.MappingProxyType
    types.SimpleNamespace typing.NewType typing.ParamSpec typing.TypeVar typing.cast
    seedbed.command_line.option seedbed.command_line.optional seedbed.command_line.several
    seedbed.command_line.switch seedbed.command_line.json_of
    seedbed.config.sections.tag seedbed.config.values.changes
    """
)
"""Built-in functions, methods and library functions without side effects."""

_PURE_DECORATORS = _words(
    """
    classmethod property staticmethod abc.abstractmethod contextlib.asynccontextmanager
    contextlib.contextmanager dataclasses.dataclass enum.unique functools.cache
    functools.cached_property functools.lru_cache functools.total_ordering functools.wraps
    pydantic.model_validator
    typing.final typing.overload typing.override typing.runtime_checkable
    """
)
"""Decorators that register nothing and do not read the annotations of functions."""

_PURE_BASES = _words(
    """
    abc.ABC enum.Enum enum.Flag enum.IntEnum enum.IntFlag enum.StrEnum pydantic.BaseModel
    seedbed.config.sections.Section seedbed.records.MadeRecord seedbed.records.Part
    seedbed.config.sections.Titled seedbed.records.Record typing.Generic typing.NamedTuple
    typing.Protocol typing.TypedDict
    """
)
"""Base classes, in addition to built-in ones, that keep no register of their subclasses."""

_SECTION = re.compile(r"seedbed\.(\w+\.)+settings\.\w+")
"""Sections of the configuration are such base classes too; their modules hold no other classes."""

_OWN_MAGIC = _words("globals exec eval __builtins__ __import__ sys.modules")
"""Names that give code access to anything in its own module, as do `vars`, `locals` and `dir`
without arguments."""

_ALL_MAGIC = _words(
    """
    get_type_hints get_annotations __annotations__ signature getfullargspec getsource getmembers
    validate_call singledispatch singledispatchmethod __subclasses__ __init_subclass__
    metaclass __globals__ __code__ __closure__ _getframe currentframe settrace setprofile
    """
)
"""Last parts of names that let code inspect any code, including its annotations."""

_READERS = _words("beartype fastapi fire jsonargparse typeguard typer tyro")
"""Libraries that read the annotations of functions passed to them."""

_TYPE_CHECKING = ("typing", "TYPE_CHECKING")
_ABOUT_KEYS = ("description", "json_schema_extra")
"""Arguments of Pydantic's `Field` that only the reference of the configuration uses."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = ("body", "orelse", "finalbody")
_UNSEEN = frozenset(["ctx", "type_comment", "kind", "lineno", "type_ignores"])


Place = tuple[str, str | None]
"""A module, and a name in it; None for the module itself."""


class StatementFacts(TypedDict):
    """Facts about a top-level statement.

    Attributes:
        kind: one of the kinds above.
        names: names that it binds.
        digest: digest of its meaning.
        uses: top-level names that it uses.
        attributes: for imported names that it uses only through attributes, these attributes.
        imports: modules and names that it imports.
        magic: 1 if it may reach anything in its module, 2 if it may inspect any code, else 0.
    """

    kind: str
    names: list[str]
    digest: str
    uses: list[str]
    attributes: dict[str, list[str]]
    imports: list[Place]
    magic: int


class Facts(TypedDict):
    """Facts about a file.

    Attributes:
        runs: modules and names that are imported when the file is imported.
        stars: modules from which the file imports `*`.
        bindings: for each imported name, the modules and names that it may refer to.
        statements: the top-level statements other than imports, in order.
    """

    runs: list[Place]
    stars: list[str]
    bindings: dict[str, list[Place]]
    statements: list[StatementFacts]


def read(content: bytes, name: str, package: tuple[str, ...] | None) -> Facts:
    """Return the facts about a file from which its digests are made, as JSON values.

    Args:
        content: the file's content.
        name: the file's name, for errors.
        package: parts of the name of the file's package, from which relative imports start; None if
            it belongs to no package.

    Raises:
        SyntaxError: if the file is not Python.
    """
    tree = ast.parse(content, filename=name)
    return _File(tree, package).facts()


def whole(content: bytes, name: str) -> str:
    """Return a digest of a whole file without bare constants, comments and formatting."""
    return _digest([_text(ast.parse(content, filename=name), texts=False)])


class _File:
    """A file that is being read."""

    def __init__(self, tree: ast.Module, package: tuple[str, ...] | None) -> None:
        self._package = package
        self._tree = tree
        self._bindings: dict[str, list[Place]] = {}
        self._stars: list[str] = []
        self._pure_classes: set[str] = set()
        for statement in tree.body:
            for module, name, bound in self._imports(statement):
                if bound == "*":
                    self._stars.append(module)
                elif name is None and module.startswith(f"{bound}."):  # `import a.b.c` binds a.
                    self._bindings.setdefault(bound, []).append((bound, None))
                elif isinstance(statement, ast.Import | ast.ImportFrom):
                    self._bindings.setdefault(bound, []).append((module, name))
        self._bound = {bound for statement in tree.body for bound in _assigned(statement)}

    def facts(self) -> Facts:
        statements: list[StatementFacts] = []
        runs = []
        for statement in self._strip_block(self._tree.body, None):
            runs += [place for node in _run_at_import(statement) for place in self._imports(node)]
            if not isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass):
                statements.append(self._statement(statement))
        return {
            "runs": [*dict.fromkeys((module, name) for module, name, _ in runs)],
            "stars": self._stars,
            "bindings": self._bindings,
            "statements": statements,
        }

    def _statement(self, statement: ast.stmt) -> StatementFacts:
        kind = self._kind(statement)
        code = compile(
            ast.fix_missing_locations(ast.Module([statement], [])),
            "",
            "exec",
            dont_inherit=True,
            optimize=0,
        )
        names, uses = _names(code, top=True)
        nodes = [*ast.walk(statement)]
        quoted = _quoted(nodes)
        uses |= quoted
        alone, below = _attributes(nodes)
        alone |= quoted
        imports = [
            place
            for node in nodes
            for module, name, bound in self._imports(node)
            for place in ((module, name), (bound, None))
            if place[0] == module or (name is None and module.startswith(f"{bound}."))
        ]
        return {
            "kind": kind,
            "names": sorted(names),
            "digest": _digest([statement]),
            "uses": sorted(uses),
            "attributes": {
                name: sorted(found)
                for name, found in below.items()
                if name in uses and name in self._bindings and name not in alone
            },
            "imports": [*dict.fromkeys(imports)],
            "magic": self._magic(nodes),
        }

    # --- effects of statements

    def _kind(self, statement: ast.stmt) -> str:
        if isinstance(statement, ast.If) and not statement.orelse and _is_main(statement.test):
            return MAIN
        if isinstance(statement, _FUNCTIONS):
            if not self._pure_function(statement):
                return EFFECT
            arguments = statement.args
            defaults = [*arguments.defaults, *filter(None, arguments.kw_defaults)]
            plain = all(isinstance(default, ast.Constant) for default in defaults)
            return FUNCTION if plain and not statement.decorator_list else VALUE
        if isinstance(statement, ast.ClassDef):
            if not self._pure_class(statement):
                return EFFECT
            self._pure_classes.add(statement.name)
            return VALUE
        return VALUE if self._pure_assignment(statement) else EFFECT

    def _pure_assignment(self, statement: ast.stmt) -> bool:
        targets: list[ast.expr]
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
            values = [statement.annotation, *filter(None, [statement.value])]
        elif isinstance(statement, ast.Assign):
            targets, values = statement.targets, [statement.value]
        else:
            return False
        while any(isinstance(target, ast.Tuple | ast.List | ast.Starred) for target in targets):
            targets = [
                inner
                for target in targets
                for inner in (
                    target.elts
                    if isinstance(target, ast.Tuple | ast.List)
                    else [target.value if isinstance(target, ast.Starred) else target]
                )
            ]
        return all(isinstance(target, ast.Name) for target in targets) and all(
            map(self._pure, values)
        )

    def _pure_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        evaluated = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        evaluated += _annotations(node)
        return self._pure_decorators(node) and all(map(self._pure, evaluated))

    def _pure_decorators(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
        for decorator in node.decorator_list:
            function, given = decorator, []
            if isinstance(decorator, ast.Call):
                function = decorator.func
                given = [*decorator.args, *(word.value for word in decorator.keywords)]
            setter = isinstance(function, ast.Attribute) and function.attr in ("setter", "deleter")
            if not (setter or self._full_name(function) in _PURE_DECORATORS):
                return False
            if not all(map(self._pure, given)):
                return False
        return True

    def _pure_class(self, node: ast.ClassDef) -> bool:
        for base in node.bases:
            name = base.value if isinstance(base, ast.Subscript) else base
            full = self._full_name(name)
            if full in self._pure_classes or full in _PURE_BASES:
                continue
            if full and _SECTION.fullmatch(full):
                continue
            if not (full and isinstance(getattr(builtins, full, None), type)):
                return False
        if node.keywords or not self._pure_decorators(node):
            return False
        for statement in node.body:
            if isinstance(statement, _FUNCTIONS):
                # `__init_subclass__` runs for each subclass.
                pure = statement.name != "__init_subclass__" and self._pure_function(statement)
            elif isinstance(statement, ast.ClassDef):
                pure = self._pure_class(statement)
            else:
                pure = isinstance(statement, ast.Pass) or self._pure_assignment(statement)
            if not pure:
                return False
        return True

    def _pure(self, node: ast.expr) -> bool:
        """Return whether evaluating an expression has no side effects."""
        waiting: list[ast.AST] = [node]
        while waiting:
            part = waiting.pop()
            if isinstance(part, ast.Call):
                full = self._full_name(part.func)
                method = isinstance(part.func, ast.Attribute) and part.func.attr in _PURE_METHODS
                if not (method or full in _PURE_BUILTINS or full in _PURE):
                    return False
            if isinstance(part, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr):
                return False
            if isinstance(part, ast.Lambda):
                waiting += [*part.args.defaults, *filter(None, part.args.kw_defaults)]
            else:
                waiting += ast.iter_child_nodes(part)
        return True

    def _full_name(self, node: ast.expr) -> str | None:
        """Return the full name of a name or attribute; None if its meaning is not known.

        It is `re.compile` by way of imports, a built-in such as `len`, or a class of this file.
        """
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        imported = self._bindings.get(node.id)
        if imported is None or node.id in self._bound:
            own = node.id in self._bound or bool(self._stars)
            if own and node.id not in self._pure_classes:
                return None
            return ".".join([node.id, *parts])
        if len(imported) > 1:
            return None
        module, name = imported[0]
        return ".".join([module, *([name] if name else []), *parts])

    def _magic(self, nodes: Iterable[ast.AST]) -> int:
        """Return 2 for code that may inspect any code, 1 for code that may inspect its own module.

        Otherwise, return 0.
        """
        level = 0
        for node in nodes:
            full = ""
            if isinstance(node, ast.Name | ast.Attribute):
                full = self._full_name(node) or str(getattr(node, "attr", getattr(node, "id", "")))
            elif isinstance(node, ast.alias | ast.FunctionDef):
                full = node.name
            elif isinstance(node, ast.keyword):
                full = node.arg or ""
            elif isinstance(node, ast.Call) and not (node.args or node.keywords):
                level = max(level, int(self._full_name(node.func) in ("vars", "locals", "dir")))
            names = full.split(".")
            if names[-1] in _ALL_MAGIC or names[0] in _READERS:
                return 2
            if full.removeprefix("builtins.") in _OWN_MAGIC:
                level = 1
        return level

    # --- code that digests leave out

    def _strip_block(self, body: list[ast.stmt], scope: ast.AST | None) -> list[ast.stmt]:
        kept: list[ast.stmt] = []
        for statement in body:
            if isinstance(statement, ast.Pass) or _is_text(statement):
                continue
            if isinstance(statement, ast.If) and self._is_type_checking(statement.test):
                kept += self._strip_block(statement.orelse, scope)
                continue
            found = self._strip(statement, scope)
            if found is not None:
                kept.append(found)
        kept = [statement for statement in kept if not isinstance(statement, ast.Pass)]
        return kept or ([ast.Pass()] if body else [])

    def _strip(self, node: ast.stmt, scope: ast.AST | None) -> ast.stmt | None:
        """Remove parts without meaning from a statement in place; return None if none is left."""
        if isinstance(node, ast.AnnAssign):
            return self._strip_annotation(node, scope)
        if isinstance(node, _FUNCTIONS) and self._pure_decorators(node):
            self._strip_signature(node)
        inner = node if isinstance(node, (*_FUNCTIONS, ast.ClassDef)) else scope
        for block in _BLOCKS:
            body = getattr(node, block, None)
            if isinstance(body, list):
                setattr(node, block, self._strip_block(body, inner))
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            part.body = self._strip_block(part.body, inner)
        return node

    def _strip_annotation(self, node: ast.AnnAssign, scope: ast.AST | None) -> ast.stmt | None:
        if isinstance(scope, ast.ClassDef):  # read by dataclasses, Pydantic and the like
            return node
        # Annotations inside functions are never evaluated.
        if not isinstance(scope, _FUNCTIONS) and not self._pure(node.annotation):
            return node
        if node.value is not None:
            return ast.copy_location(ast.Assign([node.target], node.value), node)
        if scope is None and isinstance(node.target, ast.Name):
            return None
        node.annotation = ast.copy_location(ast.Constant(None), node)
        return node

    def _strip_signature(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if not all(map(self._pure, _annotations(node))):
            return
        node.returns = None
        for argument in _arguments(node):
            argument.annotation = None

    def _is_type_checking(self, test: ast.expr) -> bool:
        if isinstance(test, ast.Attribute):
            name = self._full_name(test)
            return name == ".".join(_TYPE_CHECKING)
        return (
            isinstance(test, ast.Name)
            and test.id not in self._bound
            and self._bindings.get(test.id) == [_TYPE_CHECKING]
        )

    # --- imports

    def _imports(self, node: ast.AST) -> Iterator[tuple[str, str | None, str]]:
        """Yield a statement's imports: module, name in it (None: the module), and bound name."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None, alias.asname or alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            source = self._source(node)
            for alias in node.names:
                yield source, alias.name, alias.asname or alias.name

    def _source(self, node: ast.ImportFrom) -> str:
        """Return the full name of the module of a `from ... import`."""
        if not node.level:
            return node.module or ""
        if self._package is None:
            return ""  # a script that belongs to no package
        # `.` is the package itself; each further dot is one level higher.
        package = self._package[: len(self._package) + 1 - node.level]
        return ".".join([*package, *([node.module] if node.module else [])])


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_main(test: ast.expr) -> bool:
    return ast.unparse(test) == "__name__ == '__main__'"


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.arg]:
    arguments = node.args
    yield from (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    yield from filter(None, (arguments.vararg, arguments.kwarg))


def _annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr]:
    found = [argument.annotation for argument in _arguments(node)]
    return [annotation for annotation in (*found, node.returns) if annotation is not None]


def _assigned(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a top-level statement binds, except by imports."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _run_at_import(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield a top-level statement and the statements within it that run at import."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and _is_main(node.test):
            waiting += node.orelse
        elif not isinstance(node, _FUNCTIONS):
            for field in (*_BLOCKS, "handlers", "cases"):
                waiting += getattr(node, field, None) or ()


def _names(code: CodeType, top: bool) -> tuple[set[str], set[str]]:
    """Return the names that compiled code binds at the top of its module, and those that it reads.

    The bytecode shows which names are local; in the body of a class, a name may be local or global.
    """
    bound: set[str] = set()
    read: set[str] = set()
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if top and name in ("STORE_NAME", "DELETE_NAME"):
            bound.add(instruction.argval)
        elif name.endswith("_GLOBAL") or name == "LOAD_NAME":
            read.add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            read |= _names(constant, top=False)[1]
    return bound, read


def _quoted(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names in annotations that are strings: `x: "Name | None"`."""
    kept: list[ast.expr] = []
    for node in nodes:
        if isinstance(node, ast.AnnAssign):
            kept.append(node.annotation)
        elif isinstance(node, _FUNCTIONS):
            kept += _annotations(node)
    found: set[str] = set()
    for text in (part for annotation in kept for part in ast.walk(annotation)):
        if isinstance(text, ast.Constant) and isinstance(text.value, str):
            try:
                parsed = ast.parse(text.value, mode="eval")
            except SyntaxError:
                continue
            found |= {part.id for part in ast.walk(parsed) if isinstance(part, ast.Name)}
    return found


def _attributes(nodes: Iterable[ast.AST]) -> tuple[set[str], dict[str, set[str]]]:
    """Return the names that are used by themselves, and the attributes that are read of names."""
    below: dict[str, set[str]] = {}
    owners: set[int] = set()
    names: list[ast.Name] = []
    for node in nodes:
        if isinstance(node, ast.Name):
            names.append(node)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and isinstance(node.ctx, ast.Load)
        ):
            below.setdefault(node.value.id, set()).add(node.attr)
            owners.add(id(node.value))
    return {name.id for name in names if id(name) not in owners}, below


def _digest(parts: Iterable[ast.AST | str]) -> str:
    text = "\n".join(part if isinstance(part, str) else _text(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _text(node: Any, texts: bool = True) -> str:
    """Return a tree as text without positions, the same for every version of Python's parser.

    Args:
        node: a node, a list, or a value.
        texts: whether to include bare constants.
    """
    if isinstance(node, ast.AST):
        parts = [
            f"{field}={_text(value, texts)}"
            for field in node._fields
            if field not in _UNSEEN and (value := getattr(node, field, None)) not in (None, [])
        ]
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Field":
            words = [word for word in node.keywords if word.arg not in _ABOUT_KEYS]
            parts = [_text(node.args, texts), _text(words, texts)]
        if isinstance(node, ast.Constant):
            parts = [f"{type(node.value).__name__} {node.value!r}"]
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, list):
        shown = node if texts else [part for part in node if not _is_bare(part)]
        return f"[{','.join(_text(part, texts) for part in shown)}]"
    return repr(node)


def _is_bare(node: Any) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.stmt) and _is_text(node))


def external(module: str) -> bool:
    """Return whether a module is not part of Python's standard library."""
    return bool(module) and module.partition(".")[0] not in sys.stdlib_module_names
