"""Estimate the cost of a study, in total and remaining, before any model is queried.

Prints queries, tokens, dollars by model and stage, hours of computing, and disk. Token counts are
measured where answers exist, and assumed elsewhere.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from seedbed.artifacts import write_json
from seedbed.command_line import option, optional, run
from seedbed.config.folders import ConfigFolders
from seedbed.provenance import provenance
from seedbed.study import quote
from seedbed.study.cells import grid
from seedbed.study.loading import load_study
from seedbed.study.paths import Paths
from seedbed.study.rows import Rows


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which study to estimate the cost of."""

    study: str = option(str, "name of a file in config/studies")
    results: Path = option(Path, "folder of the study's results")
    data_dir: str | None = optional(str, "folder with data sets in the hub's layout")
    output: Path = option(Path, "JSON file to write")


def job(args: Options) -> None:
    """Print a cost estimate."""
    folders = ConfigFolders.of_run()
    study = load_study(args.study, folders)
    cells = grid(study)
    rows = Rows(Paths(study, cells, args.data_dir, folders))
    found = quote.quote(study, cells, args.results, rows)
    sys.stdout.write(quote.text(study, found))
    write_json(args.output, found.to_json() | {"study": study.name} | provenance(__file__))


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
