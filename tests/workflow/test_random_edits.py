"""Edits of the configuration, drawn at random, against what each key says that it can change.

In a finished `micro` study. Of a file that the study does not use, no edit makes anything stale.
"""

from __future__ import annotations

import os
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from draws import draws
from seedbed.config.sections import Section, stages_of
from seedbed.streams.settings import MethodConfig
from seedbed.study.cells import grid
from seedbed.study.config import ModelConfig, RunConfig, StudyConfig
from seedbed.study.loading import StudyError, check_run_config, load_study
from seedbed.tasks.settings import TaskConfig

OWN, OTHER = 7, 3
"""Edits of files that the study uses, and of others."""

RULES = {
    "tasks": ("get_task", "draw_seeds"), "models": ("get_model", "pretrain_model"),
    "questions": ("write_questions",), "answers": ("answer_questions",),
    "verification": ("sample_answers", "check_answers", "verify_answers"),
    "datasets": ("build_dataset",), "training": ("train_student",),
    "evaluation": ("evaluate_student",),
    "analysis": (*("collect_results", "compare_methods", "fit_decay", "find_crossovers"),
     "check_findings"),
    "figures": (*("plot_accuracy", "plot_cost_effectiveness", "plot_crossovers",
     "plot_best_method"), *("plot_augmenters", "plot_verification", "plot_costs", "plot_diversity"),
     *("plot_students", "plot_teachers")),
    "report": ("write_report",), "advice": (),
}  # fmt: skip
NEXT = {
    "tasks": ("questions", "answers", "verification", "datasets", "evaluation"),
    "models": ("questions", "answers", "verification", "training", "evaluation"),
    "questions": ("answers", "verification", "datasets"), "answers": ("verification", "datasets"),
    "verification": ("datasets",), "datasets": ("training", "figures"), "training": ("evaluation",),
    "evaluation": ("analysis", "figures"), "analysis": ("figures", "report"),
    "figures": ("report",), "report": (), "advice": (), "cells": tuple(RULES),
}  # fmt: skip
FILES = {
    "config.yaml": RunConfig,
    "studies/*.yaml": StudyConfig,
    "tasks/*/task.yaml": TaskConfig,
    "methods/*.yaml": MethodConfig,
    "models/*.yaml": ModelConfig,
}
USED = (
    *("studies/micro.yaml", "tasks/mini_math/task.yaml"),
    *(f"models/micro_{name}.yaml" for name in ("teacher", "weak", "student")),
    *("methods/answer_augmentation.yaml", "methods/question_rephrase.yaml"),
    *("methods/new_question.yaml", "methods/seed_only.yaml"),
)


@dataclass(frozen=True)
class Key:
    """A key of a file that could be edited.

    Attributes:
        file: below `config`.
        place: keys and indices that lead to it.
        section: the class that has it.
    """

    file: str
    place: tuple[str | int, ...]
    section: type[Section]

    @property
    def field(self) -> Any:
        return self.section.model_fields[self.place[-1]]

    @property
    def stages(self) -> tuple[str, ...]:
        return stages_of(self.section, self.place[-1])


