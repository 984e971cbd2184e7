"""Exchange of values, as plain data, between the process of a program and that of its tests.

Only plain data passes between them, so that a program's own methods, such as `__eq__`, have no part
in a test's comparisons. An object of any other type stays in its process and passes as a number
that represents it. A value of a type derived from a plain one, such as a named tuple, passes as
plain data with such a number. Instances of a program's own subclasses of list and other mutable
containers pass as objects, because their methods may change them.
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
"""Maximum length of a message."""

_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": deque,
    "range": lambda parts: range(*parts),
}
# Types whose values are sent as one text each: how to write it, and how to read it.
_TEXTS: dict[str, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    "bytes": (bytes.hex, bytes.fromhex),
    "bytearray": (bytearray.hex, bytearray.fromhex),
    "complex": (complex.__repr__, complex),
    "int": (lambda value: hex(int.__int__(value)), lambda text: int(text, 16)),
    "Decimal": (decimal.Decimal.__str__, decimal.Decimal),
    "Fraction": (fractions.Fraction.__str__, fractions.Fraction),
    "date": (datetime.date.isoformat, datetime.date.fromisoformat),
    "datetime": (datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "time": (datetime.time.isoformat, datetime.time.fromisoformat),
}
_TYPES: dict[type, str] = {
    kind: kind.__name__
    for kind in (
        *(list, tuple, set, frozenset, deque, range, dict),
        *(bytes, bytearray, complex, int, float, str),
        *(decimal.Decimal, fractions.Fraction),
        *(datetime.date, datetime.datetime, datetime.time),
    )
}
_MUTABLE = list | dict | set | deque | bytearray
_SMALL = 2**53
PROGRAM = "program"
"""Name of the module that contains the program."""


def encoded(value: Any, stand_in: Callable[[Any], Any]) -> Any:
    """Encode a value for JSON.

    Args:
        value: any value.
        stand_in: called with an object that is not plain data; returns the number that represents
            it, or raises `TypeError` if the object cannot be passed.
    """
    kind = type(value)
    if value is None or kind in (bool, float, str) or (kind is int and -_SMALL < value < _SMALL):
        return value
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        return encoded(value.tolist(), stand_in)
    base = next((one for one in kind.__mro__ if one in _TYPES), None)
    own = kind is not base and kind.__module__ == PROGRAM
    if base is None or (own and isinstance(value, _MUTABLE)):
        return ["object", stand_in(value)]
    plain = _plain(value, base, stand_in)
    if kind is base or isinstance(value, _MUTABLE):
        return plain
    try:
        return ["like", plain, stand_in(value)]
    except TypeError:
        return plain


def _plain(value: Any, base: type, stand_in: Callable[[Any], Any]) -> Any:
    """Encode a value for JSON by the methods of `base`, not by its own."""
    name = _TYPES[base]
    if base is int and -_SMALL < int.__int__(value) < _SMALL:
        return int.__int__(value)
    if base is float:
        return float.__float__(value)
    if base is str:
        return str.__str__(value)
    if base is dict:
        pairs = [[encoded(key, stand_in), encoded(one, stand_in)] for key, one in dict.items(value)]
        return [name, pairs]
    if base is range:
        return [name, [value.start, value.stop, value.step]]
    if name in _SEQUENCES:
        return [name, [encoded(one, stand_in) for one in base.__iter__(value)]]  # type: ignore[attr-defined]
    return [name, _TEXTS[name][0](value)]


def decoded(
    content: Any,
    object_of: Callable[[Any], Any],
    like: Callable[[Any, Any], Any] = lambda plain, number: plain,
) -> Any:
    """Decode a value that `encoded` encoded.

    Args:
        content: the encoded value.
        object_of: called with the number that represents an object; returns the object.
        like: called with plain data and the number of an object whose type derives from theirs.
    """
    if not isinstance(content, list):
        return content
    name, part, *number = content
    if name == "like":
        return like(decoded(part, object_of, like), *number)
    if name == "dict":
        return {decoded(key, object_of, like): decoded(one, object_of, like) for key, one in part}
    if name in _SEQUENCES:
        return _SEQUENCES[name]([decoded(one, object_of, like) for one in part])
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
        ValueError: if the message is not JSON.
    """
    return json.loads(connection.recv_bytes(MOST_BYTES))
