"""Paths of a study's artifacts, and of the inputs of its jobs, by the keys of the grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from seedbed.config.folders import ConfigFolders
from seedbed.config.values import nearest
from seedbed.config.words import NONE
from seedbed.streams.mixtures import is_mixture
from seedbed.study.cells import Cell, Dataset, Grid, QuestionStream, Stream
from seedbed.study.loading import Study
from seedbed.study.shards import Shard
from seedbed.tasks.settings import DataSource, FilesSource

Part = Literal["augmenter", "teacher", "student", "judge"]

RESOURCES = "resources"

STATE = "state"
"""Folder in a study's results for the state of runs: response caches, ledger, notes and markers."""

STREAM_RULES = frozenset(
    {"write_questions", "answer_questions", "sample_answers", "check_answers", "verify_answers"}
)
"""Rules that make a shard of a stream, and extend it in place when more queries are needed. A shard
may contain more queries than needed."""


@dataclass(frozen=True)
class Paths:
    """A study, its grid, and the paths of its artifacts.

    Attributes:
        study: the study.
        grid: its grid.
        data_dir: folder with real data, if there is one.
        folders: folders of tasks and chat templates.
    """

    study: Study
    grid: Grid
    data_dir: str | None = None
    folders: ConfigFolders = field(default_factory=ConfigFolders)

    @property
    def results(self) -> str:
        """Folder of the study's results."""
        return f"results/{self.study.name}"

    @property
    def state(self) -> str:
        """Folder of the runs' state in these results."""
        return f"{self.results}/{STATE}"

    # --- tasks and models

    def task_folder(self, task: str) -> str:
        """Return the folder of a task's file and of its other files."""
        found = self._task_folders.get(task)
        if found is None:
            found = str(self.folders.find(f"tasks/{task}/task.yaml").parent)
            self._task_folders[task] = found
        return found

    @cached_property
    def _task_folders(self) -> dict[str, str]:
        # A plan asks for them once a job.
        return {}

    def task_data_dir(self, task: str) -> str:
        """Return the folder that a task is read from; "" for worlds and for the hub."""
        source = self.study.tasks[task].source
        if isinstance(source, FilesSource):
            return self.task_folder(task)
        return (self.data_dir or "") if isinstance(source, DataSource) else ""

    def task_files(self, task: str) -> list[str]:
        """Return the local files that a task is read from; none for worlds and for the hub."""
        source, data_dir = self.study.tasks[task].source, self.task_data_dir(task)
        if not data_dir or not isinstance(source, DataSource):
            return []
        files = [
            path for split in ("train", "test") for path in source.split_files(data_dir, split)
        ]
        return list(map(str, [*files, *source.database_files(data_dir)]))

    def test_items(self, key: str) -> str:
        """Return the file of the test items, for the key of a cell, dataset, stream or seed set."""
        return f"{RESOURCES}/tasks/task={self._task(key)}/test.parquet"

    def task_record(self, key: str) -> str:
        """Return the file with the digests of a task's databases; for keys, see `test_items`."""
        return f"{RESOURCES}/tasks/task={self._task(key)}/task.json"

    def model(self, name: str, task: str) -> str:
        """Return the folder of a model, for a task."""
        root = f"{RESOURCES}/models/model="
        origin = self.study.pretrained(name)
        if origin is None:
            return f"{root}{name}/source=fetched"
        parent, step = origin
        pretrain = self.study.models[parent].pretrain
        final = pretrain is not None and step == pretrain.steps
        part = "final" if final else f"step={step}"
        return f"{root}{parent}/world={self.study.world(name, task)}/{part}"

    def model_record(self, name: str, task: str) -> str:
        """Return a model's record, an output of the rule that makes the model."""
        folder = self.model(name, task)
        if self.study.pretrained(name) is None:
            return f"{folder}/model.json"
        return f"{Path(folder).parent}/final/model.json"

    def chat_template(self, name: str) -> list[str]:
        """Return the file of the chat template that replaces a model's own, if there is one."""
        file = self.study.models[name].chat_template
        return [] if file is None else [str(self.folders.find(f"models/{file}"))]

    # --- streams

    def seeds(self, key: str) -> str:
        """Return the seed set's file, for the key of a dataset, stream or seed set."""
        return f"{self.results}/seeds/{self._point(key).seed_set.key}/seeds.parquet"

    def shards(self, key: str) -> list[Shard]:
        """Return the shards of a stream in this study, by the key of the stream or a dataset."""
        point = self._point(key)
        stop = self._reach(point) if isinstance(point, Dataset) else self.grid.largest_budget(point)
        return self.study.shards.of(stop)

    def shard(self, key: str, index: str | int) -> Shard:
        """Return one shard of a stream.

        Raises:
            ValueError: if the study's budgets do not reach it.
        """
        found = self.shards(key)
        if int(index) >= len(found):
            raise ValueError(f"{key} has {len(found)} shards in this study, so no shard {index}")
        return found[int(index)]

    def shard_end(self, index: str | int) -> int:
        """Return one past the last query that a shard can hold, whatever the study's budgets."""
        return self.study.shards.end(int(index))

    def stop(self, rule: str, wildcards: Mapping[str, str]) -> int | None:
        """Return one past the last query of a stream that a job uses; None if it uses no stream.

        A file may contain more queries, and a file with fewer is extended.

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
        if rule in ("sample_answers", "verify_answers"):
            stop = min(stop, self.grid.largest_verified(self.grid.stream_by_key[key]))
        return stop

    def question_shards(self, key: str) -> list[str]:
        """Return the question shards under a dataset; none if it asks the seeds' own questions."""
        stream = self._point(key).question_stream
        return self._shard_files("questions", stream, key)

    def answer_shards(self, key: str) -> list[str]:
        """Return the answer shards under a dataset; none if it consists of real data."""
        stream = self._point(key).stream
        return self._shard_files("answers", stream, key)

    def check_shards(self, key: str) -> list[str]:
        """Return the validity checks of a dataset's answers; none for answers to the seeds."""
        dataset = self.grid.dataset_by_key[key]
        stream = None if self._keeps_answer(dataset) else dataset.stream
        return self._shard_files("checks", stream, key)

    def label_shards(self, key: str) -> list[str]:
        """Return the verification labels of a dataset's answers; none without a filter."""
        dataset = self.grid.dataset_by_key[key]
        stream = None if dataset.filter == NONE else dataset.stream
        return self._shard_files("labels", stream, key)

    def sample_shards(self, key: str) -> list[str]:
        """Return the self-consistency samples that a dataset pays for; none if it needs none."""
        dataset = self.grid.dataset_by_key[key]
        sampled = dataset.filter != NONE and not self._keeps_answer(dataset)
        stream = dataset.stream if sampled else None
        return self._shard_files("samples", stream, key)

    def questions_of_shard(self, key: str, index: str) -> list[str]:
        """Return the question shard under an answer shard; none for the seeds' own questions."""
        stream = self.grid.stream_by_key[key].question_stream
        return [] if stream is None else [self._shard_file("questions", stream.key, index)]

    def samples_of_shard(self, key: str, index: str | int) -> list[str]:
        """Return the self-consistency samples of a shard; none if seeds keep their answers."""
        kept = self._keeps_answer(self.grid.stream_by_key[key])
        return [] if kept else [self._shard_file("samples", key, index)]

    def augmenter(self, key: str) -> tuple[str, str]:
        """Return the name of a question stream's augmenter, and its task."""
        stream = self.grid.question_stream_by_key[key]
        return stream.augmenter, stream.task

    def teacher(self, key: str) -> tuple[str, str]:
        """Return the name of a stream's teacher, and its task."""
        stream = self.grid.stream_by_key[key]
        return stream.teacher, stream.task

    # --- cells

    def student(self, key: str) -> tuple[str, str]:
        """Return the name of a cell's student, and its task."""
        cell = self.cell(key)
        return cell.student, cell.task

    def judge(self, key: str) -> tuple[str, str]:
        """Return the name of the judge that grades a cell's answers, and the cell's task."""
        task = self.cell(key).task
        options = self.study.tasks[task].judge
        assert options is not None, f"no judge grades the answers of {task}"
        return options.judge, task

    def labels(self, task: str) -> list[str]:
        """Return the file of answers that people graded, if the task's judge has one."""
        options = self.study.tasks[task].judge
        file = None if options is None else options.labels
        return [] if file is None else [f"{self.task_folder(task)}/{file}"]

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

    def dataset_rows(self, key: str) -> str:
        """Return the dataset that a cell's student is trained on."""
        dataset = self.cell(key).dataset
        assert dataset is not None, f"{key} is a base model"
        return f"{self.results}/datasets/{dataset.key}/dataset.parquet"

    def dataset_record(self, key: str) -> list[str]:
        """Return the record of a cell's dataset; none for the base model."""
        dataset = self.cell(key).dataset
        return [] if dataset is None else [f"{self.results}/datasets/{dataset.key}/dataset.json"]

    def adapter(self, key: str) -> list[str]:
        """Return the files of a cell's adapter, its weights first; none for the base model."""
        if self.cell(key).untrained:
            return []
        folder = f"{self.results}/adapters/{key}"
        return [f"{folder}/adapter_model.safetensors", f"{folder}/training.json"]

    def labels_cache(self, key: str) -> str:
        """Return the folder of the judge's answers on the labels of a cell's task."""
        return f"{self.state}/judging/labels/task={self.cell(key).task}"

    def outputs(self, key: str) -> str:
        """Return the file with the answers of a cell's student that a judge grades."""
        return f"{self.results}/outputs/{key}/outputs.parquet"

    def evaluation_file(self, cell: Cell) -> str:
        """Return the file with the scores of a cell."""
        return f"{self.results}/evaluations/{cell.key}/evaluation.json"

    # --- parts

    def _shard_file(self, stage: str, stream: str, index: str | int) -> str:
        return f"{self.results}/{stage}/{stream}/shard={index}/{stage}.parquet"

    def _shard_files(
        self, stage: str, stream: Stream | QuestionStream | None, key: str
    ) -> list[str]:
        """Return the files of a stream under a dataset; none without a stream."""
        if stream is None:
            return []
        return [self._shard_file(stage, stream.key, shard.index) for shard in self.shards(key)]

    def _keeps_answer(self, point: Stream | Dataset) -> bool:
        # The parts of a mixture have been checked, each as its method needs.
        return is_mixture(point.method) or self.study.methods[point.method].keeps_answer

    def _reach(self, dataset: Dataset) -> int:
        return dataset.reach(self.study.config.verification.reach)

    def part_rows(self, key: str) -> list[str]:
        """Return the datasets whose rows a mixture has; none for the dataset of one method."""
        parts = self.grid.parts_by_key.get(key, ())
        return [f"{self.results}/datasets/{part.key}/dataset.parquet" for part in parts]

    def part_records(self, key: str) -> list[str]:
        """Return the records of the datasets that `part_rows` returns."""
        parts = self.grid.parts_by_key.get(key, ())
        return [f"{self.results}/datasets/{part.key}/dataset.json" for part in parts]

    def _task(self, key: str) -> str:
        return (self.grid.cell_by_key.get(key) or self._point(key)).task

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
