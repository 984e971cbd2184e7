"""Results of an earlier version, whose folders had other names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from project import Clone
from seedbed.run.owners import Sign, this_run
from seedbed.run.renames import FOLDERS, STAGES, old_folders, rename_folders

RESULTS = Path("results/micro")


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of the results that are not logs of runs."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted((folder / RESULTS).rglob("*"))
        if path.is_file() and path.suffix not in (".log", ".tsv") and path.name != "run.json"
    }


def as_before(folder: Path) -> None:
    """Give the results the names of an earlier version."""
    results = folder / RESULTS
    for old, new in reversed(FOLDERS.items()):
        if (results / new).is_dir():
            (results / new).rename(results / old)
    for stage in STAGES:
        for file in (results / stage).rglob(f"{FOLDERS[stage]}.parquet"):
            file.rename(file.with_name(f"{stage}.parquet"))
    text = (results / "manifest.jsonl").read_text()
    for stage in STAGES:
        new = FOLDERS[stage]
        text = re.sub(
            rf'"{RESULTS}/{new}/([^"]*)/{new}\.parquet"',
            rf'"{RESULTS}/{stage}/\1/{stage}.parquet"',
            text,
        )
    (results / "manifest.jsonl").write_text(text.replace('"sample_answers"', '"sample_votes"'))


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Have the rename of this number raise; return what says how many there were."""
    renames, count = Path.rename, 0

    def rename(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == step:
            raise KeyboardInterrupt
        return renames(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    return lambda: count


def test_results_of_an_earlier_version_are_renamed_and_nothing_is_made_again(
    copied: Clone, monkeypatch
):
    before = content(copied.folder)
    as_before(copied.folder)
    assert content(copied.folder).keys() != before.keys()
    for words in (["-n"], ["all"], ["adopt", "all"]):
        done = copied.snakemake(*words)
        assert done.returncode, done.stdout
        for said in ("votes is samples now", "make adopt STUDY=micro CONFIRM=yes"):
            assert said in done.stdout, done.stdout
    # A kill between two renames leaves the rest to the next time.
    monkeypatch.chdir(copied.folder)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        killed_at(6, patch)
        rename_folders(RESULTS, copied.folder, print)
    assert copied.snakemake("-n").returncode
    assert "Renamed in results/micro: " in copied.asked("adopt_confirmed", "all")
    assert content(copied.folder) == before
    assert copied.plan() == {}
    # What was paid for is found: all samples are in the response cache.
    caches = [*(RESULTS / "state/samples").rglob("*.jsonl")]
    lines = sum(file.read_bytes().count(b"\n") for file in caches)
    wanted = [str(file) for file in RESULTS.glob("samples/**/samples.parquet")]
    copied.without("samples/**/shard=*")
    done = copied.snakemake(*wanted)
    assert done.returncode == 0 and "sample_answers" in done.stdout
    caches = [*(RESULTS / "state/samples").rglob("*.jsonl")]
    assert sum(file.read_bytes().count(b"\n") for file in caches) == lines > 0


def fabricate() -> None:
    """Make the folders of an earlier version, with a file in each, in the working directory."""
    for old in FOLDERS:
        name = f"{old}.parquet" if old in STAGES else "a.jsonl"
        place = RESULTS / old / "task=t/shard=0"
        place.mkdir(parents=True)
        (place / name).write_text(old)
    (RESULTS / "manifest.jsonl").write_text(
        f'{{"outputs": {{"{RESULTS}/votes/task=t/shard=0/votes.parquet": []}}, '
        '"rule": "sample_votes"}\n{"outp\n'
    )
    (RESULTS / "journal/run.json").write_text(f'{{"made": ["{RESULTS}/votes/x/votes.parquet"]}}')


def test_a_kill_after_any_step_leaves_the_rest_to_the_next_time(tmp_path, monkeypatch):
    steps, trees = 1, set()
    while True:
        folder = tmp_path / str(steps)
        folder.mkdir()
        monkeypatch.chdir(folder)
        fabricate()
        with monkeypatch.context() as patch:
            count = killed_at(steps, patch)
            try:
                rename_folders(RESULTS, folder, print)
            except KeyboardInterrupt:
                assert old_folders(RESULTS)
        if count() >= steps:
            rename_folders(RESULTS, folder, print)
        assert not old_folders(RESULTS)
        trees.add(tuple(content(folder).items()))
        if count() < steps:
            break
        steps += 1
    assert steps > len(FOLDERS) + len(STAGES)
    (tree,) = map(dict, trees)
    assert tree[f"{RESULTS}/samples/task=t/shard=0/samples.parquet"] == b"votes"
    assert tree[f"{RESULTS}/state/pending/task=t/shard=0/a.jsonl"] == b"journal/sharing"
    noted = (RESULTS / "manifest.jsonl").read_text()
    assert f"{RESULTS}/samples/task=t/shard=0/samples.parquet" in noted
    assert '"rule": "sample_answers"' in noted and noted.endswith('{"outp\n')
    assert "samples/x/samples.parquet" in (RESULTS / "state/run.json").read_text()


def test_nothing_is_renamed_while_a_run_is_alive_or_over_other_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fabricate()
    before = content(tmp_path)
    sign = Sign(this_run("micro", tmp_path, [], None), RESULTS / "journal/owners")
    with pytest.raises(RuntimeError, match=r"a run of micro is alive: process \d+"):
        rename_folders(RESULTS, tmp_path, print)
    sign.take_back()
    (RESULTS / "labels").mkdir()
    (RESULTS / "labels/other").touch()
    with pytest.raises(RuntimeError, match="verdicts is results/micro/labels now, and both"):
        rename_folders(RESULTS, tmp_path, print)
    (RESULTS / "labels/other").unlink()
    assert content(tmp_path) == before
