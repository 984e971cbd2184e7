"""From the YAML files of a study to checked objects, or to one message that says all that is wrong.

This runs before any rule exists: what can be known to fail is refused here, not by a job. Each file
is read by `seedbed.study.reading`. `seedbed.study.agreement` checks what several must agree on, and
`seedbed.study.checks` what must be there beside them.
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
    """Read a study and all that it uses, and check it.

    Args:
        name: stem of the study's file in `studies/`.
        config_dir: folder with `studies/`, `tasks/`, `methods/` and `models/`, or several.
        overrides: values that take the place of those in the study's file; sections are merged
            key by key, lists are replaced.
        engines: by model, what runs it here, where that is not what its file says.
        trainers: by model, how its training is run here, likewise.
        task: that a study with `spend` buys data for; it has no cells before `seedbed.study.spend`
            gives it some.
        gpu_gb: gigabytes of memory of a GPU here.

    Raises:
        StudyError: naming file, key, value and what would be right, for everything that is wrong.
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
    """Check the workflow's own configuration: which study, and where the real data lies.

    Raises:
        StudyError: if a key is unknown or a value wrong, or the data folder is not there.
    """
    # On the command line, Snakemake takes only `True` for a truth, and `true` for text.
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
    """Return a section with its numbers and truths as such, which Snakemake leaves as texts."""
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
    """Return a value with the numbers and truths in it as such."""
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
