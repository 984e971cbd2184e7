"""What the command lines that fill one shard of a stream have in common."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from seedbed.artifacts import whole_file
from seedbed.engines.command_line import add_engine_options, add_sharing_option


def shard_parser(description: str | None, settings: type) -> argparse.ArgumentParser:
    """Return a parser of the options that say which shard of a stream to fill, and with what.

    Args:
        description: what the script does.
        settings: the class whose attributes `--settings` gives, apart from `stream`.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--stream", required=True, help="key of the stream")
    parser.add_argument(
        "--seeds", type=whole_file, required=True, help="seeds.parquet of the seed set"
    )
    parser.add_argument("--start", type=int, required=True, help="first query of the shard")
    parser.add_argument("--stop", type=int, required=True, help="one past its last query")
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help=f"prompts, limits and sampling, as JSON: see the class {settings.__name__}",
    )
    add_model_options(parser)
    add_sharing_option(parser)
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which model to ask, how, and where its answers go."""
    add_engine_options(parser, "the model to ask")
    parser.add_argument("--journal", type=Path, required=True, help="folder of finished answers")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")
