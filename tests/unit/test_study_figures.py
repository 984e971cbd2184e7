"""Which figures a study has, what is said of missing cells, and the estimate of GPU hours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import study_folder as sf

from seedbed.study.cells import Cell, grid, untrained_cell
from seedbed.study.checks import check_question
from seedbed.study.estimate import (
    ANSWER_TOKENS,
    ATTEMPTS,
    CHECK_TOKENS,
    LARGE_TOKENS_PER_SECOND,
    QUESTION_TOKENS,
    ROW_TOKENS,
    SMALL_TOKENS_PER_SECOND,
    TRAINING_TOKENS_PER_SECOND,
    cells_of_figure,
    gpu_hours,
)
from seedbed.study.figures import figures, missing_text, varied
from seedbed.study.loading import StudyError, check_run_config, load_study
from seedbed.study.targets import Targets

CONFIG = Path(__file__).resolve().parents[2] / "config"
MAIN = ["cost_effectiveness", "crossovers", "accuracy", "best_method"]
REST = ["costs", "diversity"]


def cell(task="gsm8k", method="new_question", budget=100, **other):
    place = {
        "augmenter": "llama_3_1_8b",
        "teacher": "llama_3_1_70b",
        "seeds": 100,
        "replicate": 1,
        "filter": "none",
        "student": "llama_2_7b",
    } | other
    return Cell(task=task, method=method, budget=budget, **place)


@pytest.mark.parametrize(
    ("study", "ablations"),
    [
        ("demo", []),
        ("micro", ["augmenters"]),
        ("miniature", ["augmenters", "students"]),
        ("gsm8k_tiny", []),
    ],
)
def test_a_study_has_the_figures_that_it_can_fill(study, ablations):
    # A later study may have more; these are at least in this order.
    found = figures(grid(load_study(study, CONFIG)))
    assert [name for name in found if name in (*MAIN, *ablations, *REST)] == [
        *MAIN,
        *ablations,
        *REST,
    ]
    if study == "demo":
        assert found == [*MAIN, "mixtures", *REST]


def test_one_method_alone_has_no_figure_of_the_best(tmp_path):
    files = sf.bend(sf.FILES, "studies/trial.yaml", ("blocks", 0, "methods"), ["new_question"])
    assert figures(grid(load_study("trial", sf.write(tmp_path, files)))) == ["accuracy", *REST]


def test_cells_that_vary_in_one_coordinate_counted_by_hand():
    found = grid(load_study("miniature", CONFIG))
    # 2 methods, 3 augmenters at one budget: 4 replicates in one task, 1 in two others.
    assert len(varied(found, "augmenter")) == 2 * 3 * (4 + 2)
    # 3 methods, 4 budgets, 2 replicates, 2 students.
    assert len(varied(found, "student")) == 3 * 4 * 2 * 2
    assert len(cells_of_figure(found, "students")) == 3 * 4 * 2 * 2 + 2
    assert len(cells_of_figure(found, "accuracy")) == len(found.cells)


def test_what_is_missing_is_said():
    assert missing_text([], 9) == ""
    missing = [cell(budget=6400), cell(budget=6400, replicate=2), untrained_cell("gsm8k", "s")]
    assert missing_text(missing, 9) == (
        "3 of 9 cells are missing: new_question at BR 64 (2), untrained (1)."
    )
    missing = [cell(budget=100 * n) for n in range(1, 8)] + [cell("spider")]
    text = missing_text(missing, 20)
    assert text.startswith("8 of 20 cells are missing: gsm8k new_question at BR 1 (1)")
    assert text.endswith("and 3 more.")


def test_a_partial_workflow_has_what_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = load_study("demo", CONFIG)
    whole, part = (Targets(study, grid(study), partial=partial) for partial in (False, True))
    assert whole.missing() == "" and len(whole.evaluations()) == 27
    assert part.evaluations() == part.datasets() == part.adapters() == []
    assert part.dataset_records() == []
    there = Path(whole.evaluations()[3])
    there.parent.mkdir(parents=True)
    there.touch()
    assert part.evaluations() == [str(there)]
    assert part.missing().startswith("26 of 27 cells are missing")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"task": "mini_maths"}, ["advice for another task", "did you mean 'mini_math'?"]),
        ({"queries": 5, "usd": 2}, ["usd: advice is by `queries` or by this, not both"]),
        ({"seeds": None}, ["seeds: is missing: advise needs it, as in --config seeds=100"]),
        ({"seeds": 0}, ["seeds: must be at least 1, not 0"]),
        ({"queries": "abc"}, ["queries: must be a whole number, not 'abc'"]),
        ({"queries": None, "usd": 0}, ["usd: must be greater than 0"]),
        ({"queries": None, "target_accuracy": 60}, ["target_accuracy: must be at most 1"]),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_with_what_is_wrong(told, said):
    question = {"study": "demo", "task": "mini_math", "seeds": 96, "queries": 10}
    study = load_study("demo", CONFIG)
    check_question(check_run_config(question), study, CONFIG)
    with pytest.raises(StudyError) as error:
        check_question(check_run_config(question | told), study, CONFIG)
    for text in said:
        assert text in str(error.value)


@pytest.mark.parametrize("value", ["true", "True", True])
def test_partial_is_read_from_the_command_line(value):
    assert check_run_config({"study": "demo", "partial": value}).partial is True
    assert check_run_config({"study": "demo", "partial": "false"}).partial is False
    assert check_run_config({"study": "demo"}).partial is False


def test_gpu_hours_by_hand():
    study = load_study("paper", CONFIG)
    # One stream of 1,000 queries is paid once, whatever is cut from it.
    cells = [cell(budget=100), cell(budget=1000), untrained_cell("gsm8k", "llama_2_7b")]
    seconds = 1000 * ANSWER_TOKENS / LARGE_TOKENS_PER_SECOND
    seconds += 1000 * ATTEMPTS * (QUESTION_TOKENS + CHECK_TOKENS) / SMALL_TOKENS_PER_SECOND
    seconds += 3 * 1100 * ROW_TOKENS / TRAINING_TOKENS_PER_SECOND
    seconds += 3 * 1319 * ANSWER_TOKENS / SMALL_TOKENS_PER_SECOND
    assert gpu_hours(study, cells) == pytest.approx(seconds / 3600)


def test_gpu_hours_of_verified_answers_by_hand():
    study = load_study("paper", CONFIG)

    def seconds(chosen, method):
        found = replace(cell(budget=1000), filter=chosen, method=method)
        if method == "answer_augmentation":
            found = replace(found, augmenter="none")
        return 3600 * gpu_hours(study, [found])

    answer = ANSWER_TOKENS / LARGE_TOKENS_PER_SECOND
    question = ATTEMPTS * (QUESTION_TOKENS + CHECK_TOKENS) / SMALL_TOKENS_PER_SECOND
    for chosen, queries in (("verified", 1000), ("verified_matched", 1500)):
        # New questions are answered twice more; answers to seeds need no further ones.
        more = seconds(chosen, "new_question") - seconds("none", "new_question")
        extra = queries - 1000
        assert more == pytest.approx(2 * queries * answer + extra * (answer + question))
        more = seconds(chosen, "answer_augmentation") - seconds("none", "answer_augmentation")
        assert more == pytest.approx(extra * answer, abs=1e-9)


def test_examples_are_of_the_largest_dataset_of_each_method():
    study = load_study("miniature", CONFIG)
    found = Targets(study, grid(study)).example_datasets()
    places = [dict(part.split("=") for part in path.split("/") if "=" in part) for path in found]
    assert len(places) == len({(place["task"], place["method"]) for place in places}) == 3 * 5
    assert {place["filter"] for place in places} == {"none"}
    budgets = {(p["task"], p["method"]): int(p["budget"]) for p in places}
    assert budgets["mini_math", "new_question"] == 96 * 64
    assert budgets["mini_sql", "question_rephrase"] == 128 * 64


def test_models_without_a_gpu_have_no_estimate():
    study = load_study("miniature", CONFIG)
    assert gpu_hours(study, grid(study).cells) is None
