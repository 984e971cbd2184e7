"""Worker process that tests programs of models; `seedbed.evaluation.scorers.code` starts it.

Each program takes two processes. One runs the tests and gives the verdict. The other runs the
program, and knows neither the tests nor the verdict: it receives one call after another, and
replies with plain data (see `seedbed.evaluation.sandbox.exchange`). A program can therefore
influence the tests only through the values that it returns. If the kernel has namespaces, both
processes run in namespaces without a network, and with only Python's own files, read-only. They see
no other processes; the program does not even see the process of its tests. All processes that a
program starts end with it.

The worker imports only the standard library and its own package. Its arguments are a socket's file
descriptor and its settings. Requests and replies are JSON, one of each at a time:

    {"program": [text, ...], "entry": expression, "alias": name, "tests": text, "setup": text,
     "context": text}
    {"passed": true or false, "reason": text}
    {"program": [text, ...], "entry": expression, "inputs": [text of a tuple of arguments, ...]}
    {"outputs": [text, ...]}   or   {"failed": why the program cannot be called}
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import decimal
import fractions
import gc
import json
import linecache
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import types
import unittest
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from seedbed.evaluation.sandbox import isolation
from seedbed.evaluation.sandbox.exchange import PROGRAM, decoded, encoded, receive, send

MOST_REASON = 300
"""Maximum number of characters of a reason."""


class ProgramError(Exception):
    """Replaces an exception of the program that derives from none of Python's own."""


class _Ended(BaseException):
    """The program's process does not reply. No `except Exception` of a test catches this."""


# ---- the process of the program


def run_program(channel: Connection) -> None:
    """Run a program, and reply to requests for its objects until the other end closes."""
    objects: list[Any] = []
    tests = _Tests(channel)

    def stand_in(value: Any) -> int:
        if isinstance(value, _OfTests):
            return -1 - value.number
        objects.append(value)
        return len(objects) - 1

    def object_of(number: int) -> Any:
        return objects[number] if number >= 0 else tests.function(-1 - number)

    def value_of(content: Any) -> Any:
        return decoded(content, object_of, lambda _, number: object_of(number))

    while True:
        request = receive(channel)
        try:
            if request[0] == "load":
                reply = ["value", _load(request[1], request[2], stand_in), []]
            else:
                kind, number, name, given, named = request
                arguments = [value_of(one) for one in given]
                keywords = {key: value_of(one) for key, one in named.items()}
                value = _applied(kind, objects[number], name, arguments, keywords)
                before = dict(enumerate(given)) | named
                changed = [
                    [place, now]
                    for place, one in (dict(enumerate(arguments)) | keywords).items()
                    if isinstance(one, list | dict | set | bytearray)
                    and (now := encoded(one, stand_in)) != before[place]
                ]
                reply = ["value", encoded(value, stand_in), changed]
        except StopIteration:
            reply = ["stop"]
        except BaseException as error:
            python = [one.__name__ for one in type(error).__mro__ if one.__module__ == "builtins"]
            reply = ["raised", type(error).__name__, python, str(error)[:MOST_REASON]]
        try:
            send(channel, reply)
        except ValueError:
            send(channel, ["raised", "ValueError", ["ValueError"], "the program returned too much"])


def _load(sources: list[str], names: list[str], stand_in: Callable[[Any], Any]) -> Any:
    module = types.ModuleType(PROGRAM)
    sys.modules[PROGRAM] = module
    for source in sources:
        exec(compile(source, "<program>", "exec"), module.__dict__)
    found = module.__dict__
    return {name: encoded(found[name], stand_in) for name in names if name in found}


def _applied(
    kind: str, value: Any, name: str, arguments: list[Any], keywords: dict[str, Any]
) -> Any:
    if kind == "call":
        return value(*arguments, **keywords)
    if kind == "get":
        return getattr(value, name)
    if kind == "item":
        return value[arguments[0]]
    if kind == "equal":
        return bool(value == arguments[0])
    if kind == "plain":
        return next((make(value) for make in _CONTAINERS if isinstance(value, make)), None)
    plain: dict[str, Callable[[Any], Any]] = {
        "len": len,
        "iter": iter,
        "next": next,
        "str": str,
        "repr": repr,
        "bool": bool,
        "float": float,
        "int": int,
    }
    return plain[kind](value)


_CONTAINERS: tuple[Any, ...] = (list, dict, set, deque, bytearray)


class _OfTests:
    """A function of the tests, as seen by the program that receives it as an argument."""

    def __init__(self, tests: _Tests, number: int) -> None:
        self._tests = tests
        self.number = number

    def __call__(self, *arguments: Any) -> Any:
        return self._tests.call(self.number, arguments)


