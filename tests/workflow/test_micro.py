"""The `micro` study from end to end: every rule, real models, real files."""

from __future__ import annotations

import json
import re

import polars as pl
import pyarrow.parquet as pq
import pytest

STAGES = {
    "seeds/**/seeds.parquet": 2, "questions/**/questions.parquet": 8,
    "answers/**/answers.parquet": 11, "checks/**/checks.parquet": 5,
    "samples/**/samples.parquet": 2,
    "labels/**/labels.parquet": 2, "datasets/**/dataset.parquet": 12,
    "datasets/**/dataset.json": 12, "adapters/**/adapter_model.safetensors": 12,
    "adapters/**/training.json": 12, "evaluations/**/evaluation.json": 13,
    "evaluations/**/predictions.parquet": 13,
}  # fmt: skip


def metadata(path):
    return json.loads(pq.read_schema(path).metadata[b"seedbed"])


def test_every_stage_has_all_its_files(finished):
    assert {pattern: len(finished.results(pattern)) for pattern in STAGES} == STAGES
    for name in ("cells.parquet", "cells.csv", "items.parquet", "comparisons.csv"):
        assert finished.results(f"tables/{name}")


def test_a_stage_reads_as_one_table_with_its_keys_as_columns(finished):
    folder = finished.folder / "results/micro/datasets"
    data = pl.scan_parquet(f"{folder}/**/dataset.parquet", hive_partitioning=True)
    rows = data.group_by("method", "seeds", "budget").agg(pl.len()).collect()
    # The micro models may write no new question that passes its self-check: then there is no row.
    assert {"answer_augmentation", "question_rephrase"} <= set(rows["method"])
    assert set(rows["budget"]) == {0, 16, 64, 128}


def test_a_dataset_is_in_chat_form_and_the_beginning_of_a_larger_one(finished):
    stream = "datasets/task=mini_math/method=answer_augmentation/**/seeds=16/**"
    small = pl.read_parquet(finished.results(f"{stream}/budget=16/dataset.parquet"))
    large = pl.read_parquet(finished.results(f"{stream}/budget=128/dataset.parquet"))
    shared = large.filter(pl.col("query") < 16)
    assert small.equals(shared)
    for row in small.iter_rows(named=True):
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        assert row["messages"][1]["content"] == row["answer"]


def test_artifacts_say_how_they_were_made(finished):
    for path in finished.results("datasets/**/dataset.json"):
        about = json.loads(path.read_text())
        assert about["counts"]["queries"] == about["settings"]["budget"]
        assert metadata(path.with_suffix(".parquet")) == {"dataset": about["dataset"]}
    for path in finished.results("adapters/**/training.json"):
        about = json.loads(path.read_text())
        assert about["versions"]["trl"]
        assert about["settings"]["epochs"]
        assert about["seconds"]["training"] > 0
    for path in finished.results("figures/*.svg"):
        text = path.read_text()
        assert "micro" in text
        assert json.loads(
            (finished.folder / "resources/tasks/task=mini_math/task.json").read_text()
        )
        assert path.with_suffix(".png").stat().st_size > 1000
        assert path.with_suffix(".csv").read_text().count("\n") > 1


def test_every_table_says_which_code_and_versions_made_it(finished):
    tables = finished.results("*/**/*.parquet")
    stages = {path.relative_to(finished.folder / "results/micro").parts[0] for path in tables}
    made = {"seeds", "questions", "answers", "checks", "samples", "labels", "datasets"}
    assert stages == made | {"evaluations", "tables", "fits"}
    for path in tables:
        (about,) = making(path)
        assert re.fullmatch(r"[0-9a-f]{16}", about["code"]), path
        assert about["versions"]["polars"], path


def making(path):
    """Return what a table, or the record beside it, says of its making."""
    if "code" in metadata(path):
        return [metadata(path)]
    records = ("provenance.json", "dataset.json", "evaluation.json")
    (record,) = (path.parent / name for name in records if (path.parent / name).is_file())
    about = json.loads(record.read_text())
    # Of a shard, for the rows of each time that it was extended.
    return about.get("made", [about])


def test_evaluations_count_what_their_data_took(finished):
    for path in finished.results("evaluations/**/evaluation.json"):
        scores = json.loads(path.read_text())
        cell, counts = scores["cell"], scores["counts"]
        predictions = pl.read_parquet(path.parent / "predictions.parquet")
        assert predictions.height == scores["items"] == scores["references_right"] == 64
        assert predictions["correct"].sum() == scores["correct"]
        assert scores["accuracy"] == pytest.approx(scores["correct"] / 64)
        if cell["method"] == "untrained":
            assert set(counts.values()) == {0}
            continue
        assert counts["teacher_queries"] + counts["empty_slots"] == cell["budget"]
        asked = cell["augmenter"] != "none"
        assert (counts["augmenter_queries"] >= cell["budget"] > 0) == asked
        # Two further answers to each new question that has one.
        verified = cell["filter"] == "verified"
        assert counts["verification_queries"] == (2 * counts["teacher_queries"] if verified else 0)
        seconds = scores["seconds"]
        assert (seconds["generation"] > 0) == (cell["teacher"] != "none")
        assert seconds["training"] > 0 and seconds["evaluation"] > 0


def test_datasets_account_for_every_query(finished):
    for path in finished.results("datasets/**/dataset.json"):
        record = json.loads(path.read_text())
        counts, rows = record["counts"], pl.read_parquet(path.with_suffix(".parquet"))
        assert record["dataset"]["task"] == "mini_math"
        assert rows.height == counts["rows"] >= counts["unique_questions"]
        if record["dataset"]["teacher"] == "none":
            assert (counts["rows"], counts["near_seed_rows"]) == (16, 16)
            continue
        assert counts["rows"] + sum(counts["dropped"].values()) == counts["teacher_queries"]
        assert counts["teacher_queries"] + counts["empty_slots"] == counts["queries"]
        if counts["rows"]:
            assert 0 < record["diversity"]["distinct_1"] <= record["diversity"]["distinct_3"] <= 1


def test_the_report_shows_the_numbers(finished):
    summary = finished.results("report/summary.txt")[0].read_text()
    cells = pl.read_parquet(finished.results("tables/cells.parquet")[0])
    assert cells.height == 13
    assert "report/index.html" in summary
    shown = (pl.col("filter") == "none") & (pl.col("augmenter") != "micro_weak")
    for accuracy in cells.filter(shown, pl.col("method") != "seed_only")["accuracy"]:
        assert f"{100 * accuracy:.1f}" in summary


def test_an_unknown_study_ends_before_any_job_with_the_nearest_name(finished):
    done = finished.snakemake("--dry-run", study="mirco")
    assert done.returncode != 0
    assert "there is no study 'mirco'; did you mean 'micro'?" in done.stdout
