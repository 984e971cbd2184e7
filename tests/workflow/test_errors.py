"""What a person reads who mistypes something, or who may only read the results."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from project import BIN, WITHOUT_ENVIRONMENT, WITHOUT_RIGHTS

NOBODY = 65534


@pytest.fixture(scope="module")
def clone(finished, tmp_path_factory):
    """A copy of the finished study, with the environment that `make` looks for."""
    copy = finished.copy(tmp_path_factory.mktemp("errors") / "project")
    (copy.folder / ".venv").symlink_to(BIN.parent)
    return copy


def make(clone, target, **variables):
    """Run a command of the Makefile, and return its exit status and all that it says."""
    # The environment is as it is.
    words = ["make", "--old-file=.venv/ready", target]
    words += [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run(
        words, cwd=clone.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert "Traceback" not in done.stdout and '  File "' not in done.stdout, done.stdout
    return done.returncode, done.stdout


@pytest.mark.parametrize("command", ["quote", "explain", "report", "status"])
def test_a_mistyped_study_is_named_with_the_nearest(clone, command):
    status, said = make(clone, command, STUDY="mirco")
    assert status != 0
    assert "there is no study 'mirco'; did you mean 'micro'?" in said


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("quote", "config/config.yaml"),
        ("explain", "config/studies/micro.yaml"),
        ("quote", "config/models/micro_weak.yaml"),
    ],
)
def test_yaml_that_cannot_be_read_is_named_with_its_line(clone, command, file):
    whole = (clone.folder / file).read_text()
    with clone.edited(file, whole=f"{whole}broken: [1,\n"):
        status, said = make(clone, command, STUDY="micro")
    assert status != 0
    line = len(whole.splitlines()) + 2
    assert f"{file}:{line}: is not valid YAML" in said or f"{file}:{line - 1}: is not" in said


def test_a_wrong_value_is_named_by_file_and_key(clone):
    with clone.edited("config/studies/micro.yaml", "epochs: 1", "epochs: none"):
        for command in ("quote", "status"):
            status, said = make(clone, command, STUDY="micro")
            assert status != 0 and "training.epochs: must be a whole number" in said


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("results/micro/figures/cost.svg", "did you mean 'results/micro/figures/costs.svg'?"),
        ("results/demo/figures/costs.svg", "no rule of this study makes the file 'results/demo"),
        ("nothing_like_it", "there is no target 'nothing_like_it'; targets: adapters, "),
    ],
)
def test_a_mistyped_target_is_named_with_the_nearest(clone, target, said):
    done = clone.snakemake("explain", target, "--quiet", "all")
    assert done.returncode != 0 and said in done.stdout
    assert "Traceback" not in done.stdout


def test_a_mistyped_target_of_make_is_named_with_the_nearest(clone):
    status, told = make(clone, "explain", STUDY="micro", TARGET="evalutions")
    assert status != 0
    assert "there is no target 'evalutions'; did you mean 'evaluations'?" in told


def test_a_mistyped_cell_is_named_with_the_nearest(clone):
    cell = str(clone.results("evaluations/**/evaluation.json")[0].relative_to(clone.folder))
    wrong = cell.replace("micro_student", "micro_studnt")
    done = clone.snakemake(wrong)
    assert done.returncode != 0 and "did you mean 'results/micro/evaluations/" in done.stdout
    assert "micro_student/evaluation.json'?" in done.stdout


# --- who may only read


@pytest.fixture(scope="module")
def closed(finished, tmp_path_factory):
    """A copy of the finished study that belongs to somebody else."""
    copy = finished.copy(tmp_path_factory.mktemp("closed") / "project")
    paths = [copy.folder, *copy.folder.rglob("*")]
    # Folders of tests are for their owner alone.
    copy.folder.chmod(0o755)
    for path in paths:
        if os.getuid() == 0:
            os.chown(path, NOBODY, -1, follow_symlinks=False)
        elif not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    yield copy
    for path in paths if os.getuid() else ():
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)


def read(clone, *words):
    """Run a command as somebody who may only read."""
    return subprocess.run(
        [*WITHOUT_RIGHTS, *words],
        cwd=clone.folder,
        env=os.environ | {"PATH": WITHOUT_ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def files(folder):
    return {
        str(path): path.lstat().st_mtime_ns
        for path in Path(folder).rglob("*")
        if "__pycache__" not in path.parts
    }


ASKED = {
    ("quote",): "Still to pay: 0 queries",
    ("explain", "all"): "Nothing would run",
    ("advise",): "With 16 seeds and 128 teacher queries (BR 8), ",
    ("all", "--dry-run"): "Nothing to be done",
}


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_questions_are_answered_where_one_may_only_read(closed, words):
    before = files(closed.folder)
    about = ["study=micro", "task=mini_math", "seeds=16", "queries=128"]
    quiet = [] if "--dry-run" in words else ["--quiet", "all"]
    done = read(closed, BIN / "snakemake", *words, *quiet, "--config", *about)
    assert done.returncode == 0 and ASKED[words] in done.stdout, done.stdout
    assert files(closed.folder) == before


def test_status_is_told_to_those_who_may_only_read(closed):
    done = read(closed, BIN / "python", "scripts/status.py", "--study", "micro", "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["state"] == "finished"


def test_what_cannot_be_written_is_named(closed, tmp_path):
    page = "results/micro/report/workflow.html"
    done = read(closed, BIN / "snakemake", "--report", page, "--config", "study=micro")
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert f"PermissionError: [Errno 13] Permission denied: '{page}'" in done.stdout
    # The results belong to somebody else, and so does what is missing of them.
    gone = closed.folder / "results/micro/figures/costs.svg"
    gone.rename(tmp_path / "costs.svg")
    try:
        done = read(closed, BIN / "snakemake", "--config", "study=micro")
        assert done.returncode != 0 and "Traceback" not in done.stdout
        assert "results/micro may only be read here" in done.stdout
        done = read(closed, BIN / "snakemake", "explain", "all", "--config", "study=micro")
        assert "- plot_costs, 1 job: its result is gone" in done.stdout
    finally:
        (tmp_path / "costs.svg").rename(gone)
