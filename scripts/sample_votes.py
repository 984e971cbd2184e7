"""Ask the teacher again what it answered in one shard of a stream, to see whether it agrees.

Answers are kept in the journal as they arrive, so a run that was killed goes on from there. A file
that holds some of the queries already keeps its rows.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

import polars as pl

from seedbed.artifacts import whole_file
from seedbed.engines.command_line import EngineStart
from seedbed.engines.sharing import claimed
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.answers import is_whole
from seedbed.streams.checks import VOTES_SCHEMA, VoteSettings, sample_votes
from seedbed.streams.command_line import add_model_options
from seedbed.streams.extension import Basis, Part, extend
from seedbed.streams.journal import Journal


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", required=True, help="key of the stream")
    parser.add_argument("--answers", type=whole_file, required=True, help="answers of the shard")
    Part.add_options(parser)
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
    engine = EngineStart(args, report)
    part = Part.of(args)
    answers = part.rows(args.answers)
    identity = {"settings": asdict(settings), "model": model}
    basis = Basis(identity, {"answers": answers.filter(is_whole()).select("query", "prompt")})

    def sample(start: int, stop: int) -> pl.DataFrame:
        kept = Journal(args.journal, model)
        asked = answers.filter(pl.col("query") >= start)
        return sample_votes(settings, asked, stop, engine.start, kept, report)

    with claimed(args.journal, args.output, report):
        made_by = provenance(__file__, [args.engine.module])
        votes = extend(args.output, part, VOTES_SCHEMA, basis, sample, made_by)
    report(f"{votes.height} answers")


if __name__ == "__main__":
    main()
