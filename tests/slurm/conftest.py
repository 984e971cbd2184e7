"""A real SLURM for the tests of this folder, and copies of the finished study to run on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from cluster import ACTIVE, Cluster, cluster, missing, on, wait_until
from project import FAST_SNAKEMAKE, Clone, warm_environment

# The weaker augmenter has no GPU, so its jobs run in the partition without GPUs.
WITH_GPU = ("micro_teacher", "micro_student")
SITE = {"gpu_model": "h200", "engines": {model: {"gpus": 1} for model in WITH_GPU}}
QUICK = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"]
POLL_SECONDS = 0.3


@pytest.fixture(scope="session")
def slurm():
    """The daemons, in their own folder with a short path."""
    if (why := missing()) is not None:
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    try:
        with cluster(folder) as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Run:
    """A Snakemake process that runs on a cluster.

    Attributes:
        clone: the project in which it runs.
        slurm: the cluster.
        process: Snakemake.
        output: the file with its output.
    """

    clone: Clone
    slurm: Cluster
    process: subprocess.Popen[bytes]
    output: Path

    def jobs(self) -> list[dict[str, str]]:
        """Return SLURM's records of this project's jobs."""
        return [job for job in self.slurm.jobs() if job["WorkDir"] == str(self.clone.folder)]

    def active(self, state: str = "RUNNING") -> list[dict[str, str]]:
        """Return the jobs in a state."""
        return [job for job in self.jobs() if job["JobState"] == state]

    def jobs_ended(self) -> bool:
        """Return whether none of its jobs is pending or running."""
        return not any(job["JobState"] in ACTIVE for job in self.jobs())

    def said(self) -> str:
        """Return Snakemake's output so far."""
        return self.output.read_text(errors="replace")

    def until(self, condition: Callable[[], object], seconds: float = 120) -> None:
        """Wait until a condition is true while Snakemake runs."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(POLL_SECONDS)

    def end(self, seconds: float = 600) -> int:
        """Wait for Snakemake's exit, and return its status."""
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(seconds)
        pytest.fail(f"it goes on after {seconds:.0f} s: {self.said()}\n{self.jobs()}")


@pytest.fixture
def command(tmp_path):
    """Return Snakemake's command as typed, with this cluster as the site and faster job checks."""
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(SITE))

    def words(*arguments: str) -> list[str]:
        typed = [*map(str, FAST_SNAKEMAKE), "--profile", "slurm", *arguments, *QUICK]
        typed += ["--configfile", str(tmp_path / "site.yaml")]
        return [*typed, "--config", "study=micro"]

    return words


@pytest.fixture
def start(slurm, command, tmp_path):
    """Start Snakemake, on this machine or as if on one with another name.

    If a test checks only the results of jobs, their scripts can be warm, with exceptions.
    """
    started = []

    def run(
        clone: Clone,
        *arguments: str,
        host: str | None = None,
        warm: bool = False,
        cold: tuple[str, ...] = (),
    ) -> Run:
        output = tmp_path / f"run{len(started)}.log"
        environment = warm_environment() | {"COLD_JOBS": " ".join(cold)} if warm else os.environ
        with output.open("w") as file:
            process = subprocess.Popen(
                on(host, command(*arguments)),
                cwd=clone.folder,
                env=environment | slurm.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        started.append(Run(clone, slurm, process, output))
        return started[-1]

    yield run
    for one in started:
        one.process.kill()
        one.process.wait()
        if not one.jobs_ended():
            slurm.said(
                "scancel", *(job["JobId"] for job in one.jobs() if job["JobState"] in ACTIVE)
            )
            wait_until(one.jobs_ended, "the end of its jobs")
