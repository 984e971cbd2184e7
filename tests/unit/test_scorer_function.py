"""The scorer by a task's own function: it is found, called, and its faults are named."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from seedbed.evaluation.references import failing_references
from seedbed.evaluation.scorers import make_scorer, scorer_modules
from seedbed.tasks.items import TaskItem

ITEM = TaskItem("test-3", "Which colours?", "", "Answer: red, blue", "red, blue", cluster="test-3")


def scorer(folder: Path, code: str, name: str = "judge:score"):
    (folder / "judge.py").write_text(code)
    return make_scorer("exact", name, Path("none"), folder)


def test_what_the_function_says_is_the_score(tmp_path):
    code = (
        "def score(output, item):\n    return set(output.split()) == set(item.gold.split(', '))\n"
    )
    made = scorer(tmp_path, code)
    right = made.score("blue red", ITEM)
    assert (right.strict, right.flexible, right.extracted, right.reason) == (
        True,
        True,
        "blue red",
        "",
    )
    wrong = made.score("green", ITEM)
    assert (wrong.strict, wrong.flexible, wrong.extracted) == (False, False, "green")
    made.close()


def test_the_item_comes_whole(tmp_path):
    code = (
        "from dataclasses import asdict\n"
        "from seedbed.tasks.items import TaskItem\n"
        "def other(output: str, item: TaskItem) -> bool:\n"
        "    return repr(asdict(item)) == output\n"
    )
    from dataclasses import asdict

    assert scorer(tmp_path, code, "judge:other").score(repr(asdict(ITEM)), ITEM).strict


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return 1 / 0", "raised ZeroDivisionError: division by zero"),
        ("return item.golden", "raised AttributeError: "),
        ("raise RuntimeError", "raised RuntimeError"),
        ("raise SystemExit('done')", "raised SystemExit: done"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("import os; os._exit(0)", "ended its process"),
        ("import ctypes; ctypes.string_at(0)", "ended its process"),
        ("open('/usr/seedbed-test', 'w')", "raised OSError: "),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "Network is unreachable"),
        ("return 1.5", "returned 1.5, which is no grade from 0 to 1"),
        ("return float('nan')", "returned nan, which is no grade"),
        ("return -1", "returned -1.0, which is no grade"),
        ("return None", "returned None, which is neither"),
        ("return 'right'", "returned 'right', which is neither"),
        ("import numpy; return numpy.float32(1.5)", "returned 1.5, which is no grade"),
        ("yield True", "returned <generator object"),
        ("import numpy; return numpy.bool_(True)", "returned np.True_, which is neither"),
        ("return 'x' * 1000000", "which is neither True nor False"),
    ],
)
def test_a_fault_is_one_error_that_names_function_and_item(tmp_path, body, words):
    made = scorer(tmp_path, f"def score(output, item):\n    {body}\n")
    with pytest.raises(
        ValueError, match=r"the scorer .*/judge\.py:score, on item 'test-3'"
    ) as found:
        made.score("red", ITEM)
    assert words in str(found.value)
    assert len(str(found.value)) < 500


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import nowhere\n", "cannot be loaded: ModuleNotFoundError"),
        ("1 / 0\n", "cannot be loaded: ZeroDivisionError"),
        ("def score(:\n", "cannot be loaded: SyntaxError"),
        ("", "has no function 'score'"),
        ("score = 3\n", "has no function 'score'"),
    ],
)
def test_a_module_that_cannot_be_used_is_named(tmp_path, code, words):
    with pytest.raises(ValueError, match=r"the scorer .*/judge\.py") as found:
        scorer(tmp_path, code)
    assert words in str(found.value)


def test_a_module_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"the scorer .*/judge\.py cannot be loaded"):
        make_scorer("exact", "judge:score", Path("none"), tmp_path)
    with pytest.raises(ValueError, match="needs the folder of its task"):
        make_scorer("exact", "judge:score", Path("none"))
    with pytest.raises(ValueError, match="no scorer of kind 'exakt'"):
        make_scorer("exakt", "judge:score", Path("none"), tmp_path)


def test_a_module_takes_no_librarys_place(tmp_path):
    (tmp_path / "json.py").write_text("def score(output, item):\n    return True\n")
    assert make_scorer("exact", "json:score", Path("none"), tmp_path).score("", ITEM).strict
    assert sys.modules["json"].__file__ != str(tmp_path / "json.py")


def test_what_scores_a_task_is_known_by_name_and_path(tmp_path):
    assert scorer_modules("sql", {}, "folder") == ["seedbed.evaluation.scorers.sql"]
    assert scorer_modules("sql", "judge:score", "folder") == [
        "seedbed.evaluation.scorers.function",
        Path("folder/judge.py"),
    ]


def test_a_function_that_hangs_is_ended_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr("seedbed.evaluation.scorers.function.MAX_SECONDS", 0.5)
    code = "def score(output, item):\n    while output == 'hang': pass\n    return True\n"
    made = scorer(tmp_path, code)
    with pytest.raises(ValueError, match=r"on item 'test-3', took more than 0\.5 seconds"):
        made.score("hang", ITEM)
    monkeypatch.setattr("seedbed.evaluation.scorers.function.MAX_SECONDS", 60)
    assert made.score("red", ITEM).strict
    made.close()


def test_a_file_beside_the_function_can_be_read_and_a_temporary_one_written(tmp_path):
    (tmp_path / "words.txt").write_text("red blue")
    code = (
        "from pathlib import Path\n"
        "WORDS = Path(__file__).with_name('words.txt').read_text().split()\n"
        "def score(output, item):\n"
        "    Path('kept').write_text(output)\n"
        "    return Path('kept').read_text() in WORDS\n"
    )
    made = scorer(tmp_path, code)
    assert made.score("red", ITEM).strict
    assert not made.score("green", ITEM).strict
    assert not (tmp_path / "kept").exists()


def test_a_grade_is_the_score(tmp_path):
    made = scorer(tmp_path, "def score(output, item):\n    return len(output) / 10\n")
    for output, grade in (("", 0), ("1234", 0.4), ("12345", 0.5), ("1234567890", 1)):
        score = made.score(output, ITEM)
        assert score.grade == grade
        assert score.strict == score.flexible == (grade >= 0.5)
    assert (
        scorer(tmp_path, "def score(output, item):\n    return True\n").score("", ITEM).grade
        is None
    )


def test_a_comparison_of_its_own_decides_what_agrees(tmp_path):
    from seedbed.evaluation.judging import scoring
    from seedbed.evaluation.scorers import comparing_modules
    from seedbed.evaluation.scorers.settings import Scoring
    from seedbed.streams.validity import Judge

    plain = "def score(output, item):\n    return True\n"
    own = (
        plain
        + "def same(first, second):\n    return sorted(first.split()) == sorted(second.split())\n"
    )
    settings = Scoring(kind="exact", scorer="judge:score")
    for code, agrees in ((plain, False), (own, True)):
        (tmp_path / "judge.py").write_text(code)
        with scoring(settings, tmp_path / "task.json", tmp_path, by_kind=True) as made:
            judge = Judge("exact", made, ITEM, "Which colours?", "blue red")
            assert judge.agrees("red blue") == agrees
            assert not judge.agrees("red green")
            assert judge.problem(any_form=True, new_answer=True) == ""
        modules = comparing_modules("exact", "judge:score", tmp_path)
        assert (tmp_path / "judge.py" in modules) == agrees
    (tmp_path / "judge.py").write_text(own.replace("return sorted", "return 1 / 0 or sorted"))
    with (
        scoring(settings, tmp_path / "task.json", tmp_path, by_kind=True) as made,
        pytest.raises(ValueError, match=r"same of .*judge\.py.*'test-3'.* raised ZeroDivision"),
    ):
        Judge("exact", made, ITEM, "Which?", "red").agrees("blue")


def test_a_number_of_numpy_is_a_grade_and_a_low_one_is_named_of_a_reference(tmp_path):
    """A mean in 32 bits is no float of Python."""
    low = scorer(tmp_path, "import numpy\ndef score(o, item):\n    return numpy.float32(0.25)\n")
    assert low.score("", ITEM).grade == 0.25
    (failing,) = failing_references({"test": [ITEM]}, low)
    low.close()
    assert failing.reason == (
        "the scorer gives it the grade 0.25, and from 0.5 on it would be right"
    )


def test_the_graded_example_of_the_docs_gives_grades(tmp_path):
    page = (Path(__file__).resolve().parents[2] / "docs/scoring.md").read_text()
    (code,) = re.findall(r"```python\n(def score.*?)```", page, re.DOTALL)
    item = replace(ITEM, gold="red blue green grey")
    assert scorer(tmp_path, code).score("Red and blue", item).grade == 0.5
