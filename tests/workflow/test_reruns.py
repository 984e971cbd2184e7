"""What reruns when: edits to a finished study, against the exact jobs that they make stale.

Each edit is made in a finished `micro` study, and taken back after the plan was read. That study
has 12 trained cells, one of them on real pairs, and a baseline. The others stand on 7 streams of 11
answer shards; 5 of the streams have questions of an augmenter, in 8 shards, and 3 of these have new
ones, in 5 shards; 2 of those are verified.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OF_FITS = (
    "plot_accuracy",
    "plot_cost_effectiveness",
    "plot_crossovers",
    "plot_best_method",
    "write_report",
)
OF_CELLS = {"plot_augmenters": 1, "plot_verification": 1, "plot_costs": 1}
OF_CURVES = ("fit_decay", "compare_methods", "find_crossovers", "check_findings")
FITS = dict.fromkeys((*OF_CURVES, *OF_FITS), 1)
FIGURES = {**dict.fromkeys(OF_FITS, 1), **OF_CELLS, "plot_diversity": 1}
ANALYSIS = {"collect_results": 1, **FITS, **OF_CELLS}
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
    "sample_answers": 2,
    **CHECKS,
    **data(11),
}

MICRO = "config/studies/micro.yaml"
TASK = "config/tasks/mini_math/task.yaml"
LIBRARY = "scripts/seedbed"
ROOTS = ("results/micro", "resources")


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
        (root / name).parent.mkdir(exist_ok=True)
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
    """Return an edit that deletes a file or a folder."""

    def edit(root: Path) -> None:
        shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()

    return edit


def cut(name: str) -> Callable[[Path], None]:
    """Return an edit that cuts a file short."""
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:-9])


def nothing(root: Path) -> None:
    """Leave all as it is, for a plan with other words on the command line."""


def shuffle_dates(root: Path) -> None:
    """Give all results dates that tell nothing, some of them in the future."""
    files = [path for name in ROOTS for path in sorted((root / name).rglob("*"))]
    for n, path in enumerate(files):
        os.utime(path, (2e9 + n * 37 % 1001, 2e9 + n * 37 % 1001))


def older_notes(root: Path) -> None:
    """Let all that Snakemake noted look as noted by a version with another form of notes."""
    files = [path for path in (root / ".snakemake/metadata").rglob("*") if path.is_file()]
    assert files
    for path in files:
        notes = json.loads(path.read_text())
        path.write_text(json.dumps(notes | {"record_format_version": 5}))


def dated(year: int) -> Callable[[Path], None]:
    """Return an edit that gives all results the date of a year, as another clock or a copy does."""

    def edit(root: Path) -> None:
        for place in ("results", "resources"):
            for path in (root / place).rglob("*"):
                os.utime(path, (year * 31_556_952 - 62_167_219_200,) * 2)

    return edit


def write_again(root: Path) -> None:
    """Write inputs and outputs again with the content that they have."""
    for path in root.glob("results/micro/*/**/*.parquet"):
        path.write_bytes(path.read_bytes())


def reverse_functions(root: Path) -> None:
    """Put the functions of a module in another order."""
    path = root / LIBRARY / "models.py"
    tree = ast.parse(path.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    others = [node for node in tree.body if node not in functions]
    path.write_text(ast.unparse(ast.Module([*others, *reversed(functions)], [])))


def another_version(root: Path) -> None:
    """Add a version of the task that changed nothing."""
    replace(TASK, "version: 5", "version: 6")(root)
    append(TASK, '  - "2026-11-24: another title"\n')(root)


UNTRAINED = (
    "task=mini_math/method=untrained/augmenter=none/teacher=none/seeds=0/replicate=0/filter=none"
    "/budget=0/student=micro_student"
)
SMALLEST = (
    "task=mini_math/method=answer_augmentation/augmenter=none/teacher=micro_teacher/seeds=16"
    "/replicate=1/filter=none/budget=16/student=micro_student"
)

# By edit: how it is made, the jobs that it makes stale, and words for the command line.
EDITS: dict[str, tuple[Any, ...]] = {
    # --- what cannot change a result
    "a comment in a module": (
        append(f"{LIBRARY}/streams/response_cache.py", "\n# A comment.\n"),
        {},
    ),
    "a docstring": (
        replace(f"{LIBRARY}/streams/answers.py", '"""A teacher', '"""The teacher'),
        {},
    ),
    "formatting": (
        replace(
            f"{LIBRARY}/streams/questions.py",
            "def read_self_check(text: str)",
            "def read_self_check(\n    text: str,\n)",
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
    "a model's batch size": (
        append("config/models/micro_teacher.yaml", "engine: {batch_size: 8}\n"),
        {},
    ),
    "the engine of a model in config.yaml": (
        append(
            "config/config.yaml",
            "engines: {micro_teacher: {kind: openai, base_url: http://host/v1, model: micro}}\n",
        ),
        {},
    ),
    "the engine of a model in its file": (
        append(
            "config/models/micro_teacher.yaml",
            "engine: {kind: openai, base_url: http://host/v1, model: micro}\n",
        ),
        {},
    ),
    "the code of an engine that no model of the study uses": (
        append(f"{LIBRARY}/engines/openai_engine.py", "\nUNUSED = 1\n"),
        {},
    ),
    "the environment of jobs": (
        replace("config/config.yaml", "environment: cpu", "environment: gpu"),
        {},
    ),
    "the pinned version of a package": (
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
    "a comment in a rule": (append("rules/students.smk", "\n# A comment.\n"), {}),
    "the memory of a job": (
        replace(f"{LIBRARY}/study/resources.py", "BASE_MB = 4_300", "BASE_MB = 5_300"),
        {},
    ),
    "the scheduler's settings in the profile": (
        replace(
            "profiles/default/config.yaml", "scheduler-subsample: 50", "scheduler-subsample: 9"
        ),
        {},
    ),
    "another number of cores": (nothing, {}, "--cores", "1"),
    "the profile for a machine with GPUs": (nothing, {}, "--profile", "profiles/gpu"),
    "the profile for SLURM": (nothing, {}, "--profile", "slurm"),
    "the number of GPUs of a model": (
        append("config/config.yaml", "engines: {micro_student: {gpus: 1}}\n"),
        {},
    ),
    "the trainers in config.yaml": (
        append(
            "config/config.yaml",
            "trainers: {micro_student: {save_minutes: 5, micro_batch_tokens: 900}}\n",
        ),
        {},
    ),
    "the kind of GPU": (append("config/config.yaml", "gpu_model: h200\n"), {}),
    "a cap on queries": (
        replace("config/config.yaml", "max_teacher_queries: null", "max_teacher_queries: 5"),
        {},
    ),
    "the concurrency of an endpoint": (
        append(
            "config/config.yaml",
            "engines: {micro_teacher: {kind: openai, base_url: http://host/v1, model: m,"
            " concurrency: 8}}\n",
        ),
        {},
    ),
    "another study": (
        replace("config/studies/demo.yaml", "test_items: 2000", "test_items: 100"),
        {},
    ),
    "a model that the study does not have": (
        replace("config/models/mini_teacher.yaml", "seed: 0", "seed: 5"),
        {},
    ),
    "the names of blocks": (replace(MICRO, "name: fewer_seeds", "name: few_seeds"), {}),
    "the order of budget ratios": (
        replace(MICRO, "budget_ratios: [1, 8]", "budget_ratios: [8, 1]"),
        {},
    ),
    "the response cache": (remove("results/micro/state"), {}),
    "the docstring of a constant": (
        replace(
            f"{LIBRARY}/artifacts.py", "A row group is written once", "A row group is written when"
        ),
        {},
    ),
    "a bare string in a function": (
        replace(
            f"{LIBRARY}/artifacts.py", "    path = Path(path)\n", "    path = Path(path)\n    'A'\n"
        ),
        {},
    ),
    "an unused constant of a module that all scripts use": (
        append(f"{LIBRARY}/artifacts.py", "\nUNUSED = frozenset({1, 2})\n"),
        {},
    ),
    "an unused function": (
        append(f"{LIBRARY}/artifacts.py", "\n\ndef unused():\n    return os.getpid()\n"),
        {},
    ),
    "an unused class": (
        append(f"{LIBRARY}/engines/__init__.py", "\n\nclass Unused(ValueError):\n    code = 1\n"),
        {},
    ),
    "an unused import": (
        replace(f"{LIBRARY}/artifacts.py", "import base64\n", "import base64\nimport bisect\n"),
        {},
    ),
    "the order of imports": (
        replace(
            f"{LIBRARY}/artifacts.py",
            "import base64\nimport ",
            "import shutil\nimport base64\nimport ",
        ),
        {},
    ),
    "the order of functions": (reverse_functions, {}),
    "the type of an argument": (
        replace(f"{LIBRARY}/artifacts.py", "why: object) -> str:", "why: str) -> str:"),
        {},
    ),
    "an import for type checking": (
        append(
            f"{LIBRARY}/streams/response_cache.py",
            "\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import seedbed.chats\n",
        ),
        {},
    ),
    "the code that digests code": (
        replace(f"{LIBRARY}/provenance.py", "_MOST_NOTES = 500", "_MOST_NOTES = 400"),
        {},
    ),
    "the folder of real data": (
        replace("config/config.yaml", "data_dir: null", "data_dir: resources"),
        {},
    ),
    "a version of the task that changed nothing": (another_version, {}),
    "the reach of a filter that no block uses": (
        append(MICRO, "verification: {reach: 2.0}\n"),
        {},
    ),
    "a copy without its dates": (dated(1980), {}),
    "results written again with the same content": (write_again, {}),
    # --- analysis and figures
    "a colour of the figures": (
        replace(f"{LIBRARY}/analysis/report/charts/theme.py", "#0072B2", "#0072B3"),
        FIGURES,
    ),
    "a model's price": (
        append(
            "config/models/micro_teacher.yaml",
            "price: {usd_per_million_prompt_tokens: 1.0, date: 2026-01-31}\n",
        ),
        # Where methods overtake each other in money.
        {
            "find_crossovers": 1,
            "plot_cost_effectiveness": 1,
            "plot_crossovers": 1,
            "plot_costs": 1,
            "write_report": 1,
        },
    ),
    "a published shift": (
        append(MICRO, "published: [{source: elsewhere, low: 2}]\n"),
        {"plot_cost_effectiveness": 1, "plot_crossovers": 1, "write_report": 1},
    ),
    "the study's description": (
        replace(MICRO, "description: The smallest", "description: A smallest"),
        {"write_report": 1},
    ),
    "bootstrap samples": (
        replace(MICRO, "bootstrap_samples: 20", "bootstrap_samples: 21"),
        {**FITS, **OF_CELLS},
    ),
    "a model's title": (
        replace("config/models/micro_student.yaml", "title: Micro", "title: Small"),
        FIGURES,
    ),
    "a task's title": (replace(TASK, "title: Word", "title: Other word"), FIGURES),
    "a method's abbreviation": (
        replace("config/methods/new_question.yaml", "short: NQ", "short: NEW"),
        FIGURES,
    ),
    "a remark on the study": (append(MICRO, "remarks: [Small.]\n"), {"write_report": 1}),
    "the seed of the bootstrap": (
        replace(MICRO, "seed: 0, conf", "seed: 1, conf"),
        {**FITS, **OF_CELLS},
    ),
    "the coverage of intervals": (
        replace(MICRO, "confidence: 0.95", "confidence: 0.9"),
        {**FITS, **FIGURES},
    ),
    "the code of the report": (
        append(f"{LIBRARY}/analysis/report/page/page.css", "\n"),
        {"write_report": 1},
    ),
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
    "the reading that counts as accuracy": (
        replace(TASK, "score: strict", "score: flexible"),
        EVALUATIONS,
    ),
    "the code of evaluation": (
        append("scripts/evaluate_student.py", "\nprint(1)\n"),
        EVALUATIONS,
    ),
    # --- training
    "the learning rate": (
        replace(MICRO, "learning_rate: 2.0e-3", "learning_rate: 1.0e-3"),
        STUDENTS,
    ),
    "the code of training": (
        replace(
            f"{LIBRARY}/training/students.py",
            'target_modules="all-linear"',
            'target_modules=["q_proj"]',
        ),
        STUDENTS,
    ),
    "an unused constant in the code of training": (
        append(f"{LIBRARY}/training/students.py", "\nUNUSED = 1\n"),
        {},
    ),
    "the rank of adapters": (replace(MICRO, "lora_rank: 4", "lora_rank: 8"), STUDENTS),
    "the epochs": (replace(MICRO, "epochs: 1", "epochs: 2"), STUDENTS),
    "the batch size of training": (replace(MICRO, "  batch_size: 16", "  batch_size: 8"), STUDENTS),
    "the seed of training": (replace(MICRO, "  max_length", "  seed: 1\n  max_length"), STUDENTS),
    "one student's own training": (
        append(MICRO, "student_training: {micro_student: {weight_decay: 0.1}}\n"),
        STUDENTS,
    ),
    # --- streams
    "the code of the models' engine": (
        append(f"{LIBRARY}/engines/transformers_engine.py", "\nUNUSED = 1\n"),
        {**STREAMS, "evaluate_student": 13},
    ),
    "the sampling temperature": (replace(MICRO, "temperature: 0.7", "temperature: 0.8"), STREAMS),
    "the attempts of one method": (
        replace("config/methods/new_question.yaml", "max_attempts: 3", "max_attempts: 2"),
        {"write_questions": 5, "answer_questions": 5, "sample_answers": 2, **CHECKS, **data(5)},
    ),
    "a bigger budget": (
        replace(MICRO, "budget_ratios: [1, 8]", "budget_ratios: [1, 8, 16]"),
        {"write_questions": 2, "answer_questions": 3, "check_answers": 1, **data(3)},
    ),
    "a budget between others": (
        replace(MICRO, "budget_ratios: [1, 8]", "budget_ratios: [1, 4, 8]"),
        data(3),
    ),
    "the number of self-consistency samples": (
        append(MICRO, "verification: {samples: 5}\n"),
        {"sample_answers": 2, "verify_answers": 2, **data(1)},
    ),
    "another filter": (
        replace(MICRO, "filters: [verified]", "filters: [verified, verified_matched]"),
        # It reaches 1.5 times as far along its stream.
        {
            "write_questions": 1,
            "answer_questions": 1,
            "sample_answers": 1,
            "check_answers": 1,
            "verify_answers": 1,
            **data(1),
        },
    ),
    "more real data": (
        append(
            MICRO,
            "  - {name: human, tasks: [mini_math], methods: [human], seeds: [16], budgets: [32],"
            " students: [micro_student]}\n",
        ),
        {"draw_seeds": 1, **data(1)},
    ),
    "the check for overlap with the test split": (
        replace("config/tasks/mini_math/task.yaml", "overlap_words: null", "overlap_words: 13"),
        data(12),
    ),
    "the temperature of questions": (
        replace(MICRO, "top_p: 1.0}", "top_p: 1.0, question_temperature: 0.9}"),
        {"write_questions": 8, "answer_questions": 8, "sample_answers": 2, **CHECKS, **data(8)},
    ),
    "top_p": (replace(MICRO, "top_p: 1.0}", "top_p: 0.9}"), STREAMS),
    "the date in chat templates": (
        replace(f"{LIBRARY}/chats.py", "26 Jul 2024", "27 Jul 2024"),
        {**STREAMS, **STUDENTS, "evaluate_student": 13},
    ),
    "the code of the response cache": (
        replace(
            f"{LIBRARY}/streams/response_cache.py",
            "SYNC_COMPLETIONS = 256",
            "SYNC_COMPLETIONS = 99",
        ),
        {**STREAMS, "evaluate_student": 13},
    ),
    "the maximum length of answers": (
        replace(TASK, "answer: 32", "answer: 33"),
        {"answer_questions": 11, "sample_answers": 2, **CHECKS, **data(11), "evaluate_student": 13},
    ),
    "the maximum length of questions": (
        replace(TASK, "question: 40", "question: 41"),
        {"write_questions": 8, "answer_questions": 8, "sample_answers": 2, **CHECKS, **data(8)},
    ),
    "without the highest budget": (
        replace(MICRO, "budget_ratios: [1, 8]", "budget_ratios: [1]"),
        {"collect_results": 1, **FITS, "plot_costs": 1, "plot_diversity": 1},
    ),
    "budgets between all others": (
        replace(MICRO, "budget_ratios: [1, 8]", "budget_ratios: [1, 2, 3, 5, 8]"),
        data(9),
    ),
    "a budget one ratio higher": (
        replace(MICRO, "budget_ratios: [1, 8]", "budget_ratios: [1, 8, 9]"),
        {"write_questions": 2, "answer_questions": 3, "check_answers": 1, **data(3)},
    ),
    "the size of shards": (
        replace(MICRO, "shard_size: 64", "shard_size: 32"),
        {
            "write_questions": 13,
            "answer_questions": 18,
            "sample_answers": 3,
            "check_answers": 8,
            "verify_answers": 3,
            **data(11),
        },
    ),
    # --- what is gone or broken
    "a figure is gone": (
        remove("results/micro/figures/accuracy.svg"),
        {"plot_accuracy": 1, "write_report": 1},
    ),
    "a score is gone": (
        remove(f"results/micro/evaluations/{UNTRAINED}/evaluation.json"),
        {"evaluate_student": 1, **ANALYSIS},
    ),
    "a table is gone whose results exist": (remove("results/micro/tables/cells.parquet"), {}),
    "an adapter is gone whose score exists": (remove(f"results/micro/adapters/{SMALLEST}"), {}),
    "a seed set is truncated": (
        cut("results/micro/seeds/task=mini_math/seeds=8/replicate=1/seeds.parquet"),
        {"write_questions": 2, "answer_questions": 3, "check_answers": 1, **data(3)},
    ),
    "a dataset is damaged": (
        cut(f"results/micro/datasets/{Path(SMALLEST).parent}/dataset.parquet"),
        # Which then say so, and do not train on it.
        {"train_student": 1, "evaluate_student": 1, **ANALYSIS},
    ),
    # --- what was noted
    "random dates of results": (shuffle_dates, {}),
    "the manifests": (
        lambda root: [(root / name / "manifest.jsonl").unlink() for name in ROOTS],
        {},
    ),
    "a manifest whose last line is incomplete after a kill": (
        append("results/micro/manifest.jsonl", '{"outputs": {"results/micro/tab'),
        {},
    ),
    "Snakemake's metadata": (remove(".snakemake/metadata"), {}),
    "Snakemake's metadata in an older format": (older_notes, {}),
    "a lock that a killed run left": (
        append(".snakemake/locks/0.output.lock", "results/micro/report/index.html\n"),
        {},
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
    "the student's system message": (
        append("config/models/micro_student.yaml", "system: Solve it.\n"),
        {**STUDENTS, "evaluate_student": 13},
    ),
    "the student's stop texts": (
        append("config/models/micro_student.yaml", "stop: ['###']\n"),
        EVALUATIONS,
    ),
    "the teacher's stop texts": (
        append("config/models/micro_teacher.yaml", "stop: ['###']\n"),
        {**STREAMS, "write_questions": 6},
    ),
    "the prompt for answers": (
        replace(
            "config/tasks/mini_math/task.yaml", 'answer: "{question}"', 'answer: "Q {question}"'
        ),
        {"pretrain_model": 2, **STREAMS, **data(12), "evaluate_student": 13},
    ),
    "the steps of the student's own training": (
        replace("config/models/micro_student.yaml", "steps: ", "steps: 1"),
        {"pretrain_model": 1, **STUDENTS, "evaluate_student": 13},
    ),
    "the number of items of the task": (
        replace(TASK, "test_items: 2000", "test_items: 1999"),
        {
            "get_task": 1,
            "draw_seeds": 2,
            **STREAMS,
            "build_dataset": 12,
            "train_student": 12,
            "evaluate_student": 13,
        },
    ),
    "another student": (
        replace(
            MICRO,
            "    budget_ratios: [1, 8]\n    augmenters: [micro_teacher]\n"
            "    teachers: [micro_teacher]\n    students: [micro_student]",
            "    budget_ratios: [1, 8]\n    augmenters: [micro_teacher]\n"
            "    teachers: [micro_teacher]\n    students: [micro_student, mini_student]",
        ),
        {
            "pretrain_model": 1,
            "train_student": 6,
            "evaluate_student": 7,
            **ANALYSIS,
            "plot_diversity": 1,
            "plot_students": 1,
        },
    ),
    "another replicate": (
        replace(
            MICRO, "    budget_ratios: [1, 8]\n", "    budget_ratios: [1, 8]\n    replicates: 2\n"
        ),
        {
            "draw_seeds": 1,
            "write_questions": 4,
            "answer_questions": 6,
            "check_answers": 2,
            **data(6),
        },
    ),
    "a mixture of existing streams": (
        append(
            MICRO,
            "  - name: mixtures\n    tasks: [mini_math]\n    seeds: [16]\n    budgets: [128]\n"
            "    mixtures: [{answer_augmentation: 1, new_question: 1}]\n"
            "    augmenters: [micro_teacher]\n    teachers: [micro_teacher]\n"
            "    students: [micro_student]\n",
        ),
        {
            "build_dataset": 3,
            "train_student": 1,
            "evaluate_student": 1,
            **ANALYSIS,
            "plot_diversity": 1,
            "plot_mixtures": 1,
        },
    ),
    "without a budget": (
        replace(MICRO, "budget_ratios: [1, 8]", "budget_ratios: [8]"),
        {**ANALYSIS, "plot_diversity": 1},
    ),
    "without a method": (
        replace(
            MICRO,
            "methods: [answer_augmentation, question_rephrase, new_question]\n    seeds: [8]",
            "methods: [answer_augmentation, new_question]\n    seeds: [8]",
        ),
        {**ANALYSIS, "plot_diversity": 1},
    ),
}


# Edits that change nothing, and can be made at the same time. Settings of where models run are in
# another group than edits of the code and packages, because they would put these out of use.
IN_CODE = (
    *("a comment in a module", "a docstring", "formatting", "a module that nobody imports"),
    *("the code that reads the configuration", "the pinned version of a package"),
    *("the code of an engine that no model of the study uses", "a comment in a rule"),
    *("the memory of a job", "the scheduler's settings in the profile"),
    *("the docstring of a constant", "a bare string in a function"),
    *("an unused constant of a module that all scripts use", "an unused function"),
    *("an unused class", "an unused import", "the order of imports", "the order of functions"),
    *("the type of an argument", "an import for type checking", "the code that digests code"),
    *("the scorer of another kind", "an unused constant in the code of training"),
    *("another generated world", "a touch of all code and configuration"),
)
IN_CONFIG = (
    *("a model's batch size", "the engine of a model in config.yaml"),
    *("the environment of jobs", "a method's prompt that no task of the study uses"),
    *("the trainers in config.yaml", "the kind of GPU", "a cap on queries"),
    *("another study", "a model that the study does not have", "the names of blocks"),
    *("the order of budget ratios", "the folder of real data"),
    *("a version of the task that changed nothing", "a touch of inputs"),
    "the reach of a filter that no block uses",
)


PAGE = Path(__file__).resolve().parents[2] / "docs/reruns.md"
SECTIONS = {
    "a comment in a module": "Edits that cannot change a result",
    "a colour of the figures": "Analysis and figures",
    "the scorer of the task's kind": "Evaluation",
    "the learning rate": "Training",
    "the code of the models' engine": "Streams and datasets",
    "a figure is gone": "Missing or damaged files",
    "random dates of results": "Records and dates",
    "the seed of the student's weights": "Models and tasks",
}
# What an edit may change. Dates are kept.
KEPT = ("scripts", "config", "rules", "profiles", "resources", "results", ".snakemake/metadata")


HEAD = """# What reruns when

