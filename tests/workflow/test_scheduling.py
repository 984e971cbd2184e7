"""That Snakemake's own process does not look for jobs without end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from project import ROOT
from seedbed.run.snakemake_internals import earliest

SNAKEFILE = """
from seedbed.run.snakemake_internals import look_once_at_a_time

onstart:
    if {once}:
        look_once_at_a_time(workflow)
    looked = workflow.scheduler.job_selector
    def counted(jobs):
        with open("looks", "a") as file:
            file.write("look\\n")
        return looked(jobs)
    workflow.scheduler.job_selector = counted
rule all:
    input: expand("made/{{n}}", n=range(21)), expand("made/slow{{n}}", n=range(3))
rule make:
    output: touch("made/{{n,[0-9]+}}")
    priority: 1
    shell: "true"
# Once the others have ended, they leave the scheduler some seconds with one job that is ready.
rule make_slowly:
    output: touch("made/slow{{n}}")
    shell: "sleep 3"
"""


def test_of_planned_looks_the_earliest_counts():
    looks = threading.Semaphore(0)
    later = earliest(looks.release)
    for delay in (3600, 0.05, 0.05, 7200):
        later(delay)
    assert looks.acquire(timeout=30)
    # The others were not planned besides; and after a look another can be.
    assert not looks.acquire(timeout=0.5)
    later(0.05)
    assert looks.acquire(timeout=30)


@pytest.mark.parametrize("once", [True, False])
def test_looks_for_jobs_do_not_grow_with_jobs_that_ended(tmp_path, once):
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(once=once))
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "made").iterdir())) == 24
    looks = len((tmp_path / "looks").read_text().splitlines())
    # One at the start, after each job and each second, and no more; Snakemake's own are many more.
    most = 1 + 24 + time.monotonic() - start
    assert looks <= most if once else looks > most
