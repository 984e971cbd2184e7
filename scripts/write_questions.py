"""Write the questions of one shard of a question stream with an augmenter.

Query i starts from seed i mod S. What cannot be used, or fails its self-check, is tried again; a
query without a usable question stays in the table with an empty question and the reasons. Answers
of the model are kept in the journal as they arrive, so a run that was killed goes on from there.
"""

from __future__ import annotations

from dataclasses import asdict

from seedbed.artifacts import write_parquet
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.command_line import engine_of, shard_parser
from seedbed.streams.journal import Journal
from seedbed.streams.questions import QuestionSettings, write_questions
from seedbed.tasks.items import read_items


def main() -> None:
    """Run the command line."""
    parser = shard_parser(__doc__, QuestionSettings)
    args = parser.parse_args()
    report = reporter("write_questions")
    settings = QuestionSettings(stream=args.stream, **args.settings)
    model = read_fingerprint(args.model)
    questions = write_questions(
        settings,
        read_items(args.seeds),
        args.start,
        args.stop,
        engine_of(args),
        Journal(args.journal, model),
        report,
    )
    about = {"settings": asdict(settings), "model": model} | provenance(
        __file__, [args.engine.module]
    )
    write_parquet(args.output, questions, about)
    report(f"{questions.height - questions['question'].null_count()} of {questions.height} usable")


if __name__ == "__main__":
    main()
