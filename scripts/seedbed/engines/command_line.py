"""What the command lines that ask a model have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from seedbed.engines import Engine, EngineSettings, load_engine
from seedbed.engines.sharing import NOBODY, Other, Sharing, serve


def add_engine_options(parser: argparse.ArgumentParser, model: str) -> None:
    """Add the options that say which model to ask, and what runs it.

    Args:
        parser: gets the options `model`, `engine` and `threads`.
        model: which model it is, for the help.
    """
    parser.add_argument("--model", type=Path, required=True, help=f"folder of {model}")
    parser.add_argument(
        "--engine",
        type=EngineSettings.from_json,
        default=EngineSettings(),
        help="what runs it, as JSON: see the class EngineSettings",
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")


def add_sharing_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names jobs that ask the same model."""
    parser.add_argument(
        "--sharing",
        type=Sharing.from_json,
        default=NOBODY,
        help="jobs to answer for as well once the model is loaded, as JSON: see the class Sharing",
    )


class EngineStart:
    """The engine of a command line, which is started when it is first needed."""

    def __init__(self, args: argparse.Namespace, lora_rank: int = 0) -> None:
        """Take note of what to start.

        Args:
            args: with the options of `add_engine_options`.
            lora_rank: highest rank of the adapters that it will be used with, 0 for none.
        """
        self._args = args
        self._lora_rank = lora_rank
        self._engine: Engine | None = None

    def start(self) -> Engine:
        """Return the engine, started: a full journal needs none."""
        if self._engine is None:
            self._engine = load_engine(
                self._args.model, self._args.engine, self._lora_rank, self._args.threads
            )
        return self._engine

    def share(self, answer: Callable[[Other], None], progress: Callable[[str], None]) -> None:
        """Answer for the jobs of `--sharing` too, if a model had to be loaded.

        Args:
            answer: fills the journal of one.
            progress: called with a line of text for each.
        """
        if self._engine is not None and self._args.engine.kind != "openai":
            serve(self._args.sharing, answer, progress)
