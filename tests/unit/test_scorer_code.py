"""The scorer of code: it finds programs in free text, and runs them where they can do no harm."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from get_task import get_task
from seedbed.evaluation.sandbox.worker import Worker
from seedbed.evaluation.scorers import answers_equal, make_scorer
from seedbed.evaluation.scorers.code import CodeScorer
from seedbed.evaluation.scorers.settings import Scored, ScorerOptions
from seedbed.tasks.items import TaskItem
from seedbed.tasks.settings import TaskConfig

ROOT = Path(__file__).resolve().parents[2]
PROMPT = '''from typing import List


def above(numbers: List[int], least: int) -> List[int]:
    """ Return the numbers that are at least `least`, in order.
    >>> above([3, 1, 2], 2)
    [2, 3]
    """
'''
BODY = "    return sorted(n for n in numbers if n >= least)\n"
TESTS = """
METADATA = {}


def check(candidate):
    assert candidate([3, 1, 2], 2) == [2, 3]
    assert candidate([], 1) == []
    assert candidate([5, 5], 5) == [5, 5]
"""


def task(question=PROMPT, answer=BODY, tests=TESTS, entry="above", setup=""):
    gold = json.dumps({"tests": tests, "entry": entry, "setup": setup})
    return TaskItem("code-1", question, "", answer, gold)


@pytest.fixture(scope="module")
def scorer():
    with CodeScorer(ScorerOptions(timeout=2)) as made:
        yield made


FULL = PROMPT + BODY
OTHER = "def above(numbers, least):\n    return []\n"
RIGHT = {
    "the body that completes the prompt": BODY,
    "the body without its first indent": BODY.strip(),
    "the whole": FULL,
    "one block": f"```python\n{FULL}```",
    "a block that never ends": f"Sure.\n```python\n{FULL}",
    "a block with the body": f"```\n{BODY}```",
    "prose around a block": f"Here is it:\n\n```py\n{FULL}```\n\nIt sorts the **numbers**.",
    "prose around bare code": f"Here is the function:\n\n{FULL}\nIt runs in O(n log n).",
    "no imports of its own": f"```python\n{FULL.partition(chr(10))[2]}```",
    "an example behind it": f"```python\n{FULL}```\nSo:\n```python\nprint(above([1], 1))\n```",
    "what it prints": f"```python\n{FULL}```\nOutput:\n```text\n[2, 3]\n```",
    "a first attempt": f"```python\n{OTHER}```\nThat is wrong. Better:\n```python\n{FULL}```",
    "a helper in a block before": "```python\ndef at_least(a, b):\n    return a >= b\n```\n"
    "Then\n```python\n"
    "def above(numbers, least):\n    return sorted(n for n in numbers if at_least(n, least))\n```",
    "thinking before": f"<think>def above(a, b): return a</think>\n{FULL}",
    "another question behind": f"{BODY}\n\nQuestion: write another.\n\ndef above(*a):\n    pass\n",
    "a comment like a question": "```python\ndef above(numbers, least):\n    kept = numbers\n"
    "    # Question: which?\n    return sorted(n for n in kept if n >= least)\n```",
    "main block": f"{FULL}\nif __name__ == '__main__':\n    print(above([int(input())], 1))\n",
    "future": f"```python\nfrom __future__ import annotations\n{OTHER}```".replace(
        "return []", "return sorted(n for n in numbers if n >= least)"
    ),
    "windows": FULL.replace("\n", "\r\n"),
    "another name": f"```python\n{FULL.replace('def above', 'def at_least')}```",
    "prints and warnings": f"print('x' * 100)\nimport re\nre.compile('\\d')\n{FULL}",
}
PLAIN = {
    "a block with the body",
    "a comment like a question",
    "the body that completes the prompt",
    "the body without its first indent",
    "the whole",
    "one block",
    "no imports of its own",
    "thinking before",
    "another question behind",
    "main block",
    "future",
    "windows",
    "prints and warnings",
}


def test_a_right_program_is_found_wherever_it_stands(scorer):
    with ThreadPoolExecutor(scorer.parallel) as pool:
        found = list(pool.map(lambda text: scorer.score(text, task()), RIGHT.values()))
    assert {name: s.reason for name, s in zip(RIGHT, found, strict=True) if not s.flexible} == {}
    assert {name for name, s in zip(RIGHT, found, strict=True) if s.strict} == PLAIN


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "no program"),
        ("I cannot do that.", "no program"),
        ("```python\ndef above(\n```", "no program"),
        (OTHER, "AssertionError in: assert candidate([3, 1, 2], 2) == [2, 3]"),
        ("def above(numbers):\n    return []", "TypeError"),
        ("def above(numbers, least):\n    return numbers.foo", "AttributeError"),
        ("x = 1 / 0\n" + FULL, "ZeroDivisionError: division by zero"),
        ("(" * 50_000, "no program"),
        ("def above(n, l): return " + "-" * 50_000 + "1", "no program"),
        ("def above(n, l):\n    return '\0'", "no program"),
    ],
)
def test_a_wrong_program_is_wrong_and_says_why(scorer, output, reason):
    score = scorer.score(output, task())
    assert not score.strict
    assert not score.flexible
    assert reason in score.reason


def test_tests_of_other_forms_are_run(scorer):
    mbpp = "assert shared((3, 4, 5), (5, 4, 10)) == {4, 5}\nassert shared((1,), (2,)) == set()"
    right, wrong = (f"def shared(a, b):\n    return set(a) {sign} set(b)" for sign in "&|")
    unit = (
        "import unittest\nclass Cases(unittest.TestCase):\n    def test_one(self):\n"
        "        self.assertEqual(shared([1, 2], [2]), {2})\n"
    )
    pytest_form = "def test_one():\n    assert shared([1, 2], [2]) == {2}\n"
    for tests in (mbpp, unit, pytest_form):
        of = task("Find what two tuples share.", "", tests, "")
        assert scorer.score(right, of).strict, tests
        assert not scorer.score(wrong, of).flexible, tests
    assert scorer.score(right.replace("shared", "common"), task("?", "", mbpp, "")).flexible


@pytest.mark.parametrize(
    ("program", "tests"),
    [
        # Classes, objects and methods of the program.
        (
            "class Pair:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\n"
            "def longest(pairs):\n    return max(p.b - p.a for p in pairs)",
            "assert longest([Pair(1, 4), Pair(2, 3)]) == 3\nassert Pair(1, 2).b == 2",
        ),
        # Arguments that are changed.
        ("def clear(a):\n    a.pop()", "x = [1, 2]\nassert clear(x) is None\nassert x == [1]"),
        # Functions as arguments, generators, exceptions, other types.
        ("def twice(f, x):\n    return f(f(x))", "assert twice(lambda v: v + 1, 1) == 3"),
        ("def up(n):\n    yield from range(n)", "assert list(up(3)) == [0, 1, 2]"),
        (
            "def only(a):\n    raise ValueError('no ' + a)",
            "try:\n    only('x')\n    assert False\nexcept ValueError as e:\n"
            "    assert str(e) == 'no x'",
        ),
        ("def big(n):\n    return 7 ** n", "assert big(9000) == 7 ** 9000"),
        (
            "from collections import Counter, deque\ndef two(a):\n"
            "    return Counter(a), deque(a), frozenset(a), 1j, b'\\x00', float('inf'), None",
            "from collections import deque\nc = two('aab')\nassert c[0] == {'a': 2, 'b': 1}\n"
            "assert c[1] == deque('aab') and c[2:] == (frozenset('ab'), 1j, bytes(1), 1e999, None)",
        ),
        (
            "class Solution:\n    def f(self, x):\n        return x + 1",
            "assert Solution().f(1) == 2",
        ),
        # Types derived from plain ones.
        (
            "from collections import namedtuple\nimport enum\nP = namedtuple('P', 'x y')\n"
            "class E(enum.IntEnum):\n    A = 1\nclass S(str): pass\n"
            "def two(p): return P(p.y, p.x)\ndef kinds(): return E.A, S('a'), [P(1, 2)], range(3)",
            "a, s, ps, r = kinds()\nassert (a, s, ps, r) == (1, 'a', [(1, 2)], range(3))\n"
            "assert a + 1 == 2 and a.name == 'A' and s.upper() == 'A' and ps[0].y == 2\n"
            "assert two(ps[0]) == (2, 1) and two(ps[0]).x == 2",
        ),
        (
            "class Stack(list):\n    def push(self, x): self.append(x)\n"
            "from collections import OrderedDict\nclass Cache(OrderedDict):\n"
            "    def get(self, k): return super().get(k, -1)",
            "s = Stack()\ns.push(4)\nassert s == [4] and s != [] and s != None and len(s) == 1\n"
            "assert Cache().get(1) == -1",
        ),
        ("def put(x, to): to.append(x)", "a = [1]\nput(2, to=a)\nassert a == [1, 2]"),
        (
            "class Bad(ValueError): pass\nclass Worse(Exception): pass\n"
            "def only(a): raise (Bad if a else Worse)('no')",
            "import unittest\nclass Cases(unittest.TestCase):\n    def test_one(self):\n"
            "        with self.assertRaisesRegex(ValueError, '^no$'): only(1)\n"
            "        with self.assertRaisesRegex(Exception, '^no$'): only(0)",
        ),
    ],
)
def test_what_tests_do_with_a_program_works_across_processes(scorer, program, tests):
    assert scorer.score(program, task("?", "", tests, "")).flexible


MAIN = "\nif __name__ == '__main__':\n    "


@pytest.mark.parametrize(
    ("tests", "own"),
    [
        (f"def test_f():\n    assert f(1) == 1\n{MAIN}test_f()", "def test_f(): pass"),
        (f"def check(c):\n    assert c(1) == 1\n{MAIN}check(f)", "def check(c): pass"),
        (
            "import unittest\nclass TestF(unittest.TestCase):\n    def test_it(self):\n"
            f"        self.assertEqual(f(1), 1)\n{MAIN}print(TestF)",
            "class TestF: pass",
        ),
    ],
)
def test_a_program_that_has_the_names_of_its_tests_is_tested(scorer, tests, own):
    of = task("?", "", tests, "f")
    assert not scorer.score(f"def f(x): return 0\n{own}", of).flexible
    assert scorer.score(f"def f(x): return x\n{own}", of).flexible


def test_a_program_gives_no_names_but_those_that_its_tests_ask_for(scorer):
    of = task("?", "", "assert abs(area(2) - 12.566) < 1e-2", "area")
    forged = (
        "import json, os, struct\ndef area(r): return 0\ndef send(value):\n"
        "    raw = json.dumps(value).encode()\n"
        "    os.write(3, struct.pack('!i', len(raw)) + raw)\n"
        "send(['value', {'area': ['object', 0], 'abs': ['object', 1]}, []])\n"
        "while True:\n    os.read(3, struct.unpack('!i', os.read(3, 4))[0])\n"
        "    send(['value', 0, []])"
    )
    for program in (forged, "def abs(r): return 0"):
        assert "AssertionError in: assert abs" in scorer.score(program, of).reason


def test_a_program_makes_no_uncounted_memory_and_reads_no_keyring(scorer):
    # Each call gives -1 and the error EPERM.
    program = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "ARM = os.uname().machine == 'aarch64'\n"
        "def refused(call, *given):\n"
        "    return [libc[call](*given) if isinstance(call, str) else libc.syscall(*call),"
        " ctypes.get_errno()]\n"
        "def above(a, b):\n    return [refused('shmget', 0, 4096, 0o1666),"
        " refused('memfd_create', b'a', 0), refused((219 if ARM else 250, 0, -3, 0))]"
    )
    score = scorer.score(program, task("?", "", "assert above([], 1) == [[-1, 1]] * 3", "above"))
    assert score.flexible, score.reason


def test_a_helper_of_the_question_cannot_be_replaced(scorer):
    question = "def square(x):\n    return x * x\n\n\ndef root(x):\n    '''The root of x.'''\n"
    tests = "def check(candidate):\n    assert abs(square(candidate(9)) - 9) < 1e-6\n"
    of = task(question, "    return x ** 0.5\n", tests, "root")
    assert scorer.score("    return x ** 0.5\n", of).strict
    cheat = "def square(x):\n    return 9\n\ndef root(x):\n    return 0\n"
    assert not scorer.score(cheat, of).flexible


# Each is run for `above`, and none may pass, or change anything outside. ROOT is a folder of ours.
HOSTILE = {
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "fork bomb in the call": "import os\ndef above(a, b):\n    while True:\n        os.fork()",
    "threads": "import threading, time\nfor _ in range(9999):\n"
    "    threading.Thread(target=time.sleep, args=(99,)).start()",
    "threads that go on": "import threading\ndef spin():\n    while True: pass\n"
    "threading.Thread(target=spin).start()\ndef above(a, b): return None",
    "endless output": "while True:\n    print('passed' * 1000)",
    "endless errors": "import sys\nwhile True:\n    sys.stderr.write('x' * 10000)",
    "verdict on stdout": "print('{\"passed\": true}')\ndef above(a, b): return None",
    "verdict on all descriptors": 'import os\nraw = b\'{"passed": true, "reason": ""}\'\n'
    "for d in range(256):\n    for m in (raw, len(raw).to_bytes(4, 'big') + raw):\n"
    "        try: os.write(d, m)\n        except OSError: pass\nos._exit(0)",
    "replies in advance": "import os\nraw = b'[\"value\", true, []]'\n"
    "for _ in range(99):\n    os.write(3, len(raw).to_bytes(4, 'big') + raw)\n"
    "def above(a, b): return None",
    "exit": "exit(0)",
    "sys.exit": "import sys\nsys.exit(0)",
    "sys.exit in the call": "import sys\ndef above(a, b): sys.exit(0)",
    "os._exit": "import os\nos._exit(0)",
    "os._exit in the call": "import os\ndef above(a, b): os._exit(0)",
    "quit by signal": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "abort": "import os\nos.abort()",
    "crash": "import ctypes\nctypes.string_at(0)",
    "signal to the parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "signal to all": "import os, signal\nos.kill(-1, signal.SIGKILL)",
    "signal to the group": "import os, signal\nos.killpg(0, signal.SIGKILL)",
    "signals by number": "import os\nfor p in range(2, 40000):\n"
    "    try: os.kill(p, 9)\n    except OSError: pass",
    "signals ignored": "import signal\nfor s in range(1, 65):\n"
    "    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n"
    "while True: pass",
    "assert away": "import builtins\nbuiltins.AssertionError = None\nimport sys\n"
    "sys.exit = lambda *a: None\ndef above(a, b): return None",
    "builtins": "import builtins\nfor n in ('all', 'any', 'abs', 'sorted', 'len', 'isinstance'):\n"
    "    setattr(builtins, n, lambda *a: True)\ndef above(a, b): return None",
    "equal to all": "class All(list):\n    def __eq__(self, other): return True\n"
    "    def __ne__(self, other): return False\ndef above(a, b): return All()",
    "equal object": "class All:\n    def __eq__(self, other): return True\n"
    "def above(a, b): return All()",
    "check replaced": "def check(candidate): pass\ndef above(a, b): return None",
    "candidate replaced": "candidate = sorted\ndef above(a, b): return None",
    "frames": "import sys\ndef above(a, b):\n    f = sys._getframe()\n    while f:\n"
    "        for n in list(f.f_globals):\n            if 'check' in n or 'test' in n:\n"
    "                f.f_globals[n] = lambda *a: {'passed': True, 'reason': ''}\n"
    "        f = f.f_back",
    "reads the tests": "import gc\ndef above(a, b):\n    for o in gc.get_objects():\n"
    "        if isinstance(o, dict) and 'METADATA' in str(o.get('tests')): return [2, 3]\n"
    "    raise ValueError('not found')",
    "reads memory": "def above(a, b):\n    return open('/proc/self/mem', 'rb').read()",
    "looks at processes": "import os\ndef above(a, b):\n    return os.listdir('/proc')",
    "ptrace": "import ctypes\nfor p in range(1, 99):\n    ctypes.CDLL(None).ptrace(16, p, 0, 0)\n"
    "def above(a, b): return None",
    "atexit": "import atexit\natexit.register(print, 'passed')\ndef above(a, b): return None",
    "excepthook": "import sys\nsys.excepthook = lambda *a: None\ndef above(a, b): raise ValueError",
    "settrace": "import sys\nsys.settrace(lambda *a: None)\ndef above(a, b): return None",
    "memory bomb": "x = [0] * 10 ** 10",
    "memory bomb by steps": "x = []\nwhile True:\n    x.append(bytearray(10 ** 7))",
    "memory of many": "import os\nos.fork()\nos.fork()\nx = []\n"
    "while True:\n    x.append(bytearray(10 ** 7))",
    "big result": "def above(a, b): return 'x' * 10 ** 8",
    "deep result": "def above(a, b):\n    x = []\n"
    "    for _ in range(10 ** 5): x = [x]\n    return x",
    "recursion": "def above(a, b): return above(a, b)",
    "huge recursion": "import sys\nsys.setrecursionlimit(10 ** 9)\n"
    "def above(a, b): return above(a, b)",
    "huge number": "def above(a, b): return 10 ** 10 ** 10",
    "slow pattern": "import re\ndef above(a, b): return re.match('(a*)*b', 'a' * 60)",
    "sleep": "import time\ntime.sleep(1000)",
    "reads stdin": "x = input()\ndef above(a, b): return x",
    "waits for stdin": "import sys\nsys.stdin.read()\ndef above(a, b): return None",
    "socket": "import socket\nsocket.create_connection(('127.0.0.1', PORT), 1)\n"
    "def above(a, b): return [2, 3]",
    "name service": "import socket\nsocket.getaddrinfo('example.org', 80)\n"
    "def above(a, b): return None",
    "abstract socket": "import socket\ns = socket.socket(socket.AF_UNIX)\n"
    "s.connect('\\0seedbed-test')\ndef above(a, b): return None",
    "deletes": "import shutil\nshutil.rmtree('ROOT')\ndef above(a, b): return None",
    "deletes all": "import shutil\nshutil.rmtree('/', ignore_errors=True)\n"
    "def above(a, b): return None",
    "writes": "open('ROOT/new', 'w').write('x')\ndef above(a, b): return None",
    "symlink": "import os\nos.symlink('ROOT/kept', 'link')\nopen('link', 'w').write('x')\n"
    "def above(a, b): return None",
    "big file": "f = open('big', 'wb')\nwhile True:\n    f.write(bytes(10 ** 6))",
    "many files": "n = 0\nwhile True:\n    n += 1\n    open(f'{n}', 'w').close()",
    "new session": "import os, time\nif os.fork() == 0:\n    os.setsid()\n"
    "    if os.fork() == 0:\n        while True: time.sleep(1)\ndef above(a, b): return None",
    "shell": "import subprocess\nsubprocess.Popen('sleep 1000 & sleep 1000', shell=True)\n"
    "def above(a, b): return None",
    "environment": "import os\ndef above(a, b): return os.environ['SECRET_OF_TESTS']",
    "mounts": "import ctypes\nlibc = ctypes.CDLL(None)\n"
    "libc.mount(None, b'/usr', None, 32 | 4096, None)\nopen('/usr/seedbed-test', 'w')",
    "new namespace": "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.unshare(0x10000000 | 0x20000)\n"
    "libc.mount(None, b'/usr', None, 32 | 4096, None)\nopen('/usr/seedbed-test', 'w')",
    "priority": "import os\nos.setpriority(os.PRIO_PGRP, 0, -20)\ndef above(a, b): return None",
    "limits off": "import resource\n"
    "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))\nx = [0] * 10 ** 9",
    "skips": "import unittest\ndef above(a, b): raise unittest.SkipTest('no')",
    "stop iteration": "def above(a, b): raise StopIteration",
    "generator exit": "def above(a, b): raise GeneratorExit",
    "changes what is expected": "def above(a, b):\n    a[:] = [2, 3]\n    return None",
    "iterates for ever": "class I:\n    def __iter__(self): return self\n"
    "    def __next__(self): return 1\ndef above(a, b): return I()",
}


def _processes() -> set[str]:
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"program_worker" in line or b"sleep\x001000" in line:
            found.add(entry.name)
    return found


@pytest.mark.slow
def test_hostile_programs_change_nothing_outside_and_are_wrong_in_time(
    tmp_path, monkeypatch, scorer
):
    import socket

    monkeypatch.setenv("SECRET_OF_TESTS", "[2, 3]")
    (tmp_path / "kept").write_text("kept")
    scorer.close()
    before = _processes()
    options = ScorerOptions(timeout=0.5, max_memory_mb=256)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as abstract,
        CodeScorer(options) as hostile,
    ):
        abstract.bind("\0seedbed-test")
        abstract.listen()
        port = str(server.getsockname()[1])

        def run(program: str) -> tuple[float, str]:
            program = program.replace("ROOT", str(tmp_path)).replace("PORT", port)
            if "def above" not in program:
                program = f"{program}\n\n\ndef above(a, b):\n    return sorted(a)\n"
            start = time.monotonic()
            score = hostile.score(program, task())
            assert not score.flexible, program
            return time.monotonic() - start, score.reason

        with ThreadPoolExecutor(hostile.parallel) as pool:
            found = dict(zip(HOSTILE, pool.map(run, HOSTILE.values()), strict=True))
        # What ran before does no harm to what runs behind.
        assert hostile.score(BODY, task()).strict
    assert max(found.values())[0] < 15, max(found.values())
    assert len(HOSTILE) >= 50
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "kept"
    assert not Path("/usr/seedbed-test").exists()
    end = time.monotonic() + 10
    while (left := _processes() - before) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == set()
    for name in ("environment", "reads memory", "deletes", "writes", "socket", "mounts"):
        assert "Error" in found[name][1], (name, found[name])


@pytest.mark.slow
def test_a_program_that_had_no_time_of_the_processor_is_run_once_more(monkeypatch):
    asked = []
    real = Worker.ask_once

    def counted(self, *given):
        asked.append(real(self, *given))
        return asked[-1]

    monkeypatch.setattr(Worker, "ask_once", counted)
    with CodeScorer(ScorerOptions(timeout=0.3)) as scorer:
        assert scorer.score("import time\ntime.sleep(99)\n" + OTHER, task()).reason == "timeout"
        assert [reply["transient"] for reply in asked] == [True, True]


def test_without_namespaces_programs_run_only_where_that_is_accepted(monkeypatch, tmp_path):
    from seedbed.evaluation.scorers import code

    *command, last = code.module_command(code.program_worker)
    start, run = last.rpartition("; ")[::2]
    refused = (
        f"{start}; import seedbed.evaluation.sandbox.isolation as i\n"
        f"def no(*_): raise OSError('not here')\ni.enter = no\n{run}"
    )
    monkeypatch.setattr(code, "module_command", lambda _: [*command, refused])
    with CodeScorer() as scorer, pytest.raises(ValueError, match=r"isolation: limits.*file"):
        scorer.score(BODY, task())
    with CodeScorer(ScorerOptions(isolation="limits", timeout=1)) as scorer:
        assert scorer.score(BODY, task()).strict
        late = "import os, time\nos.setsid()\nif os.fork() == 0: time.sleep(1000)\nwhile True: pass"
        assert not scorer.score(f"{late}\n{OTHER}", task()).flexible
        assert scorer.score(BODY, task()).strict


def test_two_programs_are_the_same_by_text_or_by_what_they_do(scorer):
    question = "Write a function `least` of two numbers."
    seed = task(
        "Write `most`.",
        "def most(a, b):\n    return max(a, b)",
        "assert most(1, 2) == 2\nassert most(5, 3) == 5",
        "most",
    )
    first = "```python\ndef least(a, b):\n    '''The least.'''\n    return min(a, b)\n```"
    same_text = "def least(a, b):\n    # shorter\n    return min(a,b)"
    same_deeds = "def smaller(x, y):\n    return x if x < y else y"
    other = "def least(a, b):\n    return b"
    assert scorer.same(first, same_text, question, seed)
    assert scorer.same(first, same_deeds, question, seed)
    assert not scorer.same(first, other, question, seed)
    assert not scorer.same(first, "no program", question, seed)
    # Programs that fail on all inputs are not the same for that.
    assert not scorer.same("def f(a):\n    return 1", "def g(a):\n    return 2", question, seed)
    assert scorer.same_as_seed("def top(a, b):\n    return a if a > b else b", question, seed)
    assert not scorer.same_as_seed(first, question, seed)
    assert scorer.problem(first, question, seed) == ""
    assert scorer.problem("1 / 0\n" + same_text, question, seed) == "program_failed"
    assert scorer.problem("I do not know.", question, seed) == "unreadable_answer"


def test_programs_are_not_compared_by_their_last_line():
    first = "def f(a):\n    result = a + 1\n    return result"
    assert not answers_equal("code", first, first.replace("+", "-"))
    assert answers_equal("code", first, f"```python\n# So:\n{first}\n```")


def test_a_gold_without_tests_is_the_items_fault():
    with make_scorer("code", {}, Path()) as scorer, pytest.raises(ValueError, match="code-1"):
        scorer.score(BODY, TaskItem("code-1", PROMPT, "", BODY, "42"))


def test_an_unknown_option_is_refused():
    with pytest.raises(ValueError, match="scorer 'code'"):
        make_scorer("code", {"speed": 1}, Path())


def test_the_example_of_the_docs_is_a_task_whose_solutions_pass(tmp_path):
    content = YAML(typ="safe").load(ROOT / "config/tasks/small_programs/task.yaml")
    config = TaskConfig.model_validate(content)
    page = (ROOT / "docs/scoring.md").read_text()
    folder = ROOT / "config/tasks/small_programs"
    assert (folder / "task.yaml").read_text() in page
    assert (folder / "train.jsonl").read_text().splitlines()[0] in page
    scoring = Scored(kind="code", scorer=config.scorer_options, score=config.score)
    counts = get_task(content["source"], folder, tmp_path / "task", scoring)
    assert (counts.train_items, counts.test_items) == (12, 8)
    # A reference solution that fails is named.
    for split in ("train", "test"):
        text = (folder / f"{split}.jsonl").read_text()
        (tmp_path / f"{split}.jsonl").write_text(text.replace("return 2 * n", "return 3 * n"))
    with pytest.raises(ValueError, match=r"train-00000.*AssertionError in: assert double\(3\)"):
        get_task(content["source"], tmp_path, tmp_path / "other", scoring)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"columns": {"question": "q", "answer": "a"}}, "no column for 'tests'"),
        ({"columns": {"question": "q", "answer": "a", "tests": "t", "gold": "g"}}, "'tests' as"),
    ],
)
def test_columns_that_do_not_fit_code_are_refused(change, words):
    content = YAML(typ="safe").load(ROOT / "config/tasks/small_programs/task.yaml")
    content["source"] |= change
    with pytest.raises(ValueError, match=words):
        TaskConfig.model_validate(content)