This page lists edits of a finished study and the jobs that each edit makes stale, by rule. The
study is `micro`: 12 trained cells and a baseline, on 7 streams of 11 shards.
`tests/workflow/test_reruns.py` tests each line, and also writes this page
(`PYTHONPATH=tests:scripts python tests/workflow/test_reruns.py`).

A job is stale if something changed that can change its outputs: the settings that it uses, the
meaning of the code that it reaches, or the content of its inputs. Changes of dates, comments or
formatting, of the engine or machine of a model, and of settings of other jobs make nothing stale.

`config/README.md` states for each key which stages its changes can reach: see "What a change
reruns" there. `tests/workflow/test_random_edits.py` checks this with ten random edits in each run.

In the tables, *analysis* means `collect_results`, `fit_decay`, `compare_methods`,
`find_crossovers`, `check_findings`, the figures of accuracies and `write_report`, with one job
each: they use all scores together.
"""
TAIL = """
`results/STUDY/manifest.jsonl` and `resources/manifest.jsonl` record the settings, code and inputs
of each result; copy them with the results. Results without a manifest count as finished, and edits
are not detected. `make adopt` records them. A file that is gone counts as unchanged while all
results made from it exist; only scores are always made again.

In a study with a judged task, `answer_items` and `judge_student` replace `evaluate_student`. A
change of the rubric, the judge or its labels reruns `judge_student` and the analysis; the judge's
answers to unchanged requests are kept. Training and the students' answers do not rerun:
`tests/workflow/test_judged.py` checks this.

