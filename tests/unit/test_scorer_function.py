"""The scorer by a task's own function: it is found, called, and its faults are named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

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
        ("return 1", "returned 1, which is neither True nor False"),
        ("return 0.5", "returned 0.5, which is neither"),
        ("return None", "returned None, which is neither"),
        ("return 'right'", "returned 'right', which is neither"),
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
