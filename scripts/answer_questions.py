"""Answer the questions of one shard of a stream with the teacher.

Without --questions, the seeds' own questions are asked, each as often as its turn comes. Answers
are kept in the journal as they arrive, so a run that was killed goes on from there.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import polars as pl

from seedbed.artifacts import write_parquet
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.answers import AnswerSettings, answer_questions
from seedbed.streams.command_line import engine_of, shard_parser
from seedbed.streams.journal import Journal
from seedbed.tasks.items import read_items


def main() -> None:
    """Run the command line."""
    parser = shard_parser(__doc__, AnswerSettings)
    parser.add_argument(
        "--questions", type=Path, nargs="?", help="the same shard of the question stream"
    )
    args = parser.parse_args()
    report = reporter("answer_questions")
    settings = AnswerSettings(stream=args.stream, **args.settings)
    model = read_fingerprint(args.model)
    answers = answer_questions(
        settings,
        read_items(args.seeds),
        pl.read_parquet(args.questions) if args.questions else None,
        args.start,
        args.stop,
        engine_of(args),
        Journal(args.journal, model),
        report,
    )
    about = {"settings": asdict(settings), "model": model} | provenance(
        __file__, [args.engine.module]
    )
    write_parquet(args.output, answers, about)
    report(f"{answers.height - answers['answer'].null_count()} of {answers.height} answered")


if __name__ == "__main__":
    main()
