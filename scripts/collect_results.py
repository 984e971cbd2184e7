"""Gather the evaluations of a study into a table of cells and a table of items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seedbed.analysis.tables.collect import ResultError, collect, no_results
from seedbed.artifacts import parquet_rows, replacing, write_parquet
from seedbed.command_line import Checked, option, optional, run, several
from seedbed.provenance import provenance


@dataclass(frozen=True, kw_only=True)
class Options(Checked):
    """Which evaluations to gather, and where to."""

    evaluations: tuple[Path, ...] = several(
        "evaluation.json files, each with predictions.parquet in its folder", Path
    )
    missing: str = option(str, "a line on the cells that are missing", "")
    cells: Path = option(Path, "table of cells to write (Parquet)")
    csv: Path | None = optional(Path, "the same as CSV; by default, next to it, as .csv")
    item_scores: Path = option(Path, "table of items to write (Parquet)")


def job(args: Options) -> None:
    """Check the evaluations, and write the table of cells and the table of items."""
    predictions = (path.with_name("predictions.parquet") for path in args.evaluations)
    args.check(*args.evaluations, *predictions)
    about = {"evaluations": len(args.evaluations), "missing": args.missing, **provenance(__file__)}
    with parquet_rows(args.item_scores) as scores:
        scores.metadata = about
        # Without evaluations, there must be a line on missing cells.
        if args.evaluations or not args.missing:
            table = collect(args.evaluations, scores.add)
        else:
            table, none = no_results()
            scores.add(none)
    with replacing(args.csv or args.cells.with_suffix(".csv")) as temporary:
        table.write_csv(temporary)
    write_parquet(args.cells, table, about)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ResultError)


if __name__ == "__main__":
    main()
