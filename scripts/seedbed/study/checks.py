"""Checks of data, keys, prices and questions for advice, which a study needs but does not state.

They run before any job starts, if the run needs it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from seedbed.analysis.tables.own_results import OwnResultsError, read_own_results
from seedbed.config.documents import Document, Problem, StudyError
from seedbed.config.folders import ConfigFolders
from seedbed.config.messages import At
from seedbed.config.values import nearest
from seedbed.engines.settings import OpenAISettings
from seedbed.study.config import RUN_CONFIG, RunConfig
from seedbed.study.study import Study
from seedbed.tasks.settings import HubSource


def check_data(study: Study, data_dir: str | Path) -> None:
    """Check that a folder has the data sets that a study reads, in the hub's layout.

    Raises:
        StudyError: naming each split that is not there, and each task without databases.
    """
    said = []
    for name, source in _hub_sources(study):
        said += [
            f"task {name!r} needs {source.path(data_dir, split)}, which is not there"
            for split in ("train", "test")
            if not source.split_files(data_dir, split)
        ]
        if source.databases is not None and not source.database_files(data_dir):
            place = source.folder(data_dir) / source.databases
            said.append(f"task {name!r} needs databases at {place}, and there are none")
    _refuse_data(study, said)


def check_downloads(study: Study) -> None:
    """Check that the hub has everything that a study reads.

    Raises:
        StudyError: naming each task with databases, which the hub does not have.
    """
    _refuse_data(
        study,
        [
            f"task {name!r} needs databases, which the hub does not have: give the folder in which "
            f"{source.path('', 'test')} and {source.folder('') / source.databases} lie"
            for name, source in _hub_sources(study)
            if source.databases is not None
        ],
    )


def check_keys(study: Study, models: Iterable[str]) -> None:
    """Check that the API keys of endpoints are set.

    Args:
        study: the study.
        models: models of the study that will be queried.

    Raises:
        StudyError: naming each environment variable that is not set.
    """
    problems = []
    for name in sorted(models):
        engine = study.engine(name)
        if not isinstance(engine, OpenAISettings):
            continue
        for variable, key in engine.variables():
            if os.environ.get(variable, "").strip():
                continue
            said = (
                f"the environment variable {variable} is not set; it should hold "
                f"the key for {engine.base_url}"
            )
            place: tuple[str, At] = (f"models/{name}.yaml", ("engine", key))
            if name in study.engines:
                place = (RUN_CONFIG, ("engines", name, key))
            problems.append(Problem(*place, said))
    if problems:
        raise StudyError(f"study {study.name!r} cannot run", problems)


def check_prices(study: Study, models: Iterable[str]) -> None:
    """Check that all prices that a cap in dollars needs are known.

    Args:
        study: the study.
        models: models of the study that will be queried.

    Raises:
        StudyError: naming each model behind an endpoint without a price.
    """
    problems = []
    for name in sorted(models):
        price = study.models[name].price
        if study.engine(name).kind != "openai":
            continue
        names = ("usd_per_million_prompt_tokens", "usd_per_million_completion_tokens")
        unknown = [key for key in names if getattr(price, key) is None]
        if unknown:
            at = ("price",) if len(unknown) == len(names) else ("price", unknown[0])
            said = (
                "is missing: with max_usd, each model behind an endpoint needs a price (0 for a "
                "server of one's own), of tokens read and of tokens written"
            )
            problems.append(Problem(f"models/{name}.yaml", at, said))
    if problems:
        raise StudyError(f"study {study.name!r} cannot keep below max_usd", problems)


def check_publishing(run: RunConfig) -> None:
    """Check that a place to publish to is set, and that a token for the hub exists.

    Raises:
        StudyError: naming what is missing.
    """
    document = Document(RUN_CONFIG, run.model_dump())
    problems = []
    if run.repo is None:
        said = "is missing: publish needs it, as in --config repo=OWNER/NAME"
        problems.append(document.problem(said, "repo"))
    if run.hub_folder is None:
        # Imported here because it takes long to import.
        from huggingface_hub import get_token

        if get_token() is None:
            said = "no token for the hub: set HF_TOKEN, or run `hf auth login`"
            problems.append(Problem("the environment", ("HF_TOKEN",), said))
    if problems:
        raise StudyError("there is nowhere to publish", problems)


def _hub_sources(study: Study) -> list[tuple[str, HubSource]]:
    tasks = study.tasks.items()
    return [(name, task.source) for name, task in tasks if isinstance(task.source, HubSource)]


def _refuse_data(study: Study, said: list[str]) -> None:
    if said:
        problems = [Problem(RUN_CONFIG, ("data_dir",), text) for text in said]
        raise StudyError(f"study {study.name!r} cannot run", problems)


def _check_own_results(run: RunConfig, document: Document, problems: list[Problem]) -> None:
    """Check that a table of runs is valid and can answer the question."""
    assert run.results is not None
    try:
        runs = read_own_results(run.results)
    except OwnResultsError as error:
        raise StudyError("the table of results cannot be used", _lines(error)) from None
    tasks = sorted({one.task for one in runs})
    if run.task is None and len(tasks) > 1:
        words = f"is missing: the table has {', '.join(tasks)}, as in --config task={tasks[0]}"
        problems.append(document.problem(words, "task"))
    elif run.task not in (None, *tasks):
        problems.append(document.problem(f"{run.task}: the table has {', '.join(tasks)}", "task"))
    if problems:
        raise StudyError("the question is not complete", problems)


def _lines(error: Exception) -> list[Problem]:
    return [Problem("", (), line) for line in str(error).splitlines()]


def check_question(run: RunConfig, study: Study, folder: Path | ConfigFolders) -> None:
    """Check that the study has results for the question of advice, or that transfer covers it.

    Args:
        run: the workflow's own configuration.
        study: the study.
        folder: folder of the configuration, or several.

    Raises:
        StudyError: naming what is missing or wrong.
    """
    document = Document(RUN_CONFIG, run.model_dump())
    problems = [
        document.problem(f"is missing: advise needs it, as in --config {name}={example}", name)
        for name, example in (("task", next(iter(study.tasks))), ("seeds", 100), ("queries", 1000))
        if getattr(run, name) is None and (name != "queries" or run.goal[1] is None)
    ]
    given = [name for name in ("queries", "usd", "target_accuracy") if getattr(run, name)]
    problems += [
        document.problem(f"advice is by `{given[0]}` or by this, not both", name)
        for name in given[1:]
    ]
    if run.untrained_accuracy is not None and (run.target_accuracy is None or run.results):
        said = "has an effect only on `target_accuracy` for a task without results: leave it out"
        problems.append(document.problem(said, "untrained_accuracy"))
    if run.results is not None:
        _check_own_results(run, document, [one for one in problems if one.at != ("task",)])
        return
    folders = ConfigFolders.of(folder)
    others = sorted(path.parent.name for path in folders.glob("tasks/*/task.yaml"))
    known = list(dict.fromkeys([*study.tasks, *others]))
    if run.task is not None and run.task not in known:
        hint = nearest(run.task, known)
        problems.append(
            document.problem(
                f"{run.task}: study {study.name} has {', '.join(study.tasks)}; advice for another "
                f"task of {folders} is transferred from these: {', '.join(others)}"
                + (f"; {hint}" if hint.startswith("did you mean") else ""),
                "task",
            )
        )
    if problems:
        raise StudyError("the question is not complete", problems)
