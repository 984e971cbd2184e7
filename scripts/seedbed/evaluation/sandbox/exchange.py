"""Values between the process that tests a program and the one that runs it, as plain data.

Only plain data passes: what a program returns cannot answer for itself when a test compares it. An
object of any other type passes as a number that stands for it, and stays where it is.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import json
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

MOST_BYTES = 16_000_000
"""Longest message."""

_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": deque,
}
# Types of the library whose values are one text.
_TEXTS: dict[str, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    "bytes": (bytes.hex, bytes.fromhex),
    "bytearray": (bytearray.hex, bytearray.fromhex),
    "complex": (repr, complex),
    "int": (hex, lambda text: int(text, 16)),
    "Decimal": (str, decimal.Decimal),
    "Fraction": (str, fractions.Fraction),
    "date": (datetime.date.isoformat, datetime.date.fromisoformat),
    "datetime": (datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "time": (datetime.time.isoformat, datetime.time.fromisoformat),
}
_TYPES: dict[type, str] = {
    kind: kind.__name__
    for kind in (
        *(list, tuple, set, frozenset, deque, bytes, bytearray, complex, int),
        *(decimal.Decimal, fractions.Fraction),
        *(datetime.date, datetime.datetime, datetime.time),
    )
}
_SMALL = 2**53


def encoded(value: Any, stand_in: Callable[[Any], Any]) -> Any:
    """Return a value as JSON has it.

    Args:
        value: any value.
        stand_in: called with an object that is no plain data; returns what stands for it.
    """
    kind = type(value)
    if value is None or kind in (bool, float, str) or (kind is int and -_SMALL < value < _SMALL):
        return value
    if isinstance(value, dict):
        pairs = [[encoded(key, stand_in), encoded(one, stand_in)] for key, one in dict.items(value)]
        return ["dict", pairs]
    name = _TYPES.get(kind, "")
    if name in _SEQUENCES:
        return [name, [encoded(one, stand_in) for one in value]]
    if name:
        return [name, _TEXTS[name][0](value)]
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        return encoded(value.tolist(), stand_in)
    return ["object", stand_in(value)]


def decoded(content: Any, object_of: Callable[[Any], Any]) -> Any:
    """Return the value that `encoded` made JSON of."""
    if not isinstance(content, list):
        return content
    name, part = content
    if name == "dict":
        return {decoded(key, object_of): decoded(one, object_of) for key, one in part}
    if name in _SEQUENCES:
        return _SEQUENCES[name]([decoded(one, object_of) for one in part])
    if name in _TEXTS:
        return _TEXTS[name][1](part)
    return object_of(part)


def send(connection: Connection, message: Any) -> None:
    """Send a message.

    Raises:
        ValueError: if it is too long.
    """
    raw = json.dumps(message).encode()
    if len(raw) > MOST_BYTES:
        raise ValueError("too much data")
    connection.send_bytes(raw)


def receive(connection: Connection) -> Any:
    """Return the next message.

    Raises:
        EOFError: if the other end was closed.
        OSError: if the message is too long.
        ValueError: if it is no JSON.
    """
    return json.loads(connection.recv_bytes(MOST_BYTES))
