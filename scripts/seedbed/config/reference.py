"""The reference of the configuration, generated from its classes: tables of keys, and JSON Schemas.

The tables are between lines `<!-- generated: ... -->` and `<!-- end -->`; the rest of the page is
written by hand. Editors use the schemas to complete and check files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from seedbed.config.sections import Section, stages_of
from seedbed.config.values import Stage

Classes = Mapping[str, type[Section]]
"""By file, e.g. `studies/NAME.yaml`, the class of its content."""


def page(text: str, files: Classes, told: frozenset[type] = frozenset()) -> str:
    """Return a page with its tables generated from the classes.

    Args:
        text: the present page.
        files: class of each file that it describes.
        told: sections to leave out where they appear by name, because the page describes them
            elsewhere.

    Raises:
        ValueError: if the page names an unknown table.
    """
    tables: dict[str, Callable[[], list[str]]] = {
        f"keys of {name}": partial(key_table, model, told) for name, model in files.items()
    }
    tables["reruns"] = lambda: rerun_table(files, told)

    def table(found: re.Match[str]) -> str:
        if found[1] not in tables:
            raise ValueError(f"there is no table {found[1]!r}; there are: {', '.join(tables)}")
        lines = "\n".join(tables[found[1]]())
        return f"<!-- generated: {found[1]} -->\n{lines}\n<!-- end -->"

    return re.sub(r"<!-- generated: (.*?) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def key_table(model: type[Section], told: frozenset[type] = frozenset()) -> list[str]:
    """Return the lines of a table of a file's keys: type, default and meaning of each."""
    rows = [
        f"| `{place}` | {kind} | {default} | {meaning} |"
        for place, kind, default, meaning in _keys(model, told)
    ]
    # Rows that several kinds of a section share are listed once.
    head = ["| Key | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    return [*head, *dict.fromkeys(rows)]


def rerun_table(files: Classes, told: frozenset[type] = frozenset()) -> list[str]:
    """Return the lines of a table of the stages that a change of each key can make stale.

    Raises:
        ValueError: if a key does not declare its stages.
    """
    order = get_args(Stage)
    by_stages: dict[tuple[Stage, ...], dict[str, dict[str, None]]] = {}
    for file, model in files.items():
        for place, stages in _stages(model, told):
            by_stages.setdefault(stages, {}).setdefault(file, {})[f"`{place}`"] = None
    lines = ["| Stages | Keys |", "| --- | --- |"]
    for stages in sorted(by_stages, key=lambda stages: [order.index(word) for word in stages]):
        found = by_stages[stages].items()
        keys = "; ".join(f"`{file}`: {', '.join(names)}" for file, names in found)
        lines.append(f"| {', '.join(stages) or 'nothing'} | {keys} |")
    return lines


def schema(model: type[Section]) -> str:
    """Return the JSON Schema of a file, as JSON."""
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    if "base" in model.model_fields:
        # A file with a base may leave out required keys.
        found = model.model_json_schema()
        found["anyOf"] = [{"required": ["base"]}, {"required": found.pop("required")}]
        return json.dumps(content | _plain(found), indent=1) + "\n"
    return json.dumps(content | _plain(model.model_json_schema()), indent=1) + "\n"


def _plain(node: Any) -> Any:
    """Return a schema without the parts that editors do not use, with those that Pydantic omits."""
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    node = {
        key: {name: _plain(one) for name, one in value.items()}
        if key in ("properties", "$defs")
        else _plain(value)
        for key, value in node.items()
        if key not in ("title", "stages", "discriminator", "default")
        or (key == "default" and not isinstance(value, dict | list))
    }
    if node.get("type") == "array" and "minLength" in node:
        node["minItems"] = node.pop("minLength")
    kind = node.get("properties", {}).get("kind", {})
    if "const" in kind and kind["const"] != "transformers":
        node["required"] = ["kind", *node.get("required", [])]
    return node


def _keys(
    model: type[Section], told: frozenset[type], prefix: str = ""
) -> Iterator[tuple[str, str, str, str]]:
    """Yield place, type, default and meaning of each key of a section and those inside it."""
    for name, field in model.model_fields.items():
        place = f"{prefix}{name}"
        yield place, _type(field.annotation), _default(field), field.description or ""
        inner = [*_inside(field.annotation, told)]
        by_kind = {kind: section for section, _ in inner if (kind := _kind(section))}
        if by_kind:
            yield from _keys_by_kind(by_kind, told, f"{place}.")
            continue
        for section, mark in inner:
            yield from _keys(section, told, f"{place}{mark}.")


def _keys_by_kind(
    sections: Mapping[str, type[Section]], told: frozenset[type], prefix: str
) -> Iterator[tuple[str, str, str, str]]:
    """Yield the keys of a section that has several kinds, each with its kinds."""
    first = next(iter(sections))
    meaning = "; ".join(f"`{kind}`: {_words(section)}" for kind, section in sections.items())
    kinds = ", ".join(f"`{kind}`" for kind in sections)
    yield f"{prefix}kind", f"one of {kinds}", f"`{first}`", f"{meaning}."
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for kind, section in sections.items():
        for row in _keys(section, told, prefix):
            if row[0] != f"{prefix}kind":
                found.setdefault(row, []).append(kind)
    for (place, type_, default, meaning), having in found.items():
        only = "" if len(having) == len(sections) else f"{', '.join(having)}: "
        yield place, type_, default, f"{only}{meaning}"


def _words(section: type[Section]) -> str:
    return (section.__doc__ or "").partition("\n")[0].rstrip(".")


def _kind(section: type[Section]) -> str | None:
    """Return the only value of a section's key `kind`; None if there is no such key."""
    field = section.model_fields.get("kind")
    values = get_args(field.annotation) if field is not None else ()
    return values[0] if len(values) == 1 else None


def _stages(
    model: type[Section], told: frozenset[type], prefix: str = ""
) -> Iterator[tuple[str, tuple[Stage, ...]]]:
    for name, field in model.model_fields.items():
        found = [*_inside(field.annotation, told)]
        for inner, mark in found:
            yield from _stages(inner, told, f"{prefix}{name}{mark}.")
        stages = stages_of(model, name)
        if stages is not None:
            yield f"{prefix}{name}", stages
        elif not found and not any(one in str(field.annotation) for one in map(_name, told)):
            raise ValueError(f"{prefix}{name} does not say what a change of it reruns")


def _name(section: type) -> str:
    return section.__name__


def _inside(kind: Any, told: frozenset[type]) -> Iterator[tuple[type[Section], str]]:
    """Yield the sections in a type, with the mark of a list (`[]`) or of free keys (`.NAME`)."""
    if isinstance(kind, type) and issubclass(kind, Section):
        yield kind, ""
        return
    origin, parts = get_origin(kind), get_args(kind)
    mark = {tuple: "[]", dict: ".NAME"}.get(origin, "")
    if origin is dict:
        parts = parts[1:]
    elif origin is Annotated:
        parts = parts[:1]
    for part in parts:
        for section, further in _inside(part, told):
            if not (origin is dict and section in told):
                yield section, mark + further


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if field.is_required() or value == "":
        return "required"
    if isinstance(value, BaseModel) or value in ({}, ()):
        return "empty" if value in ({}, ()) else "its defaults"
    if isinstance(value, tuple):
        return f"`[{', '.join(value)}]`"
    return f"`{json.dumps(value).strip(chr(34))}`"


def _type(kind: Any) -> str:
    """Return the type of a field in words."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "section"
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type(parts[0])
    if origin is tuple:
        return f"list of {_type(parts[0])}".replace("number", "numbers").replace("ion", "ions")
    if origin is dict:
        return f"{_type(parts[1])} by name"
    if origin is Literal:
        return f"one of {', '.join(f'`{word}`' for word in parts)}"
    if parts:
        words = [_type(part) for part in parts if part is not type(None)]
        optional = " or null" if type(None) in parts and "section" not in words else ""
        return " or ".join(dict.fromkeys(words)) + optional
    return {int: "whole number", float: "number", str: "text", bool: "true or false"}.get(
        kind, "value"
    )