class _Tests:
    """The program's access to functions that the tests pass to it."""

    def __init__(self, channel: Connection) -> None:
        self._channel = channel

    def function(self, number: int) -> _OfTests:
        return _OfTests(self, number)

    def call(self, number: int, arguments: tuple[Any, ...]) -> Any:
        plain = [encoded(one, _no_object) for one in arguments]
        send(self._channel, ["asks", number, plain])
        kind, content = receive(self._channel)
        if kind == "raised":
            raise ProgramError(content)
        return decoded(content, _no_object)


def _no_object(value: Any) -> NoReturn:
    raise TypeError("only plain data can be passed")


# ---- the process of the tests


class Program:
    """The program, as seen by its tests."""

    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self._functions: list[Callable[..., Any]] = []

    def load(self, sources: list[str], names: list[str]) -> dict[str, Any]:
        """Run the parts of a program, and return those of the named objects that they define."""
        found = self._answer(["load", sources, names])
        return {name: self._value(found[name]) for name in names if name in found}

    def ask(
        self, kind: str, number: int, name: str = "", given: Any = (), named: Any = None
    ) -> Any:
        """Request a call or another operation on an object of the program; return its value."""
        content = self._answer(
            [
                kind,
                number,
                name,
                [encoded(one, self._stand_in) for one in given],
                {key: encoded(one, self._stand_in) for key, one in (named or {}).items()},
            ],
            dict(enumerate(given)) | (named or {}),
        )
        return self._value(content)

    def _answer(self, request: Any, given: Any = None) -> Any:
        try:
            send(self._channel, request)
            while (reply := receive(self._channel))[0] == "asks":
                send(self._channel, self._called(*reply[1:]))
        except (EOFError, OSError) as error:
            raise _Ended from error
        if reply[0] == "stop":
            raise StopIteration
        if reply[0] == "raised":
            raise _exception(*reply[1:])
        _, content, changed = reply
        for place, now in changed:
            _change(given[place], self._value(now))
        return content

    def _called(self, number: int, arguments: list[Any]) -> list[Any]:
        try:
            given = [self._value(one) for one in arguments]
            return ["value", encoded(self._functions[number](*given), self._stand_in)]
        except Exception as error:
            return ["raised", str(error)[:MOST_REASON]]

    def _value(self, content: Any) -> Any:
        return decoded(content, self._object, self._like)

    def _like(self, plain: Any, number: int) -> Any:
        if type(plain) not in _LIKE:
            return plain
        value = _LIKE[type(plain)](plain)
        value.of_program = Object(self, number)
        return value

    def _object(self, number: int) -> Any:
        return self._functions[-1 - number] if number < 0 else Object(self, number)

    def _stand_in(self, value: Any) -> int:
        if isinstance(value, _Like):
            value = value.of_program
        if isinstance(value, Object):
            return object.__getattribute__(value, "_number")
        if not callable(value):
            raise TypeError(f"a {type(value).__name__} cannot be passed to a program")
        self._functions.append(value)
        return -len(self._functions)


class Object:
    """Proxy for an object of the program, such as a function.

    The program decides whether it equals another object of the program. A container equals plain
    data with the same content.
    """

    def __init__(self, program: Program, number: int) -> None:
        self._program = program
        self._number = number

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Have the program call it."""
        return self._program.ask("call", self._number, "", arguments, keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._program.ask("get", self._number, name)

    def __getitem__(self, key: Any) -> Any:
        return self._program.ask("item", self._number, "", [key])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Object):
            plain = self._program.ask("plain", self._number)
            return isinstance(plain, _CONTAINERS) and plain == other
        return self._number == other._number or bool(
            self._program.ask("equal", self._number, "", [other])
        )

    def __hash__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[Any]:
        found = self._program.ask("iter", self._number)
        while True:
            try:
                yield self._program.ask("next", found._number)
            except StopIteration:
                return

    def __next__(self) -> Any:
        return self._program.ask("next", self._number)

    def __len__(self) -> int:
        return int(self._program.ask("len", self._number))

    def __str__(self) -> str:
        return str(self._program.ask("str", self._number))

    def __repr__(self) -> str:
        return str(self._program.ask("repr", self._number))

    def __bool__(self) -> bool:
        return bool(self._program.ask("bool", self._number))

    def __float__(self) -> float:
        return float(self._program.ask("float", self._number))

    def __int__(self) -> int:
        return int(self._program.ask("int", self._number))


class _Like:
    """Mixin for values of a type that derives from a plain one; the program has its attributes."""

    of_program: Any = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.of_program, name)


_LIKE: dict[type, Any] = {
    kind: type(kind.__name__, (_Like, kind), {})
    for kind in (
        *(int, float, complex, str, bytes, tuple, frozenset),
        *(decimal.Decimal, fractions.Fraction),
    )
}


def _exception(name: str, python: list[str], text: str) -> Exception:
    """Return an exception with this name, of the first of Python's own types that can be made."""
    for base in python:
        kind = getattr(builtins, str(base), None)
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, Warning):
            with contextlib.suppress(TypeError):
                return kind(str(text)) if base == name else type(str(name), (kind,), {})(str(text))
    return ProgramError(f"{name}: {text}")


