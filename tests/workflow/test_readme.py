"""What the README says, tried: its commands, its example in Polars, its table of studies."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from seedbed.study.cells import grid
from seedbed.study.estimate import table
from seedbed.study.loading import load_study

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("snakemake")]


def test_the_readme_has_commands():
    assert len(commands()) >= 4


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_plan(finished, command):
    done = subprocess.run(
        [Path(sys.executable).parent / "snakemake", *command[1:], "--dry-run"],
        cwd=finished.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_polars_example_works(finished):
    (example,) = (block for block in blocks("python") if "polars" in block)
    done = subprocess.run(
        [sys.executable, "-c", example.replace("results/demo", "results/micro")],
        cwd=finished.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "question_rephrase" in done.stdout


def test_make_lists_its_commands():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    for name in ("env", "demo", "test"):
        assert f"make {name}" in listed


def test_the_table_of_studies_is_complete_and_right():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (\d+) \|", README, re.MULTILINE)
    assert {name for name, _, _ in rows} == {p.stem for p in (ROOT / "config/studies").iterdir()}
    for name, tasks, cells in rows:
        study = load_study(name, ROOT / "config")
        found = grid(study)
        assert len(found.cells) == int(cells)
        assert set(re.findall(r"`(\w+)`", tasks)) == {cell.task for cell in found.cells}


def test_the_table_of_figures_is_that_of_the_estimate():
    studies = [load_study(name, ROOT / "config") for name in ("paper", "miniature")]
    assert table(studies) in README, f"the README's table of figures must be:\n{table(studies)}"
