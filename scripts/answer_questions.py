"""Answer the questions of one shard of a stream with the teacher.

Without --questions, the seeds' own questions are asked, each as often as its turn comes. Answers
are kept in the journal as they arrive, so a run that was killed goes on from there. A file that
holds some of the queries already keeps its rows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from seedbed.artifacts import whole_file
from seedbed.engines.command_line import EngineStart
from seedbed.engines.sharing import Other, claimed
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.answers import SCHEMA, AnswerSettings, answer_questions
from seedbed.streams.command_line import asking_basis, fill, shard_parser
from seedbed.streams.extension import Basis, Part, extend
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
    engine = EngineStart(args, report)

    def shard(
        settings: dict[str, Any],
        seeds: Path | str,
        questions: Path | str | None,
        journal: Path,
    ) -> tuple[Basis, Callable[[int, int], pl.DataFrame]]:
        asked = AnswerSettings(**settings)
        items = read_items(Path(seeds))
        written = pl.read_parquet(questions).select("query", "question") if questions else None

        def answer(start: int, stop: int) -> pl.DataFrame:
            kept = Journal(journal, model)
            return answer_questions(asked, items, written, start, stop, engine.start, kept, report)

        rows = {} if written is None else {"questions": written}
        return asking_basis(asked, model, items, **rows), answer

    def answer_for(other: Other) -> None:
        told = (other.values[name] for name in ("settings", "seeds", "questions"))
        basis, answer = shard(*told, other.journal)
        fill(other, SCHEMA, basis, answer)

    settings = {"stream": args.stream, **args.settings}
    basis, answer = shard(settings, args.seeds, args.questions, args.journal)
    with claimed(args.journal, args.output, report):
        made_by = provenance(__file__, [args.engine.module])
        answers = extend(args.output, Part.of(args), SCHEMA, basis, answer, made_by)
    report(f"{answers.height - answers['answer'].null_count()} of {answers.height} answered")
    engine.share(answer_for)


if __name__ == "__main__":
    main()
