"""Trainings that are killed, stopped or run out of disk: they go on from their last save."""

import json
import multiprocessing
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import polars as pl
import pytest

from practice import silent
from seedbed.artifacts import read_json
from seedbed.tasks.worlds import load_world
from seedbed.training import saves
from seedbed.training.record import TrainingRecord, TrainingSeconds
from seedbed.training.saves import STOPPED, Saves
from seedbed.training.settings import StudentTraining, Trainer
from seedbed.training.students import train_student
from seedbed.training.trainer import MicroBatchTrainer

SETTINGS = StudentTraining(
    epochs=6,
    learning_rate=1e-2,
    batch_size=4,
    lora_rank=4,
    lora_alpha=8,
    max_length=128,
    lora_dropout=0.1,
)
STEPS = 18
EVERY_STEP = Trainer(save_minutes=1e-9)
SCRIPTS = Path(saves.__file__).parents[2]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    chats = [
        [{"role": "user", "content": item.question}, {"role": "assistant", "content": item.answer}]
        for item in load_world("mini_math").items("train", 10, seed=1)
    ]
    path = tmp_path_factory.mktemp("data") / "dataset.parquet"
    pl.DataFrame({"messages": chats}).write_parquet(path)
    return path


def train(
    model, dataset, output, settings=SETTINGS, trainer=EVERY_STEP, progress=silent, code="now"
):
    def describe(folder, counts, earlier_seconds):
        seconds = TrainingSeconds(training=earlier_seconds)
        TrainingRecord(counts=counts, seconds=seconds).write(folder / "training.json")

    return train_student(
        model, dataset, output, settings, describe, progress, trainer=trainer, code=code
    )


