import os

import pytest

from seedbed.run.slurm import SlurmJob, jobs_of
from seedbed.run.submitting import passes

POLICY = (
    "sbatch: error: {}\nsbatch: error: Batch job submission failed: Job violates accounting/QOS "
    "policy (job submit limit, user's size and/or time limits)"
)
FAILED = "sbatch: error: Batch job submission failed: "


@pytest.mark.parametrize(
    "said",
    [
        POLICY.format("QOSMaxSubmitJobPerUserLimit"),
        POLICY.format("AssocMaxSubmitJobLimit"),
        POLICY.format("AssocGrpSubmitJobsLimit"),
        FAILED + "Socket timed out on send/recv operation",
        FAILED + "Unable to contact slurm controller (connect failure)",
        FAILED + "Resource temporarily unavailable",
        FAILED + "Slurm temporarily unable to accept job, sleeping and retrying",
        FAILED + "Zero Bytes were transmitted or received",
        FAILED + "Requested partition configuration not available now",
        "[Errno 11] Resource temporarily unavailable",
    ],
)
def test_limits_and_a_silent_controller_pass(said):
    assert passes(said, lambda: False)


@pytest.mark.parametrize(
    "said",
    [
        FAILED + "Invalid account or account/partition combination specified",
        FAILED + "Invalid qos specification",
        "sbatch: error: invalid partition specified: gpus\n"
        + FAILED
        + "Invalid partition name specified",
        FAILED + "Requested node configuration is not available",
        FAILED + "Requested time limit is invalid (missing or exceeds some limit)",
        FAILED + "User's group not permitted to use this partition",
        POLICY.format("QOSMaxWallDurationPerJobLimit"),
        "sbatch: unrecognized option '--gpus=1'",
    ],
)
def test_what_slurm_will_never_take_does_not_pass(said):
    assert not passes(said, lambda: True)


def test_a_limit_without_a_name_passes_if_other_jobs_can_use_it_up():
    said = POLICY.partition("\n")[2]
    assert passes(said, lambda: True)
    assert not passes(said, lambda: False)


def test_slurm_is_asked_for_the_jobs_of_the_user_that_runs_and_not_of_a_name(tmp_path, monkeypatch):
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{tmp_path}/asked'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LOGNAME", "another")
    assert jobs_of(None) == []
    assert f"--user={os.getuid()}" in (tmp_path / "asked").read_text().splitlines()


@pytest.mark.parametrize(
    ("reason", "stuck"),
    [
        ("Priority", False),
        ("Resources", False),
        ("None", False),
        ("BeginTime", False),
        ("PartitionTimeLimit", True),
        ("PartitionNodeLimit", True),
        ("AssocMaxJobsLimit", True),
        ("QOSMaxGRESPerUser", True),
        ("DependencyNeverSatisfied", True),
        ("InvalidAccount", True),
        ("InvalidQOS", True),
        ("JobHeldUser", True),
        ("ReqNodeNotAvail, UnavailableNodes:gpu[1-4]", True),
        ("Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority", True),
        ("SomethingNew", True),
    ],
)
def test_a_reason_that_does_not_pass_by_itself_is_told(reason, stuck, tmp_path):
    job = SlurmJob("7", "PENDING", "seedbed_x", reason, "rule_train_student_wildcards_a", tmp_path)
    assert (job.stuck is not None) is stuck
    assert not stuck or reason in job.stuck
