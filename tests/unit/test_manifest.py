"""The manifest of content digests, and what is compared with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from get_model import get_model
from get_task import get_task
from seedbed.artifacts import write_json, write_parquet
from seedbed.checksums import check_inputs
from seedbed.run.manifest import NAME, Input, Manifest, Record, read_state, setting
from seedbed.study.equivalence import items_source, same_result

LONG = json.dumps({"prompt": "{question}" * 20})


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of results, as seen from the working directory."""
    monkeypatch.chdir(tmp_path)
    return "results/study"


def made(root: str, name: str, text: str, shared: dict | None = None) -> Record:
    """Write a file, and return a record of it."""
    path = f"{root}/{name}"
    Path(root).mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    settings = {"settings": setting(LONG, {} if shared is None else shared), "start": 0}
    inputs = {"seeds": (Input("elsewhere", "abc", read_state(path)),)}
    return Record("make", {path: read_state(path)}, inputs, settings, "c0de")


def test_records_are_read_as_they_were_written(root):
    shared: dict = {"c0de": {"module.py: function": "1"}}
    record = made(root, "a", "text", shared)
    Manifest([root, "resources"]).add([record], shared)
    found = Manifest([root, "resources"])
    assert found.record(f"{root}/a") == record
    assert [*found.records()] == [record]
    assert found.shared(record.settings["settings"][0]) == LONG
    assert found.shared("c0de") == {"module.py: function": "1"}
    assert found.record(f"{root}/b") is found.state("elsewhere") is None


def test_the_last_record_of_a_file_counts_also_after_a_torn_line(root):
    manifest = Manifest([root])
    manifest.add([made(root, "a", "first")], {})
    with Path(root, NAME).open("ab") as file:
        file.write(b'{"outputs": {"results/stu')
    manifest = Manifest([root])
    second = made(root, "a", "second")
    manifest.add([second], {})
    assert Manifest([root]).record(f"{root}/a") == second


def test_compacting_keeps_every_record_and_what_another_run_adds(root):
    manifest, shared = Manifest([root]), {}
    for n in range(5):
        manifest.add([made(root, "a", str(n), shared), made(root, "b", str(n), shared)], shared)
    other = Manifest([root])
    added = made(root, "c", "other")
    other.add([added], shared)
    before = Path(root, NAME).read_text()
    manifest.compact()
    # It does not know of the other's line.
    assert Path(root, NAME).read_text() == before
    manifest = Manifest([root])
    manifest.compact()
    assert Path(root, NAME).read_text().count("\n") == 1 + 3
    found = Manifest([root])
    assert found.record(f"{root}/c") == added
    assert found.record(f"{root}/a").outputs[f"{root}/a"].sha256 == read_state(f"{root}/a").sha256
    assert found.shared(added.settings["settings"][0]) == LONG


def test_what_an_artifact_says_of_its_making_is_not_its_content(tmp_path):
    rows = pl.DataFrame({"query": [1, 2]})
    for name, write in {
        "table.parquet": lambda path, about: write_parquet(path, rows, about),
        "fits.json": write_json,
        "training.json": lambda path, about: write_json(path, {"counts": {}, **about}),
    }.items():
        contents = []
        for code, versions in (("1", {"polars": "1"}), ("2", {})):
            about = {"code": code, "versions": versions, "settings": 1}
            write(tmp_path / name, about)
            contents.append(read_state(tmp_path / name))
        assert contents[0].sha256 != contents[1].sha256
        assert contents[0].content == contents[1].content
    write_parquet(tmp_path / "table.parquet", rows, {"code": "1", "settings": 2})
    assert read_state(tmp_path / "table.parquet").content != contents[0].content
    write_parquet(tmp_path / "other.parquet", rows.reverse(), {"code": "1", "settings": 2})
    found = [read_state(tmp_path / name).content for name in ("table.parquet", "other.parquet")]
    assert found[0] != found[1]


@pytest.mark.parametrize("others", [0, 30])
def test_a_flipped_byte_is_found_where_the_file_is_read(root, others):
    records = [made(root, f"file{n}", f"text {n}") for n in range(others + 1)]
    Manifest([root]).add(records, {})
    # The last one counts.
    Manifest([root]).add([made(root, "file0", "text")], {})
    files = [f"{root}/file{n}" for n in range(others + 1)]
    manifests = [Path(root) / NAME, Path("resources") / NAME]
    check_inputs(manifests, files)
    Path(files[0]).write_text("tExt")
    with pytest.raises(SystemExit, match=r"file0 is broken .* delete it, and start snakemake"):
        check_inputs(manifests, files)
    # Nobody noted it, so nobody can say.
    check_inputs([], files)