A plan lists all results that depend on a result that is made again. A run skips them if that result
comes out unchanged.

## Which code counts

The digest of a script's code starts from the statements that run when the script runs. It follows
names to the functions, classes and constants that they refer to, through all modules of the
project. Code that is not reached by name does not count. The digest also ignores comments,
formatting, docstrings and other bare constants, `if TYPE_CHECKING:` blocks, the order of functions
and imports, annotations of functions and local variables, unused imports from Python's standard
library, and `seedbed.provenance`, which makes the digest.

For safety, the following counts even if it is not reached by name:

- the code that runs when a module is imported: top-level statements other than definitions, calls
  that may have side effects, decorators that may register something, and imports of other
  libraries;
- a whole class, with the annotations of its fields, which Pydantic and dataclasses read;
- a whole module if it is used as an object (`getattr(module, name)`, `vars(module)`, passed on),
  imported by `*`, or looks up names in itself (`globals`, `exec`, `eval`, `sys.modules`);
- a whole module if a script loads it by a computed name: engines, generated worlds, scorers, and a
  task's own scorer;
- all files that a script imports, if it reaches code that inspects other code (`get_type_hints`,
  `signature`, `__subclasses__`, metaclasses and the like; `seedbed.statements` lists them).

The keys of cached evaluation answers are the model, the adapter, the request, and the code of the
engine with its encoding of chats: after an edit of a scorer, the cached answers are scored again,
and no model is queried. The keys of cached answers and questions of streams are only the model and
the request: paid answers outlive an edit of the engine's code, until the response cache and the
shards are deleted.
"""


def document() -> str:
    """Return the page about reruns."""
    lines = []
    for name, (_, jobs, *words) in EDITS.items():
        if name in SECTIONS:
            lines += [
                "",
                f"## {SECTIONS[name]}",
                "",
                "| Edit | Jobs | Reruns |",
                "| --- | ---: | --- |",
            ]
        edit = f"{name} (`{' '.join(words)}`)" if words else name
        whole = jobs.items() >= ANALYSIS.items()
        shown = {rule: n for rule, n in jobs.items() if not (whole and rule in ANALYSIS)}
        parts = [f"`{rule}`" + (f" {n}" if n > 1 else "") for rule, n in shown.items()]
        parts += ["analysis"] * whole
        lines.append(f"| {edit} | {sum(jobs.values())} | {', '.join(parts) or 'nothing'} |")
    return HEAD + "\n".join(lines) + "\n" + TAIL


def test_the_page_says_what_is_tested():
    assert len(EDITS) >= 90
    assert PAGE.read_text() == document()


def test_a_finished_study_has_nothing_to_do(finished):
    assert finished.plan() == {}


@pytest.fixture(scope="module")
def kept(finished, tmp_path_factory):
    """A copy of what edits may change, dates included."""
    folder = tmp_path_factory.mktemp("kept")
    for part in KEPT:
        shutil.copytree(finished.folder / part, folder / part, symlinks=True)
    return folder


def restore(folder, kept):
    """Take back what was edited: files that differ in size or date, are gone, or are new."""
    for part in KEPT:
        before, now = (
            {path.relative_to(root): path.lstat() for path in (root / part).rglob("*")}
            for root in (kept, folder)
        )
        for name in sorted(now.keys() - before.keys(), reverse=True):
            (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()
        for name, was in sorted(before.items()):
            found = now.get(name)
            if (kept / name).is_dir():
                (folder / name).mkdir(exist_ok=True)
            elif found is None or (found.st_size, found.st_mtime_ns) != (
                was.st_size,
                was.st_mtime_ns,
            ):
                shutil.copy2(kept / name, folder / name, follow_symlinks=False)
    for lock in (folder / ".snakemake/locks").glob("*.lock"):
        lock.unlink()


def planned(finished, kept, *names):
    """Return what would run after some edits, which are taken back."""
    words = [word for name in names for word in EDITS[name][2:]]
    try:
        for name in names:
            EDITS[name][0](finished.folder)
        return finished.plan(*words)
    finally:
        restore(finished.folder, kept)


@pytest.mark.parametrize("name", [name for name in EDITS if name not in (*IN_CODE, *IN_CONFIG)])
def test_an_edit_reruns_what_it_can_change_and_nothing_else(finished, name, kept):
    assert planned(finished, kept, name) == EDITS[name][1]


@pytest.mark.parametrize("names", [IN_CODE, IN_CONFIG], ids=["code", "config"])
def test_edits_that_change_nothing_change_nothing_together(finished, names, kept):
    assert all(EDITS[name][1:] == ({},) for name in names)
    if planned(finished, kept, *names):
        alone = {name: planned(finished, kept, name) for name in names}
        pytest.fail(f"what each reruns alone: {alone}")


def test_copied_results_in_a_fresh_clone_are_not_stale(finished, tmp_path):
    copy = tmp_path / "fresh"
    # Dates are not kept: every file is as old as the copy, in the order of copying.
    shutil.copytree(finished.folder, copy, copy_function=shutil.copyfile)
    assert type(finished)(copy).plan() == {}


if __name__ == "__main__":
    PAGE.write_text(document())
