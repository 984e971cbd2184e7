"""Push the results of a spend to the hub: the data set, and the adapter as a model.

Both have the same name. With --hub-folder, copies the files to a folder in the hub's layout.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from seedbed.command_line import option, optional, run
from seedbed.endings import ExpectedError
from seedbed.progress import reporter

KINDS = {"dataset": "datasets/", "adapter": ""}
"""By folder of the results, the prefix of a repository's name in the hub's addresses."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to publish, and where."""

    bought: Path = option(Path, "folder with `dataset`, and optionally `adapter`")
    repo: str = option(str, "name on the hub, OWNER/NAME")
    hub_folder: Path | None = optional(Path, "folder to write to instead of the hub")


def lay(folder: Path, place: Path) -> None:
    """Replace a folder by a copy of another.

    Args:
        folder: the folder to copy.
        place: the folder to replace.
    """
    if place.exists():
        shutil.rmtree(place)
    shutil.copytree(folder, place)


def push(folder: Path, repo: str, kind: str) -> str:
    """Push a folder to the hub, and return its address there.

    Args:
        folder: its files replace those of the repository.
        repo: OWNER/NAME.
        kind: `dataset` or `model`.

    Raises:
        ExpectedError: if the hub refuses it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    hub = HfApi()
    try:
        # Private until its owner has reviewed it.
        hub.create_repo(repo, repo_type=kind, private=True, exist_ok=True)
        done = hub.upload_folder(
            folder_path=folder, repo_id=repo, repo_type=kind, delete_patterns="*"
        )
    except (HfHubHTTPError, OSError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ExpectedError(f"the hub does not take {repo}: {why}") from None
    return str(done)


def job(args: Options) -> None:
    """Publish the data set, and the adapter if there is one."""
    report = reporter("publish")
    for name, before in KINDS.items():
        folder = args.bought / name
        if not folder.is_dir():
            continue
        if args.hub_folder is None:
            report(push(folder, args.repo, "dataset" if name == "dataset" else "model"))
        else:
            place = args.hub_folder / f"{before}{args.repo}"
            lay(folder, place)
            report(str(place))


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
