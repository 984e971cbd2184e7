"""Fetch a model from the hub, copy one from a folder, or record one at an endpoint.

Writes a folder in the layout of Transformers with model.json, which records the model's source and
a fingerprint of its weights. For a model at an endpoint, the folder contains only model.json.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from seedbed.artifacts import replacing, write_text
from seedbed.chats import check_template, end_tokens, fixed_template, load_tokenizer
from seedbed.command_line import json_of, option, optional, run
from seedbed.models import RECORD, ModelRecord, api_fingerprint, fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance


def name_model(api: str, version: str | None, output: Path) -> None:
    """Write the folder of a model at an endpoint.

    Args:
        api: its name there.
        version: its version, if several models have that name.
        output: folder to write.
    """
    with replacing(output) as folder:
        folder.mkdir()
        print_of = api_fingerprint(api, version)
        record = ModelRecord(api=api, version=version, fingerprint=print_of, **provenance(__file__))
        record.write(folder / RECORD)


TEMPLATE = "chat_template.jinja"
WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf", "*.h5", "*.msgpack", "*.onnx*")
"""Files of weights of all libraries."""


@dataclass(frozen=True)
class Chats:
    """How chats with a model are formatted.

    Attributes:
        template: a file with a chat template that replaces the model's own; None for its own.
        values: fixed values for variables of the template.
        system: the system message, if any.
        trained: whether the model is a student, whose template must also suit training rows.
        thinking: whether it is also trained on the teacher's thinking.
    """

    template: Path | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    system: str | None = None
    trained: bool = False
    thinking: bool = False


def set_template(folder: Path, chats: Chats) -> None:
    """Write the chat template into a model's folder, and check it.

    Raises:
        ValueError: if the template does not support the model's role in the study.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, mistral_format=False)
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if chats.template is not None:
        template = chats.template.read_text(encoding="utf-8")
    if template and (chats.template is not None or chats.values):
        write_text(folder / TEMPLATE, fixed_template(template, chats.values))
    tokenizer = load_tokenizer(folder)
    ends = end_tokens(folder, tokenizer)
    check_template(tokenizer, ends, chats.system, chats.trained, chats.thinking)


def check_architecture(folder: Path) -> None:
    """Check that a student can be trained and evaluated.

    Raises:
        ValueError: if Transformers has no causal language model of its kind, or only one without
            the key-value cache that the engines need.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    config = AutoConfig.from_pretrained(folder)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ValueError(
            f"a model of the kind {config.model_type!r} cannot be a student: Transformers has no "
            "causal language model of this kind. Take a text model of its family, or use it only "
            "as teacher or augmenter, run by vLLM or an endpoint"
        )
    found: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    kinds = found if isinstance(found, tuple) else (found,)
    if not any("past_key_values" in signature(kind.forward).parameters for kind in kinds):
        raise ValueError(
            f"a model of the kind {config.model_type!r} cannot be a student: instead of a "
            "key-value cache, it has states from which the engine of Transformers cannot "
            "continue, and vLLM supports no adapters for it. Take a model with attention, or a "
            "hybrid model such as Falcon H1 or Granite 4. Or use it only as teacher or augmenter, "
            "run by vLLM or an endpoint"
        )


def get_model(
    hub: str | None,
    revision: str | None,
    path: Path | None,
    output: Path,
    chats: Chats = Chats(),
) -> None:
    """Write a model's folder.

    The weights come last, so that a model that is unsuitable for its role is refused before they
    are fetched.

    Args:
        hub: OWNER/NAME on the hub, or None.
        revision: its commit, branch or tag; None takes the newest. The commit is recorded.
        path: a folder to copy, if not from the hub.
        output: folder to write.
        chats: how chats with it are formatted.

    Raises:
        FileNotFoundError: if there is no model in `path`.
        ValueError: if its chat template does not support its role, or if it is a student of a kind
            that cannot be trained.
    """
    with replacing(output) as folder:
        if hub is not None:
            from huggingface_hub import HfApi, snapshot_download

            # The commit of a branch may change during the download, and would then be unknown.
            revision = HfApi().model_info(hub, revision=revision).sha
            _reuse(output, folder)
            whole = partial(snapshot_download, hub, revision=revision, local_dir=folder)
            whole(ignore_patterns=list(WEIGHTS))
        else:
            if path is None or not (path / "config.json").is_file():
                raise FileNotFoundError(f"no model (config.json) in {path}")
            _copy(path, folder, weights=False)
        if chats.trained:
            check_architecture(folder)
        set_template(folder, chats)
        if path is not None:
            _copy(path, folder, weights=True)
        else:
            whole(allow_patterns=list(WEIGHTS))
        record = ModelRecord(
            hub=hub,
            revision=revision,
            path=None if path is None else str(path),
            fingerprint=fingerprint(folder),
            **provenance(__file__),
        )
        record.write(folder / RECORD)


def _copy(path: Path, folder: Path, weights: bool) -> None:
    """Copy the weights of a model's folder, or all other files."""

    def others(place: str, names: list[str]) -> list[str]:
        found = {name for pattern in WEIGHTS for name in fnmatch.filter(names, pattern)}
        files = (name for name in names if not (Path(place) / name).is_dir())
        return [name for name in files if (name in found) != weights]

    shutil.copytree(path, folder, ignore=others, dirs_exist_ok=True)


def _reuse(old: Path, new: Path) -> None:
    """Link files from the folder that is replaced, so that unchanged ones are not downloaded again.

    The hub's client records the files' commit next to them, and checks whether they have changed.
    """
    try:
        if old.is_dir():
            shutil.copytree(old, new, copy_function=os.link)
            # It may come from the key chat_template instead of the hub.
            (new / TEMPLATE).unlink(missing_ok=True)
    except (OSError, shutil.Error):  # A file system without links.
        shutil.rmtree(new, ignore_errors=True)


@dataclass(frozen=True)
class Source:
    """The source of a model: one of `hub`, `path` and `api`.

    Attributes:
        hub: OWNER/NAME on the hub.
        path: folder in the Transformers layout.
        api: name at an endpoint.
        revision: commit on the hub, or version at the endpoint.
        template: values of the variables of its chat template.
    """

    hub: str | None = None
    path: str | None = None
    api: str | None = None
    revision: str | None = None
    template: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if [self.hub, self.path, self.api].count(None) != 2:
            raise ValueError("must have one of the keys hub, path and api")

    @property
    def name(self) -> str:
        """The model's name in messages."""
        return str(self.api or self.hub or self.path)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which model to get."""

    source: Source = option(
        json_of(Source),
        'its source, as JSON: {"hub": "OWNER/NAME", "revision": ...}, {"path": FOLDER}, or '
        '{"api": NAME, "revision": ...}; "template" sets variables of the chat template for the '
        "first two",
    )
    chat_template: Path | None = optional(Path, "chat template that replaces the model's own")
    chats: Chats = option(
        json_of(Chats),
        'the uses to check, as JSON: {"system": TEXT or null, "trained": true for a student, '
        '"thinking": true for a student that learns to think}',
        "{}",
    )
    folder: Path = option(Path, "folder to write")


def job(args: Options) -> None:
    """Get a model."""
    report = reporter("get_model")
    source = args.source
    if source.api is not None:
        name_model(source.api, source.revision, args.folder)
    else:
        path = None if source.path is None else Path(source.path)
        chats = replace(args.chats, template=args.chat_template, values=source.template)
        try:
            get_model(source.hub, source.revision, path, args.folder, chats)
        except ValueError as error:
            sys.exit(f"{source.name} is unsuitable for its role in the study: {error}")
    report(f"{source.name} is in {args.folder}")


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
