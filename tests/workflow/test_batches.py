"""A study whose teacher is behind a Batch API."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import yaml
from test_endpoint import ANSWER, BUDGETS, STUDY, rows

from batch_server import BatchServer, serving
from endpoint import completion
from pretend_slurm import pretend
from project import FAST_SNAKEMAKE


@pytest.fixture
def server():
    with serving(BatchServer()) as served:
        served.behave = lambda body, before: completion(ANSWER)
        yield served


@pytest.fixture
def hosted(server, fresh):
    """A fresh copy of the project with such a study."""
    config = fresh.folder / "config"
    (config / "studies/hosted.yaml").write_text(yaml.safe_dump(STUDY))
    engine = {"kind": "openai", "base_url": server.url, "batch": {}}
    model = {"title": "Hosted teacher", "api": {"name": "m"}, "engine": engine}
    (config / "models/hosted.yaml").write_text(yaml.safe_dump(model))
    shutil.rmtree(fresh.folder / "results", ignore_errors=True)
    return fresh


def whole(clone, server):
    assert [rows(clone, budget).height for budget in BUDGETS] == list(BUDGETS)
    assert len(server.answered) == max(BUDGETS)
    assert set(server.answered.values()) == {1}


def test_a_run_that_does_not_wait_sends_all_shards_and_the_next_start_collects(hosted, server):
    """On one core, which none of them takes; the last start asks for the answers one by one."""
    server.looks = 1
    done = hosted.snakemake("datasets", "--cores", "1", study="hosted", wait="false")
    assert done.returncode != 0
    assert "16 requests under way in 1 batches" in done.stdout
    assert "32 requests under way in 1 batches" in done.stdout
    assert "Traceback" not in done.stdout
    assert len(server.batches) == 3
    done = hosted.snakemake("datasets", "--cores", "1", study="hosted", wait="false")
    assert done.returncode == 0, done.stdout
    whole(hosted, server)
    # How they are asked makes nothing stale.
    place = {"hosted": {"kind": "openai", "base_url": server.url}}
    done = hosted.snakemake("datasets", study="hosted", engines=json.dumps(place))
    assert "Nothing to be done" in done.stdout


def test_a_run_that_is_killed_while_it_waits_goes_on_from_there(hosted, server):
    server.looks = 10**6
    # On one core, all three shards wait at once.
    hosted.killed_when(
        lambda said: len(server.batches) == 3 and "Batches under way" in said,
        *("datasets", "--cores", "1"),
        study="hosted",
    )
    server.looks = 0
    done = hosted.snakemake("datasets", "--cores", "1", study="hosted")
    assert done.returncode == 0, done.stdout
    assert len(server.batches) == 3
    whole(hosted, server)


def test_on_a_cluster_jobs_that_ask_run_beside_snakemake(hosted, server, tmp_path, monkeypatch):
    """A compute node may have no network, and would be held for a day."""
    slurm = pretend(tmp_path / "slurm")
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run(
        [*FAST_SNAKEMAKE, "--profile", "slurm", "datasets", "--config", "study=hosted"],
        cwd=hosted.folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert slurm.sent() == []
    whole(hosted, server)
