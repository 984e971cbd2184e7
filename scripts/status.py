"""Show the status of a study: finished results, jobs under way, and failed jobs with their logs."""

from __future__ import annotations

import sys
from pathlib import Path

if Path(__file__).resolve().parents[1] != Path.cwd():
    # A clone that is used from another folder is not changed.
    sys.dont_write_bytecode = True

# isort: split
from dataclasses import dataclass

from seedbed.command_line import option, run, switch
from seedbed.config.folders import ConfigFolders
from seedbed.run.status import status, text
from seedbed.study.loading import StudyError
from seedbed.study.spend import targets_by_name


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which study to look at."""

    study: str = option(str, "name of a file in config/studies, or of a spend in results")
    json: bool = switch("as JSON")


def job(args: Options) -> None:
    """Print the status of a study."""
    root, folders = Path(), ConfigFolders.of_run()
    found = status(targets_by_name(args.study, folders), root)
    sys.stdout.write(found.model_dump_json(indent=2) + "\n" if args.json else text(found, root))


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, StudyError)


if __name__ == "__main__":
    main()
