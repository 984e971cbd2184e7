"""Finding the program in a model's output.

The program is the last Markdown block that defines the requested name, with the definitions of the
blocks before it; or the whole text; or the longest part of the text that is Python; or, as in
HumanEval, a completion of the question.
"""

from __future__ import annotations

import ast
import re
import textwrap
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from seedbed.evaluation.scorers import Reading
from seedbed.evaluation.scorers.outputs import final_part

# Longer texts are not read.
MAX_CHARACTERS = 60_000
_MAX_PARSES = 60
"""Maximum number of attempts to find the end of a program."""

_PARSING = threading.Lock()  # Filters of warnings are those of all threads.

_FENCE = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+#.-]*)[^\n`]*\n"
    r"(?P<code>.*?)(?:^[ \t]*(?P=fence)[`~]*[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_PYTHON = frozenset(["", "python", "python3", "py", "py3", "python2", "code", "pycon", "sage"])
_START = re.compile(r"^(?:def |class |async def |import |from \w|@\w)", re.MULTILINE)
_RETURN = re.compile(r"^(?:return|yield)\b", re.MULTILINE)
_PROMPT = re.compile(r"^(?:>>>|\.\.\.) ?", re.MULTILINE)
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITION = (*_FUNCTION, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Program:
    """A program found in a text.

    Attributes:
        source: its code.
        entry: the function to call: the requested function, or the only one.
        plain: whether the text is the program, or one Markdown block, and nothing else.
    """

    source: str
    entry: str
    plain: bool


def read_program(output: str, question: str = "", entry: str = "") -> Program | None:
    """Read the program in a model's output; None if there is none.

    Args:
        output: the model's output.
        question: the question, whose code the program may complete.
        entry: the requested name, an expression such as `Solution().solve`, or "" for any.
    """

    def answered(head: str, tail: str) -> bool:
        # A comment or a docstring can look like the next question.
        fences = len(re.findall(r"^[ \t]*(?:```|~~~)", head, re.MULTILINE))
        open_code = fences % 2 == 1 or tail[:1] in (" ", "\t", "#")
        return not open_code and _program(head, question, entry) is not None

    return _program(final_part(output[-MAX_CHARACTERS:], answered), question, entry)


def _program(text: str, question: str, entry: str) -> Program | None:
    text = text.replace("\r\n", "\n").replace("\xa0", " ")
    name = first_name(entry)
    blocks = [
        _PROMPT.sub("", block["code"]) if ">>> " in block["code"] else block["code"]
        for block in _FENCE.finditer(text)
        if block["language"].lower() in _PYTHON
    ]
    parts = [textwrap.dedent(block).strip("\n") for block in blocks]
    alone = len(blocks) == 1 and not _FENCE.sub("", text).strip()
    asked = code_of(question)
    found = _last_that_defines(parts, name)
    if found is None:
        found = _completed(asked, blocks, name)
    if found is None and not blocks:
        whole = _tree(text) is not None
        alone = whole or _completed(asked, [text], name, whole=True) is not None
        found = _last_that_defines([text] if whole else _stretches(text), name)
        found = found or _completed(asked, [text], name)
    if found is not None:
        return Program(found, entry or _any_function(found), alone)
    # Under another name: the only function, or the last of several if no name is requested.
    for part in reversed(parts or list(_stretches(text))):
        other = _any_function(part)
        if other:
            return Program(part, other, False)
    return None


def first_name(entry: str) -> str:
    """Return the first name of an entry expression."""
    found = re.match(r"\w+", entry)
    return found[0] if found else ""


def code_of(question: str) -> str:
    """Return the code of a question, "" if there is none: all of it, or its Markdown block."""
    blocks = [block["code"] for block in _FENCE.finditer(question)]
    for text in (*reversed(blocks), question):
        tree = _tree(text.rstrip() + "\n")
        if tree is not None and any(isinstance(node, _DEFINITION) for node in tree.body):
            return text.rstrip() + "\n"
    return ""


def context_of(question: str, entry: str) -> str:
    """Return the definitions in a question's code, without the requested function."""
    return _kept(code_of(question), without={first_name(entry)})


def plain_text(source: str) -> str | None:
    """Return a program without comments, docstrings and layout; None if it is not Python."""
    tree = _tree(source)
    if tree is None:
        return None
    for node in ast.walk(tree):
        if isinstance(node, (*_DEFINITION, ast.Module)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    try:
        return ast.unparse(tree)
    except (RecursionError, ValueError):
        return None


def called_with(tests: str, entry: str) -> list[str]:
    """Return the arguments of the tests' calls of a function, each as the text of a tuple.

    Only calls with literal positional arguments and without keywords are included.
    """
    tree = _tree(tests)
    names = {"candidate", entry, first_name(entry)}
    found = []
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names and not node.keywords:
            try:
                values = tuple(ast.literal_eval(one) for one in node.args)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue
            found.append(repr(values))
    return list(dict.fromkeys(found))


def function_called(tests: str) -> str:
    """Return the first called function that is neither built-in nor defined by the tests, or ""."""
    import builtins

    tree = _tree(tests)
    if tree is None:
        return ""
    own = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    } | {
        node.id if isinstance(node, ast.Name) else node.name
        for node in ast.walk(tree)
        if isinstance(node, _DEFINITION)
        or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    }
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [func.id for func in calls if isinstance(func, ast.Name)]
    for name in names:
        if name not in own and name != "candidate" and not hasattr(builtins, name):
            return name
    return ""


def _last_that_defines(parts: Iterable[str], name: str) -> str | None:
    """Return the last part that defines a name, with the definitions of the parts before it."""
    known = list(parts)
    for place in range(len(known) - 1, -1, -1):
        code = _longest(known[place])
        if name in _defined(code) if name else _any_function(code):
            earlier = [_kept(_longest(part), without=_defined(code)) for part in known[:place]]
            return "\n".join([*filter(None, earlier), code])
    return None


def _completed(asked: str, texts: Sequence[str], name: str, whole: bool = False) -> str | None:
    """Return a question's code, completed by one of the texts; None if none completes it."""
    if not asked:
        return None
    for text in reversed(texts):
        lines = textwrap.dedent(text).strip("\n")
        tries = [text.strip("\n")] if text.strip("\n")[:1] == " " else []
        if not _START.search(lines.partition("\n")[2]):
            tries.append("    " + text.lstrip(" \n"))
        # A whole program is not a body: inside the function it would only be defined, not run.
        if not _START.search(lines) or _RETURN.search(lines):
            tries.append(textwrap.indent(lines, "    "))
        for candidate in tries:
            code = asked + candidate
            code = code if whole else _longest(code)
            # The text must add something to the question's function.
            if (function := _function(code, name)) and function != _function(asked, name):
                return code
    return None


def _function(code: str, name: str) -> str:
    """Return the syntax tree of a program's function of this name ("": its last), "" if none."""
    tree = _tree(code)
    found = [
        node
        for node in (tree.body if tree is not None else ())
        if isinstance(node, _DEFINITION) and name in ("", node.name)
    ]
    return ast.dump(found[-1]) if found else ""


def _stretches(text: str) -> Iterator[str]:
    """Yield the parts of a text that begin like Python, each up to the end of valid code."""
    end = 0
    for match in _START.finditer(text):
        if match.start() < end:
            continue
        code = _longest(text[match.start() :])
        if code.strip():
            end = match.start() + len(code)
            yield code


def _longest(code: str) -> str:
    """Return the longest run of lines at the beginning of a text that is valid Python."""
    lines = code.split("\n")
    for _ in range(_MAX_PARSES):
        text = "\n".join(lines)
        error = _error(text)
        if error is None:
            return text
        end = min(error - 1, len(lines) - 1)
        if end <= 0:
            return ""
        lines = lines[:end]
    return ""


def _error(text: str) -> int | None:
    """Return the line of a text's first syntax error, None if the text is valid Python."""
    try:
        _parsed(text)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return 1
    return None


def _tree(text: str) -> ast.Module | None:
    try:
        return _parsed(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parsed(text: str) -> ast.Module:
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _defined(code: str) -> set[str]:
    tree = _tree(code)
    names: set[str] = set()
    for node in tree.body if tree is not None else ():
        if isinstance(node, _DEFINITION):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _any_function(code: str) -> str:
    """Return the name of a program's last function, or else of its last class; "" if none."""
    tree = _tree(code)
    for kinds in (_FUNCTION, _DEFINITION):
        for node in reversed(tree.body if tree is not None else ()):
            if isinstance(node, kinds):
                return node.name
    return ""


def _kept(code: str, without: set[str]) -> str:
    """Return the imports and definitions of a program, without some names."""
    tree = _tree(code)
    kept = [
        node
        for node in (tree.body if tree is not None else ())
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, _DEFINITION) and node.name not in without)
    ]
    return "\n".join(ast.unparse(node) for node in kept)


def reading_of(program: Program | None) -> Reading:
    """Return a program as an answer."""
    return Reading(None, "no program") if program is None else Reading(program.source)
