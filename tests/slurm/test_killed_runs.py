"""What a run of Snakemake on a cluster leaves behind when it is killed or interrupted."""

from __future__ import annotations

import os
import signal
from collections import Counter

from same import assert_same

from cluster import wait_until

KEYS = ("adapters", "evaluations")
MADE = [f"{stage}/task=*/method=question_rephrase/**/student=*" for stage in KEYS]


def busy(run):
    """Return whether jobs run, and others wait, as there are two GPUs."""
    return len(run.active()) == 2 and run.active("PENDING")


def completed(run):
    """Return how often each job of the project ended well."""
    return Counter(job["Comment"] for job in run.active("COMPLETED"))


def test_a_killed_run_is_gone_on_with_and_nothing_is_made_twice(copied, finished, start):
    clone = copied(*MADE)
    run = start(clone, "evaluations")
    run.until(lambda: busy(run))
    under_way = {job["Comment"] for job in run.active()}
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()
    again = start(clone, "evaluations")
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
    # What was made after the kill is known as well as the rest: an edit of it is seen.
    study = clone.folder / "config/studies/micro.yaml"
    study.write_text(study.read_text().replace("lora_alpha: 8", "lora_alpha: 9"))
    assert clone.plan("adapters")["train_student"] == 12


def test_an_interrupted_run_takes_its_jobs_back(copied, finished, start):
    clone = copied(*MADE)
    run = start(clone, "evaluations")
    run.until(lambda: busy(run))
    run.process.send_signal(signal.SIGINT)
    assert run.end(60) != 0
    wait_until(run.jobs_ended, "the end of its jobs")
    assert not run.active("COMPLETED")
    assert not clone.results("adapters/task=*/method=question_rephrase/**/*.safetensors")
    again = start(clone, "evaluations")
    assert again.end() == 0, again.said()
    assert set(completed(again).values()) == {1}
    assert_same(clone, finished)
