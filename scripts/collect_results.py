"""Gather the evaluations of a study into a table of cells and a table of items."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from seedbed.analysis.tables.collect import ResultError, collect, no_results
from seedbed.artifacts import listed_files, parquet_rows, replacing, write_parquet
from seedbed.checksums import add_manifest_option, check_inputs
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


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--evaluations",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="evaluation.json files, each with predictions.parquet beside it",
    )
    parser.add_argument(
        "--evaluations-list",
        type=listed_files,
        default=[],
        metavar="FILE",
        help="file with one such path a line",
    )
    # Snakemake leaves an empty text out of the command.
    parser.add_argument(
        "--missing", nargs="?", const="", default="", help="a line on the cells that are missing"
    )
    parser.add_argument(
        "--cells", type=Path, required=True, help="table of cells to write (Parquet)"
    )
    parser.add_argument(
        "--cells-csv", type=Path, help="the same as CSV (default: beside it, ending in .csv)"
    )
    parser.add_argument(
        "--items", type=Path, required=True, help="table of items to write (Parquet)"
    )
    add_manifest_option(parser)
    arguments = parser.parse_args()
    evaluations = [*arguments.evaluations, *arguments.evaluations_list]
    predictions = (path.with_name("predictions.parquet") for path in evaluations)
    check_inputs(arguments.manifest, [*evaluations, *predictions])
    try:
        collect_results(
            evaluations,
            arguments.cells,
            arguments.items,
            arguments.cells_csv,
            arguments.missing,
        )
    except ResultError as error:
        sys.exit(f"collect_results: {error}")


if __name__ == "__main__":
    main()
