"""Objects that all rules of a run share."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from snakemake.exceptions import WorkflowError

from seedbed.config.folders import ConfigFolders
from seedbed.run.commands import Commands, put_python_first
from seedbed.run.environment import keep_profile_configfiles
from seedbed.run.lists import Lists
from seedbed.run.parameters import JobParameters
from seedbed.run.pending import PendingJobs
from seedbed.run.reading import read_run
from seedbed.run.rule_code import RuleCode
from seedbed.run.snakemake_internals import Workflow, is_main, resource_limits
from seedbed.study.config import RunConfig
from seedbed.study.paths import RESOURCES
from seedbed.study.resources import JobResources, limits
from seedbed.study.targets import Targets


@dataclass(frozen=True)
class Shared:
    """A run and its study, and objects that the rules derive from them.

    Attributes:
        run: the configuration: which study to run, and how.
        flow: the study, with its paths, settings and end points.
        folders: the folders of the configuration.
        resources: the resources of its jobs.
        code: the code digests of its rules.
        command: returns the command of a rule.
        pending: its jobs by the model that they ask.
        lists: its long lists of files.
        parameters: params that several rules share.
    """

    run: RunConfig
    flow: Targets
    folders: ConfigFolders
    resources: JobResources
    code: RuleCode
    command: Commands
    pending: PendingJobs
    lists: Lists
    parameters: JobParameters

    @classmethod
    def of(
        cls,
        workflow: Workflow,
        config: MutableMapping[str, object],
        folders: ConfigFolders,
        project: Path,
        logger: logging.Logger,
    ) -> Shared:
        """Read the study of a run.

        Args:
            workflow: the workflow that is being read.
            config: its configuration, to which this adds the profile's configfiles.
            folders: the folders of the configuration.
            project: the folder with the rules' scripts and environments.
            logger: Snakemake's logger.

        Raises:
            WorkflowError: if the configuration or the study is invalid, or a job asks for more GPUs
                than the run has.
        """
        if is_main(workflow):
            keep_profile_configfiles(workflow, config, sys.argv[1:], logger.info)
        run, flow = read_run(config, folders, project)
        resources = JobResources(flow, run.gpu_model)
        if (said := resources.impossible(limits(resource_limits(workflow)))) is not None:
            raise WorkflowError(said)
        put_python_first()
        code = RuleCode(project / "scripts")
        constants = {
            "study": [flow.study.name],
            "spending": [f"{flow.results}/spending.json"],
            # The checksums of all results.
            "manifest": [f"{flow.results}/manifest.jsonl", f"{RESOURCES}/manifest.jsonl"],
        }
        pending = PendingJobs(flow, f"{flow.state}/pending")
        return cls(
            run=run,
            flow=flow,
            folders=folders,
            resources=resources,
            code=code,
            command=Commands(code.command, f"../envs/{run.environment}.yaml", constants),
            pending=pending,
            lists=Lists(f"{flow.state}/lists"),
            parameters=JobParameters(flow, pending, code.script),
        )
