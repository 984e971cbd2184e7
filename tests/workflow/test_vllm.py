"""A finished study, some of whose cells are evaluated again by vLLM."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

from seedbed.artifacts import read_json

pytestmark = pytest.mark.skipif(
    find_spec("vllm") is None, reason="vLLM is not installed: `make vllm` adds it"
)
ENGINES = "{micro_student: {kind: vllm, batch_size: 32}}"
CELLS = 4


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished study, to do with as one likes."""
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return type(finished)(tmp_path / "project")


def test_another_engine_makes_nothing_stale_and_one_start_evaluates_many_cells(copy):
    planned = copy.snakemake("--dry-run", engines=ENGINES).stdout
    assert "Nothing to be done" in planned, planned
    cells = [file.parent for file in copy.results("evaluations/**/budget=*/**/evaluation.json")]
    before = {}
    for cell in cells[:CELLS]:
        before[cell] = pl.read_parquet(cell / "predictions.parquet")
        shutil.rmtree(cell)
        key = cell.relative_to(copy.folder / "results/micro/evaluations")
        shutil.rmtree(copy.folder / "results/micro/journal/evaluations" / key)
        log(copy, cell).unlink()
    done = copy.snakemake("evaluations", engines=ENGINES)
    assert done.returncode == 0, done.stdout
    for cell, rows in before.items():
        assert pl.read_parquet(cell / "predictions.parquet").equals(rows), cell
        assert read_json(cell / "evaluation.json")["seconds"]["evaluation"] > 0
    said = [log(copy, cell).read_text() for cell in before]
    served = sum(text.count("the model is loaded: answering for") for text in said)
    starts = sum("vllm" in text.lower() for text in said)
    assert 1 <= starts < CELLS
    assert served >= CELLS - starts


def log(copy, cell: Path) -> Path:
    key = cell.relative_to(copy.folder / "results/micro/evaluations")
    return copy.folder / f"results/micro/logs/evaluate_student/{key}.log"
