"""Reads the files of a study, and checks each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from seedbed.config.documents import Document, Problem, StudyError, read_document
from seedbed.config.folders import ConfigFolders
from seedbed.config.messages import explain
from seedbed.config.sections import Section
from seedbed.config.values import nearest
from seedbed.study.config import StudyConfig

_OF_COMPARISONS = ("blocks", "mixtures", "contrasts", "published", "remarks")
"""Keys that a study with `spend` does not take from its base."""

SectionT = TypeVar("SectionT", bound=Section)


@dataclass(frozen=True)
class File(Generic[SectionT]):
    """A file that was read and is valid by itself."""

    document: Document
    config: SectionT


class Files:
    """The folders of the configuration."""

    def __init__(self, folders: ConfigFolders) -> None:
        """List the existing files."""
        self.folders = folders
        self.studies = {path.stem for path in folders.glob("studies/*.yaml")}
        self.names = {
            "tasks": {path.parent.name for path in folders.glob("tasks/*/task.yaml")},
            "methods": {path.stem for path in folders.glob("methods/*.yaml")},
            "models": {path.stem for path in folders.glob("models/*.yaml")},
            "contrasts": {path.stem for path in folders.glob("contrasts/*.yaml")},
        }

    def path(self, kind: str, name: str) -> Path:
        """Return the path of the file of that name."""
        return self.folders.find(f"{kind}/{name}" + ("/task.yaml" if kind == "tasks" else ".yaml"))

    def read(
        self,
        path: Path,
        model: type[SectionT],
        problems: list[Problem],
        overrides: Mapping[str, object] | None = None,
    ) -> File[SectionT] | None:
        """Read and check one file; if it is invalid, add its problems and return None."""
        try:
            document = read_document(path)
        except StudyError as error:
            problems.extend(error.problems)
            return None
        if "base" in document.content and issubclass(model, StudyConfig):
            based = self._based(document, problems)
            if based is None:
                return None
            document = based
        if overrides:
            document = document.overriding(overrides)
        config = validate(document, model, problems)
        return None if config is None else File(document, config)

    def _based(self, document: Document, problems: list[Problem]) -> Document | None:
        """Return a study's file with the keys of its base that it leaves out."""
        name = document.content["base"]
        if not isinstance(name, str) or name not in self.studies:
            said = f"there is no study {name!r}; {nearest(str(name), self.studies, 'studies')}"
            problems.append(document.problem(said, "base"))
            return None
        base = read_document(path := self.path("studies", name))
        if "base" in base.content:
            said = f"{name} has a base itself, {base.content['base']}: name that one"
            problems.append(document.problem(said, "base"))
            return None
        if self.read(path, StudyConfig, problems) is None:
            return None
        taken = base.content
        if "spend" in document.content:
            taken = {key: value for key, value in taken.items() if key not in _OF_COMPARISONS}
        return replace(document, content=taken | document.content)


def validate(document: Document, model: type[SectionT], problems: list[Problem]) -> SectionT | None:
    """Return the content of a file; if it is invalid, add its problems and return None."""
    try:
        return model.model_validate(document.content)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            at, text = explain(detail)
            problems.append(document.problem(text, *at))
        return None
