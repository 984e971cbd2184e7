"""Collecting evaluations: what is refused, and what the tables hold."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from analysis_simulation import simulate, write_evaluations

from seedbed.analysis.tables import collect as collecting
from seedbed.analysis.tables.collect import COORDINATES, ResultError, cell_key
from seedbed.analysis.tables.outcomes import UNTRAINED
from seedbed.study.cells import Cell

SCRIPT = Path(__file__).parents[2] / "scripts" / "collect_results.py"


@pytest.fixture
def evaluations(tmp_path):
    cells, items = simulate(seeds=(8,), ratios=(1, 4), items=20)
    return write_evaluations(cells, items, tmp_path)


def collect(evaluations):
    parts = []
    cells = collecting.collect(evaluations, parts.append)
    return cells, pl.concat(parts)


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_tables_hold_every_cell_and_item(evaluations):
    cells, items = collect(evaluations)
    # 3 methods x 2 budgets, and the base model.
    assert cells.height == 7
    assert items.height == 7 * 20
    assert items.columns == ["cell", "item_id", "cluster", "correct"]
    totals = items.group_by("cell").agg(pl.col("correct").sum().alias("total"))
    joined = cells.join(totals, on="cell")
    assert joined.height == 7
    assert (joined["correct"] == joined["total"]).all()
    aa = cells.filter(pl.col("method") == "answer_augmentation")
    assert aa["budget_ratio"].to_list() == [1.0, 4.0]
    assert aa["teacher_queries"].to_list() == [8, 32]
    assert aa["training_seconds"].to_list() == [20.0, 20.0]
    assert cells.filter(pl.col("method") == UNTRAINED)["budget_ratio"].to_list() == [None]


def test_order_of_files_does_not_matter(evaluations):
    first, second = collect(evaluations), collect(evaluations[::-1])
    assert first[0].equals(second[0])
    assert first[1].equals(second[1])


def test_keys_are_those_of_the_study():
    coordinates = {
        name: 3 if kind == pl.Int64 else f"{name}x" for name, kind in COORDINATES.items()
    }
    assert cell_key(coordinates) == Cell(**coordinates).key


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accuracy": None}, "accuracy: Input should be a valid number, not None"),
        ({"accuracy": math.nan}, "accuracy: Input should be"),
        ({"accuracy": 1.5}, "accuracy: Input should be less than or equal to 1, not 1.5"),
        ({"accuracy": "0.5"}, "accuracy: Input should be a valid number"),
        ({"accuracy": 0.123}, "accuracy 0.123 is not"),
        ({"correct": 21}, "count of at most 20"),
        ({"items": 0, "correct": 0, "unparsed": 0, "truncated": 0}, "items: "),
        ({"unparsed": -1}, "unparsed: "),
        ({"strict": {"correct": 1}}, "accuracy"),
        ({"counts": {"teacher_queries": 1.5}}, "counts.teacher_queries: "),
        ({"seconds": {"training": math.inf}}, "seconds.training: "),
        ({"cell": {"task": "mini_math"}}, "method"),
    ],
)
def test_a_bad_value_is_refused_naming_the_file(evaluations, changes, words):
    change(evaluations[2], **changes)
    with pytest.raises(ResultError) as error:
        collect(evaluations)
    assert str(evaluations[2]) in str(error.value)
    assert words in str(error.value)


@pytest.mark.parametrize("name", ["accuracy", "correct", "items", "strict", "cell", "unparsed"])
def test_a_missing_value_is_refused(evaluations, name):
    content = json.loads(evaluations[1].read_text())
    del content[name]
    evaluations[1].write_text(json.dumps(content))
    with pytest.raises(ResultError, match=name):
        collect(evaluations)


def predictions_of(path):
    return path.with_name("predictions.parquet")


def test_a_missing_item_score_is_refused(evaluations):
    file = predictions_of(evaluations[0])
    table = pl.read_parquet(file)
    table.with_columns(
        correct=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("correct")
    ).write_parquet(file)
    with pytest.raises(ResultError, match="missing") as error:
        collect(evaluations)
    assert str(file) in str(error.value)


def test_predictions_that_disagree_with_the_total_are_refused(evaluations):
    file = predictions_of(evaluations[0])
    pl.read_parquet(file).with_columns(correct=~pl.col("correct")).write_parquet(file)
    with pytest.raises(ResultError, match="items are correct, but"):
        collect(evaluations)


def test_other_items_are_refused(evaluations):
    file = predictions_of(evaluations[4])
    pl.read_parquet(file).with_columns(
        item_id=pl.col("item_id").str.replace("item00003", "other")
    ).write_parquet(file)
    with pytest.raises(ResultError, match="same items") as error:
        collect(evaluations)
    assert str(evaluations[4]) in str(error.value)


def test_other_clusters_are_refused(evaluations):
    file = predictions_of(evaluations[4])
    pl.read_parquet(file).with_columns(cluster=pl.lit("one")).write_parquet(file)
    with pytest.raises(ResultError, match="clusters"):
        collect(evaluations)


def test_the_same_cell_twice_is_refused(evaluations, tmp_path):
    copy = tmp_path / "copy" / "evaluation.json"
    copy.parent.mkdir()
    copy.write_bytes(evaluations[0].read_bytes())
    predictions_of(copy).write_bytes(predictions_of(evaluations[0]).read_bytes())
    with pytest.raises(ResultError, match="same cell") as error:
        collect([*evaluations, copy])
    assert str(copy) in str(error.value) and str(evaluations[0]) in str(error.value)


@pytest.mark.parametrize("broken", ["evaluation", "predictions"])
def test_a_broken_or_missing_file_is_refused(evaluations, broken):
    path = evaluations[0] if broken == "evaluation" else predictions_of(evaluations[0])
    path.write_text("{")
    with pytest.raises(ResultError, match=path.name):
        collect(evaluations)
    path.unlink()
    with pytest.raises(ResultError, match=path.name):
        collect(evaluations)


def test_no_evaluations_are_refused():
    with pytest.raises(ResultError, match="no evaluations"):
        collect([])


def test_script_reads_a_list_of_paths(evaluations, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(map(str, evaluations[1:])) + "\n")
    tables = tmp_path / "tables"
    command = [sys.executable, str(SCRIPT), "--evaluations", str(evaluations[0]), f"@{listed}"]
    command += ["--cells", str(tables / "cells.parquet")]
    command += ["--item-scores", str(tables / "items.parquet")]
    subprocess.run(command, check=True, capture_output=True)
    cells, items = collect(evaluations)
    assert pl.read_parquet(tables / "cells.parquet").equals(cells)
    assert pl.read_parquet(tables / "items.parquet").equals(items)
    assert pl.read_csv(tables / "cells.csv")["accuracy"].to_list() == cells["accuracy"].to_list()

    change(evaluations[1], accuracy=None)
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode != 0
    assert str(evaluations[1]) in failed.stderr and "Traceback" not in failed.stderr
