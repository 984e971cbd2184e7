"""Gather the evaluations of a study into a table of cells and a table of items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seedbed.analysis.tables.collect import ResultError, collect, no_results
from seedbed.artifacts import parquet_rows, replacing, write_parquet
from seedbed.command_line import Checked, option, optional, run, several
from seedbed.provenance import provenance


def collect_results(
    evaluations: Sequence[Path],
    cells: Path,
    items: Path,
    csv: Path | None = None,
    missing: str = "",
) -> None:
    """Read evaluations, check them, and write the table of cells and the table of items.

    Args:
        evaluations: `evaluation.json` files; `predictions.parquet` lies beside each.
        cells: Parquet file to write, one row a cell.
        items: Parquet file to write, one row a cell and test item.
        csv: CSV file of the table of cells; beside the Parquet file if not given.
        missing: a line on the cells of the study that are not among the evaluations. Only with it,
            there may be none.

    Raises:
        ResultError: if an evaluation cannot be used, naming its file.
    """
    about = {"evaluations": len(evaluations), "missing": missing} | provenance(__file__)
    with parquet_rows(items) as scores:
        scores.metadata = about
        if evaluations or not missing:
            table = collect(evaluations, scores.add)
        else:
            table, none = no_results()
            scores.add(none)
    with replacing(csv or cells.with_suffix(".csv")) as temporary:
        table.write_csv(temporary)
    write_parquet(cells, table, about)


@dataclass(frozen=True, kw_only=True)
class Options(Checked):
    """Which evaluations to gather, and where to."""

    evaluations: tuple[Path, ...] = several(
        "evaluation.json files, each with predictions.parquet beside it", Path
    )
    missing: str = option(str, "a line on the cells that are missing", "")
    cells: Path = option(Path, "table of cells to write (Parquet)")
    csv: Path | None = optional(Path, "the same as CSV; else beside it, ending in .csv")
    item_scores: Path = option(Path, "table of items to write (Parquet)")


def job(args: Options) -> None:
    """Gather the evaluations."""
    predictions = (path.with_name("predictions.parquet") for path in args.evaluations)
    args.check(*args.evaluations, *predictions)
    collect_results(args.evaluations, args.cells, args.item_scores, args.csv, args.missing)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ResultError)


if __name__ == "__main__":
    main()
