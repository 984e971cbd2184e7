"""Verify the answers of one shard, by the seed's answer or by self-consistency samples.

SQL queries are run, read-only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.artifacts import whole_file
from seedbed.command_line import option, optional, run
from seedbed.evaluation.judging import judging_basis, scoring, scoring_modules
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.extension import extend, held_until
from seedbed.streams.options import Judging
from seedbed.streams.verification import LABELS_SCHEMA, verify_answers
from seedbed.tasks.items import read_items


@dataclass(frozen=True, kw_only=True)
class Options(Judging):
    """Which answers to verify, and how."""

    samples: Path | None = optional(
        whole_file, "self-consistency samples, where the seed's answer does not apply"
    )
    labels: Path = option(Path, "Parquet file to write")


def job(args: Options) -> None:
    """Verify the answers of a shard."""
    report = reporter("verify_answers")
    made_by = provenance(__file__, scoring_modules(args.settings, args.task_folder))
    part = args.part
    answers = part.rows(args.answers)
    judged = {"answers": answers.select("query", "question", "answer", "finish_reason")}
    samples = None
    if args.samples is not None:
        if (held_until(args.samples) or part.stop) < part.stop:
            raise ValueError(
                f"{args.samples} does not hold queries {part.start} to {part.stop - 1}: start "
                "snakemake again to have it extended"
            )
        samples = pl.read_parquet(args.samples)
        judged["votes"] = samples.select("query", "sample", "answer", "finish_reason")
    basis = judging_basis(args.settings, args.seeds, args.task, made_by["code"], **judged)

    by_kind = samples is not None
    with scoring(args.settings, args.task, args.task_folder, by_kind) as scorer:

        def verify(queries: Sequence[int], again: bool) -> pl.DataFrame:
            return verify_answers(
                answers.filter(pl.col("query").is_in([*queries])),
                samples,
                read_items(args.seeds),
                args.settings.kind,
                scorer,
            )

        labels = extend(args.labels, part, LABELS_SCHEMA, basis, verify, made_by)
    report(f"{int(labels['verified'].sum())} of {labels.height} verified")


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
