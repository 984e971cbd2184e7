"""Fetch a model from the hub into a folder, or copy one from a folder; or name one of an endpoint.

The folder that is written is in the Transformers layout and holds model.json, which says where the
model came from, with a fingerprint that tells its weights from others. Of a model that only an
endpoint has, it holds model.json alone.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from seedbed.artifacts import replacing, write_json
from seedbed.models import api_fingerprint, fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance


def name_model(api: str, version: str | None, output: Path) -> None:
    """Write the folder of a model that only an endpoint has.

    Args:
        api: its name there.
        version: what tells it from others of that name, if anything does.
        output: folder to write.
    """
    with replacing(output) as folder:
        folder.mkdir()
        about = {"api": api, "version": version, "fingerprint": api_fingerprint(api, version)}
        write_json(folder / "model.json", about | provenance(__file__))


def get_model(hub: str | None, revision: str | None, path: Path | None, output: Path) -> None:
    """Write a model's folder.

    Args:
        hub: OWNER/NAME on the hub, or None.
        revision: its commit, branch or tag; None takes the newest. The commit is written down.
        path: a folder to copy, if not from the hub.
        output: folder to write.

    Raises:
        FileNotFoundError: if `path` holds no model.
    """
    with replacing(output) as folder:
        if hub is not None:
            from huggingface_hub import HfApi, snapshot_download

            # A branch may move while its files come in, and later nobody could say which they were.
            revision = HfApi().model_info(hub, revision=revision).sha
            snapshot_download(hub, revision=revision, local_dir=folder)
        else:
            if path is None or not (path / "config.json").is_file():
                raise FileNotFoundError(f"no model (config.json) in {path}")
            shutil.copytree(path, folder)
        about = {"hub": hub, "revision": revision, "path": None if path is None else str(path)}
        about |= {"fingerprint": fingerprint(folder)} | provenance(__file__)
        write_json(folder / "model.json", about)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--hub", help="OWNER/NAME on the hub")
    source.add_argument("--path", type=Path, help="folder in the Transformers layout")
    source.add_argument("--api", help="name at an endpoint")
    parser.add_argument("--revision", help="commit on the hub, or version at the endpoint")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    args = parser.parse_args()
    report = reporter("get_model")
    if args.api is not None:
        name_model(args.api, args.revision, args.output)
    else:
        get_model(args.hub, args.revision, args.path, args.output)
    report(f"{args.api or args.hub or args.path} is in {args.output}")


if __name__ == "__main__":
    main()
