"""The private parts of Snakemake and its SLURM executor that `snakemake_internals` uses.

They are checked on import. The names are from version 9.27. For a version that lacks one of them,
an error names the version to install.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import is_dataclass
from opcode import opmap
from types import CodeType
from typing import Any

# First, because Snakemake's modules import each other. Not from `snakemake.workflow`: Snakefiles
# run in its namespace, and may define another `Workflow` there.
from snakemake.api import Workflow  # isort: skip
import snakemake as package
import snakemake.workflow as workflow_module
import snakemake_executor_plugin_slurm as slurm_plugin
import snakemake_executor_plugin_slurm_jobstep as slurm_step
from snakemake import cli, common, io, parser
from snakemake.common import configfile
from snakemake.dag import DAG
from snakemake.exceptions import WorkflowError
from snakemake.executors.local import Executor as LocalExecutor
from snakemake.jobs import AbstractJob, Job, Reason
from snakemake.modules import WorkflowModifier
from snakemake.path_modifier import PathModifier
from snakemake.persistence import PersistenceBase
from snakemake.persistence.file import FilePersistence
from snakemake.rules import Rule
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings
from snakemake_executor_plugin_slurm import partitions as slurm_partitions
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from seedbed.snakemake_folder import INCOMPLETE, LOCKS, METADATA, NOTES, TEMPORARY

VERSION = "9.27"

PARTS: Mapping[Any, Sequence[str]] = {
    AbstractJob: ("is_group", "products"),
    ConfigSettings: ("configfiles", "overwrite_config"),
    DAG: (
        *("_checkpoint_jobs", "_dependencies", "_finished", "_jobid", "_len", "_n_until_ready"),
        *("_needrun", "_ready_jobs", "_running", "check_output_mtime", "depending", "finish"),
        *("finished", "forcefiles", "forcerules", "jobid", "jobs", "needrun_jobs", "omitforce"),
        *("reason", "rules_allowed_for_needrun", "target_jobs_rules", "targetfiles", "targetjobs"),
        *("targetrules", "toposorted", "update_needrun", "update_ready"),
    ),
    DAGSettings: ("forceall", "forcerun", "forcetargets", "targets"),
    FilePersistence: ("_io_read", "_lockfile"),
    Job: (
        *("attempt", "check_protected_output", "has_products", "input", "is_checkpoint"),
        *("is_local", "is_norun", "jobid", "log", "name", "output", "params", "resources"),
        *("restart_times", "rule", "threads", "wildcards_dict"),
    ),
    JobScheduler: (
        *("_executor", "_local_executor", "_open_jobs", "_schedule_reevalutation"),
        *("finished_jobs", "open_jobs"),
    ),
    LocalExecutor: ("pool",),
    OutputSettings: ("dryrun",),
    PathModifier: ("_prefix_replacements", "prefix"),
    PersistenceBase: (
        *("_get_backup_path", "code_changed", "finished", "input_changed", "lock"),
        *("max_checksum_file_size", "metadata", "params_changed", "restore_output"),
        "software_stack_changed",
    ),
    Reason: (
        *("clear", "code_changed", "forced", "input_changed", "mark_finished", "missing_output"),
        *("noio", "nooutput", "params_changed", "updated_input", "updated_input_run"),
    ),
    Rule: (
        *("benchmark", "benchmark_modifier", "conda_env", "expand_resources", "has_wildcards"),
        *("input", "is_producer", "log", "log_modifier", "message", "name", "norun", "output"),
        *("params", "resources", "shellcmd", "wildcard_names"),
    ),
    ThreadPoolExecutor: ("_max_workers",),
    Workflow: (
        *("_build_dag", "_onerror", "_onstart", "_onsuccess", "_prepare_dag", "async_run"),
        *("config_settings", "current_basedir", "dag", "dag_settings", "dryrun", "execute"),
        *("executor_plugin", "executor_settings", "global_resources", "globals"),
        *("is_main_process", "modifier"),
        *("output_settings", "persistence", "remote_exec", "rules", "scheduler", "unlock"),
        "workdir_init",
    ),
    WorkflowModifier: ("is_main_snakefile", "path_modifier"),
    cli: ("get_profile_dir",),
    io: ("strip_wildcard_constraints",),
    configfile: ("load_configfile",),
    slurm_partitions: ("read_partition_file",),
    slurm_plugin: (
        *("Executor", "get_job_wildcards", "get_submit_command", "validate_or_get_slurm_job_id"),
        "validate_slurm_extra",
    ),
    slurm_plugin.Executor: (
        *("_failed_nodes", "_job_submission_executor", "_report_job_error_threadsafe"),
        *("_report_job_submission_threadsafe", "_submitted_job_clusters", "_tmpdir"),
        *("cancel_jobs", "check_active_jobs", "format_job_exec", "report_job_error"),
        *("report_job_submission", "report_job_success", "run_job", "run_uuid", "shutdown"),
        *("sleep", "slurm_logdir"),
    ),
    slurm_plugin.ExecutorSettings: (
        *("init_seconds_before_status_checks", "partition_config", "pass_command_as_script"),
        "status_command",
    ),
    slurm_step: ("get_cpu_setting", "get_gpu_setting"),
    common: ("overwrite_function_params",),
    workflow_module: ("FilePersistence",),
    workflow_module.Rules: ("_rules",),
}
"""Attributes that modules, classes and their instances must have."""

ARGUMENTS: Mapping[Any, Sequence[str]] = {
    Workflow.execute: ("executor_plugin", "executor_settings"),
}
"""Arguments that methods must have."""

TEXTS: Mapping[Any, Sequence[str]] = {
    FilePersistence.__init__: (LOCKS.name, METADATA.name, INCOMPLETE.name),
    PersistenceBase.__init__: (str(NOTES),),
    RemoteExecutor.tmpdir.fget: (str(NOTES), TEMPORARY),
    # The parameters of the function that runs a rule's job.
    parser.Run.start: (" rule, ",),
}
"""Texts that the constants of functions must contain."""

_STORE_ATTRIBUTE = opmap["STORE_ATTR"]


def missing_parts(
    parts: Mapping[Any, Sequence[str]] = PARTS,
    arguments: Mapping[Any, Sequence[str]] = ARGUMENTS,
    texts: Mapping[Any, Sequence[str]] = TEXTS,
) -> list[str]:
    """Return the names of the parts that the installed Snakemake lacks."""
    missing = [
        f"{owner.__name__}.{name}"
        for owner, names in parts.items()
        for name in _lacking(owner, names)
    ]
    missing += [
        f"{method.__qualname__}({name})"
        for method, names in arguments.items()
        for name in names
        if name not in inspect.signature(method).parameters
    ]
    return missing + [
        f"{text!r} in {function.__qualname__}"
        for function, found in texts.items()
        for text in found
        if not any(text in said for said in function.__code__.co_consts if isinstance(said, str))
    ]


def _lacking(owner: Any, names: Sequence[str]) -> Iterator[str]:
    """Yield the names that a module or class lacks and its constructor does not set."""
    # Not `hasattr`: Snakemake has properties that raise an error for the class itself.
    lacking = [*{*names} - {*dir(owner)}]
    if not lacking or not inspect.isclass(owner):
        yield from lacking
        return
    made = {*(owner.__dataclass_fields__ if is_dataclass(owner) else ())}
    for base in owner.__mro__:
        for method in (vars(base).get("__init__"), vars(base).get("__post_init__")):
            if inspect.isfunction(method):
                made |= _stored(method.__code__)
    yield from (name for name in lacking if name not in made)


def _stored(code: CodeType) -> set[str]:
    """Return the names of the attributes that a function sets.

    `dis` finds the same names, but takes ten times as long at each start of Snakemake.
    """
    steps = zip(code.co_code[::2], code.co_code[1::2], strict=True)
    return {code.co_names[place] for step, place in steps if step == _STORE_ATTRIBUTE}


def refusal(version: str, missing: Sequence[str]) -> str | None:
    """Return why a version of Snakemake cannot run this workflow; None if it can."""
    if version.split(".")[:2] == VERSION.split(".") and not missing:
        return None
    lacks = f" lacks {', '.join(missing)}" if missing else ""
    return (
        f"Snakemake {version}{lacks or ' is not supported'}: this workflow needs version "
        f"{VERSION}, which `make env` or `pip install 'snakemake=={VERSION}.*'` installs"
    )


if (_said := refusal(package.__version__, missing_parts())) is not None:
    raise WorkflowError(_said)
