"""What the command lines that ask a model have in common."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

from seedbed.engines import Engine, load_engine
from seedbed.engines.devices import use_gpus
from seedbed.engines.settings import EngineJob, OpenAISettings
from seedbed.engines.sharing import Other, Sharing, serve

SHARE_OF_TIME = 1 / 3
"""Of a job's time, in which it may begin to answer for another."""


def add_engine_options(parser: argparse.ArgumentParser, model: str) -> None:
    """Add the options that say which model to ask, and what runs it.

    Args:
        parser: gets the options `model`, `engine` and `threads`.
        model: which model it is, for the help.
    """
    parser.add_argument("--model", type=Path, required=True, help=f"folder of {model}")
    parser.add_argument(
        "--engine",
        type=EngineJob.from_json,
        default=EngineJob(),
        help="what runs it, as JSON: see the class EngineJob",
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")


def add_sharing_option(parser: argparse.ArgumentParser) -> None:
    """Add the options that say for which jobs to answer as well; `--output` is the own one."""
    parser.add_argument(
        "--sharing",
        type=Path,
        help="jobs that ask the same model, a line of JSON each: see the class Other",
    )
    parser.add_argument(
        "--minutes", type=float, help="after which the job is ended; others have a third of them"
    )


class EngineStart:
    """The engine of a command line, which is started when it is first needed."""

    def __init__(
        self, args: argparse.Namespace, progress: Callable[[str], None], lora_rank: int = 0
    ) -> None:
        """Take note of what to start.

        Args:
            args: with the options of `add_engine_options`.
            progress: called with lines of text.
            lora_rank: highest rank of the adapters that it will be used with, 0 for none.
        """
        self._args = args
        self._job = args.engine.model_copy(update={"place": _file(args.model)})
        self._progress = progress
        self._lora_rank = lora_rank
        self._since = time.monotonic()
        self._engine: Engine | None = None

    def start(self) -> Engine:
        """Return the engine, started: a full journal needs none."""
        if self._engine is None:
            settings = self._job.settings
            if not isinstance(settings, OpenAISettings):
                use_gpus(1 if settings.gpus is None else settings.gpus, self._progress)
            self._engine = load_engine(
                self._args.model, self._job, self._lora_rank, self._args.threads
            )
        return self._engine

    def share(self, answer: Callable[[Other], None]) -> None:
        """Answer for the jobs of `--sharing` too, if a model had to be loaded.

        Args:
            answer: fills the journal of one.
        """
        if self._engine is not None and self._args.engine.kind != "openai":
            minutes = self._args.minutes
            until = math.inf if minutes is None else self._since + 60 * minutes * SHARE_OF_TIME
            sharing = Sharing.read(self._args.sharing, self._args.output)
            serve(sharing, answer, self._progress, until)


def _file(model: Path) -> str:
    """Return the file that says what runs a model, by the model's folder."""
    names = [part.removeprefix("model=") for part in model.parts if part.startswith("model=")]
    return f"config/models/{names[0]}.yaml" if names else ""
