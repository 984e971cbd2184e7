"""What the rules need of a study: for each target its paths and its resolved settings.

Rules carry these as tracked parameters, so everything here is a plain value: a number, a text, or
settings as one JSON text. A parameter holds only what can change the job's result.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seedbed.config.values import nearest
from seedbed.config.words import NONE
from seedbed.engines.settings import Cap, EngineJob, Price
from seedbed.evaluation.scorers import kind_module, scorer_modules
from seedbed.study.cells import Cell, Dataset, Grid, Shard, Stream, shards
from seedbed.study.equivalence import items_source
from seedbed.study.estimate import training_rows
from seedbed.study.figures import figures, missing_text
from seedbed.study.loading import Study
from seedbed.study.resources import gpus
from seedbed.tasks.settings import DataSource, FilesSource, WorldSource

Part = Literal["augmenter", "teacher", "student"]

RESOURCES = "resources"
CONFIG = "config"

STREAM_RULES = (
    "write_questions",
    "answer_questions",
    "sample_votes",
    "check_answers",
    "verify_answers",
)
"""Rules that make a shard of a stream, and extend it in place when more queries are needed."""


def put_python_first() -> None:
    """Let the rules' `python` be the one that runs Snakemake, if its environment is active or not.

    An environment that Snakemake itself activates for a job still comes before it.
    """
    path = [str(Path(sys.executable).parent), *os.environ.get("PATH", "").split(os.pathsep)]
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys(path))


@dataclass(frozen=True)
class Workflow:
    """A study, its grid, and the names of its files.

    Attributes:
        study: the study.
        grid: its grid.
        data_dir: folder with real data, if there is one.
        partial: whether the end points are what is there, instead of what there should be.
        max_teacher_queries: see `RunConfig`.
        max_usd: see `RunConfig`.
    """

    study: Study
    grid: Grid
    data_dir: str | None = None
    partial: bool = False
    max_teacher_queries: int | None = None
    max_usd: float | None = None

    @property
    def results(self) -> str:
        """Folder of the study's results."""
        return f"results/{self.study.name}"

    # --- end points

    def evaluations(self) -> list[str]:
        """Return the evaluation files of all cells, baselines included."""
        return self._wanted(map(self.evaluation_file, self.grid.cells))

    def adapters(self) -> list[str]:
        """Return the records of all adapters."""
        return self._wanted(
            f"{self.results}/adapters/{cell.key}/training.json"
            for cell in self.grid.cells
            if not cell.untrained
        )

    def datasets(self) -> list[str]:
        """Return all datasets."""
        return self._wanted(
            f"{self.results}/datasets/{dataset.key}/dataset.parquet"
            for dataset in self.grid.datasets
        )

    def files(self) -> list[str]:
        """Return what a person may ask for by its path: scores, records of adapters, datasets."""
        return [*self.evaluations(), *self.adapters(), *self.datasets()]

    def example_datasets(self) -> list[str]:
        """Return the dataset that examples of each task and method are from: the largest budget."""
        largest: dict[tuple[str, str], Dataset] = {}
        for dataset in self.grid.datasets:
            place = (dataset.task, dataset.method)
            size = (dataset.filter == "none", dataset.budget)
            known = largest.get(place)
            if known is None or size > (known.filter == "none", known.budget):
                largest[place] = dataset
        return self._wanted(
            f"{self.results}/datasets/{dataset.key}/dataset.parquet" for dataset in largest.values()
        )

    def dataset_records(self) -> list[str]:
        """Return the files that count what all datasets took."""
        return self._wanted(
            f"{self.results}/datasets/{dataset.key}/dataset.json" for dataset in self.grid.datasets
        )

    def figures(self) -> list[str]:
        """Return the names of the figures that the study has cells for."""
        return figures(self.grid)

    def missing(self) -> str:
        """Return a line on the cells without an evaluation; "" if all are waited for, or there."""
        if not self.partial:
            return ""
        cells = self.grid.cells
        absent = [cell for cell in cells if not Path(self.evaluation_file(cell)).is_file()]
        return missing_text(absent, len(cells))

    def evaluation_file(self, cell: Cell) -> str:
        """Return the file with the scores of a cell."""
        return f"{self.results}/evaluations/{cell.key}/evaluation.json"

    def _wanted(self, paths: Iterable[str]) -> list[str]:
        return [path for path in paths if not self.partial or Path(path).is_file()]

    # --- tasks and seed sets

    def task_folder(self, task: str) -> str:
        """Return the folder of a task's file, and of what the task brings along."""
        return f"{CONFIG}/tasks/{task}"

    def task_data_dir(self, task: str) -> str | None:
        """Return the folder that a task is read from; None for worlds and for the hub."""
        source = self.study.tasks[task].source
        if isinstance(source, FilesSource):
            return self.task_folder(task)
        return self.data_dir if isinstance(source, DataSource) else None

    def task_files(self, task: str) -> list[str]:
        """Return the local files that a task is read from; none for worlds and for the hub."""
        source, data_dir = self.study.tasks[task].source, self.task_data_dir(task)
        if data_dir is None:
            return []
        files = [
            path for split in ("train", "test") for path in source.split_files(data_dir, split)
        ]
        return list(map(str, [*files, *source.database_files(data_dir)]))

    def scorer_modules(self, key: str) -> list[str | Path]:
        """Return what scores the task of a cell or a dataset, loaded by scripts by name or path."""
        task = (self.grid.cell_by_key.get(key) or self._point(key)).task
        config = self.study.tasks[task]
        return scorer_modules(config.kind, config.scorer_options, self.task_folder(task))

    def kind_module(self, key: str) -> str:
        """Return the module that compares the answers of a stream with each other."""
        return kind_module(self.study.tasks[self._point(key).task].kind)

    def judging_modules(self, key: str) -> list[str | Path]:
        """Return what compares the answers of a stream with each other, and what scores them."""
        return [self.kind_module(key), *self.scorer_modules(key)]

    def source(self, task: str) -> str:
        """Return where a task's items come from, as JSON."""
        return _json(self.study.tasks[task].source.model_dump(mode="json"))

    def reference_scoring(self, task: str) -> str:
        """Return how a task's reference answers are scored, as JSON."""
        config = self.study.tasks[task]
        return _json({"kind": config.kind, "scorer": config.scorer_options, "score": config.score})

    def items_source(self, task: str) -> str:
        """Return what of that a task's items depend on, as JSON."""
        return _json(items_source(self.study.tasks[task].source.model_dump(mode="json")))

    def task_modules(self, task: str) -> list[str]:
        """Return the module that makes a task's items, if a world does, which is loaded by name."""
        source = self.study.tasks[task].source
        return [f"seedbed.tasks.worlds.{source.world}"] if isinstance(source, WorldSource) else []

    def test_items(self, key: str) -> str:
        """Return the file of the test items, for the key of a cell or of anything below it."""
        return f"{RESOURCES}/tasks/task={self._task(key)}/test.parquet"

    def task_record(self, key: str) -> str:
        """Return the file with the digests of a task's databases, for a key as of `test_items`."""
        return f"{RESOURCES}/tasks/task={self._task(key)}/task.json"

    def _task(self, key: str) -> str:
        return (self.grid.cell_by_key.get(key) or self._point(key)).task

    def seeds(self, key: str) -> str:
        """Return the seed set's file for the key of anything that stands on it."""
        return f"{self.results}/seeds/{self._point(key).seed_set.key}/seeds.parquet"

    # --- models

    def model(self, name: str, task: str) -> str:
        """Return the folder of a model, for a task."""
        root = f"{RESOURCES}/models/model="
        origin = self.study.pretrained(name)
        if origin is None:
            return f"{root}{name}/source=fetched"
        parent, step = origin
        steps = self.study.models[parent].pretrain.steps
        part = "final" if step == steps else f"step={step}"
        return f"{root}{parent}/world={self.study.world(name, task)}/{part}"

    def model_record(self, name: str, task: str) -> str:
        """Return the file that says that a model is there, an output of the rule that makes it."""
        folder = self.model(name, task)
        if self.study.pretrained(name) is None:
            return f"{folder}/model.json"
        return f"{Path(folder).parent}/final/model.json"

    def model_source(self, name: str) -> str:
        """Return the flags that name where a model is fetched from, quoted for the shell."""
        config = self.study.models[name]
        if config.api is not None:
            version = ["--revision", config.api.version] if config.api.version else []
            return shlex.join(["--api", config.api.name, *version])
        # Part of where it is from: it changes the tokens that the model reads.
        template = ["--template", _json(config.template)] if config.template else []
        if config.hub is None:
            return shlex.join(["--path", str(config.path), *template])
        revision = ["--revision", config.hub.revision] if config.hub.revision else []
        return shlex.join(["--hub", config.hub.id, *revision, *template])

    def chat_template(self, name: str) -> list[str]:
        """Return the file of the chat template that a model is given, if it is given one."""
        file = self.study.models[name].chat_template
        return [] if file is None else [f"{CONFIG}/models/{file}"]

    def chats(self, name: str, chat_template: Iterable[str]) -> str:
        """Return the flags that say how chats with a model are written, quoted for the shell.

        Args:
            name: the model's.
            chat_template: what `chat_template` returns.
        """
        flags = [f"--chat-template={file}" for file in chat_template]
        system = self.study.models[name].system
        if system is not None:
            flags.append(f"--system={system}")
        if any(name in block.students for block in self.study.config.blocks):
            flags.append("--trained")
        return shlex.join(flags)

    def pretraining(self, name: str) -> str:
        """Return how a model is trained from scratch, as JSON."""
        return _json(self.study.models[name].pretrain.model_dump(mode="json"))

    def skill_prompts(self, world: str) -> str:
        """Return the prompts that a model of a world practises, as JSON."""
        practised = next(
            task
            for task in self.study.tasks.values()
            if isinstance(task.source, WorldSource) and task.source.world == world
        )
        return _json(dict(practised.prompts))

    # --- streams

    def shards(self, key: str) -> list[Shard]:
        """Return the shards that a stream has in this study, for its key or a dataset's."""
        point = self._point(key)
        stop = self._reach(point) if isinstance(point, Dataset) else self.grid.largest_budget(point)
        return shards(stop, self.study.config.shard_size)

    def shard(self, key: str, index: str | int) -> Shard:
        """Return one shard of a stream.

        Raises:
            ValueError: if the study's budgets do not reach it.
        """
        found = self.shards(key)
        if int(index) >= len(found):
            raise ValueError(f"{key} has {len(found)} shards in this study, so no shard {index}")
        return found[int(index)]

    def question_shards(self, key: str) -> list[str]:
        """Return the question shards under a dataset; none where the seeds' own are asked."""
        stream = self._point(key).question_stream
        if stream is None:
            return []
        folder = f"{self.results}/questions/{stream.key}"
        return [f"{folder}/shard={shard.index}/questions.parquet" for shard in self.shards(key)]

    def answer_shards(self, key: str) -> list[str]:
        """Return the answer shards under a dataset; none if it is made of real pairs."""
        stream = self._point(key).stream
        if stream is None:
            return []
        folder = f"{self.results}/answers/{stream.key}"
        return [f"{folder}/shard={shard.index}/answers.parquet" for shard in self.shards(key)]

    def check_shards(self, key: str) -> list[str]:
        """Return the checks of a dataset's answers; none where they are answers to the seeds."""
        dataset = self.grid.dataset_by_key[key]
        if dataset.stream is None or self._keeps_answer(dataset):
            return []
        folder = f"{self.results}/checks/{dataset.stream.key}"
        return [f"{folder}/shard={shard.index}/checks.parquet" for shard in self.shards(key)]

    def verdict_shards(self, key: str) -> list[str]:
        """Return what verifies a dataset's answers; none where all of them become rows."""
        dataset = self.grid.dataset_by_key[key]
        if dataset.filter == NONE:
            return []
        folder = f"{self.results}/verdicts/{dataset.stream.key}"
        return [f"{folder}/shard={shard.index}/verdicts.parquet" for shard in self.shards(key)]

    def vote_shards(self, key: str) -> list[str]:
        """Return the further answers that a dataset pays for; none where it needs none."""
        dataset = self.grid.dataset_by_key[key]
        if dataset.filter == NONE:
            return []
        indices = [shard.index for shard in self.shards(key)]
        return [
            path for index in indices for path in self.votes_of_shard(dataset.stream.key, index)
        ]

    def votes_of_shard(self, key: str, index: str | int) -> list[str]:
        """Return the further answers to a shard's questions; none where the seed's answer stays."""
        if self._keeps_answer(self.grid.stream_by_key[key]):
            return []
        return [f"{self.results}/votes/{key}/shard={index}/votes.parquet"]

    def shard_end(self, index: str | int) -> int:
        """Return one past the last query that a shard can hold, whatever the study's budgets."""
        return self.study.config.shard_size << int(index)

    def stop(self, rule: str, wildcards: Mapping[str, str]) -> int | None:
        """Return one past the last query of a stream that a job uses; None if it uses no stream.

        It is no part of what the job's files are made by: a file may hold more queries than that,
        and one that holds fewer is extended.

        Args:
            rule: name of the job's rule.
            wildcards: the job's wildcards.
        """
        if rule == "build_dataset":
            dataset = self.grid.dataset_by_key[wildcards["dataset"]]
            return None if dataset.stream is None else self._reach(dataset)
        if rule == "write_questions":
            return self.shard(wildcards["question_stream"], wildcards["shard"]).stop
        if rule not in STREAM_RULES:
            return None
        key = wildcards["stream"]
        stop = self.shard(key, wildcards["shard"]).stop
        if rule in ("sample_votes", "verify_answers"):
            stop = min(stop, self.grid.largest_verified(self.grid.stream_by_key[key]))
        return stop

    def _keeps_answer(self, point: Stream | Dataset) -> bool:
        return self.study.methods[point.method].keeps_answer

    def _reach(self, dataset: Dataset) -> int:
        return dataset.reach(self.study.config.verification.reach)

    def questions_of_shard(self, key: str, index: str) -> list[str]:
        """Return the question shard under an answer shard; none where the seeds' own are asked."""
        stream = self.grid.stream_by_key[key].question_stream
        if stream is None:
            return []
        return [f"{self.results}/questions/{stream.key}/shard={index}/questions.parquet"]

    def questions(self, key: str) -> str:
        """Return how a question stream is written, as JSON."""
        stream = self.grid.question_stream_by_key[key]
        generation = self.study.config.generation
        task, method = self.study.tasks[stream.task], self.study.methods[stream.method]
        return _json(
            {
                "prompt": self.study.question_prompt(stream.task, stream.method),
                "check_prompt": self.study.self_check_prompt(stream.task, stream.method),
                "max_attempts": method.max_attempts,
                "question_tokens": task.max_tokens.question,
                "check_tokens": task.max_tokens.check,
                "temperature": generation.temperature
                if generation.question_temperature is None
                else generation.question_temperature,
                "top_p": generation.top_p,
                "keeps_answer": method.keeps_answer,
                **self._manner(stream.augmenter),
            }
        )

    def answers(self, key: str) -> str:
        """Return how a stream is answered, as JSON."""
        stream = self.grid.stream_by_key[key]
        task = stream.task
        return _json(
            {
                "prompt": self.study.answer_prompt(task),
                "answer_tokens": self.study.tasks[task].max_tokens.answer,
                "temperature": self.study.config.generation.temperature,
                "top_p": self.study.config.generation.top_p,
                **self._manner(stream.teacher),
            }
        )

    def votes(self, key: str) -> str:
        """Return how a stream's questions are answered again, as JSON."""
        settings = json.loads(self.answers(key))
        del settings["prompt"]  # the prompts stand with the answers
        return _json(settings | {"samples": self.study.config.verification.samples})

    def scoring(self, key: str) -> str:
        """Return how the final answers of a stream are read and compared, as JSON."""
        task = self.study.tasks[self.grid.stream_by_key[key].task]
        return _json({"kind": task.kind, "scorer": task.scorer_options})

    def checking(self, key: str) -> str:
        """Return how the answers of a stream of new questions are checked, as JSON."""
        task = self.study.tasks[self.grid.stream_by_key[key].task]
        return _json(json.loads(self.scoring(key)) | {"new_answer": task.new_answer})

    def dataset(self, key: str) -> str:
        """Return how a dataset is cut, as JSON."""
        dataset = self.grid.dataset_by_key[key]
        return _json(
            {
                "budget": dataset.budget,
                "filter": dataset.filter,
                "reach": self._reach(dataset),
                "overlap_words": self.study.tasks[dataset.task].overlap_words,
                "prompt": self.study.answer_prompt(dataset.task),
            }
        )

    def augmenter(self, key: str) -> tuple[str, str]:
        """Return the name of a question stream's augmenter, and the task that it is for."""
        stream = self.grid.question_stream_by_key[key]
        return stream.augmenter, stream.task

    def teacher(self, key: str) -> tuple[str, str]:
        """Return the name of a stream's teacher, and the task that it is for."""
        stream = self.grid.stream_by_key[key]
        return stream.teacher, stream.task

    def student(self, key: str) -> tuple[str, str]:
        """Return the name of a cell's student, and the task that it is for."""
        cell = self.cell(key)
        return cell.student, cell.task

    # --- cells

    def cell(self, key: str) -> Cell:
        """Return the cell of a key.

        Raises:
            ValueError: if the study has no such cell, with the nearest one.
        """
        found = self.grid.cell_by_key.get(key)
        if found is None:
            hint = nearest(key, self.grid.cell_by_key, "cells")
            raise ValueError(f"study {self.study.name!r} has no cell {key!r}; {hint}")
        return found

    def coordinates(self, key: str) -> str:
        """Return the coordinates of a cell or dataset, as JSON."""
        point = self.grid.dataset_by_key.get(key) or self.cell(key)
        return _json(point.coordinates)

    def training(self, key: str) -> str:
        """Return how a cell's student is trained, as JSON."""
        student = self.cell(key).student
        training = self.study.training(student).model_dump(mode="json")
        system = self.study.models[student].system
        return _json(training if system is None else training | {"system": system})

    def trainer(self, key: str) -> str:
        """Return how the training of a cell's student is run, as JSON."""
        return _json(self.study.trainer(self.cell(key).student).model_dump(mode="json"))

    def training_rows(self, key: str) -> int:
        """Return how many rows a cell's student is trained on at most, repetitions counted."""
        return training_rows(self.study, self.cell(key))

    def adapter(self, key: str) -> list[str]:
        """Return the files of a cell's adapter, its weights first; none for a baseline."""
        if self.cell(key).untrained:
            return []
        folder = f"{self.results}/adapters/{key}"
        return [f"{folder}/adapter_model.safetensors", f"{folder}/training.json"]

    def evaluation(self, key: str) -> str:
        """Return how a cell is evaluated, as JSON."""
        name, student = self.cell(key).task, self.cell(key).student
        task = self.study.tasks[name]
        # All of them are all, by whatever number.
        taken, held = self.study.config.test_items, task.source.test_items
        return _json(
            {
                "kind": task.kind,
                "scorer": task.scorer_options,
                "score": task.score,
                "prompt": self.study.answer_prompt(name),
                "answer_tokens": task.max_tokens.answer,
                "test_items": None if taken is None or taken >= held else taken,
                **self._manner(student),
            }
        )

    def dataset_rows(self, key: str) -> str:
        """Return the dataset that a cell's student is trained on."""
        return f"{self.results}/datasets/{self.cell(key).dataset.key}/dataset.parquet"

    def dataset_record(self, key: str) -> list[str]:
        """Return the file that counts what a cell's dataset took; none for a baseline."""
        dataset = self.cell(key).dataset
        return [] if dataset is None else [f"{self.results}/datasets/{dataset.key}/dataset.json"]

    def engine(self, part: Part, key: str) -> str:
        """Return what runs the model that has a part in what has the key, as JSON."""
        model = getattr(self, part)(key)[0]
        settings = self.study.engine(model)
        if settings.kind != "openai":
            settings = settings.model_copy(update={"gpus": gpus(self.study, model)})
        capped = self.capped and part != "student"
        cap = self._cap(part, settings.kind, model) if capped else None
        return EngineJob(settings=settings, cap=cap).to_json()

    @property
    def capped(self) -> bool:
        """Whether there is a limit to what may be asked."""
        return self.max_teacher_queries is not None or self.max_usd is not None

    @property
    def ledger(self) -> str:
        """Return the folder with what was spent, in a study with a cap."""
        return f"{self.results}/journal/ledger"

    def _cap(self, part: Part, kind: str, model: str) -> Cap:
        # What runs here costs no dollars.
        price = self.study.models[model].price if kind == "openai" else Price()
        return Cap(
            ledger=self.ledger,
            max_teacher_queries=self.max_teacher_queries,
            max_usd=self.max_usd,
            counts_queries=part == "teacher",
            usd_per_million_prompt_tokens=price.usd_per_million_prompt_tokens or 0.0,
            usd_per_million_completion_tokens=price.usd_per_million_completion_tokens or 0.0,
        )

    def _manner(self, model: str) -> dict[str, Any]:
        """Return what sets a model up, ends its texts, and how it is asked, where its file says so.

        How it is asked is that of the model's own file, as the code in `engine_code`.
        """
        config = self.study.models[model]
        asked = config.engine.manner()
        found = {"system": config.system, "stop": list(config.stop), "manner": asked}
        return {name: value for name, value in found.items() if value}

    def asked_models(self, jobs: Iterable[tuple[str, Mapping[str, str]]]) -> set[str]:
        """Return the models that some jobs ask for text, but for students.

        Args:
            jobs: name of the rule and wildcards of each.
        """
        found = set()
        for rule, wildcards in jobs:
            if rule == "write_questions":
                found.add(self.augmenter(wildcards["question_stream"])[0])
            elif rule in ("answer_questions", "sample_votes"):
                found.add(self.teacher(wildcards["stream"])[0])
        return found

    # --- analysis

    def titles(self) -> str:
        """Return how methods, tasks and models are called in figures, as JSON."""
        titles: dict[str, dict[str, str]] = {
            name: {"title": method.title, "short": method.short}
            for name, method in self.study.methods.items()
        }
        for named in (self.study.tasks, self.study.models):
            titles |= {name: {"title": config.title} for name, config in named.items()}
        return _json(titles)

    def prices(self) -> str:
        """Return what the tokens of each model cost in dollars per million, as JSON."""
        return _json(
            {
                name: model.price.model_dump(
                    include={"usd_per_million_prompt_tokens", "usd_per_million_completion_tokens"}
                )
                for name, model in self.study.models.items()
            }
        )

    def published(self) -> str:
        """Return the shifts that others saw, as JSON."""
        return _json([one.model_dump() for one in self.study.config.published])

    def remarks(self) -> str:
        """Return what to know in reading the study's findings, as JSON."""
        return _json(list(self.study.config.remarks))

    def comparison_settings(self) -> str:
        """Return how methods are compared, as JSON."""
        analysis = self.study.config.analysis
        return _json({"methods": list(self.study.methods), "confidence": analysis.confidence})

    def augmenter_settings(self) -> str:
        """Return how augmenters are compared, in the order in which blocks name them, as JSON."""
        named = [name for block in self.study.config.blocks for name in block.augmenters or ()]
        analysis = self.study.config.analysis
        return _json(
            {
                "methods": list(self.study.methods),
                "augmenters": list(dict.fromkeys(named)),
                "confidence": analysis.confidence,
            }
        )

    def contrasts(self) -> str:
        """Return what is tested of the results, as JSON."""
        found = self.study.contrasts.items()
        return _json(
            [{"name": name, **one.model_dump(exclude_defaults=True)} for name, one in found]
        )

    def fit_settings(self) -> str:
        """Return how curves are fitted, as JSON."""
        analysis = self.study.config.analysis
        return _json({"methods": list(self.study.methods), **analysis.model_dump()})

    def crossover_settings(self) -> str:
        """Return how crossovers are found, as JSON."""
        return _json({"confidence": self.study.config.analysis.confidence})

    def _point(self, key: str) -> Any:
        for points in (
            self.grid.dataset_by_key,
            self.grid.stream_by_key,
            self.grid.question_stream_by_key,
            self.grid.seed_set_by_key,
        ):
            if key in points:
                return points[key]
        raise ValueError(f"study {self.study.name!r} has nothing with the key {key!r}")


def _json(content: Mapping[str, Any] | Sequence[Any]) -> str:
    return json.dumps(content, sort_keys=True)
