"""Write the questions of one shard of a question stream with an augmenter.

Query i starts from seed i mod S. What cannot be used, or fails its self-check, is tried again; a
query without a usable question stays in the table with an empty question and the reasons. Answers
of the model are kept in the journal as they arrive, so a run that was killed goes on from there.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from seedbed.artifacts import write_parquet
from seedbed.engines.command_line import EngineStart
from seedbed.engines.sharing import claimed
from seedbed.models import answers_identity, read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.command_line import shard_parser
from seedbed.streams.journal import Journal
from seedbed.streams.questions import QuestionSettings, write_questions
from seedbed.tasks.items import read_items


def main() -> None:
    """Run the command line."""
    parser = shard_parser(__doc__, QuestionSettings)
    args = parser.parse_args()
    report = reporter("write_questions")
    model = read_fingerprint(args.model)
    identity = answers_identity(args.model, args.engine.kind)
    engine = EngineStart(args, report)

    def write(
        settings: dict[str, Any], seeds: Path | str, start: int, stop: int, journal: Path
    ) -> pl.DataFrame:
        asked = QuestionSettings(**settings)
        kept = Journal(journal, identity)
        items = read_items(Path(seeds))
        return write_questions(asked, items, start, stop, engine.start, kept, report)

    settings = {"stream": args.stream, **args.settings}
    with claimed(args.journal, args.output, report):
        questions = write(settings, args.seeds, args.start, args.stop, args.journal)
    about = {"settings": asdict(QuestionSettings(**settings)), "model": model}
    about |= provenance(__file__, [args.engine.module])
    write_parquet(args.output, questions, about)
    report(f"{questions.height - questions['question'].null_count()} of {questions.height} usable")
    engine.share(lambda other: write(**other.values, journal=other.journal))


if __name__ == "__main__":
    main()