CAPITALS = {
    "files": {"train": "train.jsonl", "test": "test.jsonl"},
    "columns": {"question": "q", "gold": "a"},
    "answer": "It is {gold}.",
    "train_items": 2,
    "test_items": 1,
    "license": "MIT",
    "sha256": None,
    "excluded": [],
}
ROWS = [{"q": f"Capital {n}?", "a": f"City {n}"} for n in range(3)]


@pytest.fixture
def task(tmp_path):
    """The folder of a task that was made, and the folder with its data."""
    data = tmp_path / "data"
    data.mkdir()
    write_rows(data / "train.jsonl", ROWS[:2])
    write_rows(data / "test.jsonl", ROWS[2:])
    get_task(CAPITALS, data, tmp_path / "task")
    return tmp_path / "task", data


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def same(task, data, **changes):
    params = {"source": CAPITALS | changes, "data_dir": str(data)}
    names = {"train": "train.parquet", "test": "test.parquet", "record": "task.json"}
    outputs = {name: task / file for name, file in names.items()}
    return same_result("get_task", params, outputs)


def test_the_same_items_are_the_same_wherever_and_however_they_lie(task, tmp_path):
    folder, data = task
    moved = data.rename(tmp_path / "moved")
    assert same(folder, moved)
    assert same(folder, moved, license="CC0")
    # With a column that nobody reads, as Parquet, under other names.
    for split in ("train", "test"):
        rows = pl.read_ndjson(moved / f"{split}.jsonl")
        rows.with_columns(pl.lit(1).alias("x")).write_parquet(moved / f"{split}_rows.parquet")
    files = {split: f"{split}_rows.parquet" for split in ("train", "test")}
    assert same(folder, moved, files=files)
    assert not same(folder, moved, files={"train": files["test"], "test": files["train"]})
    assert not same(folder, moved, answer="{gold}")
    write_rows(moved / "test.jsonl", ROWS[:1])
    assert not same(folder, moved)
    assert not same(folder, tmp_path / "nowhere")


def test_words_and_checks_are_no_part_of_what_items_depend_on():
    other = {"license": None, "sha256": {"train": "0", "test": "1"}, "train_items": 5}
    assert items_source(CAPITALS | other) == items_source(CAPITALS)
    hub = {"hub": "owner/name", "train_items": 7, "excluded": [{"item": "1", "reason": "odd"}]}
    # Of a data set on the hub, so many are taken.
    assert items_source(hub | {"train_items": 6}) != items_source(hub)
    assert items_source(hub | {"excluded": [{"item": "1", "reason": "wrong"}]}) == items_source(hub)


def test_a_revision_that_is_pinned_to_what_was_taken_is_the_same(tmp_path):
    record = tmp_path / "model.json"
    write_json(record, {"hub": "owner/name", "revision": "c0ffee", "fingerprint": "1"})

    def same_model(source):
        return same_result("get_model", {"source": source}, {"record": record})

    assert same_model({"hub": "owner/name", "revision": "c0ffee"})
    assert not same_model({"hub": "owner/name", "revision": "0ther"})
    assert not same_model({"hub": "owner/other", "revision": "c0ffee"})
    assert not same_model({"api": "name"})
    task = {"hub": "owner/name", "revision": None, "train_items": 1, "test_items": 1}
    write_json(tmp_path / "task.json", {"source": task, "revision": "c0ffee"})
    pinned = {"source": task | {"revision": "c0ffee"}, "data_dir": ""}
    assert same_result("get_task", pinned, {"record": tmp_path / "task.json"})
    pinned = {"source": task | {"revision": "0ther"}, "data_dir": ""}
    assert not same_result("get_task", pinned, {"record": tmp_path / "task.json"})


def test_a_model_in_a_folder_that_moved_is_the_same(tiny_model, tmp_path):
    get_model(None, None, tiny_model, tmp_path / "model")
    moved = shutil.copytree(tiny_model, tmp_path / "a folder")
    outputs = {"record": tmp_path / "model/model.json"}
    params = {"source": {"path": str(moved)}}
    assert same_result("get_model", params, outputs)
    (moved / "config.json").write_text("{}")
    assert not same_result("get_model", params, outputs)
