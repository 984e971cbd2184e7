"""Write the questions of one shard of a question stream with an augmenter.

Query i starts from seed i mod S. What cannot be used, or fails its self-check, is tried again; a
query without a usable question stays in the table with an empty question and the reasons. Answers
of the model are kept in the journal as they arrive, so a run that was killed goes on from there. A
file that holds some of the queries already keeps its rows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from seedbed.engines.command_line import EngineStart
from seedbed.engines.sharing import Other, claimed
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.command_line import asking_basis, fill, shard_parser
from seedbed.streams.extension import Basis, Part, extend
from seedbed.streams.journal import Journal
from seedbed.streams.questions import SCHEMA, QuestionSettings, write_questions
from seedbed.tasks.items import read_items


def main() -> None:
    """Run the command line."""
    parser = shard_parser(__doc__, QuestionSettings)
    args = parser.parse_args()
    report = reporter("write_questions")
    model = read_fingerprint(args.model)
    engine = EngineStart(args, report)

    def shard(
        settings: dict[str, Any], seeds: Path | str, journal: Path
    ) -> tuple[Basis, Callable[[int, int], pl.DataFrame]]:
        asked = QuestionSettings(**settings)
        items = read_items(Path(seeds))

        def write(start: int, stop: int) -> pl.DataFrame:
            kept = Journal(journal, model)
            return write_questions(asked, items, start, stop, engine.start, kept, report)

        return asking_basis(asked, model, items), write

    def write_for(other: Other) -> None:
        basis, write = shard(other.values["settings"], other.values["seeds"], other.journal)
        fill(other, SCHEMA, basis, write)

    part = Part.of(args)
    basis, write = shard({"stream": args.stream, **args.settings}, args.seeds, args.journal)
    with claimed(args.journal, args.output, report):
        made_by = provenance(__file__, [args.engine.module])
        questions = extend(args.output, part, SCHEMA, basis, write, made_by)
    report(f"{questions.height - questions['question'].null_count()} of {questions.height} usable")
    engine.share(write_for)


if __name__ == "__main__":
    main()
