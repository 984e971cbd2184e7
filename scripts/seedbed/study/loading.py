"""From the YAML files of a study to checked objects, or to one message that says all that is wrong.

This runs before any rule exists: what can be known to fail is refused here, not by a job.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from seedbed.config.documents import At, Document, Problem, StudyError, read_document
from seedbed.config.messages import explain
from seedbed.config.sections import Section
from seedbed.config.values import RESERVED, Part, nearest
from seedbed.engines.settings import FIELD_KEYS, KINDS, AnyEngine, OpenAISettings, kind_of
from seedbed.evaluation.scorers import module_file
from seedbed.streams.settings import MethodConfig
from seedbed.study import cells
from seedbed.study.config import Block, ModelConfig, RunConfig, StudyConfig
from seedbed.study.lengths import too_long
from seedbed.tasks.settings import FilesSource, HubSource, TaskConfig, WorldSource
from seedbed.training.settings import Trainer, Training

RUN_CONFIG = "config.yaml or --config"

__all__ = [
    "Study",
    "StudyError",
    "check_data",
    "check_downloads",
    "check_keys",
    "check_run_config",
    "load_study",
]


@dataclass(frozen=True)
class Study:
    """A checked study, with the tasks, methods and models that it uses and no others.

    Attributes:
        name: stem of the study's file.
        config: the study's file.
        tasks: by name, in the order in which the blocks name them first; after them, those on
            whose worlds models are trained.
        methods: likewise.
        models: likewise; a model whose checkpoint is used is among them.
        engines: by model, what runs it here, where that is not what its file says.
        trainers: by model, how its training is run here, likewise.
    """

    name: str
    config: StudyConfig
    tasks: Mapping[str, TaskConfig]
    methods: Mapping[str, MethodConfig]
    models: Mapping[str, ModelConfig]
    engines: Mapping[str, AnyEngine] = field(default_factory=dict)
    trainers: Mapping[str, Trainer] = field(default_factory=dict)

    def answer_prompt(self, task: str) -> str:
        """Return the prompt that teacher and student answer."""
        return self.tasks[task].prompts["answer"]

    def question_prompt(self, task: str, method: str) -> str:
        """Return the prompt that an augmenter writes a question to.

        Raises:
            KeyError: if the method writes no questions.
        """
        own = self.tasks[task].prompts.get(method)
        return own or self.methods[method].prompts[self.tasks[task].kind].question

    def self_check_prompt(self, task: str, method: str) -> str | None:
        """Return the prompt by which an augmenter checks its question; None for no check."""
        if not self.methods[method].self_check:
            return None
        own = self.tasks[task].prompts.get("self_check")
        return own or self.methods[method].prompts[self.tasks[task].kind].self_check

    def training(self, student: str) -> Training:
        """Return the settings that a student is trained with."""
        return self.config.training_of(student)

    def engine(self, model: str) -> AnyEngine:
        """Return what runs a model, with its name there if it is behind an endpoint."""
        config = self.models[model]
        engine = self.engines.get(model, config.engine)
        if not isinstance(engine, OpenAISettings):
            return engine
        return engine.model_copy(update={"model": _name_at_endpoint(engine, config)})

    def trainer(self, model: str) -> Trainer:
        """Return how the training of a student is run."""
        return self.trainers.get(model, self.models[model].trainer)

    def pretrained(self, model: str) -> tuple[str, int] | None:
        """Return the model whose training from scratch gives this one, and after which step.

        None for a model that is not trained by the workflow.
        """
        config = self.models[model]
        if config.checkpoint is not None:
            return config.checkpoint.of, config.checkpoint.step
        return (model, config.pretrain.steps) if config.pretrain is not None else None

    def world(self, model: str, task: str) -> str:
        """Return the generated world that a model trained from scratch knows, for a task.

        Raises:
            ValueError: if the model is not trained by the workflow.
        """
        origin = self.pretrained(model)
        if origin is None:
            raise ValueError(f"model {model!r} is not trained on a generated world")
        own = self.models[origin[0]].worlds.get(task)
        return own or self.tasks[task].source.world


def _name_at_endpoint(engine: OpenAISettings, config: ModelConfig) -> str | None:
    if engine.model is not None or (config.api is None and config.hub is None):
        return engine.model
    return config.api.name if config.api is not None else config.hub.id


def load_study(
    name: str,
    config_dir: Path,
    overrides: Mapping[str, Any] | None = None,
    engines: Mapping[str, AnyEngine] | None = None,
    trainers: Mapping[str, Trainer] | None = None,
) -> Study:
    """Read a study and all that it uses, and check it.

    Args:
        name: stem of the study's file in `studies/`.
        config_dir: folder with `studies/`, `tasks/`, `methods/` and `models/`.
        overrides: values that take the place of those in the study's file; sections are merged
            key by key, lists are replaced.
        engines: by model, what runs it here, where that is not what its file says.
        trainers: by model, how its training is run here, likewise.

    Raises:
        StudyError: naming file, key, value and what would be right, for everything that is wrong.
    """
    files = _Files(Path(config_dir))
    heading = f"study {name!r} cannot run"
    if name not in files.studies:
        hint = nearest(str(name), files.studies, "studies")
        said = f"there is no study {name!r}; {hint}"
        raise StudyError(heading, [Problem(str(files.folder / "studies"), (), said)])
    problems: list[Problem] = []
    file = files.read(files.path("studies", name), StudyConfig, problems, overrides)
    if file is None:
        raise StudyError(heading, problems)
    study = _Checks(files, file, problems, engines or {}, trainers or {}).run(name)
    if problems:
        raise StudyError(heading, problems)
    return study


def check_run_config(mapping: Mapping[str, Any]) -> RunConfig:
    """Check the workflow's own configuration: which study, and where the real data lies.

    Raises:
        StudyError: if a key is unknown or a value wrong, or the data folder is not there.
    """
    # On the command line, Snakemake takes only `True` for a truth, and `true` for text.
    said = {"true": True, "false": False}.get(str(mapping.get("partial")).lower())
    told = dict(mapping) if said is None else {**mapping, "partial": said}
    for key in ("engines", "trainers"):
        if isinstance(told.get(key), dict):
            told[key] = {
                name: _read_numbers(
                    one, Trainer if key == "trainers" else KINDS.get(kind_of(one), OpenAISettings)
                )
                for name, one in told[key].items()
            }
    document = Document(RUN_CONFIG, told)
    problems: list[Problem] = []
    run = _validate(document, RunConfig, problems)
    if run is not None and run.data_dir is not None and not Path(run.data_dir).is_dir():
        problems.append(document.problem(f"there is no folder {run.data_dir!r}", "data_dir"))
    if run is None or problems:
        raise StudyError("the configuration is not right", problems)
    return run


def check_question(run: RunConfig, study: Study, folder: Path) -> None:
    """Check that advice is asked about something that the study has, or that it may borrow for.

    Args:
        run: what `snakemake` runs.
        study: the study.
        folder: the configuration's folder.

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
    others = sorted(path.parent.name for path in folder.glob("tasks/*/task.yaml"))
    known = list(dict.fromkeys([*study.tasks, *others]))
    if run.task is not None and run.task not in known:
        hint = nearest(run.task, known)
        problems.append(
            document.problem(
                f"{run.task}: study {study.name} has {', '.join(study.tasks)}; advice for another "
                f"task of {folder}/tasks is borrowed from these: {', '.join(others)}"
                + (f"; {hint}" if hint.startswith("did you mean") else ""),
                "task",
            )
        )
    if problems:
        raise StudyError("the question is not complete", problems)


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
    """Check that the hub has all that a study reads.

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
    """Check that the keys for endpoints are there, before anything runs.

    Args:
        study: the study.
        models: those of it that will be asked.

    Raises:
        StudyError: naming each environment variable that is not set.
    """
    problems = []
    for name in sorted(models):
        engine = study.engine(name)
        for variable, key in engine.variables() if isinstance(engine, OpenAISettings) else ():
            if os.environ.get(variable, "").strip():
                continue
            said = (
                f"the environment variable {variable} is not set; it should hold "
                f"the key for {engine.base_url}"
            )
            place = (f"models/{name}.yaml", ("engine", key))
            if name in study.engines:
                place = (RUN_CONFIG, ("engines", name, key))
            problems.append(Problem(*place, said))
    if problems:
        raise StudyError(f"study {study.name!r} cannot run", problems)


def check_prices(study: Study, models: Iterable[str]) -> None:
    """Check that all prices are known that a cap in dollars needs.

    Args:
        study: the study.
        models: those of it that will be asked.

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


