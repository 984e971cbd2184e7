"""Options that several scripts share: of jobs that query a model, and of jobs on a shard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seedbed.artifacts import whole_file
from seedbed.command_line import json_of, option, optional
from seedbed.engines.settings import EngineJob
from seedbed.engines.start import EngineStart
from seedbed.evaluation.scorers.settings import Scoring
from seedbed.streams.asking import open_cache
from seedbed.streams.extension import Part
from seedbed.streams.response_cache import ResponseCache


@dataclass(frozen=True, kw_only=True)
class Asking:
    """The model to query, its engine, and the cache of its answers."""

    model: Path = option(Path, "folder of the model to ask")
    engine: EngineJob = option(
        json_of(EngineJob), "what runs it, as JSON: see the class EngineJob", "{}"
    )
    threads: int = option(int, "CPU threads", 1)
    cache: Path = option(Path, "folder of the response cache")

    def starting(self, progress: Callable[[str], None], lora_rank: int = 0) -> EngineStart:
        """Return the engine, which starts when it is first needed; see `EngineStart`."""
        # A folder per shard, because only one job at a time works on a shard.
        batches = self.cache / "batches" / str(getattr(self, "start", 0))
        return EngineStart(self.model, self.engine, self.threads, progress, lora_rank, batches)

    def response_cache(self, folder: Path | None = None, tolerant: bool = False) -> ResponseCache:
        """Return the model's response cache in a folder, by default `cache`."""
        return open_cache(folder or self.cache, self.model, self.engine, tolerant)


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """The pending jobs to answer for as well, while the model is loaded."""

    pending: Path | None = optional(
        Path,
        "file of the jobs that ask the same model, a line of JSON each: see PendingJob",
    )
    runtime: float | None = optional(
        float, "minutes after which the job is ended; other jobs get a third of them"
    )


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The queries that a job needs from one shard of a stream."""

    start: int = option(int, "first query of the shard")
    stop: int = option(int, "one past the last query that is needed")
    end: int | None = optional(int, "one past the last query that it can hold; else as --stop")

    @property
    def part(self) -> Part:
        """The part of the shard; empty if `stop` is before `start`."""
        stop = max(self.start, self.stop)
        return Part(self.start, stop, max(stop, self.end or stop))


@dataclass(frozen=True, kw_only=True)
class Judging(Shard):
    """The teacher's answers to judge, and the settings for it."""

    answers: Path = option(whole_file, "answers of the shard")
    seeds: Path = option(whole_file, "seeds.parquet of the seed set")
    task: Path = option(whole_file, "task.json of the task")
    task_folder: Path | None = optional(Path, "folder of the task's own function")
    settings: Scoring = option(
        json_of(Scoring), "kind and scorer of the task, as JSON: see config/README.md"
    )