def parts(kind: Any) -> tuple[Any, ...]:
    """Return the kinds that a value may have, without marks and null."""
    if get_origin(kind) is Annotated:
        return parts(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        found = [part for inner in get_args(kind) for part in parts(inner)]
        return tuple(part for part in found if part is not type(None))
    return (kind,)


def sections_in(kind: Any, value: Any) -> list[tuple[tuple[str | int, ...], Any, Any]]:
    """Return the sections in a value, with their places and classes."""
    found = []
    for part in parts(kind):
        if isinstance(part, type) and issubclass(part, BaseModel) and isinstance(value, dict):
            if value.keys() <= part.model_fields.keys():
                found.append(((), part, value))
        elif get_origin(part) is dict and isinstance(value, dict):
            for name, inner in value.items():
                places = sections_in(get_args(part)[1], inner)
                found += [((name, *place), *rest) for place, *rest in places]
        elif get_origin(part) is tuple and isinstance(value, list):
            for index, inner in enumerate(value):
                places = sections_in(get_args(part)[0], inner)
                found += [((index, *place), *rest) for place, *rest in places]
    return found


def keys(file: str, content: dict[str, Any]) -> list[Key]:
    """Return the keys of a file that hold a value, or could."""
    found: list[Key] = []
    (top,) = (kind for pattern, kind in FILES.items() if Path(file).match(pattern))
    waiting: list[tuple[tuple[str | int, ...], Any, Any]] = [((), top, content)]
    while waiting:
        place, section, value = waiting.pop()
        for name, field in section.model_fields.items():
            held = value.get(name)
            inner = sections_in(field.annotation, held)
            if held is None and isinstance(field.default, BaseModel):
                inner = [((), type(field.default), {})]
            waiting += [((*place, name, *further), *rest) for further, *rest in inner]
            if not inner:
                found.append(Key(file, (*place, name), section))
    return found


def another(value: Any, key: Key, random: Any) -> Any:
    """Return another value for a key, which may be one that it cannot have.

    Raises:
        LookupError: if none is known.
    """
    kinds = parts(key.field.annotation)
    if value is None and not key.field.is_required():
        value = key.field.default
    if isinstance(value, bool) or bool in kinds:
        return not value
    choices = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if choices:
        return random.choice([word for word in choices if word != value])
    if isinstance(value, int | float):
        more = [value + 1, value * 2] if isinstance(value, int) else [value * 0.5, value * 0.9]
        return random.choice(
            [*more, *([value - 1] if isinstance(value, int) and value > 1 else [])]
        )
    if isinstance(value, str):
        return value + random.choice([" ", ".", "x"])
    if isinstance(value, list | tuple) and value and not isinstance(value[0], dict):
        longer = [*value, value[-1] * 2 if isinstance(value[-1], int | float) else "mini_teacher"]
        return random.choice([longer, [*value[1:]] or longer])
    if isinstance(value, dict) and value:
        name = random.choice(sorted(value))
        if isinstance(value[name], str):
            return value | {name: f"{value[name]}."}
    for kind, found in ((int, 3), (float, 0.5), (str, "another")):
        if kind in kinds:
            return found
    raise LookupError(f"no other value for {key}")


def edited(content: dict[str, Any], key: Key, random: Any) -> dict[str, Any]:
    """Return the content of a file with another value for a key."""
    copy = yaml.safe_load(yaml.safe_dump(content))
    inner = copy
    for step in key.place[:-1]:
        inner = inner.setdefault(step, {}) if isinstance(inner, dict) else inner[step]
    inner[key.place[-1]] = another(inner.get(key.place[-1]), key, random)
    return copy


def follows(stages: tuple[str, ...]) -> set[str]:
    """Return all stages that a change of these can reach."""
    found, waiting = set(), [*stages]
    while waiting:
        stage = waiting.pop()
        if stage not in found:
            found.add(stage)
            waiting += NEXT[stage]
    return found


def rules(stages: Any) -> set[str]:
    return {rule for stage in stages for rule in RULES.get(stage, ())}


def draw(folder: Path, files: list[str], random: Any) -> tuple[Key, str]:
    """Return a key of one of these files, and what the file says with another value for it."""
    contents = {file: yaml.safe_load((folder / file).read_text()) for file in files}
    places: dict[Any, list[Key]] = {}
    for file, content in contents.items():
        for key in keys(file, content):
            places.setdefault((key.section, key.place[-1]), []).append(key)
    while True:
        key = random.choice(random.choice([*places.values()]))
        path, before = folder / key.file, (folder / key.file).read_text()
        try:
            changed = edited(contents[key.file], key, random)
        except LookupError:
            continue
        text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)
        path.write_text(text)
        try:  # Not those that no study could have.
            check_run_config(yaml.safe_load((folder / "config.yaml").read_text()))
            load_study(path.stem if path.parent.name == "studies" else "micro", folder)
        except StudyError:
            continue
        finally:
            path.write_text(before)
        if changed != contents[key.file]:
            return key, text


@pytest.fixture(scope="module")
def random():
    """Numbers that all draws of the module are made with."""
    return draws()


def cells(folder: Path) -> set[str]:
    """Return the cells of the study."""
    return {*grid(load_study("micro", folder)).cell_by_key}


def planned(finished: Any, key: Key, text: str) -> tuple[dict[str, int], int] | None:
    """Return the jobs that would run with another text of a file, and how many cells are new.

    None if Snakemake refuses it.
    """
    known = cells(finished.folder / "config")
    file = finished.folder / "config" / key.file
    before, dates = file.read_bytes(), file.stat()
    file.write_text(text)
    try:
        return finished.plan(), len(cells(finished.folder / "config") - known)
    except AssertionError as refused:
        assert "WorkflowError" in str(refused), f"{key}: {refused}"
        return None
    finally:
        file.write_bytes(before)
        os.utime(file, ns=(dates.st_atime_ns, dates.st_mtime_ns))


@pytest.mark.parametrize("number", range(OWN + OTHER))
def test_an_edit_changes_what_its_key_says_at_most(finished, random, number):
    folder = finished.folder / "config"
    own = [*USED, "config.yaml"]
    others = [
        path.relative_to(folder).as_posix()
        for pattern in FILES
        for path in sorted(folder.glob(pattern))
        if path.relative_to(folder).as_posix() not in own
    ]
    found = None
    while found is None:
        key, text = draw(folder, own if number < OWN else others, random)
        found = planned(finished, key, text)
    plan, new = found
    print(f"{key.file}: {'.'.join(map(str, key.place))}: {plan}")
    told = f"{key}:\n{text}"
    if number >= OWN:
        assert plan == {}, told
    if key.stages == ("cells",):
        assert plan.get("evaluate_student", 0) == new, told
    assert plan.keys() <= rules(follows(key.stages)), told
    # Nor does it say too much: what changes begins with what it says, or right behind.
    first = {*key.stages, *(stage for known in key.stages for stage in NEXT[known])}
    assert not plan or plan.keys() & rules(first), told
