"""Answer the questions of one shard of a stream with the teacher.

Without --questions, the seeds' own questions are asked, each as often as its turn comes. Answers
are kept in the journal as they arrive, so a run that was killed goes on from there.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

import polars as pl

from seedbed.artifacts import write_parquet
from seedbed.engines import load_engine
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.answers import AnswerSettings, answer_questions
from seedbed.streams.journal import Journal
from seedbed.tasks.items import read_items


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", required=True, help="key of the stream")
    parser.add_argument("--seeds", type=Path, required=True, help="seeds.parquet of the seed set")
    parser.add_argument(
        "--questions", type=Path, nargs="?", help="the same shard of the question stream"
    )
    parser.add_argument("--start", type=int, required=True, help="first query of the shard")
    parser.add_argument("--stop", type=int, required=True, help="one past its last query")
    parser.add_argument("--model", type=Path, required=True, help="folder of the teacher")
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="prompt, limit and sampling, as JSON: see the class AnswerSettings",
    )
    parser.add_argument("--batch-size", type=int, default=256, help="prompts at a time")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--journal", type=Path, required=True, help="folder of finished answers")
    parser.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    args = parser.parse_args()
    report = reporter("answer_questions")
    settings = AnswerSettings(stream=args.stream, **args.settings)
    model = read_fingerprint(args.model)

    @cache
    def engine() -> object:
        return load_engine(args.model, batch_size=args.batch_size, threads=args.threads)

    answers = answer_questions(
        settings,
        read_items(args.seeds),
        pl.read_parquet(args.questions) if args.questions else None,
        args.start,
        args.stop,
        engine,
        Journal(args.journal, model),
        report,
    )
    about = {"settings": asdict(settings), "model": model} | provenance(__file__)
    write_parquet(args.output, answers, about)
    report(f"{answers.height - answers['answer'].null_count()} of {answers.height} answered")


if __name__ == "__main__":
    main()
