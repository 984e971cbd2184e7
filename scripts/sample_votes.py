"""Ask the teacher again what it answered in one shard of a stream, to see whether it agrees.

Answers are kept in the journal as they arrive, so a run that was killed goes on from there.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

import polars as pl

from seedbed.artifacts import whole_file, write_parquet
from seedbed.engines.command_line import EngineStart
from seedbed.models import answers_identity, read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.checks import VoteSettings, sample_votes
from seedbed.streams.command_line import add_model_options
from seedbed.streams.journal import Journal


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
    identity = answers_identity(args.model, args.engine.kind)
    votes = sample_votes(
        settings,
        pl.read_parquet(args.answers),
        args.stop,
        EngineStart(args, report).start,
        Journal(args.journal, identity),
        report,
    )
    about = {"settings": asdict(settings), "model": model} | provenance(
        __file__, [args.engine.module]
    )
    write_parquet(args.output, votes, about)
    report(f"{votes.height} answers")


if __name__ == "__main__":
    main()
