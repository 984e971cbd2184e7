"""The code digest, on a copy of the scripts that the tests edit."""

import ast
import importlib.util
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from seedbed import provenance as original

SCRIPTS = Path(original.__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def noted():
    """The files of notes about the project's own code."""
    for script in SCRIPTS.glob("*.py"):
        original.code_digest(script)
    return original.NOTES, original.DIGESTS


@pytest.fixture
def scripts(tmp_path, noted):
    copy = shutil.copytree(
        SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__")
    )
    # They are of contents: copies are read sooner with them.
    (copy / "seedbed" / "__pycache__").mkdir()
    for file, name in zip(noted, ("digests.json", "script_digests.json"), strict=True):
        shutil.copy(file, copy / "seedbed" / "__pycache__" / name)
    return copy


def digest(scripts, script, modules=()):
    """Return a digest as a fresh process would: the module remembers files that it has read."""
    spec = importlib.util.spec_from_file_location(
        "copied_provenance", scripts / "seedbed" / "provenance.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.code_digest(script and scripts / script, modules)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_copy_elsewhere_has_the_digest_of_the_original(scripts):
    found = digest(scripts, "answer_questions.py")
    assert found == original.code_digest(SCRIPTS / "answer_questions.py")
    assert len(found) == 16


def comment(path):
    path.write_text("# A remark.\n" + path.read_text() + "\n\n# Another.\n")


def docstrings(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    lines = path.read_text().splitlines(keepends=True)
    lines[tree.body[0].lineno - 1 : tree.body[0].end_lineno] = ['"""Told otherwise."""\n']
    path.write_text("".join(lines))


def formatting(path):
    path.write_text(ast.unparse(ast.parse(path.read_text())))


def touch(path):
    os.utime(path, (0, 0))


@pytest.mark.parametrize("change", [comment, docstrings, formatting, touch])
@pytest.mark.parametrize(
    "file", ["answer_questions.py", "seedbed/streams/answers.py", "seedbed/__init__.py"]
)
def test_what_does_not_change_the_meaning_does_not_change_the_digest(scripts, change, file):
    before = digest(scripts, "answer_questions.py")
    change(scripts / file)
    assert digest(scripts, "answer_questions.py") == before


def test_docstrings_of_functions_and_classes_have_no_part_in_it(tmp_path):
    (tmp_path / "plain.py").write_text("class A:\n    pass\ndef f():\n    return 1\n")
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "plain.py").write_text(
        '"""M."""\nclass A:\n    """A."""\n\ndef f():\n    """F."""\n\n    return 1\n'
    )
    assert original.code_digest(tmp_path / "plain.py") == original.code_digest(
        tmp_path / "told" / "plain.py"
    )


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("answer_questions.py", "args.stream", "args.stream + ''"),
        ("seedbed/streams/options.py", '"CPU threads", 1', '"CPU threads", 2'),
        ("seedbed/streams/answers.py", "i % len(seeds)", "i % (len(seeds) + 1)"),
        # Reached by way of another module, in a class and in a constant.
        ("seedbed/artifacts.py", 'compression="zstd"', 'compression="lz4"'),
        ("seedbed/artifacts.py", "_GROUP = 131_072", "_GROUP = 131_073"),
        # A package that runs because a module of it is imported.
        ("seedbed/__init__.py", '"""\n', '"""\nprint(1)\n'),
        # What a module does when it is imported, whether or not a name of it is used.
        ("seedbed/streams/answers.py", "import polars as pl\n",
         "import polars as pl\npl.Config()\n"),
        ("seedbed/streams/__init__.py", "hashlib.sha256", "hashlib.sha512"),
        # A text that is no docstring.
        ("seedbed/streams/answers.py", '"answer")', '"reply")'),
    ],
)  # fmt: skip
def test_code_that_is_reached_changes_the_digest(scripts, file, old, new):
    before = digest(scripts, "answer_questions.py")
    edit(scripts / file, old, new)
    assert digest(scripts, "answer_questions.py") != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        # One word in the text below a constant; and a text within a function.
        ("seedbed/artifacts.py", "A row group is", "A group of rows is"),
        ("seedbed/artifacts.py", "    path = Path(path)\n",
         '    path = Path(path)\n    "A text."\n'),
        ("seedbed/streams/response_cache.py", "        done = 0\n",
         "        done = 0\n        'A text.'\n        3\n"),
        # A function, a constant and a library that answers do not need.
        ("seedbed/models.py", '["r"]', '["rank"]'),
        ("seedbed/artifacts.py", "import base64\n", "import base64\nimport bisect\n"),
        ("seedbed/streams/__init__.py", "def sampling", "LIMIT = {'a': 1}\n\n\ndef sampling"),
        ("seedbed/streams/__init__.py", "def sampling",
         "class Other(ValueError):\n    pass\n\n\ndef sampling"),
        # Annotations that nobody evaluates, and what is imported for them alone.
        ("seedbed/artifacts.py", "def broken(path: str | os", "def broken(path: bytes | os"),
        ("seedbed/artifacts.py", "why: object) -> str:", "why: object) -> bytes:"),
        ("seedbed/streams/response_cache.py", "known: deque[tuple[str, int]] = deque()",
         "known = deque()"),
        ("seedbed/artifacts.py", "    import polars as pl\n    import pya", "    import pya"),
        # The settings of another script, whose sections are derived from those of other modules.
        ("seedbed/streams/settings.py", "    question_tokens: int\n", "    tokens: int\n"),
        # The order of imports, and of functions.
        ("seedbed/artifacts.py", "import base64\nimport hashlib\n",
         "import hashlib\nimport base64\n"),
    ],
)  # fmt: skip
def test_what_a_script_does_not_use_of_its_modules_does_not_change_its_digest(
    scripts, file, old, new
):
    before = digest(scripts, "answer_questions.py")
    edit(scripts / file, old, new)
    assert digest(scripts, "answer_questions.py") == before


