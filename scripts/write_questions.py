"""Write the questions of one shard of a question stream with an augmenter.

Query i starts from seed i mod S. What cannot be used, or fails its self-check, is tried again; a
query without a usable question stays in the table with an empty question and the reasons. Answers
of the model are kept in the journal as they arrive, so a run that was killed goes on from there.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

from seedbed.artifacts import write_parquet
from seedbed.engines import load_engine
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.journal import Journal
from seedbed.streams.questions import QuestionSettings, write_questions
from seedbed.tasks.items import read_items


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", required=True, help="key of the question stream")
    parser.add_argument("--seeds", type=Path, required=True, help="seeds.parquet of the seed set")
    parser.add_argument("--start", type=int, required=True, help="first query of the shard")
    parser.add_argument("--stop", type=int, required=True, help="one past its last query")
    parser.add_argument("--model", type=Path, required=True, help="folder of the augmenter")
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="prompts, limits and sampling, as JSON: see the class QuestionSettings",
    )
    parser.add_argument("--batch-size", type=int, default=256, help="prompts at a time")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--journal", type=Path, required=True, help="folder of finished answers")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    args = parser.parse_args()
    report = reporter("write_questions")
    settings = QuestionSettings(stream=args.stream, **args.settings)
    model = read_fingerprint(args.model)

    @cache
    def engine() -> object:
        return load_engine(args.model, batch_size=args.batch_size, threads=args.threads)

    questions = write_questions(
        settings,
        read_items(args.seeds),
        args.start,
        args.stop,
        engine,
        Journal(args.journal, model),
        report,
    )
    about = {"settings": asdict(settings), "model": model} | provenance(__file__)
    write_parquet(args.output, questions, about)
    report(f"{questions.height - questions['question'].null_count()} of {questions.height} usable")


if __name__ == "__main__":
    main()
