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
from seedbed.models import answers_identity
from seedbed.streams.extension import Basis, Part, held, rows_digest
from seedbed.streams.journal import Journal
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


def open_journal(args: argparse.Namespace, folder: Path | None = None) -> Journal:
    """Return the journal of the model to ask, asked as its engine says.

    Args:
        args: with the options of `add_model_options`.
        folder: the journal's; by default that of `--journal`.
    """
    model = args.engine.identity(answers_identity(args.model, args.engine.kind))
    return Journal(folder or args.journal, model, args.engine.ends)


def answered_by(journal: Journal) -> dict[str, list[str]]:
    """Return what is noted of the models that answered, if an endpoint named them."""
    names = sorted(journal.answered_by - {""})
    return {"answered_by": names} if names else {}


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which model to ask, how, and where its answers go."""
    add_engine_options(parser, "the model to ask")
    parser.add_argument("--journal", type=Path, required=True, help="folder of finished answers")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")


def told(settings: Any) -> dict[str, Any]:
    """Return settings by name; how a model is asked is left out where it is as by default."""
    found = asdict(settings)
    return {name: value for name, value in found.items() if name != "manner" or value}


def asking_basis(
    settings: Any, model: str, seeds: Sequence[TaskItem], **rows: pl.DataFrame
) -> Basis:
    """Return what determines what a model writes for the queries of a shard.

    Args:
        settings: a dataclass of prompts, limits and sampling.
        model: what tells the model's answers from others: see `answers_identity`.
        seeds: the seed set, in order.
        rows: by name, what it is asked about, query by query.
    """
    identity = {"settings": told(settings), "model": model}
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
