"""Shared parts of the scripts that ask a model for one shard of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import polars as pl

from seedbed.engines.pending_jobs import PendingShard
from seedbed.engines.settings import Asked, EngineJob
from seedbed.models import answers_identity
from seedbed.provenance import Provenance
from seedbed.streams.extension import Basis, Make, Part, held, rows_digest
from seedbed.streams.response_cache import ResponseCache
from seedbed.tasks.items import TaskItem, to_frame


def open_cache(
    folder: Path, model: Path, engine: EngineJob, tolerant: bool = False
) -> ResponseCache:
    """Return the response cache of the model to ask.

    Args:
        folder: of the cache.
        model: folder of the model.
        engine: settings of the engine, and how it queries the model.
        tolerant: see `ResponseCache`.
    """
    identity = engine.identity(answers_identity(model, engine.kind))
    return ResponseCache(folder, identity, engine.ends, tolerant)


class AnsweredBy(TypedDict, total=False):
    """The models that answered, as an endpoint names them."""

    answered_by: list[str]


class ShardProvenance(Provenance, AnsweredBy):
    """A shard's record of how it was made."""


def answered_by(cache: ResponseCache) -> AnsweredBy:
    """Return the models that answered, for the record, if an endpoint named them."""
    names = sorted(cache.answered_by - {""})
    return {"answered_by": names} if names else {}


def asking_basis(
    settings: Asked, model: str, seeds: Sequence[TaskItem], **rows: pl.DataFrame
) -> Basis:
    """Return everything that determines a model's outputs for the queries of a shard.

    Args:
        settings: prompts, limits and sampling.
        model: identifies the model's answers: see `answers_identity`.
        seeds: the seed set, in order.
        rows: by name, the tables that its prompts are made from, with a row per query.
    """
    identity = {"settings": settings.content(), "model": model}
    return Basis(identity | {"seeds": rows_digest(to_frame(seeds))}, rows)


def fill(job: PendingShard, schema: pl.Schema, basis: Basis, make: Make) -> None:
    """Fill the response cache of a pending job with the answers that its shard's file lacks.

    Args:
        job: the job.
        schema: columns of its rows.
        basis: everything that determines its rows.
        make: see `extend`; the response cache keeps the answers.
    """
    part = Part(job.start, job.stop, job.stop if job.end is None else job.end)
    known = held(job.output, part, schema, basis)
    if known.stop < part.stop:
        make(range(known.stop, part.stop), False)