def _change(value: Any, now: Any) -> None:
    """Apply the program's changes of an argument to the tests' own value, in place."""
    if type(value) is not type(now):
        return
    if isinstance(value, list | bytearray):
        value[:] = now
    elif isinstance(value, dict | set):
        value.clear()
        value.update(now)


def tested(program: Program, request: dict[str, Any]) -> dict[str, Any]:
    """Run the tests of a request and return the verdict."""
    sys.modules["tests"] = types.ModuleType("tests")
    namespace = sys.modules["tests"].__dict__
    entry, tests = request["entry"], request["tests"]
    # For the lines of the tests in tracebacks.
    linecache.cache["<tests>"] = (len(tests), None, tests.splitlines(keepends=True), "<tests>")
    try:
        needed = _names(entry, tests, request["setup"], request["context"])
        found = program.load(request["program"], sorted(needed | {request["alias"]}))
        if entry not in found and request["alias"] in found:
            found[entry] = found[request["alias"]]
        # The alias alone is left out: the tests may use a name of Python's own that equals it.
        namespace |= {name: found[name] for name in needed | {entry} if name in found}
        for part in ("setup", "context"):
            exec(compile(request[part], f"<{part}>", "exec"), namespace)
        if entry:
            # The context may contain an unfinished function of this name.
            namespace |= {name: found[name] for name in _names(entry) if name in found}
            namespace["candidate"] = eval(entry, namespace)
        before = dict(namespace)
        exec(compile(tests, "<tests>", "exec"), namespace)
        # A program may define the same names.
        defined = {
            name: value
            for name, value in namespace.items()
            if name not in before or value is not before[name]
        }
        _run_defined(defined, namespace)
    except Exception as error:
        return {"passed": False, "reason": _reason(error)}
    return {"passed": True, "reason": ""}


def _names(*texts: str) -> set[str]:
    """Return the names in code, without Python's built-in names."""
    nodes = (node for text in texts if text for node in ast.walk(ast.parse(text)))
    return {
        node.id for node in nodes if isinstance(node, ast.Name) and not hasattr(builtins, node.id)
    }


def _run_defined(defined: dict[str, Any], namespace: dict[str, Any]) -> None:
    """Run the tests that are only defined so far: `check`, functions `test...`, and test cases."""
    if callable(defined.get("check")):
        defined["check"](namespace["candidate"])
    for name in sorted(defined):
        value = defined[name]
        if isinstance(value, type) and issubclass(value, unittest.TestCase):
            result = unittest.TestResult()
            unittest.defaultTestLoader.loadTestsFromTestCase(value).run(result)
            for _, text in [*result.errors, *result.failures]:
                raise AssertionError(text.strip().rpartition("\n")[2])
        elif name.startswith("test") and isinstance(value, types.FunctionType):
            value()


def outputs(program: Program, request: dict[str, Any]) -> dict[str, Any]:
    """Return a program's output for each input, as text; "" if it raises."""
    entry = request["entry"]
    try:
        namespace = program.load(request["program"], sorted(_names(entry)))
        function = eval(entry, namespace) if entry else None
    except Exception as error:
        return {"failed": _reason(error)}
    found = []
    for text in request["inputs"]:
        try:
            value = encoded(function(*ast.literal_eval(text)), _no_object)  # type: ignore[misc]
            found.append(json.dumps(_canonical(value)))
        except Exception:
            found.append("")
    return {"outputs": found}


def _canonical(content: Any) -> Any:
    """Return encoded data with sets and dictionaries sorted, and floats rounded to nine digits."""
    if isinstance(content, float):
        return float(f"{content:.9g}")
    if not isinstance(content, list):
        return content
    name, part = content
    if isinstance(part, list):
        part = [_canonical(one) for one in part] if name != "dict" else part
        if name in ("set", "frozenset", "dict"):
            part = sorted(part, key=json.dumps)
    return [name, part]


