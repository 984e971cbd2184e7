"""Reads the YAML files of a study into checked objects, or raises one error with all problems.

This runs before any rule exists, so that predictable failures are reported here and not by a job.
`seedbed.study.reading` reads each file, `seedbed.study.agreement` checks that files are consistent
with each other, and `seedbed.study.checks` checks data, keys and prices.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from seedbed.config.documents import Document, Problem, StudyError
from seedbed.config.folders import ConfigFolders
from seedbed.config.sections import Section
from seedbed.config.values import nearest
from seedbed.engines.settings import FIELD_KEYS, KINDS, AnyEngine, OpenAISettings, kind_of
from seedbed.study.agreement import Agreement
from seedbed.study.config import GPU_GB, RUN_CONFIG, RunConfig, StudyConfig
from seedbed.study.reading import Files, validate
from seedbed.study.spend_block import as_block, as_spend
from seedbed.study.study import Study
from seedbed.training.settings import Trainer

__all__ = ["Study", "StudyError", "check_run_config", "load_study"]


def load_study(
    name: str,
    config_dir: Path | ConfigFolders,
    overrides: Mapping[str, object] | None = None,
    engines: Mapping[str, AnyEngine] | None = None,
    trainers: Mapping[str, Trainer] | None = None,
    task: str | None = None,
    gpu_gb: float = GPU_GB,
) -> Study:
    """Read a study and all files that it uses, and check them.

    Args:
        name: stem of the study's file in `studies/`.
        config_dir: folder with `studies/`, `tasks/`, `methods/` and `models/`, or several.
        overrides: values that replace those of the study's file; sections are merged key by key,
            lists are replaced.
        engines: by model, the engine that replaces that of its file.
        trainers: by model, the trainer settings that replace those of its file.
        task: the task that a study with `spend` buys data for; such a study gets its cells from
            `seedbed.study.spend`.
        gpu_gb: memory of one GPU, in gigabytes.

    Raises:
        StudyError: naming file, key, value and remedy of each problem.
    """
    files = Files(ConfigFolders.of(config_dir))
    heading = f"study {name!r} cannot run"
    if name not in files.studies:
        hint = nearest(str(name), files.studies, "studies")
        said = f"there is no study {name!r}; {hint}"
        raise StudyError(heading, [Problem(f"{files.folders.folders[0]}/studies", (), said)])
    problems: list[Problem] = []
    file = files.read(files.path("studies", name), StudyConfig, problems, overrides)
    if file is None:
        raise StudyError(heading, problems)
    asked = as_block(file, task)
    study = Agreement(files, asked, problems, engines or {}, trainers or {}).run(name)
    study = replace(study, gpu_gb=gpu_gb)
    if file.config.spend is not None:
        problems = [as_spend(file, problem) for problem in problems]
        study = replace(study, config=file.config, bought={})
    if problems:
        raise StudyError(heading, problems)
    return study


def check_run_config(mapping: Mapping[str, object]) -> RunConfig:
    """Check the workflow's own configuration.

    Raises:
        StudyError: if a key is unknown, a value is invalid, or the data folder does not exist.
    """
    # On the command line, Snakemake reads `True` as a boolean, but `true` as text.
    told = dict(mapping)
    for key in ("partial", "wait"):
        said = {"true": True, "false": False}.get(str(mapping.get(key)).lower())
        if said is not None:
            told[key] = said
    for key in ("engines", "trainers"):
        given = told.get(key)
        if isinstance(given, dict):
            told[key] = {
                name: _read_numbers(
                    one, Trainer if key == "trainers" else KINDS.get(kind_of(one), OpenAISettings)
                )
                for name, one in given.items()
            }
    document = Document(RUN_CONFIG, told)
    problems: list[Problem] = []
    run = validate(document, RunConfig, problems)
    if run is not None and run.data_dir is not None and not Path(run.data_dir).is_dir():
        problems.append(document.problem(f"there is no folder {run.data_dir!r}", "data_dir"))
    if run is None or problems:
        raise StudyError("the configuration is not right", problems)
    return run


def _read_numbers(given: Any, section: type[Section]) -> Any:
    """Return a section with numbers and booleans converted, which Snakemake leaves as text."""
    if not isinstance(given, dict):
        return given
    fields = section.model_fields.items()
    texts = {name for name, field in fields if "str" in repr(field.annotation)}
    read = dict(given)
    for key, value in given.items():
        if key in FIELD_KEYS and value == "null":
            read[key] = None
        elif key in ("body", "options") or (key not in texts and key != "kind"):
            read[key] = _read_values(value)
    return read


def _read_values(value: Any) -> Any:
    """Return a value with the numbers and booleans in it converted from text."""
    if isinstance(value, dict):
        return {key: _read_values(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_read_values(inner) for inner in value]
    words = {"true": True, "false": False, "null": None}
    if isinstance(value, str):
        with suppress(ValueError, SyntaxError):
            found = words[value] if value in words else ast.literal_eval(value)
            return found if isinstance(found, bool | int | float | None) else value
    return value
