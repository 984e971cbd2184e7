"""What the command lines that ask a model have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

from seedbed.engines import EngineSettings


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