def _hub_sources(study: Study) -> list[tuple[str, HubSource]]:
    tasks = study.tasks.items()
    return [(name, task.source) for name, task in tasks if isinstance(task.source, HubSource)]


def _refuse_data(study: Study, said: list[str]) -> None:
    if said:
        problems = [Problem(RUN_CONFIG, ("data_dir",), text) for text in said]
        raise StudyError(f"study {study.name!r} cannot run", problems)


# --- files


SectionT = TypeVar("SectionT", bound=Section)


@dataclass(frozen=True)
class _File(Generic[SectionT]):
    """A file that was read and is right by itself."""

    document: Document
    config: SectionT


class _Files:
    """The folder of the configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.studies = {path.stem for path in folder.glob("studies/*.yaml")}
        self.names = {
            "tasks": {path.parent.name for path in folder.glob("tasks/*/task.yaml")},
            "methods": {path.stem for path in folder.glob("methods/*.yaml")},
            "models": {path.stem for path in folder.glob("models/*.yaml")},
        }

    def path(self, kind: str, name: str) -> Path:
        """Return the path of the file of that name."""
        return self.folder / kind / (f"{name}/task.yaml" if kind == "tasks" else f"{name}.yaml")

    def read(
        self,
        path: Path,
        model: type[SectionT],
        problems: list[Problem],
        overrides: Mapping[str, Any] | None = None,
    ) -> _File[SectionT] | None:
        """Read and check one file; if it is not right, add its problems and return None."""
        try:
            document = read_document(path)
        except StudyError as error:
            problems.extend(error.problems)
            return None
        if overrides:
            document = document.overriding(overrides)
        config = _validate(document, model, problems)
        return None if config is None else _File(document, config)


def _validate(
    document: Document, model: type[SectionT], problems: list[Problem]
) -> SectionT | None:
    try:
        return model.model_validate(document.content)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            at, text = explain(detail)
            problems.append(document.problem(text, *at))
        return None


# --- what files must agree on


@dataclass
class _Checks:
    """The checks that need more than one file."""

    files: _Files
    study: _File[StudyConfig]
    problems: list[Problem]
    engines: Mapping[str, AnyEngine] = field(default_factory=dict)
    trainers: Mapping[str, Trainer] = field(default_factory=dict)
    used: dict[str, dict[str, _File[Any] | None]] = field(
        default_factory=lambda: {"tasks": {}, "methods": {}, "models": {}}
    )

    def run(self, name: str) -> Study:
        """Check everything; the result is worth having only if no problem was found."""
        for index, block in enumerate(self.study.config.blocks):
            self._find_named(index, block)
        # A checkpoint brings in the model that it is of, which then needs checking as well.
        checked: set[str] = set()
        while left := [model for model in self.used["models"] if model not in checked]:
            for model in left:
                self._check_model(model)
            checked.update(left)
        for task in self.used["tasks"]:
            self._check_task(task)
        for index, block in enumerate(self.study.config.blocks):
            self._check_block(index, block)
        self._check_engines()
        self._check_students_named()
        self._check_cells(name)
        self._use_tasks_of_worlds()
        found = {
            kind: {name: file.config for name, file in files.items() if file is not None}
            for kind, files in self.used.items()
        }
        return Study(name, self.study.config, **found, engines=self.engines, trainers=self.trainers)

    def _refuse(self, text: str, *at: Part, file: _File[Any] | None = None) -> None:
        self.problems.append((file or self.study).document.problem(text, *at))

    def _get(self, kind: str, name: str) -> Any:
        """Return the content of a file that is used and right, else None."""
        file = self.used[kind].get(name)
        return None if file is None else file.config

    def _use(self, kind: str, name: str, *at: Part, file: _File[Any] | None = None) -> None:
        """Read the file of a name that stands at a path of `file` (by default, of the study)."""
        noun = kind.removesuffix("s")
        valid = self.files.names[kind]
        reserved = (*RESERVED, "answer", "self_check") if kind == "methods" else RESERVED
        if name not in valid:
            hint = nearest(name, valid, kind)
            self._refuse(f"there is no {noun} {name!r}; {hint}", *at, file=file)
        elif name in reserved:
            self._refuse(f"no {noun} may have the name {name!r}, which is reserved", *at, file=file)
        elif name not in self.used[kind]:
            model = {"tasks": TaskConfig, "methods": MethodConfig, "models": ModelConfig}[kind]
            path = self.files.path(kind, name)
            self.used[kind][name] = self.files.read(path, model, self.problems)

    def _find_named(self, index: int, block: Block) -> None:
        for kind, key in (
            ("tasks", "tasks"),
            ("methods", "methods"),
            ("models", "augmenters"),
            ("models", "teachers"),
            ("models", "students"),
        ):
            for place, name in enumerate(getattr(block, key) or ()):
                self._use(kind, name, "blocks", index, key, place)

    def _check_model(self, name: str) -> None:
        file = self.used["models"][name]
        if file is None:
            return
        path = file.config.path
        if path is not None and not (Path(path) / "config.json").is_file():
            said = f"there is no model (config.json) in {path!r}"
            self._refuse(said, "path", file=file)
        template = file.config.chat_template
        if template is not None and not (self.files.folder / "models" / template).is_file():
            said = f"there is no file {template!r} in {self.files.folder / 'models'}"
            self._refuse(said, "chat_template", file=file)
        for task in file.config.worlds:
            if task not in self.files.names["tasks"]:
                hint = nearest(task, self.files.names["tasks"], "tasks")
                self._refuse(f"there is no task {task!r}; {hint}", "worlds", task, file=file)
        checkpoint = file.config.checkpoint
        if checkpoint is None:
            return
        self._use("models", checkpoint.of, "checkpoint", "of", file=file)
        parent = self._get("models", checkpoint.of)
        if parent is None:
            return
        if parent.pretrain is None:
            said = f"{checkpoint.of!r} is not trained by the workflow (it has no pretrain)"
            self._refuse(said, "checkpoint", "of", file=file)
        elif checkpoint.step not in parent.pretrain.checkpoints:
            kept = ", ".join(map(str, parent.pretrain.checkpoints)) or "none"
            said = f"{checkpoint.of!r} keeps no checkpoint after step {checkpoint.step}; it keeps: "
            self._refuse(said + kept, "checkpoint", "step", file=file)

    def _check_task(self, name: str) -> None:
        file = self.used["tasks"][name]
        if file is None:
            return
        methods = self.files.names["methods"]
        for key in file.config.prompts:
            if key in ("answer", "self_check"):
                continue
            if key not in methods:
                hint = nearest(key, {"answer", "self_check", *methods}, "prompts")
                self._refuse(f"there is no method {key!r}; {hint}", "prompts", key, file=file)
                continue
            method = self._get("methods", key)
            if method is not None and not method.writes_questions:
                said = f"has no effect: the method {key!r} writes no questions"
                self._refuse(said, "prompts", key, file=file)
        self._check_task_folder(name, file)
        wanted, held = self.study.config.test_items, file.config.source.test_items
        if wanted is not None and wanted > held:
            said = f"{wanted} is more than the {held} items of the test split of task {name!r}"
            self._refuse(said, "test_items")

    def _check_task_folder(self, name: str, file: _File[TaskConfig]) -> None:
        """Check that what a task needs beside its file is there."""
        folder = self.files.path("tasks", name).parent
        source, scorer = file.config.source, file.config.scorer
        if isinstance(source, FilesSource):
            for split in ("train", "test"):
                for path in source.split_files(folder, split):
                    if not path.is_file():
                        self._refuse(
                            f"there is no file {path}", "source", "files", split, file=file
                        )
            if source.databases is not None and not source.database_files(folder):
                said = f"there are no databases at {folder / source.databases}"
                self._refuse(said, "source", "databases", file=file)
        if isinstance(scorer, str):
            said = _function_problem(scorer, folder)
            if said:
                self._refuse(said, "scorer", file=file)

    def _check_block(self, index: int, block: Block) -> None:
        at = ("blocks", index)
        methods = [self._get("methods", name) for name in block.methods]
        if None not in methods:
            writers = [
                name
                for name, method in zip(block.methods, methods, strict=True)
                if method.writes_questions
            ]
            if writers and block.augmenters is None:
                said = (
                    f"is missing: {', '.join(map(repr, writers))} needs models to write questions"
                )
                self._refuse(said, *at, "augmenters")
            if not writers and block.augmenters is not None:
                said = (
                    f"has no effect: no method of the block writes questions "
                    f"({', '.join(map(repr, block.methods))}); leave it out"
                )
                self._refuse(said, *at, "augmenters")
            askers = [
                name
                for name, method in zip(block.methods, methods, strict=True)
                if method.real_pairs is None
            ]
            if askers and block.teachers is None:
                said = f"is missing: {', '.join(map(repr, askers))} needs models to write answers"
                self._refuse(said, *at, "teachers")
            spenders = [
                name
                for name, method in zip(block.methods, methods, strict=True)
                if method.real_pairs != "seeds"
            ]
            given = [key for key in ("budgets", "budget_ratios") if getattr(block, key) is not None]
            if spenders and not given:
                said = "has neither budgets nor budget_ratios; give one of them"
                self._refuse(said, *at)
            if given and not spenders:
                said = "has no effect: the methods of the block take the seeds alone; leave it out"
                self._refuse(said, *at, given[0])
            if not askers:
                for key, empty in (("teachers", None), ("filters", (cells.NONE,))):
                    if getattr(block, key) != empty:
                        said = "has no effect: no method of the block asks a teacher; leave it out"
                        self._refuse(said, *at, key)
        for place, seeds in enumerate(block.seeds):
            self._check_train_split(block, seeds, *at, "seeds", place)
            for position, ratio in enumerate(block.budget_ratios or ()):
                budget = cells.queries(ratio, seeds)
                if budget < 1 or budget.denominator != 1:
                    wanted = (
                        "a budget is at least 1" if budget < 1 else "a budget is a whole number"
                    )
                    said = f"{ratio:g} x {seeds} seeds is {float(budget):g} queries; {wanted}"
                    self._refuse(said, *at, "budget_ratios", position)
                elif any(method and method.real_pairs == "budget" for method in methods):
                    self._check_train_split(block, int(budget), *at, "budget_ratios", position)
        if any(method and method.real_pairs == "budget" for method in methods):
            for position, budget in enumerate(block.budgets or ()):
                self._check_train_split(block, budget, *at, "budgets", position)
        self._check_prompts(at, block)
        self._check_worlds(at, block)

    def _check_train_split(self, block: Block, pairs: int, *at: Part) -> None:
        """Check that each task of a block has so many real pairs."""
        for name in block.tasks:
            task = self._get("tasks", name)
            if task is not None and pairs > task.source.train_items:
                said = (
                    f"{pairs} is more than the {task.source.train_items} items of the train "
                    f"split of task {name!r}"
                )
                self._refuse(said, *at)

    def _check_prompts(self, at: At, block: Block) -> None:
        """Check that each method of a block has its prompts for each of its tasks."""
        for place, name in enumerate(block.methods):
            method = self._get("methods", name)
            for task_name in block.tasks:
                task = self._get("tasks", task_name)
                if method is None or task is None or not method.writes_questions:
                    continue
                has_own = name in task.prompts and (
                    not method.self_check or "self_check" in task.prompts
                )
                if not has_own and task.kind not in method.prompts:
                    path = self.files.path("methods", name)
                    said = (
                        f"{name!r} has no prompts for task {task_name!r}: give {path} the key "
                        f"prompts.{task.kind}, or the task prompts of its own"
                    )
                    self._refuse(said, *at, "methods", place)

    def _check_worlds(self, at: At, block: Block) -> None:
        """Check that models from scratch have a world for each task of a block."""
        for key in ("augmenters", "teachers", "students"):
            for place, name in enumerate(getattr(block, key) or ()):
                model = self._get("models", name)
                if model is not None and model.checkpoint is not None:
                    model = self._get("models", model.checkpoint.of)
                if model is None or model.pretrain is None:
                    continue
                for task_name in block.tasks:
                    task = self._get("tasks", task_name)
                    if task is None or isinstance(task.source, WorldSource):
                        continue
                    if task_name not in model.worlds:
                        said = (
                            f"{name!r} is trained from scratch on a generated world, which task "
                            f"{task_name!r} does not have: name one under worlds in the model's "
                            "file"
                        )
                        self._refuse(said, *at, key, place)

    def _use_tasks_of_worlds(self) -> None:
        """Read the tasks that models are trained on for others: their prompts are practised."""
        if self.problems:
            return
        known = {
            file.config.source.world
            for file in self.used["tasks"].values()
            if file is not None and isinstance(file.config.source, WorldSource)
        }
        for name, file in list(self.used["models"].items()):
            if file is None:
                continue
            for task, world in file.config.worlds.items():
                if task in self.used["tasks"] and world not in known:
                    self._use("tasks", world, "worlds", task, file=self.used["models"][name])

    def _check_engines(self) -> None:
        """Check that each model is run by what can run it."""
        places = {"engines": self.engines, "trainers": self.trainers}
        named = Document(
            RUN_CONFIG, {key: {name: {} for name in given} for key, given in places.items()}
        )
        for key, given in places.items():
            for name in given:
                if name not in self.files.names["models"]:
                    hint = nearest(name, self.files.names["models"], "models")
                    self.problems.append(
                        named.problem(f"there is no model {name!r}; {hint}", key, name)
                    )
        for name, file in self.used["models"].items():
            if file is None:
                continue
            document, at = file.document, ("engine",)
            if name in self.engines:
                document, at = named, ("engines", name)
            engine = self.engines.get(name, file.config.engine)
            if file.config.api is not None and not isinstance(engine, OpenAISettings):
                said = f"{engine.kind!r} cannot run {name!r}, which only an endpoint has (api)"
                self.problems.append(document.problem(said, *at, "kind"))
            elif (
                isinstance(engine, OpenAISettings)
                and _name_at_endpoint(engine, file.config) is None
            ):
                said = f"is missing: the name of {name!r} at the endpoint"
                self.problems.append(document.problem(said, *at, "model"))
        for index, block in enumerate(self.study.config.blocks):
            for place, name in enumerate(block.students):
                config = self._get("models", name)
                if config is not None and self.engines.get(name, config.engine).kind == "openai":
                    said = f"{name!r} is behind an endpoint, which runs no adapters of ours"
                    self._refuse(said, "blocks", index, "students", place)

    def _check_students_named(self) -> None:
        students = {name for block in self.study.config.blocks for name in block.students}
        for name in self.study.config.student_training:
            if name not in students:
                hint = nearest(name, students, "students")
                said = f"{name!r} is not a student of this study; {hint}"
                self._refuse(said, "student_training", name)
        for index, shift in enumerate(self.study.config.published):
            if shift.student is not None and shift.student not in students:
                hint = nearest(shift.student, students, "students")
                said = f"{shift.student!r} is not a student of this study; {hint}"
                self._refuse(said, "published", index, "student")

    def _check_cells(self, study: str) -> None:
        """Check that no two blocks give exactly the same cells, and that their files have names."""
        if self.problems:
            return
        methods = {name: file.config for name, file in self.used["methods"].items()}
        seen: dict[frozenset[cells.Cell], str] = {}
        for index, block in enumerate(self.study.config.blocks):
            found = frozenset(cells.block_cells(block, methods))
            if found in seen:
                said = (
                    f"{block.name!r} gives the same cells as {seen[found]!r}: the same cell twice"
                )
                self._refuse(said, "blocks", index, "name")
            seen.setdefault(found, block.name)
            for said, at in too_long(study, index, block, found, Path.cwd()):
                self._refuse(said, *at)


def _function_problem(scorer: str, folder: Path) -> str | None:
    """Say what is wrong with a scorer named MODULE:FUNCTION, if anything is.

    The file is read and not run: it may import what is not here.
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
