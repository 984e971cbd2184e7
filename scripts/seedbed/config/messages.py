"""Messages on wrong values, for configuration files and command lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from seedbed.config.sections import Section, is_tag
from seedbed.config.values import Part, nearest

At = tuple[Part, ...]
"""A path into a file: keys, and indices into lists."""

S = TypeVar("S", bound=Section)


def spell(at: At) -> str:
    """Write a path as text, as in `blocks[0].students[1]`."""
    text = ""
    for part in at:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse_json(kind: type[S], option: str, text: str) -> S:
    """Read a section from a command-line option with JSON.

    Args:
        kind: class of the section.
        option: name of the option, for messages.
        text: the option's value.

    Raises:
        ValueError: naming the option, the key, and the valid values.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(f"{option}: {problems(error)}") from None


def problems(error: ValidationError) -> str:
    """Return all problems of a section, in one line."""
    found = map(explain, error.errors(include_url=False))
    return "; ".join(f"{spell(at) or 'value'}: {said}" for at, said in found)


def explain(detail: ErrorDetails) -> tuple[At, str]:
    """Return one of Pydantic's errors as a path in the file and a sentence."""
    # Pydantic's paths also hold the tags of unions and a mark for keys.
    at = tuple(part for part in detail["loc"] if not (is_tag(part) or part == "[key]"))
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "seedbed":
        return at + tuple(context.get("at", ())), detail["msg"]
    if kind == "missing":
        return at, "is missing"
    if kind == "literal_error":
        valid = re.findall(r"'([^']*)'", context["expected"])
        return at, f"{show(value)} is not valid; {nearest(str(value), valid, 'valid')}"
    if kind in ("too_short", "string_too_short"):
        return at, "must not be empty"
    wanted = _WANTED.get(kind)
    if wanted is None:
        return at, f"{show(value)}: {detail['msg']}"
    return at, f"must be {wanted.format(**context)}, not {show(value)}{_hint(kind, value)}"


_WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a section of keys",
    "model_type": "a section of keys",
    "model_attributes_type": "a section of keys",
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
}


def _hint(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, int | float):
        return "; put it in quotes"
    if kind == "tuple_type" and isinstance(value, str | int | float):
        return f"; write [{show(value).strip(chr(39))}]"
    return ""


def show(value: Any) -> str:
    """Return a value as in YAML, shortened if it is long."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