def _reason(error: Exception) -> str:
    """Return an exception as text, with the line of the tests that raised it."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    trace, line = error.__traceback__, ""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<tests>":
            line = linecache.getline("<tests>", trace.tb_lineno).strip()
        trace = trace.tb_next
    return (f"{text} in: {line}" if line else text)[:MOST_REASON]


# ---- the worker


def judge(connection: Connection, settings: dict[str, Any], isolated: bool, folder: str) -> None:
    """Start the process of a program, take one request, and reply to it."""
    if isolated:
        isolation.new_folder(settings["file_bytes"] * 4)
        isolation.new_processes(alone=True)
    else:
        os.chdir(folder)
        os.environ |= {"HOME": folder, "TMPDIR": folder}
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _start_program(theirs, settings)
    theirs.close()
    isolation.hide_memory()
    if isolated:
        isolation.drop_privileges()
    isolation.end_with_parent()
    isolation.limit(settings["seconds"], settings["memory_bytes"], settings["file_bytes"])
    request = receive(connection)

    def late(*_: object) -> NoReturn:
        # A busy machine may have left the program no CPU time; a sleeping program looks the same.
        starved = isolation.cpu_seconds(child) < settings["seconds"] / 2
        send(connection, _failed(request, "timeout") | {"transient": starved})
        os._exit(0)

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 2 * settings["seconds"] + 1)
    program = Program(Connection(ours.detach()))
    try:
        reply = tested(program, request) if "tests" in request else outputs(program, request)
    except _Ended:
        reply = _failed(request, _end_of(child, settings["seconds"]))
    except BaseException as error:  # A test may raise `SystemExit`, for example.
        reply = _failed(request, f"the tests raised {type(error).__name__}")
    signal.setitimer(signal.ITIMER_REAL, 0)
    send(connection, reply)


def _failed(request: dict[str, Any], reason: str) -> dict[str, Any]:
    return {"passed": False, "reason": reason} if "tests" in request else {"failed": reason}


def _end_of(child: int, seconds: float) -> str:
    """Return the reason why the process of a program no longer replies."""
    for _ in range(100):
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            if usage.ru_utime + usage.ru_stime >= seconds:
                return "timeout"
            code = os.waitstatus_to_exitcode(status)
            return f"the program ended its process ({code})"
        time.sleep(0.001)
    return "the program answers no more"


def _start_program(theirs: socket.socket, settings: dict[str, Any]) -> NoReturn:
    try:
        os.setsid()
        nothing = os.open("/dev/null", os.O_RDWR)
        for standard in range(3):
            os.dup2(nothing, standard)
        channel = os.dup2(theirs.fileno(), 3)
        os.closerange(4, 4096)
        if settings["isolated"]:
            isolation.drop_privileges()
        isolation.end_with_parent()
        isolation.limit(
            settings["seconds"],
            settings["memory_bytes"],
            settings["file_bytes"],
            settings["processes"],
        )
        isolation.refuse_calls()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        run_program(Connection(channel))
    finally:
        os._exit(1)


def serve(descriptor: int, settings: dict[str, Any]) -> None:
    """Report how the worker is isolated, and test programs until the other end closes."""
    connection = Connection(descriptor)
    isolated = settings["isolated"]
    if isolated:
        try:
            isolation.enter(isolation.python_paths())
        except OSError as error:
            send(connection, {"error": str(error)})
            return
    send(connection, {"isolated": isolated})
    gc.freeze()
    while True:
        folder = "" if isolated else tempfile.mkdtemp()
        child = os.fork()
        if child == 0:
            _supervise(connection, settings, isolated, folder)
        _, status = os.waitpid(child, 0)
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        code = os.waitstatus_to_exitcode(status)
        if code == 2:
            return
        if code != 0:
            send(connection, {"ended": f"the process of the tests ended ({code})"})


def _supervise(
    connection: Connection, settings: dict[str, Any], isolated: bool, folder: str
) -> NoReturn:
    code = 1
    try:
        isolation.end_with_parent()
        if isolated:
            isolation.new_processes()
        else:
            isolation.adopt_orphans()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setsid()
                judge(connection, settings, isolated, folder)
                code = 0
            except EOFError:
                code = 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        code = abs(os.waitstatus_to_exitcode(status))
        if not isolated:
            isolation.end_children()
    finally:
        os._exit(code)


def main() -> None:
    """Run the worker."""
    serve(int(sys.argv[1]), json.loads(sys.argv[2]))
