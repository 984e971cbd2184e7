"""Data larger than memory: the same results as at once, in memory that does not grow with it."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from diversity_of_texts import distinct, near
from eager_dataset import build_eagerly
from eager_dataset import distinct as distinct_eagerly
from eager_dataset import near as near_eagerly
from generated_shards import command, run, write_evaluations, write_stream

from seedbed.artifacts import parquet_rows, read_json, read_metadata, write_parquet
from seedbed.streams import answers, datasets, diversity, questions, validity, verification
from seedbed.streams.datasets import Shards, build_dataset
from seedbed.streams.settings import DatasetSettings
from seedbed.tasks.items import TaskItem

WORDS = ["how", "many", "Apples", "does", "Tom", "have", "ΟΔΟΣ", "हिन्दी", "x_1", "9", "½", "K", "—"]
SEEDS = [
    TaskItem(f"train-{n}", f"How many apples does Tom have, {n}?", f"t(c{n % 2})", f"#### {n}", "1")
    for n in range(4)
]


def cut(budget, choice, reach, length=None):
    return DatasetSettings(
        budget=budget, filter=choice, reach=reach, overlap_words=length, prompt=""
    )


def sentence(rng, longest=9):
    return " ".join(rng.choices(WORDS, k=rng.randint(0, longest)))


def stream(rng, count):
    """Rows of every kind of shard for the first queries of a stream."""
    rows = {name: [] for name in ("answers", "questions", "samples", "checks", "labels")}
    known = [sentence(rng) for _ in range(5)] + [SEEDS[0].question, SEEDS[1].question.upper()]
    for n in range(count):
        asked = rng.random() > 0.1
        question = rng.choice([sentence(rng), rng.choice(known)]) if asked else None
        tokens = rng.randint(1, 50) if asked else 0
        end = rng.choice(["stop"] * 8 + ["length", "rejected", "content_filter", "odd"])
        rows["answers"].append(
            (n, f"train-{n % 4}", n // 4, question, f"P {question}" if asked else None)
            + ((rng.choice(["A", f"#### {n}", " \n"]), end) if asked else (None, None))
            + (tokens, tokens, rng.random() if asked else 0.0)
        )
        reason = rng.choice(["", "empty", "check_no,empty", "check_no"])
        rows["questions"].append(
            (n, f"train-{n % 4}", n // 4, question, reason, 1, 2, tokens, tokens, rng.random())
        )
        rows["checks"].append((n, "1", rng.choice(["", "", "no_rows"])))
        rows["labels"].append((n, "1", rng.random() > 0.4, 3, 2))
        rows["samples"] += [(n, s, "A", "stop", tokens, tokens, rng.random()) for s in (1, 2)]
    schemas = {
        "answers": answers.SCHEMA,
        "questions": questions.SCHEMA,
        "samples": verification.SAMPLES_SCHEMA,
        "checks": validity.CHECKS_SCHEMA,
        "labels": verification.LABELS_SCHEMA,
    }
    return {
        name: pl.DataFrame(part, schema=schemas[name], orient="row") for name, part in rows.items()
    }


def save(folder, frames, bounds):
    """Write each table as shards with these bounds, and return them."""
    files = {}
    for name, frame in frames.items():
        files[name] = []
        for number, (start, stop) in enumerate(pairwise(bounds)):
            path = folder / name / f"{number}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            frame.filter(pl.col("query").is_between(start, stop, closed="left")).write_parquet(path)
            files[name].append(path)
    return Shards(**files)


# 31 rows end within shards, and 1,000 are more than all.
@pytest.mark.parametrize("batch", [31, 1000])
@pytest.mark.parametrize("choice", ["none", "verified", "verified_matched"])
@pytest.mark.parametrize("length", [None, 2, 4])
def test_a_streamed_dataset_equals_one_built_at_once(tmp_path, monkeypatch, batch, choice, length):
    monkeypatch.setattr(datasets, "_ROWS_AT_A_TIME", batch)
    monkeypatch.setattr(diversity, "_KEYS_IN_MEMORY", 16)
    rng = random.Random(f"{batch}{choice}{length}")
    shards = save(tmp_path, stream(rng, 120), [0, 8, 16, 32, 64, 120])
    shards = replace(shards, answers=shards.answers[::-1], samples=shards.samples[::-1])
    test = [TaskItem(f"test-{n}", sentence(rng), f"t(c{n % 2})", "", "") for n in range(9)]
    for budget, reach in ((1, 1), (40, 110), (100, 120)):
        settings = cut(budget, choice, reach, length)
        for part in (shards, Shards(shards.answers, labels=shards.labels)):
            parts = []
            record = build_dataset(settings, part, SEEDS, test, parts.append)
            rows, expected = build_eagerly(settings, part, SEEDS, test)
            assert record.model_dump() == expected
            assert pl.concat(parts).equals(rows)
            assert parts[0].schema == rows.schema


def test_shards_whose_rows_are_mixed_give_the_same_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_ROWS_AT_A_TIME", 5)
    frames = stream(random.Random(1), 60)
    settings = cut(50, "verified_matched", 60)
    built = []
    for name, order in (("sorted", frames), ("mixed", {})):
        order = order or {n: frame.sample(fraction=1, shuffle=True) for n, frame in frames.items()}
        parts = []
        shards = save(tmp_path / name, order, [0, 30, 60])
        record = build_dataset(settings, shards, SEEDS, [], parts.append)
        built.append((pl.concat(parts), record.model_dump()))
    assert built[0][0].equals(built[1][0])
    assert built[0][1] == built[1][1]


@pytest.mark.parametrize("choice", ["none", "verified", "verified_matched"])
@pytest.mark.parametrize("budget", [16, 37, 64])
def test_a_dataset_does_not_depend_on_what_else_its_shards_hold(
    tmp_path, monkeypatch, choice, budget
):
    monkeypatch.setattr(datasets, "_ROWS_AT_A_TIME", 10)
    monkeypatch.setattr("seedbed.artifacts._ROWS_AT_A_TIME", 8)
    monkeypatch.setattr("seedbed.artifacts._ROW_GROUP", 16)
    frames = stream(random.Random(choice), 150)
    reach = 2 * budget if choice == "verified_matched" else budget
    settings = cut(budget, choice, reach)
    files, records = set(), []
    # The largest budget of a study, its shards, and labels that reach further than answers.
    for number, (stop, size, further) in enumerate(
        [(reach, 8, 0), (reach, 8, 5), (150, 8, 0), (150, 32, 0), (150, 150, 0), (reach + 1, 64, 0)]
    ):
        bounds = [0, *(size << n for n in range(8) if size << n < stop), stop]
        bounds[-1] = min(150, bounds[-1] + further)
        folder = tmp_path / str(number)
        shards = save(folder, frames, bounds)
        needed = next(n for n, bound in enumerate(bounds) if bound >= reach)
        shards = Shards(**{name: getattr(shards, name)[:needed] for name in frames})
        with parquet_rows(folder / "dataset.parquet") as rows:
            record = build_dataset(settings, shards, SEEDS, [], rows.add)
            records.append(record.model_dump())
        files.add((folder / "dataset.parquet").read_bytes())
    assert len(files) == 1
    assert all(record == records[0] for record in records)
    assert records[0]["counts"]["rows"] and records[0]["seconds"]["generation"] > 1
    with pytest.raises(ValueError, match="do not hold queries 0 to"):
        short = save(tmp_path / "short", frames, [0, reach - 1])
        build_dataset(settings, short, SEEDS, [], lambda rows: None)


def test_a_broken_shard_is_named(tmp_path):
    shards = save(tmp_path, stream(random.Random(2), 20), [0, 20])
    path = shards.checks[0]
    path.write_bytes(path.read_bytes()[:-20])
    settings = cut(20, "none", 20)
    with pytest.raises(ValueError, match=f"{path} cannot be read .*; delete it"):
        build_dataset(settings, shards, SEEDS, [], lambda rows: None)


def test_diversity_in_numbers_is_that_of_sets_of_words(monkeypatch):
    monkeypatch.setattr(diversity, "_KEYS_IN_MEMORY", 8)
    rng = random.Random(3)
    for _ in range(12):
        texts = [sentence(rng) for _ in range(rng.randint(0, 40))]
        others = [sentence(rng) for _ in range(rng.randint(0, 10))]
        assert near(texts, others).tolist() == near_eagerly(texts, others).tolist()
        for n in diversity.DISTINCT:
            assert distinct(texts, n) == distinct_eagerly(texts, n)
        for length in (None, 1, 3, 4):
            overlaps = diversity.overlap_test([""] * len(others), others, length)
            vocabulary = diversity.Vocabulary()
            held = diversity.Others(others, vocabulary)
            numbered = vocabulary.texts(pl.Series(texts, dtype=pl.String))
            may = held.may_overlap(numbered, length)
            found = [overlaps("", text) for text in texts]
            assert all(m for m, f in zip(may, found, strict=True) if f)


def test_parts_make_the_same_file_as_the_whole(tmp_path, monkeypatch):
    frame = pl.DataFrame({"n": range(10), "m": [[{"role": "user"}]] * 10})
    with parquet_rows(tmp_path / "parts.parquet") as rows:
        for part in frame.iter_slices(3):
            rows.add(part)
        rows.metadata = {"known": "late"}
    write_parquet(tmp_path / "whole.parquet", frame, {"known": "late"})
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    # As Arrow writes it itself, metadata and all.
    table = frame.to_arrow().replace_schema_metadata({"seedbed": b'{"known": "late"}'})
    pq.write_table(table, tmp_path / "arrow.parquet", compression="zstd")
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "arrow.parquet").read_bytes()
    monkeypatch.setattr("seedbed.artifacts._ROWS_AT_A_TIME", 2)
    monkeypatch.setattr("seedbed.artifacts._ROW_GROUP", 6)
    with parquet_rows(tmp_path / "groups.parquet") as rows:
        rows.metadata = {"known": "early"}
        for part in frame.iter_slices(3):
            rows.add(part)
    assert pq.ParquetFile(tmp_path / "groups.parquet").num_row_groups == 2
    assert pl.read_parquet(tmp_path / "groups.parquet").equals(frame)
    assert read_metadata(tmp_path / "groups.parquet") == {"known": "early"}


@pytest.mark.parametrize("limit", ["_ROW_GROUP", "_ROW_GROUP_BYTES"])
def test_a_file_has_the_bytes_of_its_rows_however_they_come(tmp_path, monkeypatch, limit):
    monkeypatch.setattr("seedbed.artifacts._ROWS_AT_A_TIME", 50)
    monkeypatch.setattr(f"seedbed.artifacts.{limit}", {"_ROW_GROUP": 150}.get(limit, 20_000))
    rng = random.Random(4)
    texts = [None if rng.random() < 0.1 else sentence(rng, 30) for _ in range(1000)]
    frame = pl.DataFrame({"n": range(1000), "text": texts, "chat": [[{"said": t}] for t in texts]})
    # Rows that were filtered from others, as those of a dataset are, keep the others' buffers.
    wide = pl.concat([frame, frame]).filter(pl.int_range(pl.len()) < 1000)
    groups = set()
    files = set()
    for number in range(12):
        path = tmp_path / f"{number}.parquet"
        with parquet_rows(path) as rows:
            left = wide if number % 2 else frame
            while left.height:
                size = left.height if number == 0 else rng.randint(0, 40 * number)
                rows.add(left[:size])
                left = left[size:]
        groups.add(pq.ParquetFile(path).num_row_groups)
        files.add(path.read_bytes())
    assert len(files) == 1
    assert groups.pop() > 4


def test_parts_that_end_in_an_error_leave_the_file_as_it_was(tmp_path):
    path = tmp_path / "rows.parquet"
    frame = pl.DataFrame({"n": range(200_000)})
    write_parquet(path, frame[:1])
    with pytest.raises(RuntimeError), parquet_rows(path) as rows:
        rows.add(frame)
        raise RuntimeError
    assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]
    assert pl.read_parquet(path).height == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "new", "most"),
    [
        pytest.param(1_000_000, False, 850, id="the same questions again and again"),
        pytest.param(500_000, True, 1024, id="a new question each"),
    ],
)
def test_a_large_dataset_is_built_in_little_memory(tmp_path, rows, new, most):
    output = tmp_path / "dataset.parquet"
    _, peak = run(command(tmp_path, write_stream(tmp_path, rows, new), rows, output))
    counts = read_json(output.with_suffix(".json"))["counts"]
    queries = pl.read_parquet(output, columns=["query"])["query"]
    for path in tmp_path.rglob("*.parquet"):
        path.unlink()
    assert peak < most  # MiB
    assert counts["teacher_queries"] == rows
    assert counts["rows"] + sum(counts["dropped"].values()) == rows
    assert len(queries) == counts["rows"] > 0.99 * rows
    assert queries.is_sorted() and queries.n_unique() == len(queries)


@pytest.mark.slow
def test_many_evaluations_are_collected_in_little_memory(tmp_path):
    listed = tmp_path / "list.txt"
    files = write_evaluations(tmp_path, cells=400, items=5000)
    listed.write_text("\n".join(map(str, files)))
    script = Path(__file__).parents[2] / "scripts" / "collect_results.py"
    cells, items = tmp_path / "cells.parquet", tmp_path / "items.parquet"
    options = ["--evaluations", f"@{listed}", "--cells", cells, "--item-scores", items]
    _, peak = run([sys.executable, str(script), *map(str, options)])
    assert peak < 600  # MiB
    assert pl.read_parquet(cells).height == 400
    assert pq.ParquetFile(items).metadata.num_rows == 400 * 5000
