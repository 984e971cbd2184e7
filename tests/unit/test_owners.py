import os
import subprocess
import sys
from dataclasses import replace

import pytest

from seedbed.run import owners as module
from seedbed.run.owners import (
    Sign,
    forget,
    lift_locks,
    living,
    owners,
    seems_alive,
    this_run,
)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(module, "SILENT_SECONDS", 1.5)


@pytest.fixture
def elsewhere(monkeypatch):
    """Let what runs here look as if it ran on another machine."""
    own = module._boot
    monkeypatch.setattr(module, "_boot", lambda: "other")
    yield lambda: monkeypatch.setattr(module, "_boot", own)


def test_a_run_is_alive_while_its_process_is(tmp_path):
    script = f"""
from pathlib import Path
from seedbed.run.owners import Sign, this_run
folder = Path({str(tmp_path)!r})
Sign(this_run("micro", folder, [], None), folder / "runs")
print("ready", flush=True)
input()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    process.stdout.readline()
    folder = tmp_path / "runs"
    (run,) = owners(folder)
    assert (run.process, run.study) == (process.pid, "micro")
    assert run.at(tmp_path)
    assert not run.at(folder)
    assert living([run], folder) == [run]
    assert seems_alive(folder)
    # Another process that got its number later is not it.
    assert living([replace(run, ticks=run.ticks + 1)], folder) == []
    process.kill()
    assert process.wait()
    assert living([run], folder) == []
    assert not seems_alive(folder)
    process.communicate()


def test_a_run_on_another_machine_is_alive_while_it_gives_a_sign(tmp_path, quick, elsewhere):
    sign = Sign(this_run("micro", tmp_path, [], None), tmp_path / "runs", tmp_path / "results")
    elsewhere()
    folders = (tmp_path / "runs", tmp_path / "results")
    (run,) = owners(*folders)
    assert not run.here()
    assert [found.number for found in living([run], *folders)] == [run.number]
    sign._over.set()
    assert living(owners(*folders), *folders) == []
    sign.take_back()
    assert owners(*folders) == []


def test_locks_of_dead_runs_alone_are_lifted(tmp_path):
    place = tmp_path / ".snakemake/locks"
    place.mkdir(parents=True)
    locks = [place / name for name in ("0.input.lock", "0.output.lock", "1.output.lock")]
    for path in locks:
        path.touch()
    dead = this_run("micro", tmp_path, locks[:2], None)
    live = this_run("micro", tmp_path, locks[2:], None)
    # Made anew since then, by another run.
    os.utime(locks[1], ns=(5, 5))
    assert lift_locks(tmp_path, [dead, replace(live, number="older")], [live]) == 1
    assert [path.exists() for path in locks] == [False, True, True]
    assert live.locked(tmp_path)
    assert not dead.locked(tmp_path)
    folder = tmp_path / "runs"
    Sign(live, folder).take_back()
    Sign(dead, folder)
    forget([dead], folder)
    assert owners(folder) == []


def test_results_that_cannot_be_written_do_without(tmp_path, monkeypatch):
    def refuse(file, run):
        raise PermissionError(file)

    monkeypatch.setattr(module, "_write", refuse)
    Sign(this_run("micro", tmp_path, [], None), tmp_path / "runs").take_back()
    assert owners(tmp_path / "runs") == []
