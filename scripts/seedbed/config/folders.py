"""Folders of configuration files: first the working directory's, then the project's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
"""The folder of the Snakefile."""


@dataclass(frozen=True)
class ConfigFolders:
    """Folders with `studies/`, `tasks/`, `methods/` and `models/`.

    Attributes:
        folders: the folders, in order of precedence.
    """

    folders: tuple[Path, ...] = (Path("config"),)

    @classmethod
    def of(cls, folders: Path | Sequence[Path] | ConfigFolders) -> ConfigFolders:
        """Return one or several folders as `ConfigFolders`."""
        if isinstance(folders, ConfigFolders):
            return folders
        return cls((folders,) if isinstance(folders, Path) else tuple(folders))

    @classmethod
    def of_run(cls, work: Path = Path()) -> ConfigFolders:
        """Return the folders of a run: `config` in its working directory, then the project's."""
        own, shared = work / "config", PROJECT / "config"
        same = own.is_dir() and own.samefile(shared)
        return cls((own,) if same else (own, shared))

    def find(self, name: str) -> Path:
        """Return the path of a file or folder; in the first folder if it exists in none."""
        found = (folder / name for folder in self.folders)
        return next((path for path in found if path.exists()), self.folders[0] / name)

    def glob(self, pattern: str) -> list[Path]:
        """Return the files that match a pattern, each from the first folder that has it."""
        found: dict[Path, Path] = {}
        for folder in self.folders:
            for path in folder.glob(pattern):
                found.setdefault(path.relative_to(folder), path)
        return [found[name] for name in sorted(found)]

    def name(self, path: str) -> str:
        """Return `config/...` for a file in the folders after the first; else the path."""
        for folder in self.folders[1:]:
            if path.startswith(f"{folder}/"):
                return f"config{path[len(str(folder)) :]}"
        return path

    def locate(self, name: str) -> Path:
        """Return the path of a file from the result of `name`."""
        inside = name.removeprefix("config/")
        return Path(name) if inside == name or len(self.folders) == 1 else self.find(inside)

    def __str__(self) -> str:
        """Return the folders that exist, for a message."""
        return " or ".join(str(folder) for folder in self.folders if folder.is_dir()) or "config"
