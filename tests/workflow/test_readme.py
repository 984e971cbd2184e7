"""What README and docs say, tried: commands, the example in Polars, tables."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from project import planned
from seedbed.study.cells import grid
from seedbed.study.estimate import cells_of_figure, gpu_hours
from seedbed.study.figures import figures
from seedbed.study.loading import load_study

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README",
    "docs/running",
    "docs/results",
    "docs/studies",
    "docs/spending",
    "docs/spend",
    "docs/advice",
)


FIGURES = {
    "cost_effectiveness": "what each method gains over the first, and where they cross",
    "crossovers": "crossovers, in queries, tokens, money and hours",
    "accuracy": "accuracy against budget by method, task and seeds",
    "best_method": "map of the best method over seeds and budget",
    "mixtures": "what it brings to divide a budget among methods",
    "shares": "accuracy by the shares of three methods in a budget",
    "augmenters": "what a weaker augmenter costs",
    "verification": "what it brings to train on verified answers alone",
    "students": "curves and crossovers by student",
    "teachers": "curves and crossovers by teacher",
    "costs": "cost per point of accuracy in queries, tokens, money and hours",
    "diversity": "how varied the data is, and how much of it repeats seeds or tests",
}
"""What each figure shows, in words."""


def page(name: str) -> str:
    return (ROOT / f"{name}.md").read_text()


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page(name), re.DOTALL)


def commands() -> list[list[str]]:
    texts = dict.fromkeys(block for name in PAGES for block in blocks(name, "sh"))
    lines = dict.fromkeys(line for text in texts for line in text.splitlines())
    return [shlex.split(line, comments=True) for line in lines if line.startswith("snakemake")]


def test_the_pages_have_commands():
    assert len(commands()) >= 10


def test_the_readme_is_short():
    assert len(page("README").split()) <= 1700


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_plan(finished, command):
    planned(finished.folder, *command[1:], "--dry-run")


def test_the_polars_example_works(finished):
    (example,) = (block for block in blocks("docs/results", "python") if "polars" in block)
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
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (\d+) \|", page("docs/studies"), re.MULTILINE)
    assert {name for name, _, _ in rows} == {p.stem for p in (ROOT / "config/studies").iterdir()}
    for name, tasks, cells in rows:
        study = load_study(name, ROOT / "config")
        found = grid(study)
        assert len(found.cells) == int(cells)
        assert set(re.findall(r"`(\w+)`", tasks)) == {cell.task for cell in found.cells}


def test_the_table_of_figures_is_that_of_the_estimate():
    paper, miniature = (load_study(name, ROOT / "config") for name in ("paper", "miniature"))
    hours_of = "GPU hours of `paper`"
    cells_of = "Cells of `paper` | Cells of `miniature`"
    lines = [f"| Figure | `results/STUDY/figures/` | {cells_of} | {hours_of} |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for name in figures(grid(paper)):
        cells = [cells_of_figure(grid(study), name) for study in (paper, miniature)]
        counts = " | ".join(str(len(some)) if some else "-" for some in cells)
        hours = gpu_hours(paper, cells[0])
        taken = "none" if hours is None else f"{hours:,.0f}"
        lines.append(f"| {FIGURES[name]} | `{name}.svg` | {counts} | {taken} |")
    table = "\n".join(lines)
    assert table in page("docs/results"), f"the table must be:\n{table}"
