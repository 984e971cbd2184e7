"""Checks that the files of a study are consistent with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedbed.analysis.decide.settings import Contrast
from seedbed.config.documents import Document, Problem
from seedbed.config.messages import At
from seedbed.config.sections import Section
from seedbed.config.values import Part, nearest
from seedbed.config.words import ALL_BOUGHT, MIXTURE, OWN_PROMPTS, RESERVED
from seedbed.engines.settings import AnyEngine, OpenAISettings
from seedbed.streams.mixtures import Shares, coordinate, fractions, is_mixture, split
from seedbed.streams.settings import MethodConfig
from seedbed.study import cells
from seedbed.study.config import RUN_CONFIG, Block, ModelConfig, StudyConfig
from seedbed.study.lengths import too_long
from seedbed.study.reading import File, Files
from seedbed.study.sizes import architecture_of
from seedbed.study.study import Bought, Study, name_at_endpoint
from seedbed.study.task_files import label_count, task_problems, with_counts
from seedbed.tasks.settings import TaskConfig, WorldSource
from seedbed.training.settings import Trainer

_SECTIONS: dict[str, type[Section]] = {
    "tasks": TaskConfig,
    "methods": MethodConfig,
    "models": ModelConfig,
    "contrasts": Contrast,
}
"""By kind of file, the class of its content."""


@dataclass
class Agreement:
    """Checks that need more than one file.

    Attributes:
        files: the folders of the configuration.
        study: the study's file.
        problems: list to which problems are added.
        engines: by model, the engine that replaces that of its file.
        trainers: by model, the trainer settings that replace those of its file.
        used: the files that the study names, by kind and name; None for an invalid file.
        labelled: by task, the number of answers that people graded.
    """

    files: Files
    study: File[StudyConfig]
    problems: list[Problem]
    engines: Mapping[str, AnyEngine] = field(default_factory=dict)
    trainers: Mapping[str, Trainer] = field(default_factory=dict)
    used: dict[str, dict[str, File[Any] | None]] = field(
        default_factory=lambda: {kind: {} for kind in _SECTIONS}
    )
    labelled: dict[str, int] = field(default_factory=dict)

    def run(self, name: str) -> Study:
        """Check everything, and return the study; it is complete only if no problem was found."""
        for index, block in enumerate(self.study.config.blocks):
            self._find_named(index, block)
        for file in self.used["tasks"].values():
            if file is not None and file.config.judge is not None:
                self._use("models", file.config.judge.judge, "scorer", "judge", file=file)
        before = len(self.problems)
        self._find_mixtures()
        if len(self.problems) > before:
            return Study(name, self.study.config, {}, {}, {})
        # A checkpoint adds its parent model, which must be checked as well.
        checked: set[str] = set()
        while left := [model for model in self.used["models"] if model not in checked]:
            for model in left:
                self._check_model(model)
            checked.update(left)
        for task in self.used["tasks"]:
            self._check_task(task)
        for index, block in enumerate(self.study.config.blocks):
            self._check_block(index, block)
        for index, contrast in enumerate(self.study.config.contrasts):
            self._use("contrasts", contrast, "contrasts", index)
            self._check_contrast(contrast)
        self._check_engines()
        self._check_students_named()
        self._check_cells(name)
        self._use_tasks_of_worlds()
        found = {
            kind: {name: file.config for name, file in files.items() if file is not None}
            for kind, files in self.used.items()
        }
        return Study(
            name,
            self.study.config,
            found["tasks"],
            found["methods"],
            found["models"],
            found["contrasts"],
            bought={} if self.problems else self._bought(),
            engines=self.engines,
            trainers=self.trainers,
            labelled=self.labelled,
        )

    def _refuse(self, text: str, *at: Part, file: File[Any] | None = None) -> None:
        self.problems.append((file or self.study).document.problem(text, *at))

    def _get(self, kind: str, name: str) -> Any:
        """Return the content of a file that is used and valid, else None."""
        file = self.used[kind].get(name)
        return None if file is None else file.config

    def _use(self, kind: str, name: str, *at: Part, file: File[Any] | None = None) -> None:
        """Read the file that is named at a path in `file` (by default, in the study's file)."""
        noun = kind.removesuffix("s")
        valid = self.files.names[kind]
        reserved = (*RESERVED, *OWN_PROMPTS) if kind == "methods" else RESERVED
        if kind == "methods" and is_mixture(name):
            said = (
                f"no method may have a name that begins with {MIXTURE!r}, as those of mixtures do"
            )
            return self._refuse(said, *at, file=file)
        if name not in valid:
            hint = nearest(name, valid, kind)
            self._refuse(f"there is no {noun} {name!r}; {hint}", *at, file=file)
        elif name in reserved:
            self._refuse(f"no {noun} may have the name {name!r}, which is reserved", *at, file=file)
        elif name not in self.used[kind]:
            model = _SECTIONS[kind]
            path = self.files.path(kind, name)
            self.used[kind][name] = self.files.read(path, model, self.problems)

    def _find_mixtures(self) -> None:
        """Read the methods of mixtures, and check that each mixture exists and has valid shares."""
        config = self.study.config
        if ALL_BOUGHT in config.mixtures:
            said = f"no mixture may have the name {ALL_BOUGHT!r}, which is that of all a study buys"
            self._refuse(said, "mixtures", ALL_BOUGHT)
        for name, shares in config.mixtures.items():
            if not any(name in block.mixtures for block in config.blocks):
                self._refuse("has no effect: no block names it", "mixtures", name)
            self._check_shares(shares, "mixtures", name)
        seen: dict[str, object] = {}
        for index, block in enumerate(config.blocks):
            for place, mixture in enumerate(block.mixtures):
                at = ("blocks", index, "mixtures", place)
                if not isinstance(mixture, str):
                    self._check_shares(mixture, *at)
                    key, shares = coordinate(mixture), fractions(mixture)
                    if seen.setdefault(key, shares) != shares:
                        said = "has nearly the shares of another mixture: name it under `mixtures`"
                        self._refuse(said, *at)
                elif mixture not in {*config.mixtures, ALL_BOUGHT}:
                    hint = nearest(mixture, {*config.mixtures, ALL_BOUGHT}, "mixtures")
                    self._refuse(f"the study has no mixture {mixture!r}; {hint}", *at)

    def _check_shares(self, shares: Shares, *at: Part) -> None:
        for name, share in shares:
            self._use("methods", name, *at, name)
            method = self._get("methods", name)
            if method is None:
                continue
            if method.real_pairs == "budget":
                said = f"{name!r} takes as much real data as a budget, and cannot be mixed"
                self._refuse(said, *at, name)
            elif method.real_pairs is None and share == "all":
                said = f"{name!r} asks a teacher: give it a share of the budget, a number"
                self._refuse(said, *at, name)
            elif method.real_pairs is not None and share != "all":
                said = f"{name!r} asks no teacher, so it has no share of the budget: write `all`"
                self._refuse(said, *at, name)
        if all(share == "all" for _, share in shares):
            self._refuse("has no method that asks a teacher", *at)

    def _methods_of(self, block: Block) -> list[str]:
        """Return the methods of a block and of its mixtures."""
        found = list(block.methods)
        for mixture in block.mixtures:
            shares = self.study.config.shares_of(mixture)
            if shares is None:
                found += [name for other in self.study.config.blocks for name in other.methods]
            else:
                found += [name for name, _ in shares]
        return list(dict.fromkeys(found))

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
        place = self.files.folders.find(f"models/{template}")
        if template is not None and not place.is_file():
            said = f"there is no file {template!r} in {self.files.folders.folders[0]}/models"
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
        found = list(task_problems(self.files, name, file))
        self.problems += found
        for key in file.config.prompts:
            method = self._get("methods", key)
            if method is not None and not method.writes_questions:
                said = f"has no effect: the method {key!r} writes no questions"
                self._refuse(said, "prompts", key, file=file)
        counted = file if found else with_counts(self.files, name, file, self.problems)
        if counted is not None:
            source = counted.config.source
            counted = None if None in (source.train_items, source.test_items) else counted
        self.used["tasks"][name] = counted
        if counted is None:
            return
        if counted.config.judge is not None and counted.config.judge.labels is not None:
            self.labelled[name] = label_count(self.files, name, counted.config.judge)
        wanted, held = self.study.config.test_items, counted.config.test_items
        if wanted is not None and wanted > held:
            said = f"{wanted} is more than the {held} items of the test split of task {name!r}"
            self._refuse(said, "test_items")

    def _check_block(self, index: int, block: Block) -> None:
        at = ("blocks", index)
        names = self._methods_of(block)
        methods = [self._get("methods", name) for name in names]
        if None not in methods:
            writers = [
                name for name, method in zip(names, methods, strict=True) if method.writes_questions
            ]
            if writers and block.augmenters is None:
                said = (
                    f"is missing: {', '.join(map(repr, writers))} needs models to write questions"
                )
                self._refuse(said, *at, "augmenters")
            if not writers and block.augmenters is not None:
                said = (
                    f"has no effect: no method of the block writes questions "
                    f"({', '.join(map(repr, names))}); leave it out"
                )
                self._refuse(said, *at, "augmenters")
            askers = [
                name
                for name, method in zip(names, methods, strict=True)
                if method.real_pairs is None
            ]
            if askers and block.teachers is None:
                said = f"is missing: {', '.join(map(repr, askers))} needs models to write answers"
                self._refuse(said, *at, "teachers")
            spenders = [
                name for name in block.methods if self._get("methods", name).real_pairs != "seeds"
            ] + [mixture for mixture in block.mixtures if mixture != ALL_BOUGHT]
            given = [key for key in ("budgets", "budget_ratios") if getattr(block, key) is not None]
            if spenders and not given:
                said = "has neither budgets nor budget_ratios; give one of them"
                self._refuse(said, *at)
            if given and not spenders:
                taken = ", or all that is bought" if block.mixtures else ""
                said = f"has no effect: the methods of the block take the seeds alone{taken}"
                self._refuse(f"{said}; leave it out", *at, given[0])
            if not askers:
                for key, empty in (("teachers", None), ("filters", (cells.NONE,))):
                    if getattr(block, key) != empty:
                        said = "has no effect: no method of the block asks a teacher; leave it out"
                        self._refuse(said, *at, key)
        for place, seeds in enumerate(block.seeds):
            self._check_train_split(block, seeds, *at, "seeds", place)
            for position, ratio in enumerate(block.budget_ratios or ()):
                share = cells.queries(ratio, seeds)
                if share < 1 or share.denominator != 1:
                    wanted = "a budget is at least 1" if share < 1 else "a budget is a whole number"
                    said = f"{ratio:g} x {seeds} seeds is {float(share):g} queries; {wanted}"
                    self._refuse(said, *at, "budget_ratios", position)
                elif any(method and method.real_pairs == "budget" for method in methods):
                    self._check_train_split(block, int(share), *at, "budget_ratios", position)
        if any(method and method.real_pairs == "budget" for method in methods):
            for position, budget in enumerate(block.budgets or ()):
                self._check_train_split(block, budget, *at, "budgets", position)
        self._check_judged(at, block)
        self._check_prompts(at, block)
        self._check_worlds(at, block)

    def _check_train_split(self, block: Block, pairs: int, *at: Part) -> None:
        """Check that each task of a block has this many real question-answer pairs."""
        for name in block.tasks:
            task = self._get("tasks", name)
            if task is not None and pairs > task.train_items:
                said = (
                    f"{pairs} is more than the {task.train_items} items of the train "
                    f"split of task {name!r}"
                )
                self._refuse(said, *at)

    def _check_judged(self, at: At, block: Block) -> None:
        """Check that no filter needs a judge for each of a teacher's answers."""
        for name in block.tasks:
            task = self._get("tasks", name)
            for place, chosen in enumerate(block.filters):
                if task is not None and task.judge is not None and chosen != cells.NONE:
                    said = (
                        f"{chosen!r} cannot be used with task {name!r}: its judge is asked about "
                        "students' test answers alone, and not paid for each of a teacher's"
                    )
                    self._refuse(said, *at, "filters", place)

    def _check_prompts(self, at: At, block: Block) -> None:
        """Check that each method of a block has prompts for each task of the block."""
        for name in self._methods_of(block):
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
                    own = name in block.methods
                    self._refuse(
                        said, *at, *(("methods", block.methods.index(name)) if own else ())
                    )

    def _check_worlds(self, at: At, block: Block) -> None:
        """Check that models trained from scratch have a world for each task of a block."""
        for task_name in block.tasks:
            file = self.used["tasks"].get(task_name)
            if file is None or isinstance(file.config.source, WorldSource):
                continue
            for key in ("augmenters", "teachers", "students"):
                for place, name in enumerate(getattr(block, key) or ()):
                    self._check_world(name, task_name, self.study, (*at, key, place))
            if file.config.judge is not None:
                self._check_world(file.config.judge.judge, task_name, file, ("scorer", "judge"))

    def _check_world(self, name: str, task: str, file: File[Any], at: At) -> None:
        """Check that a model has a world for a task that is not a generated world."""
        model = self._get("models", name)
        if model is not None and model.checkpoint is not None:
            model = self._get("models", model.checkpoint.of)
        if model is None or model.pretrain is None or task in model.worlds:
            return
        said = (
            f"{name!r} is trained from scratch on a generated world, which task {task!r} does not "
            "have: name one under worlds in the model's file"
        )
        self._refuse(said, *at, file=file)

    def _use_tasks_of_worlds(self) -> None:
        """Read the tasks of worlds that models are trained on: they practise their prompts."""
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
        """Check that each model has an engine that can run it."""
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
            document = file.document
            at: At = ("engine",)
            if name in self.engines:
                document, at = named, ("engines", name)
            engine = self.engines.get(name, file.config.engine)
            if file.config.api is not None and not isinstance(engine, OpenAISettings):
                said = f"{engine.kind!r} cannot run {name!r}, which only an endpoint has (api)"
                self.problems.append(document.problem(said, *at, "kind"))
            elif (
                isinstance(engine, OpenAISettings) and name_at_endpoint(engine, file.config) is None
            ):
                said = f"is missing: the name of {name!r} at the endpoint"
                self.problems.append(document.problem(said, *at, "model"))
            quantized, own = (
                getattr(one, "quantization", None) for one in (engine, file.config.engine)
            )
            if quantized != own:
                said = f"must be {own or 'null'}, as in the file of {name!r}: results depend on it"
                self.problems.append(document.problem(said, *at, "quantization"))
            elif reason := self._not_run(name, file.config, engine):
                key, said = reason
                self.problems.append(document.problem(said, *at, key))
            self._check_trainer(name, file, named)
        for index, block in enumerate(self.study.config.blocks):
            for place, name in enumerate(block.students):
                config = self._get("models", name)
                if config is not None and self.engines.get(name, config.engine).kind == "openai":
                    said = f"{name!r} is behind an endpoint, which runs no adapters of ours"
                    self._refuse(said, "blocks", index, "students", place)
        if self.study.config.thinking == "keep":
            self._check_room_to_think()

    def _check_trainer(self, name: str, file: File[ModelConfig], named: Document) -> None:
        """Check that a model can be trained with its trainer settings."""
        trainer = self.trainers.get(name, file.config.trainer)
        refused = {}
        if trainer.fsdp_size > 1 and (reason := self._undivided(name, file.config)):
            said = f"{trainer.fsdp_size} cannot work: {reason}; leave it out, or write 1"
            refused["fsdp_size"] = said
        known = architecture_of(file.config, name) if trainer.padding_free else None
        if known and (reason := known.padded_because()):
            refused["padding_free"] = f"true cannot work: {reason}; leave it out"
        for key, said in refused.items():
            document, at = (
                (named, ("trainers", name))
                if name in self.trainers
                else (file.document, ("trainer",))
            )
            self.problems.append(document.problem(said, *at, key))

    def _not_run(self, name: str, config: ModelConfig, engine: AnyEngine) -> tuple[str, str] | None:
        """Return the key of an engine that prevents running a model, and why, if there is one."""
        on_cpu = getattr(engine, "gpus", None) == 0
        form = getattr(engine, "quantization", None)
        in_vllm_on_cpu = on_cpu and engine.kind == "vllm"
        if form is None and not in_vllm_on_cpu:
            return None
        known = architecture_of(config, name)
        if known is None:
            return None
        if form is not None:
            reason = "its weights are quantized already" if known.quantized else None
            if on_cpu and form == "nf4":
                reason = reason or known.unquantizable_on_cpu()
            said = f"{form} cannot work: {reason}; leave it out"
            return None if reason is None else ("quantization", said)
        trained = any(name in block.students for block in self.study.config.blocks)
        reason = known.not_in_vllm_on_cpu(adapters=trained)
        said = f"vllm cannot run {name!r} on a CPU (gpus: 0): {reason}; transformers can"
        return None if reason is None else ("kind", said)

    def _undivided(self, name: str, config: ModelConfig) -> str | None:
        """Return why a model cannot be divided over GPUs for training; None if it can."""
        engine = self.engines.get(name, config.engine)
        known = architecture_of(config, name)
        if getattr(engine, "quantization", None) is not None or (known and known.quantized):
            return "quantized weights are not divided"
        if getattr(engine, "gpus", None) == 0:
            return "without a GPU (engine.gpus: 0) there is nothing to divide it over"
        if config.pretrain is not None or config.checkpoint is not None:
            return "a model that the workflow trains from scratch is small"
        return None

    def _check_room_to_think(self) -> None:
        """Check that evaluations leave room for the thinking of students that learn to think."""
        named = {name for block in self.study.config.blocks for name in block.students}
        for name in sorted(named):
            file = self.used["models"].get(name)
            if file is not None and not file.config.engine.thinking_tokens:
                said = (
                    f"is missing: with thinking: keep, {name!r} learns to think before it answers, "
                    "and its evaluation must make room for that, as for 2048 tokens"
                )
                self._refuse(said, "engine", "thinking_tokens", file=file)

    def _check_contrast(self, name: str) -> None:
        """Check that the files a contrast names exist; the study need not have cells of them."""
        file = self.used["contrasts"].get(name)
        for kind, named, at in file.config.names() if file is not None else ():
            if named not in self.files.names[kind]:
                hint = nearest(named, self.files.names[kind], kind)
                said = f"there is no {kind.removesuffix('s')} {named!r}; {hint}"
                self._refuse(said, *at, file=file)

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
        """Check that no two blocks give the same cells, and that their paths are not too long."""
        if self.problems:
            return
        methods = {name: file.config for name, file in self.used["methods"].items() if file}
        seen: dict[frozenset[cells.Cell], str] = {}
        shares = self.study.config.shares
        for index, block in enumerate(self.study.config.blocks):
            mixed = [*cells.mixed_cells(block, shares, methods, self._bought())]
            self._check_mixed(index, block, mixed)
            found = frozenset([*cells.block_cells(block, methods), *mixed])
            if found in seen:
                said = (
                    f"{block.name!r} gives the same cells as {seen[found]!r}: the same cell twice"
                )
                self._refuse(said, "blocks", index, "name")
            seen.setdefault(found, block.name)
            for said, at in too_long(study, index, block, found, Path.cwd()):
                self._refuse(said, *at)

    def _bought(self) -> Bought:
        """Return the queries of each stream that the study's methods need."""
        methods = {name: file.config for name, file in self.used["methods"].items() if file}
        return cells.bought(
            cell for block in self.study.config.blocks for cell in cells.block_cells(block, methods)
        )

    def _check_mixed(self, index: int, block: Block, mixed: Sequence[cells.Cell]) -> None:
        """Check that each mixture of a block has cells, and that each part gets some queries."""
        shares = self.study.config.shares
        for place, mixture in enumerate(block.mixtures):
            at = ("blocks", index, "mixtures", place)
            of = shares[coordinate(mixture)]
            budgets = {cell.budget for cell in mixed if cell.method == coordinate(mixture)}
            if not budgets:
                said = "the study's methods buy fewer than two streams for these seeds and filters"
                self._refuse(f"nothing to mix: {said}", *at)
            if of is None:
                continue
            for budget in sorted(budgets):
                none = [
                    name
                    for (name, share), queries in zip(of, split(of, budget).values(), strict=True)
                    if share != "all" and not queries
                ]
                if none:
                    said = f"of {budget} queries, {', '.join(map(repr, none))} would get none"
                    self._refuse(f"{said}: raise the budget or the share", *at)
                    break