def test_modules_of_settings_register_no_class():
    # So that a section derived from theirs counts only where it is used.
    for path in SCRIPTS.glob("seedbed/**/settings.py"):
        assert not re.search(r"__init_subclass__|metaclass|__subclasses__", path.read_text()), path


def test_the_order_of_functions_has_no_part_in_it(scripts):
    path = scripts / "seedbed" / "models.py"
    before = digest(scripts, "answer_questions.py")
    tree = ast.parse(path.read_text())
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    others = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
    path.write_text(ast.unparse(ast.Module([*others, *reversed(defined)], [])))
    assert digest(scripts, "answer_questions.py") == before


@pytest.mark.parametrize(
    ("file", "old", "new", "reruns"),
    [
        ("training", "Peak learning rate.", "The highest learning rate.", False),
        ("training", "    warmup_fraction: Fraction = Field(\n        0.03",
         "    warmup_fraction: Fraction = Field(\n        0.04", True),
        # A section that the training of a student does not have.
        ("training", "    layers: Count = ", "    depth: Count = ", False),
        ("engines", "    concurrency: Count = ", "    at_once: Count = ", False),
    ],
)  # fmt: skip
def test_a_key_reruns_what_has_its_section_and_its_description_nothing(
    scripts, file, old, new, reruns
):
    before = digest(scripts, "train_student.py")
    edit(scripts / f"seedbed/{file}/settings.py", old, new)
    assert (digest(scripts, "train_student.py") != before) == reruns


@pytest.mark.parametrize(
    "file",
    [
        "seedbed/training/students.py",
        "seedbed/evaluation/scorers/sql.py",
        # Which engine runs a model is known by name alone.
        "seedbed/engines/transformers_engine.py",
        "seedbed/analysis/posterior/mean.py",
        "train_student.py",
    ],
)
def test_code_that_is_not_reached_does_not_change_the_digest(scripts, file):
    before = digest(scripts, "answer_questions.py")
    with (scripts / file).open("a") as stream:
        stream.write("\nNEW = 1\n")
    assert digest(scripts, "answer_questions.py") == before


def test_a_module_that_nobody_imports_changes_nothing(scripts):
    before = digest(scripts, "answer_questions.py")
    (scripts / "seedbed" / "streams" / "extra.py").write_text("print(1)\n")
    assert digest(scripts, "answer_questions.py") == before


def test_a_world_counts_only_for_the_tasks_that_name_it(scripts):
    math, sql = (["seedbed.tasks.worlds." + name] for name in ("mini_math", "mini_sql"))
    before = [digest(scripts, "get_task.py", modules) for modules in (math, sql, [])]
    assert len(set(before)) == 3
    edit(scripts / "seedbed/tasks/worlds/mini_math.py", "LARGEST_NUMBER = 50", "LARGEST_NUMBER = 9")
    after = [digest(scripts, "get_task.py", modules) for modules in (math, sql, [])]
    assert after[0] != before[0]
    assert after[1:] == before[1:]


