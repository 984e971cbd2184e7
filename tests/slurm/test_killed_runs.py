"""Jobs and files that a killed or interrupted Snakemake on a cluster leaves behind."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from jobs import go_on, stopped
from same import assert_same

from cluster import ACTIVE, on, wait_until
from project import BIN, Clone

KEYS = ("adapters", "evaluations")
MADE = [f"{stage}/task=*/method=question_rephrase/**/student=*" for stage in KEYS]
EVALUATED = MADE[1]
OTHER = "login2"


def busy(run):
    """Return whether some jobs run and others wait, because there are two GPUs."""
    return len(run.active()) == 2 and run.active("PENDING")


def held(run):
    """Return whether the run is busy; stop its jobs as they start, so that none ends before."""
    return stopped(run.active()) and busy(run) and stopped(run.active())


def completed(run):
    """Return how often each job of the project completed."""
    return Counter(job["Comment"] for job in run.active("COMPLETED"))


def test_a_killed_run_is_gone_on_with_and_nothing_is_made_twice(copied, finished, start):
    clone = copied.without(*MADE)
    run = start(clone, "evaluations", warm=True)
    run.until(lambda: busy(run))
    under_way = {job["Comment"] for job in run.active()}
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()
    again = start(clone, "evaluations", warm=True)
    assert again.end() == 0, again.said()
    said = again.said()
    assert "waiting for SLURM jobs of a run that was killed" in said
    assert "an earlier run was killed: its lock on this folder is lifted" in said
    assert "nothing is made twice" in said
    counts = completed(again)
    assert set(counts.values()) == {1}
    assert under_way <= set(counts)
    assert len(counts) == 6
    assert_same(clone, finished)
    assert not clone.snakemake("--dry-run", "evaluations").stdout.count("rule train_student")
    # Files made after the kill are tracked like the others: an edit of one is noticed.
    study = clone.folder / "config/studies/micro.yaml"
    study.write_text(study.read_text().replace("lora_alpha: 8", "lora_alpha: 9"))
    assert clone.plan("adapters")["train_student"] == 12


def test_an_interrupted_run_takes_its_jobs_back(copied, finished, start):
    clone = copied.without(EVALUATED)
    run = start(clone, "evaluations")
    run.until(lambda: held(run))
    run.process.send_signal(signal.SIGINT)
    assert run.end(60) != 0
    wait_until(run.jobs_ended, "the end of its jobs")
    assert not run.active("COMPLETED")
    assert not clone.results("evaluations/task=*/method=question_rephrase/**/*.json")
    again = start(clone, "evaluations", warm=True)
    assert again.end() == 0, again.said()
    assert set(completed(again).values()) == {1}
    assert_same(clone, finished)


def told(clone, *words, host=None):
    """Return Snakemake's exit status and output in a copy."""
    done = subprocess.run(
        on(host, [str(BIN / "snakemake"), *words, "--config", "study=micro"]),
        cwd=clone.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def test_a_live_run_keeps_its_lock_and_a_dead_one_its_jobs_from_any_host(
    copied, finished, start, tmp_path
):
    if subprocess.run(on(OTHER, ["true"]), capture_output=True).returncode:
        pytest.skip("no other name of the machine can be set")
    clone = copied.without(EVALUATED)
    run = start(clone, "evaluations")
    run.until(lambda: held(run))
    at_work = run.active()
    locks = sorted((clone.folder / ".snakemake/locks").iterdir())
    status, said = told(clone, "--unlock", host=OTHER)
    assert status != 0
    assert f"as a run is alive: process {run.process.pid} on" in said
    status, said = told(clone, "evaluations", host=OTHER)
    assert status != 0
    assert "a run of micro is under way" in said
    # Neither a lost lock nor another copy with the same results lets another run in.
    assert sorted((clone.folder / ".snakemake/locks").iterdir()) == locks
    shutil.rmtree(clone.folder / ".snakemake/locks")
    status, said = told(clone, "evaluations", host=OTHER)
    assert status != 0
    assert "a run of micro is alive, though nothing locks its files" in said
    second = Clone(tmp_path / "second")
    shutil.copytree(
        clone.folder,
        second.folder,
        symlinks=True,
        ignore=lambda folder, names: {"results"} if Path(folder) == clone.folder else set(),
    )
    (second.folder / "results").symlink_to(clone.folder / "results")
    status, said = told(second, "evaluations")
    assert status != 0
    assert "another copy of the project writes the results of micro" in said
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()
    assert told(clone, "--unlock", host=OTHER)[0] == 0
    again = start(clone, "evaluations", host=OTHER, warm=True)
    again.until(lambda: "waiting for SLURM jobs of a run that was killed" in again.said())
    go_on(at_work)
    assert again.end() == 0, again.said()
    assert set(completed(again).values()) == {1}
    assert len(completed(again)) == 3
    assert_same(clone, finished)


def test_a_run_that_is_a_job_itself_ends_and_is_gone_on_with(
    copied, finished, start, command, slurm, tmp_path
):
    clone = copied.without(EVALUATED)
    log = tmp_path / "controller.log"
    options = ["--parsable", "--job-name=seedbed_all", f"--chdir={clone.folder}", "--mem=2000"]
    options += [f"--output={log}", f"--wrap=exec {shlex.join(command('evaluations'))}"]
    controller = slurm.said("sbatch", *options).strip()

    def jobs():
        ours = [job for job in slurm.jobs() if job["WorkDir"] == str(clone.folder)]
        return [job for job in ours if job["JobId"] != controller]

    def states():
        return sorted(job["JobState"] for job in jobs())

    def running():
        return [job for job in jobs() if job["JobState"] == "RUNNING"]

    def two_run():
        waits = stopped(running()) and states() == ["PENDING", "RUNNING", "RUNNING"]
        return waits and stopped(running())

    def over():
        found = {job["JobId"]: job["JobState"] for job in slurm.jobs()}
        return found[controller] not in ACTIVE

    wait_until(two_run, "jobs", 120)
    slurm.said("scancel", controller)
    wait_until(over, "the end of the run")
    said = log.read_text()
    assert "Running SLURM jobs continue" in said
    assert not [*(clone.folder / ".snakemake/locks").glob("*")]
    assert states() == ["CANCELLED", "RUNNING", "RUNNING"]
    go_on(running())
    again = start(clone, "evaluations", warm=True)
    assert again.end() == 0, again.said()
    counts = completed(again)
    assert len(counts) == 3
    assert set(counts.values()) == {1}, said + again.said()
    assert_same(clone, finished)
