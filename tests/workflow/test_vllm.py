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


def test_another_engine_makes_nothing_stale_and_one_start_evaluates_many_cells(copied):
    planned = copied.snakemake("--dry-run", engines=ENGINES).stdout
    assert "Nothing to be done" in planned, planned
    cells = [file.parent for file in copied.results("evaluations/**/budget=*/**/evaluation.json")]
    before = {}
    for cell in cells[:CELLS]:
        before[cell] = pl.read_parquet(cell / "predictions.parquet")
        shutil.rmtree(cell)
        key = cell.relative_to(copied.folder / "results/micro/evaluations")
        shutil.rmtree(copied.folder / "results/micro/state/evaluations" / key)
        log(copied, cell).unlink()
    done = copied.snakemake("evaluations", engines=ENGINES)
    assert done.returncode == 0, done.stdout
    for cell, rows in before.items():
        assert pl.read_parquet(cell / "predictions.parquet").equals(rows), cell
        assert read_json(cell / "evaluation.json")["seconds"]["evaluation"] > 0
    said = [log(copied, cell).read_text() for cell in before]
    served = sum(text.count("the model is loaded: answering for") for text in said)
    starts = sum("vllm" in text.lower() for text in said)
    assert 1 <= starts < CELLS
    assert served >= CELLS - starts


def log(copied, cell: Path) -> Path:
    key = cell.relative_to(copied.folder / "results/micro/evaluations")
    return copied.folder / f"results/micro/logs/evaluate_student/{key}.log"