def test_an_engine_counts_where_it_is_named(scripts):
    local, endpoint = ([f"seedbed.engines.{kind}_engine"] for kind in ("transformers", "openai"))
    before = [digest(scripts, "answer_questions.py", modules) for modules in (local, endpoint)]
    edit(scripts / "seedbed/engines/transformers_engine.py", 'else "cpu"', 'else "mps"')
    after = [digest(scripts, "answer_questions.py", modules) for modules in (local, endpoint)]
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_answers_that_are_kept_know_their_engine_and_the_encoding_of_chats_alone(scripts):
    modules = ["seedbed.engines.transformers_engine"]
    before = digest(scripts, None, modules)
    edit(scripts / "evaluate_student.py", "items = read_items(args.test)[", "items = list()[")
    edit(scripts / "seedbed/evaluation/scorers/number.py", "MAX_DIGITS = 40", "MAX_DIGITS = 41")
    edit(
        scripts / "seedbed/streams/response_cache.py",
        "SYNC_COMPLETIONS = 256",
        "SYNC_COMPLETIONS = 9",
    )
    edit(scripts / "seedbed/engines/openai_engine.py", "FIRST_WAIT = ", "FIRST_WAIT = 1 + ")
    assert digest(scripts, None, modules) == before
    assert digest(scripts, None, ["seedbed.engines.vllm_engine"]) != before
    edit(scripts / "seedbed/chats.py", "26 Jul 2024", "27 Jul 2024")
    second = digest(scripts, None, modules)
    edit(scripts / "seedbed/engines/transformers_engine.py", "do_sample=False", "do_sample=True")
    assert len({before, second, digest(scripts, None, modules)}) == 3


def test_the_program_that_runs_sql_counts_for_the_sql_scorer(scripts):
    modules = ["seedbed.evaluation.scorers.sql"]
    before = digest(scripts, "evaluate_student.py", modules)
    with (scripts / "seedbed/evaluation/scorers/sql_worker.py").open("a") as stream:
        stream.write("\nNEW = 1\n")
    assert digest(scripts, "evaluate_student.py", modules) != before


def test_a_file_of_a_task_counts_by_its_meaning(scripts, tmp_path):
    own = tmp_path / "judge.py"
    own.write_text("def score(output, item):\n    return output == item.gold\n")
    modules = ["seedbed.evaluation.scorers.function", own]
    before = digest(scripts, "evaluate_student.py", modules)
    assert before != digest(scripts, "evaluate_student.py", modules[:1])
    comment(own)
    edit(own, "    return", '    """Compare."""\n    return')
    assert digest(scripts, "evaluate_student.py", modules) == before
    edit(own, "output ==", "output in")
    after = digest(scripts, "evaluate_student.py", modules)
    assert after != before
    # What it imports of the project counts as well; that its name is a script's does not matter.
    own = own.rename(tmp_path / "evaluate_student.py")
    renamed = digest(scripts, "evaluate_student.py", [own])
    edit(own, "def score", "import seedbed.evaluation.scorers.number\n\n\ndef score")
    assert digest(scripts, "evaluate_student.py", [own]) != renamed
    before = digest(scripts, "evaluate_student.py", [own])
    edit(scripts / "seedbed/evaluation/scorers/number.py", "MAX_DIGITS = 40", "MAX_DIGITS = 41")
    assert digest(scripts, "evaluate_student.py", [own]) != before


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("streams/answers.py", "from . import extra\nprint(extra.VALUE)"),
        ("streams/answers.py", "from . import extra\nprint(extra)"),
        ("streams/answers.py", "from . import extra\nprint(vars(extra))"),
        ("streams/answers.py", "from .extra import VALUE\nprint(VALUE)"),
        ("streams/answers.py", "from .extra import VALUE as SCHEMA"),
        ("streams/answers.py", "from .extra import *"),
        ("streams/__init__.py", "from . import extra\nprint(extra.VALUE)"),
        ("engines/__init__.py", "from ..streams.extra import VALUE\nprint(VALUE)"),
        ("streams/answers.py", "import seedbed.streams.extra as other\nprint(other.VALUE)"),
        ("streams/answers.py", "import seedbed.streams.extra\nprint(seedbed.streams.extra.VALUE)"),
        ("streams/answers.py",
         "import seedbed\nfrom . import extra\nprint(seedbed.streams.extra.VALUE)"),
        ("streams/__init__.py", "from . import extra\nprint(extra)"),
        ("streams/answers.py", "def f():\n    from seedbed.streams.extra import VALUE\nf()"),
        ("streams/answers.py", "def f():\n    from seedbed.streams import extra\nf()"),
        ("streams/answers.py",
         "def f(x=lambda: VALUE):\n    return x\nf()\nfrom .extra import VALUE"),
        ("streams/answers.py", "if True:\n    from seedbed.streams.extra import VALUE"),
        ("streams/answers.py", "try:\n    from .extra import VALUE\nexcept ImportError:\n    pass"),
        # By way of a name that another module imports.
        ("streams/__init__.py", "from .extra import VALUE\nfrom . import VALUE as V\nprint(V)"),
    ],
)  # fmt: skip
def test_every_way_to_import_a_module_reaches_it(scripts, importer, line):
    extra = scripts / "seedbed" / "streams" / "extra.py"
    extra.write_text("VALUE = 1\n")
    with (scripts / "seedbed" / importer).open("a") as stream:
        stream.write(f"\n{line}\n")
    before = digest(scripts, "answer_questions.py")
    extra.write_text("VALUE = 2\n")
    assert digest(scripts, "answer_questions.py") != before


