"""Runs whose working directory, configuration or Snakefile is not the project's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from project import (
    BIN,
    WITHOUT_ENVIRONMENT,
    WITHOUT_RIGHTS,
    copy_image,
    copy_project,
    planned,
    warm,
    warm_environment,
)

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
STREAMS = """
description: All stages of streams.
test_items: 16
shard_size: 32
generation: {temperature: 0.7, top_p: 1.0}
training:
  {epochs: 1, learning_rate: 2.0e-3, batch_size: 16, lora_rank: 2, lora_alpha: 4, max_length: 128}
analysis: {bootstrap_samples: 5, seed: 0, confidence: 0.95}
blocks:
  - &streams
    name: main
    tasks: [mini_math]
    methods: [answer_augmentation, new_question]
    seeds: [16]
    budget_ratios: [1, 4]
    augmenters: [micro_teacher]
    teachers: [micro_teacher]
    students: [own_student]
  - {<<: *streams, name: verified, methods: [new_question], budget_ratios: [4], filters: [verified]}
"""
USING = """
module seedbed:
    snakefile: "{snakefile}"
    config: {{"study": "streams"}}

use rule * from seedbed as seedbed_*

rule mine:
    default_target: True
    input: "results/streams/figures/costs.svg", "results/streams/fits/crossovers.json"
    output: "mine/costs.svg"
    shell: "cp {{input[0]}} {{output}}"

onsuccess:
    shell("touch ended")
"""


def snakemake(folder: Path, *words: str) -> str:
    return planned(folder, "--cores", "2", *words)


def snakemake_of_one_who_may_only_read(folder: Path, *words: str, warm: bool = False) -> str:
    """Run Snakemake anew; its jobs too, but where they are warm, which may write anywhere."""
    done = subprocess.run(
        [*WITHOUT_RIGHTS, BIN / "snakemake", "--cores", "2", *words],
        cwd=folder,
        env=warm_environment() if warm else os.environ | {"PATH": WITHOUT_ENVIRONMENT},
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
    files = {"studies/tiny": STUDY, "studies/streams": STREAMS, "models/own_student": MODEL}
    for name, text in files.items():
        file = config / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
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
    """A working directory with studies of its own, run from the first job to the last.

    Its path is as odd as the clone's.
    """
    folder = tmp_path_factory.mktemp("work") / "une étude à moi"
    folder.mkdir()
    add_config(folder)
    before = state(clone)
    words = ("-s", str(clone / "Snakefile"), "--directory", str(folder))
    for study in ("tiny", "streams"):
        # Where streams are made, nothing more depends on how a job starts.
        warm = study == "streams"
        settings = ("--config", f"study={study}")
        snakemake_of_one_who_may_only_read(folder.parent, *words, *settings, warm=warm)
        assert "Nothing to be done" in snakemake(folder.parent, *words, *settings)
    assert state(clone) == before
    return folder


def test_a_study_of_ones_own_runs_from_a_clone_that_may_only_be_read(work):
    assert (work / "results/tiny/report/index.html").is_file()
    cells = (work / "results/tiny/tables/cells.csv").read_text().splitlines()
    assert len(cells) == 1 + 2
    assert not [path for path in work.rglob("__pycache__") if ".snakemake" not in path.parts]


def test_all_stages_of_streams_run_from_a_clone_that_may_only_be_read(work):
    results = work / "results/streams"
    for stage in ("questions", "answers", "checks", "samples", "labels", "state"):
        assert [path for path in (results / stage).rglob("*") if path.is_file()], stage
    cells = pl.read_csv(results / "tables/cells.csv")
    assert {*zip(cells["method"], cells["filter"], strict=True)} == {
        *(("untrained", "none"), ("answer_augmentation", "none")),
        *(("new_question", "none"), ("new_question", "verified")),
    }
    for name in ("fits/crossovers.json", "figures/best_method.svg", "report/index.html"):
        assert (results / name).stat().st_size, name


def test_status_leaves_a_clone_that_may_be_written_as_it_is(work, tmp_path):
    clone = copy_image(tmp_path / "clone").folder
    before = state(clone)
    variables = {key: os.environ[key] for key in os.environ if key != "PYTHONDONTWRITEBYTECODE"}
    script = [BIN / "python", clone / "scripts/status.py", "--study", "streams"]
    done = subprocess.run(script, cwd=work, env=variables, capture_output=True, text=True)
    assert "finished" in done.stdout, done.stderr
    assert state(clone) == before


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


def test_another_workflow_uses_the_rules_as_a_module(clone, work, tmp_path):
    """All runs once more but for what takes long: the teacher answers nothing anew."""
    for name in ("config", "resources", "results"):
        shutil.copytree(work / name, tmp_path / name)
    for path in (tmp_path / "results/streams").iterdir():
        if path.name not in ("state", "manifest.jsonl"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in ("tasks", "models/model=own_student"):
        shutil.rmtree(tmp_path / "resources" / path)
    before = state(clone)
    (tmp_path / "Snakefile").write_text(USING.format(snakefile=clone / "Snakefile"))
    said = snakemake(tmp_path)
    assert "Cells 6 of 6" in said
    # What the other workflow does at the end is done as well.
    assert (tmp_path / "ended").is_file()
    # From the first job to the last.
    assert "</svg>" in (tmp_path / "mine/costs.svg").read_text()
    assert "Nothing to be done" in snakemake(tmp_path)
    assert state(clone) == before
    drawn = "results/streams/figures/costs.svg"
    said = snakemake(tmp_path, "seedbed_explain", drawn, "--quiet", "all")
    assert "Nothing would run" in said
    # The rules of the other workflow are stale by dates, as anywhere.
    os.utime(tmp_path / "mine/costs.svg", (0, 0))
    assert "mine" in snakemake(tmp_path, "--dry-run")


def test_the_lock_of_a_run_that_is_killed_before_its_first_job_is_lifted(clone, tmp_path):
    add_config(tmp_path)
    text = USING.format(snakefile=clone / "Snakefile")
    kill = "import os; seedbed.HOOKS._answer = lambda asked: os.kill(os.getpid(), 9)"
    (tmp_path / "Snakefile").write_text(f"{text}\n{kill}\n")
    target = "resources/tasks/task=mini_math/task.json"
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
