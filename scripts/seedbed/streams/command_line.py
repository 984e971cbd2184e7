"""What the command lines that fill one shard of a stream have in common."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from seedbed.artifacts import whole_file
from seedbed.engines.command_line import add_engine_options, add_sharing_option
from seedbed.models import read_fingerprint
from seedbed.streams.journal import Journal


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


def open_journal(args: argparse.Namespace, folder: Path | None = None) -> Journal:
    """Return the journal of the model to ask, asked as its engine says.

    Args:
        args: with the options of `add_model_options`.
        folder: the journal's; by default that of `--journal`.
    """
    model = args.engine.identity(read_fingerprint(args.model))
    return Journal(folder or args.journal, model, args.engine.ends)


def answered_by(journals: Iterable[Journal]) -> dict[str, list[str]]:
    """Return what an artifact says of the models that answered, if an endpoint named them."""
    names = sorted(set().union(*(journal.answered_by for journal in journals)) - {""})
    return {"answered_by": names} if names else {}


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which model to ask, how, and where its answers go."""
    add_engine_options(parser, "the model to ask")
    parser.add_argument("--journal", type=Path, required=True, help="folder of finished answers")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")
