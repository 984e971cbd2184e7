"""Broken or unwritable files of jobs on a cluster."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from same import assert_same

AA = "task=mini_math/method=answer_augmentation/augmenter=none/teacher=micro_teacher"
STREAM = f"{AA}/seeds=8/replicate=1"
CELL = f"{STREAM}/filter=none/budget=64/student=micro_student"


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of a size in a folder, or resize the mounted one."""
    mounted = []

    def mount(folder: Path, size: str) -> None:
        remount = ["-o", f"remount,size={size}"] if mounted else ["-o", f"size={size}"]
        words = ["mount", "-t", "tmpfs", *remount, "none", str(folder)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no tmpfs can be mounted: {done.stderr}")
        mounted.append(folder)

    yield mount
    if mounted:
        subprocess.run(["umount", "--lazy", str(mounted[0])], check=True)


def test_a_full_disk_is_named_and_nothing_is_lost(copied, finished, start, small_disk):
    clone = copied.without(f"adapters/{CELL}", f"evaluations/{CELL}")
    folder = clone.folder / f"results/micro/adapters/{CELL}"
    folder.mkdir(parents=True)
    small_disk(folder.parent, "16k")
    target = f"results/micro/evaluations/{CELL}/evaluation.json"
    run = start(clone, target, "--retries", "0", warm=True)
    assert run.end() != 0
    said = run.said()
    assert "No space left on device" in said
    assert "Error in rule train_student" in said
    assert f"results/micro/logs/train_student/{CELL}.log" in said
    assert not [path for path in folder.parent.rglob("*") if path.is_file()]
    small_disk(folder.parent, "16m")
    again = start(clone, target, warm=True)
    assert again.end() == 0, again.said()
    assert_same(clone, finished)


def cut(path: Path) -> None:
    """Truncate a file, like a full disk or a broken copy."""
    path.write_bytes(path.read_bytes()[:-20])


def test_broken_files_of_an_earlier_run_are_named_and_made_again(copied, finished, start):
    clone = copied
    results = clone.folder / "results/micro"
    broken = [
        results / f"answers/{STREAM}/shard=0/answers.parquet",
        results / f"adapters/{AA}/seeds=16/replicate=1/filter=none/budget=16"
        "/student=micro_student/adapter_model.safetensors",
        results / f"datasets/{AA}/seeds=16/replicate=1/filter=none/budget=128/dataset.json",
    ]
    for path in broken:
        cut(path)
    run = start(clone, "evaluations", "datasets", "--retries", "0", warm=True)
    assert run.end() != 0
    said = run.said()
    for path in broken:
        name = path.relative_to(clone.folder)
        assert f"{name} is broken" in said
        path.unlink()
    assert said.count("delete it, and start snakemake again, to have it made again") >= 3
    again = start(clone, "evaluations", "datasets", warm=True)
    assert again.end() == 0, again.said()
    assert_same(clone, finished)
