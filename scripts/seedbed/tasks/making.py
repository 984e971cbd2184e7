"""Creation of a task's items, from any source, and of the databases that its scorer needs."""

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
        excluded: for each split, the excluded items with their reasons.
        revision: commit of the data set on the hub, if the items come from there.
        modules: modules that made the items and that are imported by name.
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
        source: the source of the items.
        data_dir: folder with data sets in the hub's layout, or with the task's own files; None
            downloads from the hub.
        folder: folder in which `databases/` is created, if the task has databases.
        prompt_columns: the data set's columns that prompts use.

    Raises:
        ValueError: if the data set does not fit its description in the source.
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
    """Return a data set of the hub with its revision resolved to a commit.

    A branch may move, so the commit must be recorded. Without a network, the hub's library uses its
    cache, and the revision stays unchanged.
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
