"""Checks of a task's file and the files that it names, independent of studies."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from seedbed.config.documents import Problem, StudyError
from seedbed.config.folders import ConfigFolders
from seedbed.config.values import nearest
from seedbed.config.words import OWN_PROMPTS
from seedbed.evaluation.scorers import module_file
from seedbed.evaluation.scorers.settings import JudgeOptions
from seedbed.study.reading import File, Files
from seedbed.tasks.selection import counted
from seedbed.tasks.settings import FilesSource, TaskConfig


def load_task(name: str, config_dir: Path | ConfigFolders) -> TaskConfig:
    """Read a task's file alone, and check it.

    Args:
        name: name of the task's folder in `tasks/`.
        config_dir: folder with `tasks/` and `methods/`, or several.

    Raises:
        StudyError: naming file, key, value and remedy of each problem.
    """
    files = Files(ConfigFolders.of(config_dir))
    heading = f"task {name!r} cannot be used"
    if name not in files.names["tasks"]:
        hint = nearest(name, files.names["tasks"], "tasks")
        said = f"there is no task {name!r}; {hint}"
        raise StudyError(heading, [Problem(f"{files.folders.folders[0]}/tasks", (), said)])
    problems: list[Problem] = []
    file = files.read(files.path("tasks", name), TaskConfig, problems)
    if file is not None:
        problems += task_problems(files, name, file)
    if file is not None and not problems:
        file = with_counts(files, name, file, problems)
    if file is None or problems:
        raise StudyError(heading, problems)
    return file.config


def task_problems(files: Files, name: str, file: File[TaskConfig]) -> Iterator[Problem]:
    """Yield problems of a task's prompts, files and scorer function.

    Args:
        files: the folders of the configuration.
        name: of the task.
        file: the task's file.
    """
    methods = files.names["methods"]
    for key in file.config.prompts:
        if key not in OWN_PROMPTS and key not in methods:
            hint = nearest(key, {*OWN_PROMPTS, *methods}, "prompts")
            yield file.document.problem(f"there is no method {key!r}; {hint}", "prompts", key)
    folder = files.path("tasks", name).parent
    source, scorer = file.config.source, file.config.scorer
    if isinstance(source, FilesSource):
        for key in ("train", "test", "all"):
            part = getattr(source.files, key)
            if part is not None and not (folder / part).is_file():
                said = f"there is no file {folder / part}"
                yield file.document.problem(said, "source", "files", key)
        if source.databases is not None and not source.database_files(folder):
            said = f"there are no databases at {folder / source.databases}"
            yield file.document.problem(said, "source", "databases")
    for said in _label_problems(file.config, folder):
        yield file.document.problem(said, "scorer", "labels")
    if isinstance(scorer, str):
        wrong = _function_problem(scorer, folder)
        if wrong:
            yield file.document.problem(wrong, "scorer")


def with_counts(
    files: Files, name: str, file: File[TaskConfig], problems: list[Problem]
) -> File[TaskConfig] | None:
    """Return a task's file with the numbers of its items, counted from its rows if necessary.

    If the rows do not fit, add to the problems, and return None. Rows are read if the file leaves
    out the numbers, or if its prompts name columns.

    Args:
        files: the folders of the configuration.
        name: of the task.
        file: the task's file.
        problems: list to which problems are added.
    """
    config = file.config
    if not isinstance(config.source, FilesSource):
        return file
    folder = files.path("tasks", name).parent
    try:
        source = counted(config.source, folder, config.prompt_columns)
    except (ValueError, OSError) as error:
        problems.append(file.document.problem(str(error), "source"))
        return None
    return replace(file, config=config.model_copy(update={"source": source}))


def _label_problems(config: TaskConfig, folder: Path) -> Iterator[str]:
    """Yield problems of the answers that a judge's grades are compared with."""
    if config.judge is None or config.judge.labels is None:
        return
    # Imported here because a library of arrays takes a tenth of a second to import.
    from seedbed.evaluation.labels import read_labels

    try:
        read_labels(folder / config.judge.labels, config.judge)
    except FileNotFoundError:
        yield f"there is no file {folder / config.judge.labels}"
    except (ValueError, OSError) as error:
        yield str(error)


def label_count(files: Files, name: str, judge: JudgeOptions) -> int:
    """Return the number of answers of a task that people graded; its labels were checked before."""
    from seedbed.evaluation.labels import read_labels

    if judge.labels is None:
        return 0
    return len(read_labels(files.path("tasks", name).parent / judge.labels, judge)[0])


def _function_problem(scorer: str, folder: Path) -> str | None:
    """Return what is wrong with a scorer named MODULE:FUNCTION; None if nothing is.

    The file is parsed but not run, because its imports may not be installed here.
    """
    path, function = module_file(scorer, folder), scorer.partition(":")[2]
    if not path.is_file():
        return f"there is no file {path}"
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        return f"{path} cannot be read as Python: {error}"
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if function not in functions:
        return f"{path} has no function {function!r}; {nearest(function, functions, 'functions')}"
    given = functions[function].args
    values = len(given.posonlyargs) + len(given.args)
    too_few = values < 2 and given.vararg is None
    if too_few or values - len(given.defaults) > 2 or None in given.kw_defaults:
        return f"{path}: {function!r} cannot be called with two values, an output and an item"
    return None