# By what counts: a module, with an edit as «before|after», and what a script does with it.
EDITS_OF_MEANING = {
    "a name that is bound twice": ("A = «1\nA = 2|2\nA = 1»\n", "print(m.A)"),
    "a name that a function binds": ("A = «1|2»\ndef f():\n    global A\n    A += 1\n", "m.f()"),
    "a name that comes to hide a built-in one":
     ("def f(x):\n    return len(x)\n«|def len(x):\n    return 0\n»", "m.f([])"),
    "an item that is added when the module is imported":
     ("A = {}\ndef f():\n    return A\nA['b'] = «1|2»\n", "m.f()"),
    "the order of effects and of constants":
     ("A = []\n«B = len(A)\nA.append(1|A.append(1)\nB = len(A»)\n", "print(m.B)"),
    "a function that is registered": ("A = []\n@A.append\ndef f():\n    return «1|2»\n",
     "print(m.A)"),
    "a call whose value nobody uses": ("import os\nUNUSED = os.nice(«0|1»)\n", "print(m)"),
    "a class that is found by its base":
     ("class A:\n    pass\nclass B(A):\n    x = «1|2»\ndef f():\n    return A.__subclasses__()\n",
     "m.f()"),
    "a class whose base is told of it":
     ("class A:\n    def __init_subclass__(cls):\n        print(cls.x)\nclass B(A):\n"
     "    x = «1|2»\n", "m.A()"),
    "a class that its base registers":
     ("A = {}\nclass B:\n    def __init_subclass__(cls):\n        A[0] = cls\nclass C(B):\n"
     "    x = «1|2»\ndef f():\n    return A[0].x\n", "m.f()"),
    "a class that its metaclass registers":
     ("A = []\nclass B(type):\n    def __init__(cls, *_):\n        A.append(cls)\n"
     "class C(metaclass=B):\n    x = 1\nclass D(C):\n    x = «1|2»\n", "print(m.A)"),
    "a type of a function that is looked at under another name":
     ("from inspect import signature as s\ndef f(x: «int|str»):\n    pass\ndef g():\n"
     "    return s(f)\n", "m.g()"),
    "a type of a function that becomes a command line":
     ("import tyro\ndef f(x: «int|str»):\n    pass\ndef g():\n    tyro.cli(f)\n", "m.g()"),
    "a name that is looked up in the module as it is loaded":
     ("import sys as s\nA = «1|2»\ndef f():\n    return s.modules[__name__].A\n", "m.f()"),
    "a name that is looked up as a text": ("A = «1|2»\ndef f(name):\n    return globals()[name]\n",
     "m.f('A')"),
    "an attribute that is looked up as a text": ("A = «1|2»\n", "getattr(m, 'A')"),
    "a method": ("class A:\n    def f(self):\n        return «1|2»\n", "m.A().f()"),
    "a type that a class is validated by":
     ("import pydantic\nT = «int|str»\nclass A(pydantic.BaseModel):\n    x: T\n", "m.A(x=1)"),
    "a type that is written as a text":
     ("import pydantic\nT = «int|str»\nclass A(pydantic.BaseModel):\n    x: 'list[T]'\n",
     "m.A(x=1)"),
    "a type of a function whose types are looked at":
     ("import typing\ndef f(x: «int|str»):\n    pass\nprint(typing.get_type_hints(f))\n", "m.f(1)"),
    "a type of a function that is decorated":
     ("import pydantic\n@pydantic.validate_call\ndef f(x: «int|str»):\n    pass\n", "m.f(1)"),
    "a local name that hides a global one": ("A = 1\ndef f():\n    «|A: int\n    »return A\n",
     "m.f()"),
    "a block that runs, as by another constant of that name":
     ("TYPE_CHECKING = True\nif TYPE_CHECKING:\n    print(«1|2»)\n", "print(m)"),
    "what runs where types are not checked":
     ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    print(«1|2»)\n",
     "print(m)"),
    "another library": ("import numpy\n«|import torch\n»", "print(m)"),
    "a function of the same name, of another library":
     ("from «json|marshal» import dumps\ndef f():\n    return dumps(1)\n", "m.f()"),
    "what a module makes up": ("def __getattr__(name):\n    return «1|2»\n", "print(m.anything)"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS_OF_MEANING)
