"""Write the questions of one shard of a question stream with an augmenter.

Query i uses seed i mod S. If a question is unusable, or fails its self-check, the augmenter tries
again. A query without a usable question stays in the table, with an empty question and the reasons.
The model's answers enter the response cache as they arrive, so a killed job resumes from there. If
the output already has some of the queries, their rows are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.artifacts import whole_file
from seedbed.command_line import json_of, option, run
from seedbed.engines.pending_jobs import PendingWriting, claimed
from seedbed.models import answers_identity
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.asking import ShardProvenance, answered_by, asking_basis, fill
from seedbed.streams.extension import Basis, Make, extend
from seedbed.streams.options import Asking, Shard, Sharing
from seedbed.streams.questions import SCHEMA, write_questions
from seedbed.streams.settings import QuestionSettings
from seedbed.tasks.items import read_items


@dataclass(frozen=True, kw_only=True)
class Options(Asking, Sharing, Shard):
    """Which shard of a question stream to fill, and with what."""

    question_stream: str = option(str, "key of the question stream")
    seeds: Path = option(whole_file, "seeds.parquet of the seed set")
    settings: QuestionSettings = option(
        json_of(QuestionSettings), "prompts, limits and sampling, as JSON"
    )
    questions: Path = option(Path, "Parquet file to write")


def job(args: Options) -> None:
    """Write the questions of a shard."""
    report = reporter("write_questions")
    model = answers_identity(args.model, args.engine.kind)
    engine = args.starting(report)

    def shard(asked: QuestionSettings, seeds: Path, folder: Path) -> tuple[Basis, Make]:
        items = read_items(seeds)

        def write(queries: Sequence[int], again: bool) -> pl.DataFrame:
            kept = args.response_cache(folder, again)
            found = write_questions(asked, items, queries, engine.start, kept, report)
            made_by.update(answered_by(kept))
            return found

        return asking_basis(asked, model, items), write

    def write_for(job: PendingWriting) -> None:
        basis, write = shard(job.settings, job.seeds, job.cache)
        fill(job, SCHEMA, basis, write)

    settings = args.settings.model_copy(update={"stream": args.question_stream})
    basis, write = shard(settings, args.seeds, args.cache)
    with claimed(args.cache, args.questions, report):
        made_by: ShardProvenance = {**provenance(__file__, [args.engine.module])}
        questions = extend(args.questions, args.part, SCHEMA, basis, write, made_by)
    report(f"{questions.height - questions['question'].null_count()} of {questions.height} usable")
    engine.share(args.pending, args.questions, args.runtime, PendingWriting, write_for)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
