"""Answer the questions of one shard of a stream with the teacher.

Without --questions, the seeds' own questions are asked, each as often as its turn comes. Answers
are kept in the journal as they arrive, so a run that was killed goes on from there.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from seedbed.artifacts import whole_file, write_parquet
from seedbed.engines.command_line import EngineStart
from seedbed.engines.sharing import claimed
from seedbed.models import answers_identity, read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.answers import AnswerSettings, answer_questions
from seedbed.streams.command_line import shard_parser
from seedbed.streams.journal import Journal
from seedbed.tasks.items import read_items


def main() -> None:
    """Run the command line."""
    parser = shard_parser(__doc__, AnswerSettings)
    parser.add_argument(
        "--questions", type=whole_file, nargs="?", help="the same shard of the question stream"
    )
    args = parser.parse_args()
    report = reporter("answer_questions")
    model = read_fingerprint(args.model)
    identity = answers_identity(args.model, args.engine.kind)
    engine = EngineStart(args, report)

    def answer(
        settings: dict[str, Any],
        seeds: Path | str,
        questions: Path | str | None,
        start: int,
        stop: int,
        journal: Path,
    ) -> pl.DataFrame:
        return answer_questions(
            AnswerSettings(**settings),
            read_items(Path(seeds)),
            pl.read_parquet(questions) if questions else None,
            start,
            stop,
            engine.start,
            Journal(journal, identity),
            report,
        )

    settings = {"stream": args.stream, **args.settings}
    with claimed(args.journal, args.output, report):
        answers = answer(settings, args.seeds, args.questions, args.start, args.stop, args.journal)
    about = {"settings": asdict(AnswerSettings(**settings)), "model": model}
    about |= provenance(__file__, [args.engine.module])
    write_parquet(args.output, answers, about)
    report(f"{answers.height - answers['answer'].null_count()} of {answers.height} answered")
    engine.share(lambda other: answer(**other.values, journal=other.journal))


if __name__ == "__main__":
    main()
