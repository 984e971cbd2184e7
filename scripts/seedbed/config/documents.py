"""Reads YAML without losing or reinterpreting values, and records the line of each.

YAML is read with the core schema of YAML 1.2: `1e-3` is a number, and `no`, `on`, `12:30` and
`2026-01-31` are text. Python's usual loader reads all of these as other types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.resolver import BaseResolver

from seedbed.config.messages import At, spell
from seedbed.config.values import Part


@dataclass(frozen=True)
class Problem:
    """A problem in a file."""

    where: str
    at: At
    text: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.where, spell(self.at), self.text)))


class StudyError(ValueError):
    """All problems of the configuration that could be found at once."""

    def __init__(self, heading: str, problems: list[Problem]) -> None:
        self.problems = list(dict.fromkeys(problems))
        lines = [f"{heading}:", *(f"  {problem}" for problem in self.problems)]
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Document:
    """The content of a file, and the line of each part.

    Attributes:
        name: name in messages, such as the file's path.
        content: its sections and values.
        lines: by path, the line on which it starts, counted from 1.
        overridden: paths whose values come from the caller instead of the file.
    """

    name: str
    content: dict[str, Any]
    lines: Mapping[At, int] = field(default_factory=dict)
    overridden: frozenset[At] = frozenset()

    def problem(self, text: str, *at: Part) -> Problem:
        """Return a problem at a path of this document."""
        return Problem(self._where(at), at, text)

    def _where(self, at: At) -> str:
        for length in range(len(at), -1, -1):
            if at[:length] in self.overridden:
                return f"{self.name} (overridden)"
        # A missing key is reported at the section that lacks it.
        for length in range(len(at), 0, -1):
            if at[:length] in self.lines:
                return f"{self.name}:{self.lines[at[:length]]}"
        return self.name

    def overriding(self, changes: Mapping[str, object]) -> Document:
        """Return the document with some values replaced.

        Sections are merged key by key; lists and other values are replaced.
        """
        replaced: set[At] = set()

        def merge(old: Any, new: Any, at: At) -> Any:
            if isinstance(old, Mapping) and isinstance(new, Mapping):
                return dict(old) | {key: merge(old.get(key), new[key], (*at, key)) for key in new}
            replaced.add(at)
            return new

        content = merge(self.content, changes, ())
        return Document(self.name, content, self.lines, self.overridden | replaced)


# Tag, pattern, and possible first characters of such a value ("" for an empty value).
_SCALARS = (
    ("merge", r"<<", ["<"]),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)


class _Resolver(BaseResolver):
    """Types plain scalars by `_SCALARS` alone: ruamel's own resolver also knows dates and 0x10."""

    processing_version = (1, 2)

    def __init__(self, version: Any = None, loader: Any = None) -> None:
        super().__init__(loader)


for _tag, _pattern, _first in _SCALARS:
    _Resolver.add_implicit_resolver_base(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first
    )


def _reader() -> YAML:
    reader = YAML(typ="safe", pure=True)
    reader.Resolver = _Resolver
    reader.composer.warn_double_anchors = False
    return reader


def read_document(path: Path) -> Document:
    """Read a YAML file that contains one section of keys.

    Raises:
        StudyError: if it cannot be read, is not YAML, is not a section, or has a key twice or a
            key that is not text.
    """
    name = str(path)

    def refuse(text: str, line: int | None = None) -> StudyError:
        where = f"{name}:{line}" if line else name
        return StudyError("the configuration cannot be read", [Problem(where, (), text)])

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise refuse(f"cannot be read: {error}") from None
    try:
        reader = _reader()
        root = reader.compose(text)
        if not isinstance(root, MappingNode):
            line = root.start_mark.line + 1 if root else None
            raise refuse("holds no section of keys, such as 'title: ...'", line)
        problems = list(_bad_keys(root, name, (), ()))
        if problems:
            raise StudyError("the configuration cannot be read", problems)
        lines = dict(_lines(root, ()))
        content = reader.constructor.construct_document(root)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ": ".join(filter(None, (error.context, error.problem)))
        raise refuse(f"is not valid YAML: {said}", mark.line + 1 if mark else None) from None
    except YAMLError as error:
        raise refuse(f"is not valid YAML: {' '.join(str(error).split())}") from None
    return Document(name, content, lines)


def _children(node: Node) -> Iterator[tuple[Node | None, Part, Node]]:
    """Yield the parts of a node: key node (None in a list), key or index, and value node."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield key, str(key.value), value
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            yield None, index, value


def _bad_keys(node: Node, name: str, at: At, above: tuple[Node, ...]) -> Iterator[Problem]:
    """Yield duplicate keys, keys that are not text, and nodes that contain themselves."""
    if any(node is other for other in above):
        yield Problem(f"{name}:{node.start_mark.line + 1}", at, "holds itself")
        return
    first: dict[Part, int] = {}
    for key, part, value in _children(node):
        if key is not None:
            line = key.start_mark.line + 1
            if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
                said = f"the key {part} is not text: put it in quotes"
                yield Problem(f"{name}:{line}", at, said)
                continue
            if part in first:
                said = f"stands here a second time, first in line {first[part]}"
                yield Problem(f"{name}:{line}", (*at, part), said)
            first.setdefault(part, line)
        yield from _bad_keys(value, name, (*at, part), (*above, node))


def _lines(node: Node, at: At) -> Iterator[tuple[At, int]]:
    """Yield each path below a node with its line; own keys come after merged ones."""
    parts = list(_children(node))
    for key, _, value in parts:
        if key is not None and key.tag == "tag:yaml.org,2002:merge":
            sources = value.value if isinstance(value, SequenceNode) else [value]
            for source in reversed(sources):
                yield from _lines(source, at)
    for key, part, value in parts:
        if key is None or key.tag != "tag:yaml.org,2002:merge":
            yield (*at, part), (key or value).start_mark.line + 1
            yield from _lines(value, (*at, part))
