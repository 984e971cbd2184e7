"""A script's engine: it starts on first use, and also answers for other jobs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from seedbed.engines import Engine, load_engine
from seedbed.engines.devices import use_gpus
from seedbed.engines.pending_jobs import Job, PendingOfModel, serve
from seedbed.engines.settings import ADAPTERS_AT_ONCE, EngineJob, OpenAISettings

SHARE_OF_TIME = 1 / 3
"""Share of a job's runtime during which it may start to answer for another job."""


class EngineStart:
    """An engine that starts on first use."""

    def __init__(
        self,
        model: Path,
        engine: EngineJob,
        threads: int,
        progress: Callable[[str], None],
        lora_rank: int = 0,
        batches: Path = Path("batches"),
    ) -> None:
        """Prepare the start.

        Args:
            model: folder of the model.
            engine: the engine and its settings.
            threads: number of CPU threads.
            progress: called with lines of text.
            lora_rank: highest LoRA rank of the adapters; 0 for no adapters.
            batches: folder of the records of batches that are under way through a Batch API.
        """
        self._model, self._threads = model, threads
        self._job = engine.model_copy(update={"place": _file(model), "batches": str(batches)})
        self._progress = progress
        self._lora_rank = lora_rank
        self._since = time.monotonic()
        self._engine: Engine | None = None

    def start(self) -> Engine:
        """Return the engine, and start it at the first call. A full response cache needs none."""
        if self._engine is None:
            settings = self._job.settings
            if not isinstance(settings, OpenAISettings):
                use_gpus(1 if settings.gpus is None else settings.gpus, self._progress)
            self._engine = load_engine(self._model, self._job, self._lora_rank, self._threads)
        return self._engine

    def share(
        self,
        file: Path | None,
        own: Path,
        runtime: float | None,
        kind: type[Job],
        answer: Callable[[Job], Iterable[object] | None],
    ) -> None:
        """Answer for other jobs too, if this job loaded a model.

        Args:
            file: list of jobs; see `PendingOfModel.read`.
            own: output of this job.
            runtime: time limit of this job in minutes; None for no limit.
            kind: class of the jobs.
            answer: fills another job's response cache, at once or while its result is iterated.
        """
        if self._engine is not None and self._job.kind != "openai":
            until = math.inf if runtime is None else self._since + 60 * runtime * SHARE_OF_TIME
            at_once = ADAPTERS_AT_ONCE if self._job.kind == "vllm" else 1
            pending = PendingOfModel.read(file, own, kind)
            serve(pending, answer, self._progress, until, at_once)


def _file(model: Path) -> str:
    """Return the configuration file of a model, from the path of the model's folder."""
    names = [part.removeprefix("model=") for part in model.parts if part.startswith("model=")]
    return f"config/models/{names[0]}.yaml" if names else ""
