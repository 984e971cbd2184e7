import argparse
import math
import os
import stat

import numpy as np
import polars as pl
import pytest

from seedbed.artifacts import (
    read_json,
    read_metadata,
    replacing,
    whole_file,
    write_json,
    write_parquet,
    write_text,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
    assert path.read_text() == "whole"
    assert names(path.parent) == ["a.txt"]


def test_a_block_that_raises_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_takes_the_place_of_a_folder_with_content(tmp_path):
    path = tmp_path / "model"
    for name in ("old", "new"):
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
    assert names(path) == ["new"]
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize(
    ("umask", "files", "folders"),
    [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775), (0o077, 0o600, 0o700)],
)
def test_who_may_read_an_artifact_is_as_the_umask_says(tmp_path, umask, files, folders):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    before = os.umask(umask)
    try:
        with replacing(tmp_path / "adapter") as temporary:
            temporary.mkdir()
            # Its writer leaves files that only their owner may read.
            save_file({"weight": torch.zeros(1)}, temporary / "weights.safetensors")
            (temporary / "tokens").mkdir(mode=0o700)
            (temporary / "run.sh").write_text("#!/bin/sh")
            (temporary / "run.sh").chmod(0o700)
    finally:
        os.umask(before)

    def mode(name):
        return stat.S_IMODE((tmp_path / "adapter" / name).stat().st_mode)

    assert mode("weights.safetensors") == files
    assert mode("") == mode("tokens") == mode("run.sh") == folders


def test_what_a_link_in_a_folder_leads_to_keeps_its_mode(tmp_path):
    target = tmp_path / "target"
    target.write_text("")
    target.chmod(0o600)
    with replacing(tmp_path / "model") as temporary:
        temporary.mkdir()
        (temporary / "weights").symlink_to(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_block_that_raises_leaves_the_old_folder(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "weights").write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "weights").write_text("new")
        raise KeyboardInterrupt
    assert (path / "weights").read_text() == "old"
    assert names(tmp_path) == ["model"]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_the_old_folder(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "weights").write_text("old")
    with pytest.raises(FileNotFoundError, match="nothing was written for"), replacing(path):
        pass
    assert (path / "weights").read_text() == "old"


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the outer block ends last
    assert names(tmp_path) == ["a.txt"]


def test_json_is_the_same_bytes_whatever_the_order_of_keys(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1, None], "a": "ü"})
    write_json(tmp_path / "b.json", {"a": "ü", "b": [1, None]})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": "ü", "b": [1, None]}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_refuses_what_is_no_number_and_keeps_the_old_file(tmp_path, value):
    path = tmp_path / "a.json"
    write_json(path, {"accuracy": 0.5})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"accuracy": value})
    assert read_json(path) == {"accuracy": 0.5}


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe", b"[1,]"])
def test_a_broken_json_file_is_named(tmp_path, content):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.json is broken \(.*\): delete it"):
        read_json(path)


def test_a_table_keeps_its_rows_types_and_what_it_says_of_itself(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame(
        {"n": [1, None], "messages": [[{"role": "user", "content": "ü\n"}], []]},
    )
    about = {"settings": {"β": 1.5, "none": None}}
    write_parquet(path, frame, about)
    assert pl.read_parquet(path).equals(frame)
    assert read_metadata(path) == about


def test_a_table_may_say_nothing_of_itself_and_have_no_rows(tmp_path):
    path = tmp_path / "t.parquet"
    write_parquet(path, pl.DataFrame(schema={"n": pl.Int64, "s": pl.String}))
    assert pl.read_parquet(path).schema == {"n": pl.Int64, "s": pl.String}
    assert read_metadata(path) == {}


def test_text_is_written_as_utf8(tmp_path):
    write_text(tmp_path / "a.txt", "naïve €")
    assert (tmp_path / "a.txt").read_bytes() == "naïve €".encode()


@pytest.fixture
def artifacts(tmp_path):
    """A file of each kind."""
    from safetensors.numpy import save_file

    write_parquet(tmp_path / "rows.parquet", pl.DataFrame({"a": list(range(1000))}))
    write_json(tmp_path / "record.json", {"a": [1, 2, 3]})
    save_file({"a": np.zeros((4, 5))}, tmp_path / "weights.safetensors", {"format": "np"})
    return [tmp_path / name for name in ("rows.parquet", "record.json", "weights.safetensors")]


def test_a_whole_file_is_taken(artifacts, tmp_path):
    (tmp_path / "notes.csv").write_text("a,b")
    assert [whole_file(str(path)) for path in artifacts] == artifacts
    assert whole_file(str(tmp_path / "notes.csv")) == tmp_path / "notes.csv"


@pytest.mark.parametrize("kept", [0, 1, 4, 8, 11, -2, -30])
def test_a_file_that_is_cut_short_is_named_with_what_to_do(artifacts, kept):
    for path in artifacts:
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(argparse.ArgumentTypeError) as caught:
            whole_file(str(path))
        assert str(caught.value).startswith(f"{path} is broken (")
        assert "delete it, and start snakemake again" in str(caught.value)


@pytest.mark.parametrize("content", [b"\0" * 4096, b"\xff" * 64, b"[1, 2", b"PAR1"])
def test_a_file_of_something_else_is_broken(artifacts, content):
    for path in artifacts:
        path.write_bytes(content)
        with pytest.raises(argparse.ArgumentTypeError, match="is broken"):
            whole_file(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(argparse.ArgumentTypeError, match=r"gone\.parquet: No such file"):
        whole_file(str(tmp_path / "gone.parquet"))
