import os
import subprocess
import sys
import textwrap

import pytest

from seedbed.engines import devices
from seedbed.engines.devices import VISIBLE, divided_gpus, use_gpus

CODE = """
import os, sys
from pathlib import Path
from seedbed.engines.devices import VISIBLE, use_gpus

use_gpus(int(sys.argv[1]), lambda text: print(text, file=sys.stderr, flush=True), Path(sys.argv[2]))
print(os.environ.get(VISIBLE), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Files of four GPUs, and of what else a driver puts beside them."""
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / "dev"
    folder.mkdir()
    for name in ("nvidia10", "nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (folder / name).touch()
    return folder


@pytest.fixture
def job(machine, tmp_path):
    """Start a process that takes GPUs and holds them until its input is closed."""
    started = []

    def start(count):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CODE), str(count), str(machine)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("visible", "count", "parts"),
    [
        ("4,5,6,7", 2, ["4,5", "6,7"]),
        ("GPU-a,GPU-b", 2, ["GPU-a", "GPU-b"]),
        (None, 4, ["0", "1", "2", "10"]),
        ("", 2, ["", ""]),
    ],
)
def test_gpus_are_divided_among_the_processes_of_a_job(machine, monkeypatch, visible, count, parts):
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    assert divided_gpus(count, machine) == parts


def test_gpus_that_cannot_be_divided_are_refused(machine, monkeypatch):
    monkeypatch.setenv(VISIBLE, "0,1,2")
    with pytest.raises(ValueError, match="2 copies of a model cannot share 3 GPUs"):
        divided_gpus(2, machine)


def taken(process):
    """Return the GPUs that a job got."""
    return process.stdout.readline().strip()


def test_jobs_of_one_machine_take_different_gpus(job):
    assert taken(job(1)) == "0"
    assert taken(job(2)) == "1,2"
    assert taken(job(1)) == "10"


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_a_job_waits_until_gpus_are_free_however_the_others_end(job, end):
    holders = [job(2), job(2)]
    held = [taken(holder).split(",") for holder in holders]
    assert sorted(held[0] + held[1]) == ["0", "1", "10", "2"]
    waiting = job(1)
    assert waiting.stderr.readline().strip() == "waiting for 1 of the 4 GPUs, which other jobs use"
    getattr(holders[0], end)()
    assert taken(waiting) in held[0]


def test_the_user_says_which_gpus_there_are(job, monkeypatch):
    monkeypatch.setenv(VISIBLE, "2, GPU-0a/1")
    assert taken(job(1)) == "2"
    assert taken(job(1)) == "GPU-0a/1"


def test_a_job_keeps_the_gpus_that_a_cluster_gave_it(machine, monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "3")
    use_gpus(1, pytest.fail, machine)
    use_gpus(2, pytest.fail, machine)
    assert os.environ[VISIBLE] == "3"
    assert not list(tmp_path.glob("seedbed-gpus*"))


def test_a_job_that_needs_none_sees_none(machine, monkeypatch):
    monkeypatch.setenv(VISIBLE, "0,1")
    use_gpus(0, pytest.fail, machine)
    assert os.environ[VISIBLE] == ""


def test_without_a_gpu_a_job_runs_on_the_cpu(machine, tmp_path):
    use_gpus(2, pytest.fail, tmp_path)
    assert VISIBLE not in os.environ


@pytest.mark.parametrize("count", [0, 1])
def test_a_slurm_job_sees_its_allocation_whatever_it_was_to_have(machine, monkeypatch, count):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv(VISIBLE, "5")
    use_gpus(count, pytest.fail, machine)
    assert os.environ[VISIBLE] == "5"
    monkeypatch.setenv(VISIBLE, "5,6,7")
    use_gpus(2, pytest.fail, machine)
    assert os.environ[VISIBLE] == "5,6"


def test_a_slurm_job_without_a_gpu_sees_none_of_its_node(machine, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    use_gpus(1, pytest.fail, machine)
    assert os.environ[VISIBLE] == ""


def test_jobs_inside_the_allocation_of_their_run_share_it(job, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SEEDBED_CONTROLLER_JOB", "17")
    monkeypatch.setenv(VISIBLE, "4,5")
    assert taken(job(1)) == "4"
    assert taken(job(1)) == "5"
    assert taken(job(0)) == ""
