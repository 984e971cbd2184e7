"""What a user sees of a run on a cluster: what runs, what waits and why, and how Ctrl-C ends it."""

from __future__ import annotations

import json
import signal

STAGES = ("adapters", "evaluations")
MADE = [f"{stage}/task=*/method=question_rephrase/**/student=*" for stage in STAGES]


def status(run, *words):
    return run.clone.status(*words, **run.slurm.environment)


def numbers(run, state):
    """Return the numbers of a run's jobs in a state, according to SLURM."""
    return {job["JobId"] for job in run.active(state)}


def test_status_is_slurms_own_and_ctrl_c_ends_with_one_line(copied, start):
    run = start(copied.without(*MADE), "evaluations")

    def told():
        before = numbers(run, "RUNNING"), numbers(run, "PENDING")
        found = json.loads(status(run, "--json"))["run"]
        after = numbers(run, "RUNNING"), numbers(run, "PENDING")
        if before != after or not all(before):
            return False
        known = [{job["slurm"] for job in found[place]} for place in ("running", "queued")]
        return known[0] == before[0] and known[1] == before[1]

    run.until(told)
    said = status(run)
    assert "SLURM job" in said and "Jobs in the queue: " in said
    run.process.send_signal(signal.SIGINT)
    assert run.end(60) != 0
    lines = run.said().rstrip().splitlines()
    assert lines[-1].startswith("Interrupted: ") and "Traceback" not in run.said()
    said = status(run)
    assert said.startswith("Study micro: stopped (the last run was interrupted")
    assert "Failed" not in said
