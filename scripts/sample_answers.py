"""Sample further answers of the teacher to the questions of one shard, for self-consistency.

Answers enter the response cache as they arrive, so a killed job resumes from there. If the output
already has some of the queries, their rows are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.artifacts import whole_file
from seedbed.command_line import json_of, option, run
from seedbed.engines.pending_jobs import claimed
from seedbed.models import answers_identity
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.answers import is_whole
from seedbed.streams.asking import ShardProvenance, answered_by
from seedbed.streams.extension import Basis, extend
from seedbed.streams.options import Asking, Shard
from seedbed.streams.settings import SampleSettings
from seedbed.streams.verification import SAMPLES_SCHEMA, sample_answers


@dataclass(frozen=True, kw_only=True)
class Options(Asking, Shard):
    """Which shard of a stream to answer again, and how."""

    stream: str = option(str, "key of the stream")
    answers: Path = option(whole_file, "answers of the shard")
    settings: SampleSettings = option(
        json_of(SampleSettings), "samples, limits and sampling, as JSON"
    )
    samples: Path = option(Path, "Parquet file to write")


def job(args: Options) -> None:
    """Sample further answers to the questions of a shard."""
    report = reporter("sample_answers")
    settings = args.settings.model_copy(update={"stream": args.stream})
    model = answers_identity(args.model, args.engine.kind)
    engine = args.starting(report)
    part = args.part
    answers = part.rows(args.answers)
    identity = {"settings": settings.content(), "model": model}
    basis = Basis(identity, {"answers": answers.filter(is_whole()).select("query", "prompt")})

    def sample(queries: Sequence[int], again: bool) -> pl.DataFrame:
        kept = args.response_cache(tolerant=again)
        asked = answers.filter(pl.col("query").is_in([*queries]))
        found = sample_answers(settings, asked, part.end, engine.start, kept, report)
        made_by.update(answered_by(kept))
        return found

    with claimed(args.cache, args.samples, report):
        made_by: ShardProvenance = {**provenance(__file__, [args.engine.module])}
        samples = extend(args.samples, part, SAMPLES_SCHEMA, basis, sample, made_by)
    report(f"{samples.height} answers")


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
