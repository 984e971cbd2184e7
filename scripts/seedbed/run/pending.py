"""Jobs of a study that ask the same model: a job that has loaded it may answer for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypedDict

from seedbed.artifacts import write_text
from seedbed.engines.pending_jobs import (
    PLAN,
    PendingAnswering,
    PendingEvaluation,
    PendingJob,
    PendingJudging,
    PendingTraining,
    PendingWriting,
    write_plan,
)
from seedbed.streams.settings import AnswerSettings, QuestionSettings
from seedbed.study.job_settings import JobSettings
from seedbed.study.paths import Part
from seedbed.study.shards import Shard
from seedbed.training.record import TRAINING_RECORD
from seedbed.training.settings import StudentTraining, Trainer


class _OfShard(TypedDict):
    """Fields that all jobs on a shard have: see `PendingShard`."""

    output: Path
    cache: Path
    inputs: tuple[Path, ...]
    seeds: Path
    start: int
    stop: int
    end: int


class PendingJobs:
    """The jobs of a study by the model that they ask, in files that a run writes when it starts.

    The jobs' command lines do not hold them, because Snakemake keeps the command line of each job
    in memory during planning, and on disk afterwards. A study has thousands of jobs.
    """

    def __init__(self, flow: JobSettings, folder: str) -> None:
        """Store the study.

        Args:
            flow: the study.
            folder: the folder of the files.
        """
        self._flow = flow
        self._folder = folder

    def file(self, part: Part, key: str) -> str:
        """Return the file of the jobs that ask the same model for the same task.

        Args:
            part: the role of the model.
            key: the key of a stream or a cell.
        """
        model, task = getattr(self._flow, part)(key)
        return f"{self._folder}/{part}.{model}.{task}.jsonl"

    def trainings(self, key: str) -> str:
        """Return the file of the jobs that train the student of a cell."""
        return f"{self._folder}/training.{self._flow.student(key)[0]}.jsonl"

    def write(self, paths: Iterable[str]) -> None:
        """Write the list of files that a run is to make, and the pending jobs of each model.

        Each line of a model's file is a `seedbed.engines.pending_jobs.PendingJob`, in the order of
        the study. A model behind an endpoint needs no loading, and has no file.

        Args:
            paths: the outputs of the run's jobs.
        """
        planned = dict.fromkeys(paths)
        write_plan(Path(self._folder) / PLAN, planned)
        lines: dict[str, list[str]] = {}
        for file, about in self._jobs():
            found = lines.setdefault(file, [])
            if str((job := about()).output) in planned:
                found.append(job.line())
        for file, jobs in lines.items():
            write_text(file, "".join(jobs))

    def keep(self, paths: Iterable[str]) -> None:
        """Write the list of files that a run did not make; its other files are complete."""
        write_plan(Path(self._folder) / PLAN, paths)

    def _jobs(self) -> Iterator[tuple[str, Callable[[], PendingJob]]]:
        for part, key, about in self._asking():
            engine = self._flow.study.engine(getattr(self._flow, part)(key)[0])
            if engine.kind != "openai":
                yield self.file(part, key), about
        for cell in self._flow.grid.cells:
            if not cell.untrained:
                yield self.trainings(cell.key), partial(self._training, cell.key)

    def _asking(self) -> Iterator[tuple[Part, str, Callable[[], PendingJob]]]:
        for key in self._flow.grid.question_stream_by_key:
            for shard in self._flow.shards(key):
                yield "augmenter", key, partial(self._questions, key, shard)
        for key in self._flow.grid.stream_by_key:
            for shard in self._flow.shards(key):
                yield "teacher", key, partial(self._answers, key, shard)
        for cell in self._flow.grid.cells:
            yield "student", cell.key, partial(self._evaluation, cell.key)
            if cell.task in self._flow.grid.judged:
                yield "judge", cell.key, partial(self._judging, cell.key)

    def _questions(self, key: str, shard: Shard) -> PendingWriting:
        asked = QuestionSettings.model_validate({"stream": key, **self._flow.questions(key)})
        return PendingWriting(settings=asked, **self._shard("questions", key, shard))

    def _answers(self, key: str, shard: Shard) -> PendingAnswering:
        asked = AnswerSettings.model_validate({"stream": key, **self._flow.answers(key)})
        questions = self._flow.questions_of_shard(key, str(shard.index))
        about = self._shard("answers", key, shard, questions)
        return PendingAnswering(
            settings=asked, questions=Path(questions[0]) if questions else None, **about
        )

    def _evaluation(self, key: str) -> PendingEvaluation:
        adapter, cell = self._flow.adapter(key), self._flow.cell(key)
        judged = cell.task in self._flow.grid.judged
        return PendingEvaluation(
            output=Path(self._flow.outputs(key) if judged else self._flow.evaluation_file(cell)),
            cache=Path(self._flow.state, "evaluations", key),
            inputs=tuple(map(Path, [self._flow.test_items(key), *adapter])),
            adapter=Path(adapter[0]).parent if adapter else None,
        )

    def _judging(self, key: str) -> PendingJudging:
        answers = Path(self._flow.outputs(key))
        return PendingJudging(
            output=Path(self._flow.evaluation_file(self._flow.cell(key))),
            cache=Path(self._flow.state, "judging", key),
            inputs=(Path(self._flow.test_items(key)), answers),
            answers=answers,
        )

    def _training(self, key: str) -> PendingTraining:
        flow = self._flow
        return PendingTraining(
            output=Path(flow.results, "adapters", key, TRAINING_RECORD),
            cache=Path(flow.state, "adapters", key),
            inputs=(Path(flow.dataset_rows(key)), Path(flow.model_record(*flow.student(key)))),
            settings=StudentTraining.model_validate(flow.training(key)),
            trainer=Trainer.model_validate(flow.trainer(key)),
        )

    def _shard(self, stage: str, key: str, shard: Shard, asked: Iterable[str] = ()) -> _OfShard:
        results, seeds = self._flow.results, Path(self._flow.seeds(key))
        return {
            "output": Path(results, stage, key, f"shard={shard.index}", f"{stage}.parquet"),
            "cache": Path(self._flow.state, stage, key),
            "inputs": (seeds, *map(Path, asked)),
            "seeds": seeds,
            "start": shard.start,
            "stop": shard.stop,
            "end": self._flow.shard_end(shard.index),
        }
