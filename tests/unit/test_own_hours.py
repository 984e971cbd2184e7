"""Hours of the jobs that run models themselves: booked however a job or its run ends."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import study_folder as sf
from snakemake_interface_logger_plugins.common import LogEvent

from project import ROOT
from seedbed.run import progress as module
from seedbed.run.paying import Paying
from seedbed.run.progress import Progress
from seedbed.run.record import RUN_FILE, RunRecord
from seedbed.run.slurm import ran_seconds
from seedbed.study.cells import grid
from seedbed.study.loading import load_study
from seedbed.study.spending import Account
from seedbed.study.targets import Targets

STUDENT = "models/student.yaml"
PRICE = {"usd_per_gpu_hour": 3600.0, "date": "2026-01-31"}
"""A dollar a second."""
SCRIPT = f"""
import sys
sys.path[:0] = [{str(ROOT / "scripts")!r}, {str(ROOT / "tests")!r}, {str(ROOT / "tests/unit")!r}]
import time
from test_own_hours import begun
begun(jobs=2)
print("begun", flush=True)
time.sleep(600)
"""


class Job(SimpleNamespace):
    __hash__ = object.__hash__


def flow():
    """Return the study in the working directory, whose student has a price."""
    study = load_study("trial", Path("config"))
    return Targets(study, grid(study))


def run_file():
    """Return where a run of the study notes what it does."""
    return Path(flow().results) / RUN_FILE


def begun(jobs=1, queue=None):
    """Return what follows a run whose trainings have begun."""
    targets = flow()
    (cell, *_) = [cell.key for cell in targets.grid.cells if not cell.untrained]
    rule = SimpleNamespace(name="train_student")
    made = [
        Job(
            rule=rule, output=[f"o{n}"], log=[f"l{n}"], number=n, attempt=1,
            wildcards_dict={"trained_cell": cell}, benchmark=f"b{n}",
        )
        for n in range(jobs)
    ]  # fmt: skip
    jobs = SimpleNamespace(
        all=lambda: made,
        needed=lambda: made,
        number=lambda job: job.number,
        consumers=lambda job: [],
    )
    paying = Paying(targets)
    paying.open()
    module.HEARTBEAT_SECONDS = 0.2
    watch = Progress(jobs, run_file(), {}, str, paying=paying, queue=queue)
    watch.start()
    for job in made:
        tell(watch, LogEvent.JOB_STARTED, jobs=[job.number])
    return watch


def tell(watch, event, **fields):
    watch.emit(logging.makeLogRecord({"event": event, **fields}))


def trained():
    """Return the dollars of training that are booked."""
    targets = flow()
    lines = Account.of(targets.study, Path(targets.ledger)).record().lines
    return sum(line.usd or 0 for line in lines if line.stage == "training")


@pytest.fixture
def study(tmp_path, monkeypatch):
    files = sf.bend(sf.FILES, STUDENT, ("price",), PRICE)
    sf.write(tmp_path / "config", files)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", module.HEARTBEAT_SECONDS)


@pytest.mark.slow
def test_jobs_that_a_killed_run_left_are_booked_until_its_last_sign_and_once(study):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout.readline() == "begun\n"
    file = run_file()
    # Their start is on disk at once.
    first = json.loads(file.read_text())
    assert len(first["running"]) == 2
    # It gives signs while nothing happens.
    end = time.monotonic() + 60
    while json.loads(file.read_text())["noted"] < first["noted"] + 1:
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    last = json.loads(file.read_text())["noted"]
    used = sum(last - job["since"] for job in first["running"])
    assert used >= 2
    assert trained() == 0
    time.sleep(1)  # Nobody is there: it counts for nothing.
    for _ in range(2):  # As if the next run were killed before it said anything, too.
        Paying(flow()).open()
        assert trained() == pytest.approx(used, abs=0.1)
    start = time.monotonic()
    begun().end(True)
    assert used - 0.1 <= trained() <= used + time.monotonic() - start + 0.1


def test_a_job_that_went_on_without_its_run_is_booked_until_its_own_last_sign(study):
    watch = begun()
    file = run_file()
    noted = json.loads(file.read_text())
    watch.end(False)
    before = trained()
    file.write_text(json.dumps(noted))
    Path("l0").write_text("the job says something")
    since = noted["running"][0]["since"]
    os.utime("l0", (since + 50, since + 50))
    Paying(flow()).open()
    assert trained() - before == pytest.approx(50, abs=0.1)


def test_a_job_that_fails_or_is_left_at_the_end_is_booked(study):
    start = time.monotonic()
    watch = begun(jobs=2)
    time.sleep(0.5)
    tell(watch, LogEvent.JOB_ERROR, jobid=0, log=[], rule_msg=None)
    failed = trained()
    assert 0.4 <= failed <= time.monotonic() - start + 0.1
    time.sleep(0.5)
    watch.end(False)
    left = trained() - failed
    assert 0.9 <= left <= time.monotonic() - start + 0.1
    # A run that ended itself left nothing.
    Paying(flow()).open()
    assert trained() - failed == left


SCONTROL = """#!/bin/sh
[ "$*" = "--oneliner show job 41" ] || exit 1
echo "JobId=41 JobName=x Reason=None RunTime=1-02:03:04 TimeLimit=2-00:00:00 StartTime=..."
"""


def test_a_slurm_job_that_fails_is_booked_as_long_as_it_ran_and_not_waited(
    study, tmp_path, monkeypatch
):
    (tmp_path / "scontrol").write_text(SCONTROL)
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    ran = 26 * 3600 + 3 * 60 + 4
    assert (ran_seconds("41"), ran_seconds("42")) == (ran, None)
    watch = begun(jobs=2, queue=list)
    watch.submitted(0, "41")
    watch.submitted(1, "42")
    for number in range(2):
        tell(watch, LogEvent.JOB_ERROR, jobid=number, log=[], rule_msg="SLURM-job failed")
    watch.end(False)
    # SLURM knows nothing of the other one, and it was never seen to run.
    assert trained() == pytest.approx(ran, abs=0.01)


def test_without_a_cluster_nobody_knows_how_long_a_job_ran(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert ran_seconds("41") is None


def test_an_earlier_versions_note_of_a_run_is_read_and_a_broken_one_books_nothing(study):
    run_file().parent.mkdir(parents=True)
    job = {"rule": "train_student", "wildcards": {}, "since": 1.0}
    noted = {
        **{"started": 1, "noted": 2, "ended": None, "host": "h", "left": None, "blocked": 0},
        **{"stages": {"cells": [0, 2]}, "running": [job], "failed": []},
    }
    run_file().write_text(json.dumps(noted))
    found = RunRecord.read(run_file())
    assert (found.running[0].attempt, found.running[0].slurm, found.well) == (1, None, None)
    for text in ("{", json.dumps(noted | {"format": 99}), json.dumps(noted | {"running": [{}]})):
        run_file().write_text(text)
        Paying(flow()).open()
        assert trained() == 0
