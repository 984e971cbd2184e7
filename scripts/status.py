"""Say how a study stands: what is made, what runs, what failed and where its log is."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from seedbed.config.folders import ConfigFolders
from seedbed.run.status import status, text
from seedbed.study.cells import grid
from seedbed.study.loading import StudyError, load_study
from seedbed.study.workflow import Workflow


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of a file in config/studies")
    parser.add_argument("--json", action="store_true", help="as JSON")
    args = parser.parse_args()
    root, folders = Path(), ConfigFolders.of_run()
    try:
        study = load_study(args.study, folders)
    except StudyError as error:
        parser.error(str(error))
    found = status(Workflow(study, grid(study), folders=folders), root)
    sys.stdout.write(json.dumps(found, indent=2) + "\n" if args.json else text(found, root))


if __name__ == "__main__":
    main()
