"""What reruns when: edits to a finished study, against the exact jobs that they make stale.

Each edit is made in a finished `micro` study, and taken back after the plan was read. That study
has 12 trained cells, one of them on real pairs, and a baseline. The others stand on 7 streams of 11
answer shards; 5 of the streams have questions of an augmenter, in 8 shards, and 3 of these have new
ones, in 5 shards, of which 2 are verified.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

OF_FITS = ("plot_accuracy", "plot_cost_effectiveness", "plot_best_method", "write_report")
OF_CELLS = {"plot_augmenters": 1, "plot_verification": 1, "plot_costs": 1}
FITS = {"fit_decay": 1, "find_crossovers": 1, **dict.fromkeys(OF_FITS, 1)}
FIGURES = {**dict.fromkeys(OF_FITS, 1), **OF_CELLS, "plot_diversity": 1}
ANALYSIS = {"collect_results": 1, "compare_methods": 1, **FITS, **OF_CELLS}
EVALUATIONS = {"evaluate_student": 13, **ANALYSIS}
# The baseline has no adapter, so it is not evaluated again when adapters change.
STUDENTS = {"train_student": 12, "evaluate_student": 12, **ANALYSIS}


def data(datasets: int) -> dict[str, int]:
    """Return the jobs that rerun if so many datasets do."""
    students = {"train_student": datasets, "evaluate_student": datasets}
    return {"build_dataset": datasets, **students, **ANALYSIS, "plot_diversity": 1}


CHECKS = {"check_answers": 5, "verify_answers": 2}
STREAMS = {
    "write_questions": 8,
    "answer_questions": 11,
    "sample_votes": 2,
    **CHECKS,
    **data(11),
}

MICRO = "config/studies/micro.yaml"
LIBRARY = "scripts/seedbed"


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Return an edit that replaces a text which stands in a file."""

    def edit(root: Path) -> None:
        path = root / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))

    return edit


def append(name: str, text: str) -> Callable[[Path], None]:
    """Return an edit that adds text at the end of a file, which need not be there yet."""

    def edit(root: Path) -> None:
        with (root / name).open("a") as file:
            file.write(text)

    return edit


def touch(*patterns: str) -> Callable[[Path], None]:
    """Return an edit that gives files today's date."""

    def edit(root: Path) -> None:
        files = [path for pattern in patterns for path in root.glob(pattern) if path.is_file()]
        assert files
        for path in files:
            os.utime(path)

    return edit


def remove(name: str) -> Callable[[Path], None]:
    """Return an edit that deletes a folder."""
    return lambda root: shutil.rmtree(root / name)