@pytest.fixture(scope="module")
def undisturbed(tiny_model, dataset, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "adapter"
    train(tiny_model, dataset, output, trainer=Trainer())
    return output


def weights(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def processes():
    """Starts processes that have imported everything, and have run nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["seedbed.training.trainer", "peft", __name__])
    # The server imports by PYTHONPATH alone (https://github.com/python/cpython/issues/126631).
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()
    return context


def die_there(place, name, when, *arguments):
    """Train, and die by kill -9 where a function is called the `when`-th time."""
    place = pkgutil.resolve_name(place)
    called, really = [], getattr(place, name)

    def count(*args, **kwargs):
        called.append(1)
        if len(called) == when:
            os.kill(os.getpid(), signal.SIGKILL)
        return really(*args, **kwargs)

    setattr(place, name, count)
    train(*arguments)


def train_and_die(processes, moment, *arguments):
    process = processes.Process(target=die_there, args=(*moment, *arguments))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL, f"{moment}: ended with {process.exitcode}"


# Where kill -9 comes, and how often that place is passed in the process before.
TRAINER = "seedbed.training.trainer:MicroBatchTrainer"
MOMENTS = [
    ("seedbed.training.students", "encode_rows", 1),
    (TRAINER, "training_step", 1),
    (TRAINER, "training_step", 3),
    (TRAINER, "_write_save", 2),
    ("seedbed.training.saves", "_seal", 2),
    (TRAINER, "_loss", 4),
    ("seedbed.training.trainer:SaveRecord", "write", 3),
    ("shutil", "rmtree", 2),
    (TRAINER, "training_step", 5),
    ("seedbed.training.students", "replacing", 1),
]


@pytest.mark.slow
def test_ten_kills_change_nothing_and_each_training_goes_on(
    tiny_model, dataset, undisturbed, tmp_path, processes
):
    output = tmp_path / "adapter"
    reached = []
    for moment in MOMENTS:
        train_and_die(processes, moment, tiny_model, dataset, output)
        assert not output.exists()
        steps = [int(path.name.split("-")[1]) for path in tmp_path.glob(".*/checkpoint-*")]
        reached.append(max(steps, default=0))
    assert reached == sorted(reached)
    assert reached[-1] == STEPS - 1
    said = []
    counts = train(tiny_model, dataset, output, progress=said.append)
    assert f"goes on from its save of step {STEPS - 1}" in said
    assert weights(output) == weights(undisturbed)
    assert TrainingRecord.read(output / "training.json").seconds.training > 0
    assert counts == TrainingRecord.read(undisturbed / "training.json").counts
    # Nothing is left, of ten killed processes, but the adapter.
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


@pytest.fixture
def killed(tiny_model, dataset, tmp_path, processes):
    """The output of a training that was killed in its sixth step."""
    output = tmp_path / "adapter"
    train_and_die(processes, (TRAINER, "training_step", 6), tiny_model, dataset, output)
    return output


def steps_done(run, monkeypatch):
    """Return how many optimiser steps something takes."""
    steps = []
    step = MicroBatchTrainer.training_step

    def count(*args, **kwargs):
        steps.append(1)
        return step(*args, **kwargs)

    monkeypatch.setattr(MicroBatchTrainer, "training_step", count)
    run()
    return len(steps)


@pytest.mark.slow
def test_a_save_that_is_damaged_is_not_used(tiny_model, dataset, undisturbed, killed, monkeypatch):
    (save,) = killed.parent.glob(".*/checkpoint-5")
    older = shutil.copytree(save, save.with_name("checkpoint-4"))
    (save / "optimizer.pt").write_bytes(b"half")
    assert steps_done(lambda: train(tiny_model, dataset, killed), monkeypatch) == STEPS - 5
    assert older.name == "checkpoint-4"
    assert weights(killed) == weights(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("change", ["settings", "code", "data"])
def test_saves_of_another_training_are_not_used(
    tiny_model, dataset, undisturbed, killed, monkeypatch, tmp_path, change
):
    settings, code = SETTINGS, "now"
    if change == "settings":
        settings = SETTINGS.model_copy(update={"learning_rate": 2e-2})
    if change == "code":
        code = "later"
    if change == "data":
        rows = pl.read_parquet(dataset)
        dataset = tmp_path / "other.parquet"
        rows.reverse().write_parquet(dataset)
    run = lambda: train(tiny_model, dataset, killed, settings, code=code)  # noqa: E731
    assert steps_done(run, monkeypatch) == STEPS
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_a_training_goes_on_from_a_copy_of_its_dataset_with_other_bytes(
    tiny_model, dataset, undisturbed, killed, monkeypatch, tmp_path
):
    copy = tmp_path / "copy.parquet"
    pl.read_parquet(dataset).write_parquet(copy, compression="uncompressed")
    assert copy.read_bytes() != dataset.read_bytes()
    assert steps_done(lambda: train(tiny_model, copy, killed), monkeypatch) == STEPS - 5
    assert weights(killed) == weights(undisturbed)


def test_a_full_disk_costs_saves_and_not_the_training(
    tiny_model, dataset, undisturbed, tmp_path, monkeypatch
):
    write, calls, said = MicroBatchTrainer._write_save, [], []

    def fail_at_times(self):
        calls.append(1)
        write(self)
        if len(calls) in (2, 3):
            (folder,) = tmp_path.glob(f".*/checkpoint-{len(calls)}")
            (folder / "optimizer.pt").write_bytes(b"half")
            raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr(MicroBatchTrainer, "_write_save", fail_at_times)
    kept = []

    def look(text):
        said.append(text)
        kept.append(sorted(path.name for path in tmp_path.glob(".*/checkpoint-*")))

    train(tiny_model, dataset, tmp_path / "adapter", progress=look)
    assert weights(tmp_path / "adapter") == weights(undisturbed)
    assert [text for text in said if "could not be saved" in text] == said[:2]
    # The save before stays, and half a save does not.
    assert kept[:2] == [["checkpoint-1"], ["checkpoint-1"]]


def test_a_training_that_fails_before_its_first_save_leaves_nothing(
    tiny_model, dataset, tmp_path, monkeypatch
):
    def fail(*_):
        raise ValueError("no")

    monkeypatch.setattr(MicroBatchTrainer, "_loss", fail)
    with pytest.raises(ValueError, match=r"^no$"):
        train(tiny_model, dataset, tmp_path / "adapter")
    assert not list(tmp_path.iterdir())


def test_what_killed_processes_left_is_removed(tmp_path):
    left = [".0123456789ab.adapter", ".0123456789ab.adapter.replaced"]
    others = [".0123456789ab.adapter2", "adapter", ".other.unfinished", ".0123456789ab"]
    for name in left + others:
        (tmp_path / name).mkdir()
    with Saves(tmp_path / "adapter", {"a": 1}, silent):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


@pytest.mark.slow
def test_sigterm_has_the_script_save_and_fail(tiny_model, dataset, tmp_path):
    settings = {
        "epochs": 10_000,
        "learning_rate": 1e-3,
        "batch_size": 4,
        "lora_rank": 4,
        "lora_alpha": 8,
        "max_length": 128,
    }
    command = [sys.executable, SCRIPTS / "train_student.py", "--model", tiny_model]
    command += ["--dataset", dataset, "--settings", json.dumps(settings), "--gpu", "0"]
    # Once, as soon as it trains, and then not for a long time.
    command += ["--trainer", json.dumps({"save_minutes": 0.02}), "--folder", tmp_path / "adapter"]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    folder, limit = tmp_path / ".adapter.unfinished", time.monotonic() + 120
    while not (first := list(folder.glob("checkpoint-*/whole.json"))) and process.poll() is None:
        assert time.monotonic() < limit
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == STOPPED, said
    assert "the training is saved" in said
    (save,) = folder.glob("checkpoint-*")
    assert read_json(save / "counts.json")["step"] > int(first[0].parent.name.split("-")[1])
