"""Answer the questions of one shard of a stream with the teacher.

Without --questions, the teacher answers the seeds' own questions in turn. Answers enter the
response cache as they arrive, so a killed job resumes from there. If the output already has some of
the queries, their rows are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.artifacts import whole_file
from seedbed.command_line import json_of, option, optional, run
from seedbed.engines.pending_jobs import PendingAnswering, claimed
from seedbed.models import answers_identity
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.answers import answer_questions, columns_of
from seedbed.streams.asking import ShardProvenance, answered_by, asking_basis, fill
from seedbed.streams.extension import Basis, Make, extend
from seedbed.streams.options import Asking, Shard, Sharing
from seedbed.streams.settings import AnswerSettings
from seedbed.tasks.items import read_items


@dataclass(frozen=True, kw_only=True)
class Options(Asking, Sharing, Shard):
    """Which shard of a stream to fill, and with what."""

    stream: str = option(str, "key of the stream")
    seeds: Path = option(whole_file, "seeds.parquet of the seed set")
    questions: Path | None = optional(whole_file, "the same shard of the question stream")
    settings: AnswerSettings = option(
        json_of(AnswerSettings), "prompt, limit and sampling, as JSON"
    )
    answers: Path = option(Path, "Parquet file to write")


def job(args: Options) -> None:
    """Answer the questions of a shard."""
    report = reporter("answer_questions")
    model = answers_identity(args.model, args.engine.kind)
    engine = args.starting(report)

    def shard(
        asked: AnswerSettings, seeds: Path, questions: Path | None, folder: Path
    ) -> tuple[Basis, Make]:
        items = read_items(seeds)
        written = pl.read_parquet(questions).select("query", "question") if questions else None

        def answer(queries: Sequence[int], again: bool) -> pl.DataFrame:
            kept = args.response_cache(folder, again)
            found = answer_questions(asked, items, written, queries, engine.start, kept, report)
            made_by.update(answered_by(kept))
            return found

        rows = {} if written is None else {"questions": written}
        return asking_basis(asked, model, items, **rows), answer

    def answer_for(job: PendingAnswering) -> None:
        basis, answer = shard(job.settings, job.seeds, job.questions, job.cache)
        fill(job, columns_of(job.settings), basis, answer)

    settings = args.settings.model_copy(update={"stream": args.stream})
    basis, answer = shard(settings, args.seeds, args.questions, args.cache)
    with claimed(args.cache, args.answers, report):
        made_by: ShardProvenance = {**provenance(__file__, [args.engine.module])}
        columns = columns_of(settings)
        answers = extend(args.answers, args.part, columns, basis, answer, made_by)
    report(f"{answers.height - answers['answer'].null_count()} of {answers.height} answered")
    engine.share(args.pending, args.answers, args.runtime, PendingAnswering, answer_for)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
