"""What the scripts that ask a model for one shard of a stream have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from seedbed.engines.settings import EngineJob
from seedbed.engines.sharing import Other
from seedbed.models import answers_identity
from seedbed.streams.extension import Basis, Part, held, rows_digest
from seedbed.streams.journal import Journal
from seedbed.tasks.items import TaskItem, to_frame


def open_journal(folder: Path, model: Path, engine: EngineJob) -> Journal:
    """Return the response cache of the model to ask, asked as its engine says.

    Args:
        folder: the cache's.
        model: folder of the model.
        engine: what runs it.
    """
    identity = engine.identity(answers_identity(model, engine.kind))
    return Journal(folder, identity, engine.ends)


def answered_by(journal: Journal) -> dict[str, list[str]]:
    """Return what is noted of the models that answered, if an endpoint named them."""
    names = sorted(journal.answered_by - {""})
    return {"answered_by": names} if names else {}


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
