"""What SLURM is asked for, and what becomes of a job that it does not take."""

import os
import signal
import subprocess
import time

import pytest
import yaml

from pretend_slurm import pretend
from project import FAST_SNAKEMAKE

MODEL = "resources/models/model=micro_student/world=mini_math/final/model.json"
PROFILE = ["--profile", "slurm"]
SOON = ["--slurm-init-seconds-before-status-checks", "1"]
SENT = "has been submitted with SLURM jobid"


@pytest.fixture
def slurm(tmp_path):
    return pretend(tmp_path / "slurm")


@pytest.fixture
def start(fresh, slurm, tmp_path):
    """Start Snakemake for one model; what it says goes to a file."""
    started = []

    def run(*arguments, target=MODEL, profile=PROFILE, **variables):
        output = tmp_path / f"run{len(started)}.log"
        environment = os.environ | slurm.environment | variables
        environment.pop("SLURM_CONF", None)
        with output.open("w") as file:
            process = subprocess.Popen(
                [*FAST_SNAKEMAKE, *profile, target, *arguments, *SOON, "--config", "study=micro"],
                cwd=fresh.folder,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        started.append((process, output))
        return process, output

    yield run
    for process, _ in started:
        process.kill()
        process.wait()


def wait_for(text, process, output, seconds=120):
    """Wait until a run says something."""
    end = time.monotonic() + seconds
    while text not in (said := output.read_text()):
        assert process.poll() is None, said
        assert time.monotonic() < end, said
        time.sleep(0.2)
    return said


def end(process):
    """End a run as SLURM ends one, and return its status."""
    process.send_signal(signal.SIGTERM)
    return process.wait(40)


def test_a_job_is_asked_for_as_the_site_wants(start, slurm, fresh, tmp_path):
    site = fresh.folder / "profiles/slurm/site.yaml"
    own = {
        "gpu_model": "h100-sxm",
        "gpu_request": "gres",
        "engines": {"micro_student": {"gpus": 1}},
    }
    site.write_text(yaml.safe_dump(own | {"cores_per_gpu": 6}))
    other = tmp_path / "mine.yaml"
    other.write_text(yaml.safe_dump({"max_usd": 5, "cores_per_gpu": 2}))
    run = start(
        *["--slurm-qos", "long", "--configfile", str(other)],
        *["--default-resources", "slurm_account='lab'", "slurm_extra='--mail-type=FAIL'"],
        "mem_mb_per_cpu=1000",
        # The run is a SLURM job itself.
        SLURM_JOB_ID="99",
        SLURM_CPUS_PER_TASK="1",
        CUDA_VISIBLE_DEVICES="3",
    )
    said = wait_for(SENT, *run)
    assert "SLURM job context" not in said
    (sent,) = slurm.sent()
    assert sent["--gres"] == "gpu:h100-sxm:1"
    assert "--gpus" not in sent
    assert sent["--qos"] == "long"
    assert sent["-A"] == "lab"
    assert sent["--mail-type"] == "FAIL"
    assert sent["-p"] == "gpu"
    # 4300 MB, at 1000 MB a core; mine.yaml goes before site.yaml, which counts beside it.
    assert sent["--mem-per-cpu"] == "1000"
    assert "--mem" not in sent
    assert sent["--cpus-per-task"] == "5"
    assert str(site) in sent["--wrap"]
    assert str(other) in sent["--wrap"]
    assert end(run[0]) == 1
    # What waits is cancelled, and nothing is locked.
    assert [f"--name={sent['--job-name']}", "--state=PENDING"] in slurm.cancelled()
    assert not [*(fresh.folder / ".snakemake/locks").glob("*")]
    site.write_text("gpu_model: null\nengines: {}\n")


def test_what_slurm_refuses_for_now_is_sent_again_and_nothing_is_sent_twice(start, slurm):
    slurm.refuse(
        "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: "
        "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
    )
    slurm.lose(
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    )
    run = start("--retries", "0")
    said = wait_for(SENT, *run)
    assert "SLURM takes no job now: QOSMaxSubmitJobPerUserLimit" in said
    assert "Error in rule" not in said
    # Refused once, taken once without an answer, and then found.
    assert slurm.tries() == 2
    (sent,) = slurm.sent()
    assert sent["--cpus-per-task"] == "1"
    assert not {"--gpus", "--gres", "--qos"} & sent.keys()
    assert end(run[0]) == 1


def test_what_slurm_never_takes_ends_the_run_after_one_try(start, slurm):
    slurm.refuse("sbatch: error: Batch job submission failed: Invalid qos specification")
    process, output = start()
    assert process.wait(120) == 1
    said = output.read_text()
    assert "SLURM does not take a job of pretrain_model" in said
    assert "Invalid qos specification" in said
    assert slurm.tries() == 1


def test_a_study_that_fits_no_partition_is_refused_at_the_start(start, slurm):
    slurm.say("scontrol", "PartitionName=cpu MaxTime=01:00:00\nPartitionName=gpu MaxTime=01:00:00")
    process, output = start("--set-resources", "pretrain_model:runtime=40 * attempt")
    assert process.wait(120) == 1
    said = output.read_text()
    assert "at attempt 2: no partition takes it: it asks for 80 minutes" in said
    assert "cpu offers 60 minutes" in said
    assert slurm.tries() == 0


def test_time_grows_to_what_a_partition_offers_though_squeue_fails_meanwhile(start, slurm):
    slurm.say("scontrol", "PartitionName=cpu MaxTime=00:45:00\nPartitionName=gpu MaxTime=00:45:00")
    slurm.state("FAILED")
    # More often than a look tries it. No job is forgotten.
    slurm.fail(7)
    process, output = start()
    assert process.wait(120) == 1
    first, second, third = (int(sent["-t"]) for sent in slurm.sent())
    assert (second, third) == (2 * first, 45)
    assert 3 * first > 45, output.read_text()


def test_a_run_without_the_profile_asks_for_the_default_partition_and_says_why_it_waits(
    start, slurm
):
    slurm.say("scontrol", "PartitionName=main Default=YES MaxTime=08:00:00")
    slurm.state("PENDING", "PartitionTimeLimit")
    run = start("--jobs", "2", profile=["--executor", "slurm"])
    wait_for(SENT, *run)
    (sent,) = slurm.sent()
    assert sent["-p"] == "main"
    # The jobs are found after a kill all the same.
    assert sent["--job-name"].startswith("seedbed_")
    # It would wait for ever, and says so within two minutes of being sent.
    said = wait_for("SLURM holds jobs back (PartitionTimeLimit", *run, seconds=100)
    assert "1 (pretrain_model)" in said
    assert end(run[0]) == 1
