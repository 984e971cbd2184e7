"""The items of a task, from wherever they come, and the databases that its scorer needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seedbed.tasks.data_sets import database_file, items_of
from seedbed.tasks.databases import copy_database
from seedbed.tasks.items import TaskItem
from seedbed.tasks.selection import SPLITS, select_all
from seedbed.tasks.settings import AnySource, DataSource, HubSource, WorldSource
from seedbed.tasks.worlds import load_world


@dataclass(frozen=True)
class Made:
    """The items of both splits.

    Attributes:
        splits: items by split.
        excluded: by split, the items left out, each with the reason.
        revision: commit of the hub that was taken, if the items come from there.
        modules: code that made them and is loaded by name.
    """

    splits: dict[str, list[TaskItem]]
    excluded: dict[str, dict[str, str]] = field(default_factory=dict)
    revision: str | None = None
    modules: tuple[str, ...] = ()


def make_items(
    source: AnySource, data_dir: Path | None, folder: Path, prompt_columns: Sequence[str] = ()
) -> Made:
    """Make the items of a task, and copy its databases into a folder.

    Args:
        source: where they come from.
        data_dir: folder with data sets in the hub's layout, or with the task's own files; None
            asks the hub.
        folder: gets `databases/`, if the task has any.
        prompt_columns: the data set's columns that prompts name.

    Raises:
        ValueError: if the data set does not fit what the source says of it.
    """
    if isinstance(source, WorldSource):
        world = load_world(source.world)
        world.write_files(folder)
        return Made(
            {
                "train": world.items("train", source.train_items, source.seed),
                "test": world.items("test", source.test_items, source.seed),
            },
            modules=(f"seedbed.tasks.worlds.{source.world}",),
        )
    rows = revision_taken(source) if data_dir is None else source
    chosen = select_all(rows, data_dir, prompt_columns)
    splits: dict[str, list[TaskItem]] = {
        split: items_of(rows, chosen[split], split, data_dir) for split in SPLITS
    }
    for name in sorted({item.database for part in splits.values() for item in part} - {""}):
        file = database_file(rows, name.removesuffix(".sqlite"), data_dir)
        (folder / "databases").mkdir(exist_ok=True)
        copy_database(file, folder / "databases" / name)
    taken = rows.revision if data_dir is None and isinstance(rows, HubSource) else None
    return Made(splits, {split: chosen[split].excluded for split in SPLITS}, revision=taken)


def revision_taken(source: DataSource) -> DataSource:
    """Return a data set of the hub with the commit that is taken now.

    A branch may move, and later nobody could say which commit the items are of. Without a network,
    the hub's own library knows what it has at hand, and the revision stays as it is.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if not isinstance(source, HubSource):
        return source
    try:
        found = HfApi().dataset_info(source.hub, revision=source.revision).sha
    except (OfflineModeIsEnabled, HfHubHTTPError, OSError):
        return source
    return source.model_copy(update={"revision": found})
