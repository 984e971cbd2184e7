"""The end points of a study: the artifacts of `snakemake all`, `datasets` and so on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seedbed.config.folders import ConfigFolders
from seedbed.config.words import NONE
from seedbed.study.cells import KINDS, Dataset, grid, wildcard_pattern
from seedbed.study.config import RunConfig
from seedbed.study.figures import figures, missing_text
from seedbed.study.job_settings import JobSettings, Settings
from seedbed.study.study import Study


@dataclass(frozen=True)
class Targets(JobSettings):
    """Everything that rules need from a study: end points, job settings, and paths.

    Attributes:
        partial: whether end points include only existing files.
    """

    partial: bool = False

    @classmethod
    def of(cls, run: RunConfig, study: Study, folders: ConfigFolders) -> Targets:
        """Return the targets of a study, for the workflow's own configuration.

        Args:
            run: the workflow's own configuration.
            study: the study.
            folders: folders of the study's files.
        """
        return cls(
            study,
            grid(study),
            data_dir=run.data_dir,
            folders=folders,
            max_teacher_queries=run.max_teacher_queries,
            max_usd=run.max_usd,
            wait=run.wait,
            partial=run.partial,
        )

    @property
    def page(self) -> str:
        """The page that a study ends with."""
        return f"{self.results}/report/index.html"

    def patterns(self) -> dict[str, str]:
        """Return the pattern of each wildcard: kinds of keys, tasks, models, and shards."""
        keys = {kind: wildcard_pattern(self.grid, kind) for kind in KINDS}
        return keys | self._other_patterns()

    def _other_patterns(self) -> dict[str, str]:
        tasks, models = "|".join(self.study.tasks), "|".join(self.study.models)
        return {"task": tasks, "model": models, "shard": r"\d+"}

    def evaluations(self) -> list[str]:
        """Return the evaluation files of all cells, baselines included."""
        return self._wanted(map(self.evaluation_file, self.grid.cells))

    def adapters(self) -> list[str]:
        """Return the records of all adapters."""
        return self._wanted(
            f"{self.results}/adapters/{cell.key}/training.json"
            for cell in self.grid.cells
            if not cell.untrained
        )

    def datasets(self) -> list[str]:
        """Return all datasets."""
        return self._dataset_files(self.grid.datasets, "dataset.parquet")

    def dataset_records(self) -> list[str]:
        """Return the records of the datasets of one method that students are trained on."""
        return self._dataset_files(self._of_methods(), "dataset.json")

    def example_datasets(self) -> list[str]:
        """Return the datasets for examples: the largest budget of each task and method."""
        largest: dict[tuple[str, str], Dataset] = {}
        for dataset in self._of_methods():
            place = (dataset.task, dataset.method)
            size = (dataset.filter == NONE, dataset.budget)
            known = largest.get(place)
            if known is None or size > (known.filter == NONE, known.budget):
                largest[place] = dataset
        return self._dataset_files(largest.values(), "dataset.parquet")

    def files(self) -> list[str]:
        """Return the files to request by path: scores, records of adapters, datasets."""
        return [*self.evaluations(), *self.adapters(), *self.datasets()]

    @cached_property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures that the study has cells for."""
        return tuple(figures(self.grid))

    def figure_files(self, *endings: str) -> list[str]:
        """Return the files of all figures with these endings."""
        return [f"{self.results}/figures/{name}.{end}" for name in self.figures for end in endings]

    def has_no_results_of(self, task: str | None, alone: bool) -> bool:
        """Return whether a task has no results, and the run makes none.

        Args:
            task: the task; None if none is named.
            alone: whether advice is the only target, so that the run trains no student.
        """
        if task is not None and task not in self.study.tasks and not self.partial:
            return True
        if not (self.partial or alone):
            return False
        return not any(map(Path.is_file, map(Path, map(self.evaluation_file, self.grid.cells))))

    def cells_of(self, task: str | None) -> int:
        """Return the number of cells of a task."""
        return sum(cell.task == task for cell in self.grid.cells)

    def assumed_prices(self, run: RunConfig) -> Settings:
        """Return the prices of queries by the cost estimate; empty if the task has results."""
        if run.task is None or run.results is not None:
            return Settings()
        cells = (cell for cell in self.grid.cells if cell.task == run.task)
        if any(Path(self.evaluation_file(cell)).is_file() for cell in cells):
            return Settings()
        # Imported here because it imports Polars, which planning does not need.
        from seedbed.study.query_prices import query_prices

        return query_prices(self, run.task)

    def missing(self) -> str:
        """Return a line on the cells without an evaluation; "" if none, or without `partial`."""
        if not self.partial:
            return ""
        cells = self.grid.cells
        absent = [cell for cell in cells if not Path(self.evaluation_file(cell)).is_file()]
        return missing_text(absent, len(cells))

    def _of_methods(self) -> list[Dataset]:
        trained = {cell.dataset for cell in self.grid.cells}
        return [one for one in self.grid.datasets if one in trained and not one.mixed]

    def _dataset_files(self, datasets: Iterable[Dataset], name: str) -> list[str]:
        return self._wanted(f"{self.results}/datasets/{one.key}/{name}" for one in datasets)

    def _wanted(self, paths: Iterable[str]) -> list[str]:
        return [path for path in paths if not self.partial or Path(path).is_file()]