EDITS: dict[str, tuple[Callable[[Path], None], dict[str, int]]] = {
    # --- what cannot change a result
    "a comment in a module": (append(f"{LIBRARY}/streams/journal.py", "\n# A comment.\n"), {}),
    "a docstring": (
        replace(f"{LIBRARY}/streams/answers.py", '"""Answers: what', '"""The answers: what'),
        {},
    ),
    "formatting": (
        replace(
            f"{LIBRARY}/streams/questions.py",
            "def read_verdict(text: str)",
            "def read_verdict(\n    text: str,\n)",
        ),
        {},
    ),
    "a touch of all code and configuration": (
        touch("scripts/**/*.py", "rules/*", "Snakefile", "config/**/*.yaml"),
        {},
    ),
    "a touch of inputs": (
        touch("resources/tasks/**/*.parquet", "results/micro/seeds/**/*.parquet"),
        {},
    ),
    "a module that nobody imports": (append(f"{LIBRARY}/unused.py", "VALUE = 1\n"), {}),
    "the code that reads the configuration": (
        append(f"{LIBRARY}/study/config.py", "\nUNUSED = 1\n"),
        {},
    ),
    "how many prompts a model takes at a time": (
        append("config/models/micro_teacher.yaml", "engine: {batch_size: 8}\n"),
        {},
    ),
    "what runs a model here": (
        append(
            "config/config.yaml",
            "engines: {micro_teacher: {kind: openai, base_url: http://host/v1, model: micro}}\n",
        ),
        {},
    ),
    "the code of an engine that no model of the study has": (
        append(f"{LIBRARY}/engines/openai_engine.py", "\nUNUSED = 1\n"),
        {},
    ),
    "the environment that jobs run in": (
        replace("config/config.yaml", "environment: cpu", "environment: gpu"),
        {},
    ),
    "another pin of a package": (
        replace("envs/cpu.yaml", "- tqdm==", "- tqdm>="),
        {},
    ),
    "a method's prompt that no task of the study uses": (
        replace(
            "config/methods/question_rephrase.yaml", "Rewrite the problem", "Reword the problem"
        ),
        {},
    ),
    "a method's title": (
        replace("config/methods/new_question.yaml", "title: New question", "title: New questions"),
        FIGURES,
    ),
    "the journal of finished answers": (remove("results/micro/journal"), {}),
    # --- analysis and figures
    "a colour of the figures": (
        replace(f"{LIBRARY}/analysis/figures/drawing.py", "#0072B2", "#0072B3"),
        FIGURES,
    ),
    "a model's price": (
        append(
            "config/models/micro_teacher.yaml",
            "price: {usd_per_million_prompt_tokens: 1.0, date: 2026-01-31}\n",
        ),
        {"plot_costs": 1, "write_report": 1},
    ),
    "the study's description": (
        replace(MICRO, "description: The smallest", "description: A smallest"),
        {"write_report": 1},
    ),
    "bootstrap samples": (replace(MICRO, "bootstrap_samples: 20", "bootstrap_samples: 21"), FITS),
    # --- evaluation
    "the scorer of the task's kind": (
        append(f"{LIBRARY}/evaluation/scorers/number.py", "\nUNUSED = 1\n"),
        # Rows of new questions, too, are chosen by their answers.
        {**CHECKS, **data(5), **EVALUATIONS},
    ),
    "the scorer of another kind": (
        append(f"{LIBRARY}/evaluation/scorers/sql.py", "\nUNUSED = 1\n"),
        {},
    ),
    "test items": (replace(MICRO, "test_items: 64", "test_items: 65"), EVALUATIONS),
    # --- training
    "the learning rate": (
        replace(MICRO, "learning_rate: 2.0e-3", "learning_rate: 1.0e-3"),
        STUDENTS,
    ),
    "the code of training": (
        append(f"{LIBRARY}/training/students.py", "\nUNUSED = 1\n"),
        STUDENTS,
    ),
    # --- streams
    "the code of the models' engine": (
        append(f"{LIBRARY}/engines/transformers_engine.py", "\nUNUSED = 1\n"),
        {**STREAMS, "evaluate_student": 13},
    ),
    "the sampling temperature": (replace(MICRO, "temperature: 0.7", "temperature: 0.8"), STREAMS),
    "how often one method tries": (
        replace("config/methods/new_question.yaml", "max_attempts: 3", "max_attempts: 2"),
        {"write_questions": 5, "answer_questions": 5, "sample_votes": 2, **CHECKS, **data(5)},
    ),
    "a bigger budget": (
        replace(MICRO, "budget_ratios: [1, 8]", "budget_ratios: [1, 8, 16]"),
        {"write_questions": 2, "answer_questions": 3, "check_answers": 1, **data(3)},
    ),
    "a budget between others": (
        replace(MICRO, "budget_ratios: [1, 8]", "budget_ratios: [1, 4, 8]"),
        data(3),
    ),
    "how many answers must agree": (
        append(MICRO, "verification: {samples: 5}\n"),
        {"sample_votes": 2, "verify_answers": 2, **data(1)},
    ),
    "another filter": (
        replace(MICRO, "filters: [verified]", "filters: [verified, verified_matched]"),
        # It reaches 1.5 times as far along its stream.
        {
            "write_questions": 1,
            "answer_questions": 1,
            "sample_votes": 1,
            "check_answers": 1,
            "verify_answers": 1,
            **data(1),
        },
    ),
    "more real pairs": (
        append(
            MICRO,
            "  - {name: human, tasks: [mini_math], methods: [human], seeds: [16], budgets: [32],"
            " students: [micro_student]}\n",
        ),
        {"draw_seeds": 1, **data(1)},
    ),
    "how words overlap with the test split": (
        replace("config/tasks/mini_math/task.yaml", "overlap_words: null", "overlap_words: 13"),
        data(12),
    ),
    # --- models and tasks
    "the seed of the student's weights": (
        replace("config/models/micro_student.yaml", "seed: 1", "seed: 2"),
        {"pretrain_model": 1, **STUDENTS, "evaluate_student": 13},
    ),
    "a prompt that the models practise": (
        replace("config/tasks/mini_math/task.yaml", '"New: {question}"', '"Another: {question}"'),
        {"pretrain_model": 2, **STREAMS, "train_student": 12, "evaluate_student": 13},
    ),
    "the generated world": (
        append(f"{LIBRARY}/tasks/worlds/mini_math.py", "\nUNUSED = 1\n"),
        {
            "get_task": 1,
            "draw_seeds": 2,
            "pretrain_model": 2,
            **STREAMS,
            "build_dataset": 12,
            "train_student": 12,
            "evaluate_student": 13,
        },
    ),
    "another generated world": (append(f"{LIBRARY}/tasks/worlds/mini_qa.py", "\nUNUSED = 1\n"), {}),
    "a new task": (
        replace(
            MICRO,
            "    tasks: [mini_math]\n    methods: [answer_augmentation",
            "    tasks: [mini_math, mini_qa]\n    methods: [answer_augmentation",
        ),
        {
            "get_task": 1,
            "draw_seeds": 2,
            "pretrain_model": 2,
            "write_questions": 6,
            "answer_questions": 9,
            "check_answers": 3,
            **data(9),
            "evaluate_student": 10,
        },
    ),
}


def test_a_finished_study_has_nothing_to_do(finished):
    assert finished.plan() == {}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_reruns_what_it_can_change_and_nothing_else(finished, name, tmp_path):
    edit, expected = EDITS[name]
    kept = tmp_path / "kept"
    for part in ("scripts", "config", "results/micro/journal"):
        shutil.copytree(finished.folder / part, kept / part)
    try:
        edit(finished.folder)
        assert finished.plan() == expected
    finally:
        for part in ("scripts", "config", "results/micro/journal"):
            shutil.rmtree(finished.folder / part, ignore_errors=True)
            shutil.copytree(kept / part, finished.folder / part)


def test_copied_results_in_a_fresh_clone_are_not_stale(finished, tmp_path):
    copy = tmp_path / "fresh"
    # Dates are not kept: every file is as old as the copy, in the order of copying.
    shutil.copytree(finished.folder, copy, copy_function=shutil.copyfile)
    assert type(finished)(copy).plan() == {}
