"""What the command lines that fill one shard of a stream have in common."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from seedbed.artifacts import whole_file
from seedbed.engines.command_line import add_engine_options, add_sharing_option
from seedbed.engines.sharing import Other
from seedbed.streams.extension import Basis, Part, held, rows_digest
from seedbed.tasks.items import TaskItem, to_frame


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
    Part.add_options(parser)
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


def asking_basis(
    settings: Any, model: str, seeds: Sequence[TaskItem], **rows: pl.DataFrame
) -> Basis:
    """Return what determines what a model writes for the queries of a shard.

    Args:
        settings: a dataclass of prompts, limits and sampling.
        model: fingerprint of the model.
        seeds: the seed set, in order.
        rows: by name, what it is asked about, query by query.
    """
    identity = {"settings": asdict(settings), "model": model}
    return Basis(identity | {"seeds": rows_digest(to_frame(seeds))}, rows)


def fill(
    other: Other, schema: pl.Schema, basis: Basis, make: Callable[[int, int], pl.DataFrame]
) -> None:
    """Fill the journal of another job with what its shard's file lacks.

    Args:
        other: the job.
        schema: columns of its rows.
        basis: what its rows are determined by.
        make: see `extend`; what it returns is in the journal as well.
    """
    start, stop = other.values["start"], other.values["stop"]
    part = Part(start, stop, other.values.get("end", stop))
    known = held(other.output, part, schema, basis)
    if known.stop < part.stop:
        make(known.stop, part.stop)
