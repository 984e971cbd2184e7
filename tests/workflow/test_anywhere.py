"""Runs whose working directory, configuration or Snakefile is not the project's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from project import BIN, WITHOUT_ENVIRONMENT, copy_image, copy_project, planned, warm

STUDY = """
description: A study of one's own.
shard_size: 8
training:
  {epochs: 1, learning_rate: 2.0e-3, batch_size: 8, lora_rank: 2, lora_alpha: 4, max_length: 128}
analysis: {bootstrap_samples: 5, seed: 0, confidence: 0.95}
blocks:
  - {name: main, tasks: [cities], methods: [seed_only], seeds: [8], students: [own_student]}
"""
MODEL = """
title: A model of one's own
pretrain:
  role: student_a
  steps: 2
  batch_size: 4
  learning_rate: 1.0e-3
  hidden_size: 16
  layers: 1
  heads: 2
  intermediate_size: 32
  checkpoints: []
  seed: 1
worlds: {cities: mini_math}
"""
USING = """
module seedbed:
    snakefile: "{snakefile}"
    config: {{"study": "tiny"}}

use rule * from seedbed as seedbed_*

rule mine:
    default_target: True
    input: "results/tiny/report/index.html"
    output: "mine/report.html"
    shell: "cp {{input}} {{output}}"

onsuccess:
    shell("touch ended")
"""


def snakemake(folder: Path, *words: str) -> str:
    return planned(folder, "--cores", "2", *words)


def snakemake_from_a_shell(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [BIN / "snakemake", "--cores", "2", *words],
        cwd=folder,
        env=os.environ | {"PATH": WITHOUT_ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the sizes and dates of all that is in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        found[str(path)] = (about.st_size, about.st_mtime_ns)
    return found


def add_config(work: Path) -> None:
    """Make a study, a task and a model beside the results to come; its method is the project's."""
    config = work / "config"
    for name, text in (("studies/tiny", STUDY), ("models/own_student", MODEL)):
        file = config / f"{name}.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    shutil.copytree(Path(__file__).parents[2] / "config/tasks/capitals", config / "tasks/cities")
    file = config / "tasks/cities/task.yaml"
    file.write_text(file.read_text().replace("Capitals", "Cities"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """What an image holds of a clone, to be read only.

    Its path has spaces, a quote and letters beyond ASCII.
    """
    folder = tmp_path_factory.mktemp("elsewhere") / "ein Klön d'été"
    copy_image(folder)
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444)
    return folder


@pytest.fixture(scope="module")
def work(clone, tmp_path_factory) -> Path:
    """A working directory with a study of its own, run from the first job to the last."""
    folder = tmp_path_factory.mktemp("work")
    add_config(folder)
    before = state(clone)
    words = ("-s", str(clone / "Snakefile"), "--directory", str(folder))
    snakemake_from_a_shell(folder.parent, *words, "--config", "study=tiny")
    assert "Nothing to be done" in snakemake(folder.parent, *words, "--config", "study=tiny")
    assert state(clone) == before
    return folder


def test_a_study_of_ones_own_runs_from_a_clone_that_may_only_be_read(work):
    assert (work / "results/tiny/report/index.html").is_file()
    cells = (work / "results/tiny/tables/cells.csv").read_text().splitlines()
    assert len(cells) == 1 + 2
    assert not [path for path in work.rglob("__pycache__") if ".snakemake" not in path.parts]


def test_records_name_no_place_so_that_results_travel(work, clone, tmp_path):
    for file in ("results/tiny/manifest.jsonl", "resources/manifest.jsonl"):
        said = (work / file).read_text()
        assert "config/tasks/cities/train.jsonl" in said or "results" in file
        assert str(work) not in said
        assert clone.name not in said
    # Another clone, whose config folder has the task, at another place, with dates of its own.
    other = copy_project(tmp_path / "other").folder
    shutil.copytree(work / "config", other / "config", dirs_exist_ok=True)
    for name in ("results", "resources"):
        shutil.copytree(work / name, tmp_path / "work" / name)
    words = ("-s", str(other / "Snakefile"), "--directory", str(tmp_path / "work"))
    assert "Nothing to be done" in snakemake(tmp_path, *words, "--config", "study=tiny")
    said = snakemake(other, "explain", "all", "--directory", str(tmp_path / "work"),
                     "--quiet", "all", "--config", "study=tiny")  # fmt: skip
    assert "Nothing would run" in said


def test_another_workflow_uses_the_rules_as_a_module(clone, tmp_path):
    add_config(tmp_path)
    before = state(clone)
    (tmp_path / "Snakefile").write_text(USING.format(snakefile=clone / "Snakefile"))
    said = snakemake(tmp_path)
    assert "Cells 2 of 2" in said
    # What the other workflow does at the end is done as well.
    assert (tmp_path / "ended").is_file()
    # From the first job to the last.
    assert "</html>" in (tmp_path / "mine/report.html").read_text()
    assert "Nothing to be done" in snakemake(tmp_path)
    assert state(clone) == before
    said = snakemake(tmp_path, "seedbed_explain", "seedbed_all", "--quiet", "all")
    assert "Nothing would run" in said
    # The rules of the other workflow are stale by dates, as anywhere.
    os.utime(tmp_path / "mine/report.html", (0, 0))
    assert "mine" in snakemake(tmp_path, "--dry-run")


def test_the_lock_of_a_run_that_is_killed_before_its_first_job_is_lifted(clone, tmp_path):
    add_config(tmp_path)
    text = USING.format(snakefile=clone / "Snakefile")
    kill = "import os; seedbed.HOOKS._answer = lambda asked: os.kill(os.getpid(), 9)"
    (tmp_path / "Snakefile").write_text(f"{text}\n{kill}\n")
    target = "resources/tasks/task=cities/task.json"
    assert warm(tmp_path, "--cores", "2", target).returncode == -9
    assert [*(tmp_path / ".snakemake/locks").iterdir()]
    (tmp_path / "Snakefile").write_text(text)
    assert "its lock on this folder is lifted" in snakemake(tmp_path, target)
    assert (tmp_path / target).is_file()


def test_a_user_may_have_no_name(clone, tmp_path):
    """As in a container that runs as the number of a user outside of it."""
    add_config(tmp_path)
    nameless = ["unshare", "--user", "--map-user=54321"]
    if subprocess.run([*nameless, "true"], capture_output=True).returncode:
        pytest.skip("there are no namespaces of users here")
    names = ("LOGNAME", "USER", "LNAME", "USERNAME")
    target = "resources/tasks/task=cities/task.json"
    done = subprocess.run(
        [*nameless, BIN / "snakemake", "-s", clone / "Snakefile", "--cores", "1",
         target, "--config", "study=tiny"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key not in names},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert (tmp_path / target).is_file()


def test_a_module_with_a_prefix_is_refused(clone, tmp_path):
    text = USING.format(snakefile=clone / "Snakefile")
    text = text.replace("    config:", '    prefix: "deep"\n    config:')
    (tmp_path / "Snakefile").write_text(text)
    add_config(tmp_path)
    with pytest.raises(AssertionError, match="leave out `prefix`"):
        snakemake(tmp_path, "--dry-run")