def test_an_edit_of_meaning_changes_the_digest(scripts, name):
    text, use = EDITS_OF_MEANING[name]
    before, after = (re.sub(r"«(.*?)\|(.*?)»", place, text, flags=re.S) for place in (r"\1", r"\2"))
    module = scripts / "seedbed" / "extra.py"
    (scripts / "extra_script.py").write_text(f"import seedbed.extra as m\n\n{use}\n")
    module.write_text(before)
    first = digest(scripts, "extra_script.py")
    assert digest(scripts, "extra_script.py") == first
    module.write_text(after)
    assert digest(scripts, "extra_script.py") != first


def test_modules_may_import_each_other_in_a_circle(scripts):
    for name, other in (("one", "two"), ("two", "one")):
        (scripts / "seedbed" / f"{name}.py").write_text(f"import seedbed.{other}\n")
    (scripts / "circle.py").write_text("import seedbed.one\n")
    assert len(digest(scripts, "circle.py")) == 16


def test_a_module_that_does_not_exist_is_an_error(scripts):
    with pytest.raises(ValueError, match=r"seedbed\.tasks\.worlds\.mini_art, which is not in"):
        digest(scripts, "get_task.py", ["seedbed.tasks.worlds.mini_art"])


def test_versions_name_what_results_depend_on():
    found = original.provenance(__file__)
    assert {"python", "sqlite", "torch", "transformers", "trl", "peft"} <= found["versions"].keys()
    assert found["code"] == original.code_digest(__file__)


@pytest.mark.parametrize("broken", [b"", b"[]", b"{\x00", b'{"a": 1}'])
def test_what_was_noted_of_files_changes_no_digest(scripts, broken, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    folder = scripts / "seedbed" / "__pycache__"
    notes = [folder / "digests.json", folder / "script_digests.json"]
    first = digest(scripts, "answer_questions.py")
    assert all(file.is_file() for file in notes)
    assert digest(scripts, "answer_questions.py") == first
    for file in notes:
        file.write_bytes(broken)
    assert digest(scripts, "answer_questions.py") == first
    # Content counts, and not dates: of the same size, in the same second.
    path = scripts / "seedbed" / "streams" / "answers.py"
    path.write_text(path.read_text() + "\nprint(1)\n")
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    second = digest(scripts, "answer_questions.py")
    path.write_text(path.read_text().replace("print(1)", "print(2)"))
    os.utime(path, ns=times)
    assert len({first, second, digest(scripts, "answer_questions.py")}) == 3


def test_scripts_that_are_not_ours_to_write_to_have_digests(scripts):
    folder = scripts / "seedbed" / "__pycache__"
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("in the way")
    found = digest(scripts, "answer_questions.py")
    assert found == original.code_digest(SCRIPTS / "answer_questions.py")
    assert folder.read_text() == "in the way"


def test_a_digest_is_taken_from_the_notes_while_no_code_has_changed(scripts, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    notes = scripts / "seedbed" / "__pycache__" / "script_digests.json"
    notes.write_text("")
    first = digest(scripts, "answer_questions.py")
    (key,) = json.loads(notes.read_text())
    notes.write_text(json.dumps({key: "from the notes"}))
    assert digest(scripts, "answer_questions.py") == "from the notes"
    assert digest(scripts, "answer_questions.py", ["seedbed.amounts"]) not in (first, key)
    comment(scripts / "seedbed" / "chats.py")
    assert digest(scripts, "answer_questions.py") == first


def test_a_module_that_is_added_counts_where_its_name_was_imported_before(scripts, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    edit(
        scripts / "answer_questions.py",
        "\ndef main() -> None:\n",
        "\ndef main() -> None:\n    from seedbed import spare\n\n    spare.begin()\n",
    )
    first = digest(scripts, "answer_questions.py")
    (scripts / "seedbed" / "spare.py").write_text("def begin():\n    print(1)\n")
    second = digest(scripts, "answer_questions.py")
    (scripts / "seedbed" / "spare.py").write_text("def begin():\n    print(2)\n")
    assert len({first, second, digest(scripts, "answer_questions.py")}) == 3


def test_code_files_that_cannot_be_read_do_not_stop_a_plan(scripts):
    first = digest(scripts, "answer_questions.py")
    (scripts / "seedbed" / ".#chats.py").symlink_to("somebody@a.host:1")
    assert digest(scripts, "answer_questions.py") == first
