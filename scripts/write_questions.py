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
from seedbed.endings import run
from seedbed.engines.command_line import EngineStart
from seedbed.engines.sharing import claimed
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.command_line import answered_by, open_journal, shard_parser
from seedbed.streams.journal import Journal
from seedbed.streams.questions import QuestionSettings, write_questions
from seedbed.tasks.items import read_items


def main() -> None:
    """Run the command line."""
    parser = shard_parser(__doc__, QuestionSettings)
    args = parser.parse_args()
    report = reporter("write_questions")
    model = read_fingerprint(args.model)
    engine = EngineStart(args, report)

    def write(
        settings: dict[str, Any], seeds: Path | str, start: int, stop: int, journal: Journal
    ) -> pl.DataFrame:
        asked = QuestionSettings(**settings)
        items = read_items(Path(seeds))
        return write_questions(asked, items, start, stop, engine.start, journal, report)

    settings = {"stream": args.stream, **args.settings}
    with claimed(args.journal, args.output, report):
        journal = open_journal(args)
        questions = write(settings, args.seeds, args.start, args.stop, journal)
    about = {"settings": asdict(QuestionSettings(**settings)), "model": model}
    about |= answered_by([journal]) | provenance(__file__, [args.engine.module])
    write_parquet(args.output, questions, about)
    report(f"{questions.height - questions['question'].null_count()} of {questions.height} usable")
    engine.share(lambda other: write(**other.values, journal=open_journal(args, other.journal)))


if __name__ == "__main__":
    run(main)
