"""The code digest, on a copy of the scripts that the tests edit."""

import ast
import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from seedbed import provenance as original

SCRIPTS = Path(original.__file__).resolve().parent.parent


@pytest.fixture
def scripts(tmp_path):
    return shutil.copytree(
        SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__")
    )


def digest(scripts, script, modules=()):
    """Return a digest as a fresh process would: the module remembers files that it has read."""
    spec = importlib.util.spec_from_file_location(
        "copied_provenance", scripts / "seedbed" / "provenance.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.code_digest(scripts / script, modules)


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
        ("answer_questions.py", "args.start", "args.start + 1"),
        ("seedbed/engines/command_line.py", "default=1", "default=2"),
        ("seedbed/streams/answers.py", "i % len(seeds)", "i % (len(seeds) + 1)"),
        # Reached by way of another module.
        ("seedbed/artifacts.py", "indent=2", "indent=3"),
        # A package that runs because a module of it is imported.
        ("seedbed/__init__.py", '"""\n', '"""\nNEW = 1\n'),
        ("seedbed/streams/__init__.py", "hashlib.sha256", "hashlib.sha512"),
        # A text that is no docstring.
        ("seedbed/streams/answers.py", '"answer")', '"reply")'),
    ],
)
def test_code_that_is_reached_changes_the_digest(scripts, file, old, new):
    before = digest(scripts, "answer_questions.py")
    edit(scripts / file, old, new)
    assert digest(scripts, "answer_questions.py") != before


@pytest.mark.parametrize(
    "file",
    [
        "seedbed/training/students.py",
        "seedbed/evaluation/scorers/sql.py",
        # Which engine runs a model is known by name alone.
        "seedbed/engines/transformers_engine.py",
        "seedbed/analysis/decay.py",
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
    (scripts / "seedbed" / "streams" / "extra.py").write_text("VALUE = 1\n")
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
        ("streams/answers.py", "from . import extra"),
        ("streams/answers.py", "from .extra import VALUE"),
        ("streams/__init__.py", "from . import extra"),
        ("engines/__init__.py", "from ..streams.extra import VALUE"),
        ("streams/answers.py", "import seedbed.streams.extra as other"),
        ("streams/answers.py", "def f():\n    from seedbed.streams import extra"),
        ("streams/answers.py", "if False:\n    from seedbed.streams.extra import VALUE"),
    ],
)
def test_every_way_to_import_a_module_reaches_it(scripts, importer, line):
    extra = scripts / "seedbed" / "streams" / "extra.py"
    extra.write_text("VALUE = 1\n")
    with (scripts / "seedbed" / importer).open("a") as stream:
        stream.write(f"\n{line}\n")
    before = digest(scripts, "answer_questions.py")
    extra.write_text("VALUE = 2\n")
    assert digest(scripts, "answer_questions.py") != before


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
def test_what_was_noted_of_files_changes_no_digest(scripts, broken):
    notes = scripts / "seedbed" / "__pycache__" / "digests.json"
    first = digest(scripts, "answer_questions.py")
    assert notes.is_file()
    assert digest(scripts, "answer_questions.py") == first
    notes.write_bytes(broken)
    assert digest(scripts, "answer_questions.py") == first
    # Content counts, and not dates: of the same size, in the same second.
    path = scripts / "seedbed" / "streams" / "answers.py"
    path.write_text(path.read_text() + "\nA = 1\n")
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    second = digest(scripts, "answer_questions.py")
    path.write_text(path.read_text().replace("A = 1", "A = 2"))
    os.utime(path, ns=times)
    assert len({first, second, digest(scripts, "answer_questions.py")}) == 3


def test_scripts_that_are_not_ours_to_write_to_have_digests(scripts):
    folder = scripts / "seedbed" / "__pycache__"
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("in the way")
    found = digest(scripts, "answer_questions.py")
    assert found == original.code_digest(SCRIPTS / "answer_questions.py")
    assert folder.read_text() == "in the way"
