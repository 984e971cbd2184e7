"""Reads and checks the configuration and the study of a run, before any rule exists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snakemake.exceptions import WorkflowError

from seedbed.config.documents import StudyError
from seedbed.config.folders import ConfigFolders
from seedbed.run.environment import read_environment
from seedbed.study.checks import check_data
from seedbed.study.config import RunConfig
from seedbed.study.loading import check_run_config, load_study
from seedbed.study.targets import Targets


def read_run(
    config: Mapping[str, object], folders: ConfigFolders, project: Path
) -> tuple[RunConfig, Targets]:
    """Return the run's configuration, and the study as the rules use it.

    Args:
        config: the configuration, as Snakemake read it.
        folders: the folders of the study's files.
        project: the project's folder, whose `.env` may hold keys for endpoints.

    Raises:
        WorkflowError: with all problems in the configuration or the study.
    """
    try:
        # Keys for endpoints; variables that are already set take precedence.
        for folder in dict.fromkeys((Path.cwd(), project)):
            read_environment(folder / ".env")
        run = check_run_config(config)
        study = load_study(
            run.study,
            folders,
            engines=run.engines,
            trainers=run.trainers,
            task=run.task,
            gpu_gb=run.gpu_gb,
        )
        if run.data_dir is not None and not run.partial:
            check_data(study, run.data_dir)
        if study.config.spend is None:
            return run, Targets.of(run, study, folders)
        # Imported here because it loads Polars, which is slow: a spend decides by scores.
        from seedbed.study.spend import spend_targets

        return run, spend_targets(run, study, folders)
    except StudyError as error:
        raise WorkflowError(str(error)) from None
