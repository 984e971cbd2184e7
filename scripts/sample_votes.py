"""Ask the teacher again what it answered in one shard of a stream, to see whether it agrees.

Answers are kept in the journal as they arrive, so a run that was killed goes on from there.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

import polars as pl

from seedbed.artifacts import whole_file, write_parquet
from seedbed.endings import run
from seedbed.engines.command_line import EngineStart
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.checks import VoteSettings, sample_votes
from seedbed.streams.command_line import add_model_options, answered_by, open_journal


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", required=True, help="key of the stream")
    parser.add_argument("--answers", type=whole_file, required=True, help="answers of the shard")
    parser.add_argument("--stop", type=int, required=True, help="one past the last query to ask")
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="samples, limits and sampling, as JSON: see the class VoteSettings",
    )
    add_model_options(parser)
    args = parser.parse_args()
    report = reporter("sample_votes")
    settings = VoteSettings(stream=args.stream, **args.settings)
    model = read_fingerprint(args.model)
    journal = open_journal(args)
    votes = sample_votes(
        settings,
        pl.read_parquet(args.answers),
        args.stop,
        EngineStart(args, report).start,
        journal,
        report,
    )
    about = {"settings": asdict(settings), "model": model} | answered_by([journal])
    about |= provenance(__file__, [args.engine.module])
    write_parquet(args.output, votes, about)
    report(f"{votes.height} answers")


if __name__ == "__main__":
    run(main)
