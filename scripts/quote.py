"""Say what a study costs, whole and as far as it is still to pay, before anything is asked.

Queries, tokens, money by model and stage, hours of computing, disk. Lengths are measured where
something was answered already, and assumed elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seedbed.artifacts import write_json
from seedbed.config.folders import ConfigFolders
from seedbed.provenance import provenance
from seedbed.study import quote
from seedbed.study.cells import grid
from seedbed.study.loading import load_study


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of a file in config/studies")
    parser.add_argument("--results", type=Path, required=True, help="folder of the study's results")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    study = load_study(args.study, ConfigFolders.of_run())
    found = quote.quote(study, grid(study), args.results)
    sys.stdout.write(quote.text(study, found))
    write_json(args.output, found.to_json() | {"study": study.name} | provenance(__file__))


if __name__ == "__main__":
    main()
