"""Reference answers are scored before anything is paid, and all that fail are named."""

import json
import sqlite3
import sys
from contextlib import closing

import polars as pl
import pytest
import yaml

import get_task as script
from get_task import get_task
from seedbed.artifacts import read_json
from seedbed.evaluation.references import (
    excluded_block,
    failing_references,
)
from seedbed.evaluation.scorers import make_scorer
from seedbed.evaluation.scorers.settings import Scored
from seedbed.tasks.items import TaskItem
from seedbed.tasks.record import TaskCounts

NUMBERS = {"kind": "number", "scorer": {}, "score": "strict"}


def source(train, test, **more):
    return {
        "files": {"train": "train.jsonl", "test": "test.jsonl"},
        "columns": {"question": "question", "gold": "gold"},
        "answer": "#### {gold}",
        "train_items": train,
        "test_items": test,
    } | more


def write(folder, train, test):
    for split, golds in (("train", train), ("test", test)):
        rows = [json.dumps({"question": f"{split} {n}?", "gold": g}) for n, g in enumerate(golds)]
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n")
    return source(len(train), len(test))


def test_all_that_fail_in_both_splits_are_named_before_anything_is_written(tmp_path):
    settings = write(tmp_path, ["3", "twelve", "4"], ["7", "unknown"])
    with pytest.raises(ValueError, match="of 2 of 5 items are wrong") as found:
        get_task(settings, tmp_path, tmp_path / "task", Scored(**NUMBERS))
    message = str(found.value)
    assert "train train-00001: gold 'twelve': not a number: 'twelve'" in message
    assert "test test-00001: gold 'unknown': not a number: 'unknown'" in message
    assert not (tmp_path / "task").exists()


def test_the_block_of_the_message_leaves_them_out(tmp_path):
    settings = write(tmp_path, ["3", "twelve", "4"], ["7", 'a "b": c\n# d'])
    with pytest.raises(ValueError, match="reference answers of 2") as found:
        get_task(settings, tmp_path, tmp_path / "task", Scored(**NUMBERS))
    block = yaml.safe_load("source:" + str(found.value).split("\nsource:")[1])
    excluded = [entry | {"database": None} for entry in block["source"]["excluded"]]
    assert [entry["item"] for entry in excluded] == ["train-00001", "test-00001"]
    rest = settings | {"train_items": 2, "test_items": 1, "excluded": excluded}
    assert get_task(rest, tmp_path, tmp_path / "task", Scored(**NUMBERS)) == TaskCounts(
        train_items=2, test_items=1
    )
    record = read_json(tmp_path / "task" / "task.json")
    assert "not a number" in record["excluded"]["train"]["train-00001"]
    assert record["gold_values"] == 2


def test_the_reading_is_the_one_that_counts(tmp_path):
    settings = write(tmp_path, ["3"], ["4"]) | {"answer": "It is {gold}."}
    get_task(settings, tmp_path, tmp_path / "task", Scored(**NUMBERS | {"score": "flexible"}))
    with pytest.raises(ValueError, match="gold '3': right by the flexible reading, but not"):
        get_task(settings, tmp_path, tmp_path / "task", Scored(**NUMBERS))


def test_sqlite_says_why_a_query_fails(tmp_path):
    (tmp_path / "databases").mkdir()
    with closing(sqlite3.connect(tmp_path / "databases" / "shop.sqlite")) as connection:
        connection.execute("CREATE TABLE toy(name)")
        connection.commit()
    items = [
        TaskItem(f"train-{n}", "?", "", sql, sql, database="shop.sqlite")
        for n, sql in enumerate(
            ["SELECT name FROM toy", "SELECT nam FROM toy", "SELECT 1 FROM tot", "SELECT name FROM"]
        )
    ]
    with closing(make_scorer("sql", {}, tmp_path)) as scorer:
        failing = failing_references({"train": items}, scorer)
    assert [one.item_id for one in failing] == ["train-1", "train-2", "train-3"]
    words = ["no such column: nam", "no such table: tot", "incomplete input"]
    for word, one in zip(words, failing, strict=True):
        assert word in one.reason


def test_what_a_tasks_own_function_raises_is_a_reason(tmp_path):
    (tmp_path / "judge.py").write_text("def score(output, item):\n    return item.golden\n")
    settings = write(tmp_path, ["3"], ["4"])
    own = {"kind": "exact", "scorer": "judge:score", "score": "strict"}
    with pytest.raises(ValueError, match=r"train train-00000: gold '3': .*AttributeError"):
        get_task(settings, tmp_path, tmp_path / "task", Scored(**own), tmp_path)


def test_an_id_of_both_splits_stands_once_in_the_block():
    items = [TaskItem("x", "?", "", "#### 1", "2")]
    with closing(make_scorer("number", {}, ".")) as scorer:
        failing = failing_references({"train": items, "test": items}, scorer)
    assert [(one.split, one.reason) for one in failing] == [
        ("train", "the scorer reads '1'"),
        ("test", "the scorer reads '1'"),
    ]
    assert len(yaml.safe_load(excluded_block(failing))["source"]["excluded"]) == 1


def test_the_command_line_says_it_without_a_traceback(tmp_path, monkeypatch):
    settings = write(tmp_path, ["3", "twelve"], ["7"])
    arguments = ["--source", json.dumps(settings), "--data-dir", str(tmp_path)]
    arguments += ["--scoring", json.dumps(NUMBERS), "--folder", str(tmp_path / "task")]
    monkeypatch.setattr(sys, "argv", ["get_task", *arguments])
    with pytest.raises(SystemExit, match='- item: "train-00001"'):
        script.main()


def test_a_write_ahead_log_is_copied_whole_and_views_are_in_the_context(tmp_path):
    data = tmp_path / "own"
    data.mkdir()
    with closing(sqlite3.connect(data / "shop.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.executescript(
            "CREATE TABLE toy(name TEXT, price INT, dear INT AS (price > 3), twice INT "
            "GENERATED ALWAYS AS (price * 2) STORED);"
            "CREATE VIEW cheap AS SELECT name, price FROM toy WHERE NOT dear;"
            "INSERT INTO toy(name, price) VALUES ('ball', 3), ('kite', 5);"
        )
        # The log is open still: the file alone has no table.
        assert (data / "shop.sqlite-wal").stat().st_size > 0
        row = {"question": "How many?", "query": "SELECT count(*) FROM cheap", "db": "shop"}
        for split in ("train", "test"):
            pl.DataFrame([row]).write_parquet(data / f"{split}.parquet")
        settings = {
            "files": {"train": "train.parquet", "test": "test.parquet"},
            "columns": {"question": "question", "answer": "query", "gold": "query"}
            | {"database": "db"},
            "databases": "{database}.sqlite",
            "train_items": 1,
            "test_items": 1,
        }
        scoring = {"kind": "sql", "scorer": {}, "score": "strict"}
        get_task(settings, data, tmp_path / "task", Scored(**scoring))
    copies = sorted(path.name for path in (tmp_path / "task" / "databases").iterdir())
    assert copies == ["shop.sqlite"]
    with closing(make_scorer("sql", {}, tmp_path / "task")) as scorer:
        assert scorer.run("shop.sqlite", "SELECT name, twice FROM toy").rows == (
            ("ball", 6),
            ("kite", 10),
        )
    context = pl.read_parquet(tmp_path / "task" / "train.parquet")["context"][0]
    assert context.splitlines() == [
        "toy(name TEXT, price INT, dear INT, twice INT)",
        "cheap(name TEXT, price INT) -- view",
    ]
