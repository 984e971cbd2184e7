"""A cluster as a run meets it: its partitions, and whether they take what the run is to send."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config
from snakemake_executor_plugin_slurm.partitions import read_partition_file

from seedbed.run.partitions import Partitions, real_offers
from seedbed.run.submitting import Site, asked_by

SHOWN = 5


def partitions_of(file: Path | None) -> Partitions:
    """Return the partitions that jobs may go to.

    Args:
        file: that the profile names, by `slurm-partition-config`; None for SLURM's default.

    Raises:
        ValueError: if the file names a partition that is not there.
    """
    listed = None if file is None else read_partition_file(file)
    return Partitions(listed, *real_offers())


def check_jobs(jobs: Iterable[Any], partitions: Partitions, site: Site) -> None:
    """Raise an error for jobs that no partition takes, at any of their attempts.

    Args:
        jobs: that are to run.
        partitions: that they may go to.
        site: how the cluster wants to be asked.

    Raises:
        RuntimeError: with what they ask for, and what there is.
    """
    seen: set[str] = set()
    refused: dict[str, str] = {}
    for job in jobs:
        if job.is_local:
            continue
        first = asked_by(job, job.attempt, site)
        key = f"{job.rule.name} {sorted(map(str, first.resources.items()))}"
        if key in seen:
            continue
        seen.add(key)
        for attempt in range(1, job.restart_times + 2):
            try:
                partitions.choose(asked_by(job, attempt, site))
            except ValueError as error:
                which = f" at attempt {attempt}" if attempt > 1 else ""
                refused.setdefault(
                    job.rule.name, f"{job.rule.name} {_wildcards(job)}{which}: {error}"
                )
                break
    if refused:
        more = len(refused) - SHOWN
        raise RuntimeError(
            "\n".join([*refused.values()][:SHOWN])
            + (f"\nand {more} more rules" if more > 0 else "")
            + "\nSet what partitions offer in profiles/slurm/partitions.yaml, or let the jobs ask "
            "for less, as by --set-resources RULE:runtime=MINUTES"
        )


def _wildcards(job: Any) -> str:
    return " ".join(map(str, job.wildcards_dict.values()))


def keep_profile_configfiles(
    workflow: Any,
    config: MutableMapping[str, Any],
    words: Sequence[str],
    progress: Callable[[str], None],
) -> None:
    """Have the configuration of a profile count beside that of the command line.

    Snakemake leaves out the `configfile` of a profile, here what a site has, where the command line
    has one. What the command line says goes before.

    Args:
        workflow: the run, whose jobs are given the files too.
        config: its configuration, as read so far.
        words: the command line.
        progress: called with a line of text for each file.
    """
    given = workflow.config_settings.configfiles
    missing = [path for path in _profile_configfiles(words) if path not in given]
    if not missing:
        return
    for path in missing:
        update_config(config, load_configfile(path))
        progress(f"{path} counts beside --configfile, which goes before it")
    update_config(config, workflow.config_settings.overwrite_config)
    given[:0] = missing


def _profile_configfiles(words: Sequence[str]) -> list[Path]:
    """Return the configuration files that the profiles of a command line name."""
    from snakemake.cli import get_profile_dir

    names: list[str] = []
    for place, word in enumerate(words):
        if word in ("--profile", "--workflow-profile"):
            names += words[place + 1 : place + 2]
        elif word.startswith(("--profile=", "--workflow-profile=")):
            names.append(word.partition("=")[2])
    if not names:
        names = os.environ.get("SNAKEMAKE_PROFILE", "").split(",")
    files = []
    for name in filter(None, names):
        if (found := get_profile_dir(name) or get_profile_dir(f"profiles/{name}")) is None:
            continue
        profile = yaml.safe_load(found[1].read_text()) or {}
        listed = profile.get("configfile", profile.get("configfiles")) or []
        files += [listed] if isinstance(listed, str) else listed
    return [path for path in (Path(file).absolute() for file in files) if path.exists()]
