"""One process trains several students; each adapter stays that of its own job."""

import json
import sys

import polars as pl
import pytest
from recording_engine import KilledError

import train_student
from seedbed.artifacts import read_json
from seedbed.engines.pending_jobs import write_plan
from seedbed.tasks.worlds import load_world
from seedbed.training import trainer

SETTINGS = {
    "epochs": 2,
    "learning_rate": 0.01,
    "batch_size": 4,
    "lora_rank": 4,
    "lora_alpha": 8.0,
    "max_length": 128,
}


@pytest.fixture
def study(tmp_path, monkeypatch, tiny_model):
    """A study with three students to train, whose data are there; returns what runs a job."""
    monkeypatch.setattr(train_student, "LEAST_START", 0.0)
    items = load_world("mini_math").items("train", 24, seed=1)
    lines = []
    for number, name in enumerate("abc"):
        chats = [
            [{"role": "user", "content": i.question}, {"role": "assistant", "content": i.answer}]
            for i in items[8 * number : 8 * number + 8]
        ]
        pl.DataFrame({"messages": chats}).write_parquet(tmp_path / f"{name}.parquet")
        job = {
            "output": str(tmp_path / f"adapters/{name}/training.json"),
            "cache": str(tmp_path / "journal" / name),
            "inputs": [str(tmp_path / f"{name}.parquet")],
            "settings": SETTINGS | {"seed": number},
            "trainer": {},
        }
        lines.append(json.dumps(job))
    (tmp_path / "sharing").mkdir()
    (tmp_path / "sharing/training.jsonl").write_text("\n".join(lines))
    write_plan(tmp_path / "sharing/plan.txt", [json.loads(line)["output"] for line in lines])
    steps = []
    step = trainer.MicroBatchTrainer.training_step

    def count(*args, **kwargs):
        steps.append(1)
        return step(*args, **kwargs)

    monkeypatch.setattr(trainer.MicroBatchTrainer, "training_step", count)

    def run(name, place="adapters", sharing=True):
        """Run a job; return how many optimiser steps were taken."""
        number, before = "abc".index(name), len(steps)
        options = {
            "model": tiny_model,
            "dataset": tmp_path / f"{name}.parquet",
            "settings": json.dumps(SETTINGS | {"seed": number}),
            "gpu": 0,
            "cache": tmp_path / "journal" / name,
            "folder": tmp_path / place / name,
        }
        if sharing:
            options["pending"] = tmp_path / "sharing/training.jsonl"
        words = [f"--{option}={value}" for option, value in options.items()]
        monkeypatch.setattr(sys, "argv", ["train_student.py", *words])
        train_student.main()
        return len(steps) - before

    return run


def weights(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


def test_a_job_trains_those_whose_data_are_ready_and_each_job_takes_its_own(study, tmp_path, capfd):
    (tmp_path / "c.parquet").rename(tmp_path / "later.parquet")
    assert study("a") == 8  # Four steps of its own, and four of b's.
    adapters = tmp_path / "adapters"
    assert (adapters / "a/training.json").is_file() and not (adapters / "b").exists()
    said = capfd.readouterr().err
    assert f"training {adapters / 'b'}" in said and "step 4 of 4" in said
    assert study("b") == 0
    # The lines of its own training stand in its own log.
    assert "step 4 of 4: loss" in capfd.readouterr().err
    assert read_json(adapters / "b/training.json")["settings"]["seed"] == 1
    (tmp_path / "later.parquet").rename(tmp_path / "c.parquet")
    assert study("c") == 4
    for name in "abc":
        assert study(name, "alone", sharing=False) == 4
        assert weights(tmp_path / "alone" / name) == weights(adapters / name)
        mine, alone = (
            read_json(tmp_path / p / name / "training.json") for p in ("adapters", "alone")
        )
        assert mine["counts"] == alone["counts"] and mine["settings"] == alone["settings"]
    assert sorted(path.name for path in adapters.iterdir()) == ["a", "b", "c"]


def test_what_was_trained_ahead_for_other_data_is_not_taken(study, tmp_path):
    study("a")
    pl.read_parquet(tmp_path / "b.parquet").reverse().write_parquet(tmp_path / "b.parquet")
    assert study("b", sharing=False) == 4


def test_an_adapter_that_an_earlier_run_made_ready_is_not_trained_again(study, tmp_path):
    (tmp_path / "c.parquet").rename(tmp_path / "later.parquet")
    study("a")
    adapters = tmp_path / "adapters"
    outputs = [adapters / name / "training.json" for name in "bc"]
    write_plan(tmp_path / "sharing/plan.txt", outputs)
    assert study("b") == 0
    (tmp_path / "later.parquet").rename(tmp_path / "c.parquet")
    assert study("c") == 4
    assert sorted(path.name for path in adapters.iterdir()) == ["a", "b", "c"]


def test_an_adapter_that_its_job_takes_meanwhile_is_not_trained_again(study, tmp_path, monkeypatch):
    (tmp_path / "c.parquet").unlink()
    study("b", sharing=False)
    adapters = tmp_path / "adapters"
    (adapters / "b").rename(tmp_path / "b")
    claimed = train_student.claimed

    def claimed_late(cache, output, *progress):
        if output.parent == adapters / "b":
            (tmp_path / "b").rename(adapters / "b")
        return claimed(cache, output, *progress)

    monkeypatch.setattr(train_student, "claimed", claimed_late)
    assert study("a") == 4
    assert sorted(path.name for path in adapters.iterdir()) == ["a", "b"]


def test_an_error_or_a_kill_with_one_student_is_that_ones_alone(
    study, tmp_path, monkeypatch, capfd
):
    chats = pl.read_parquet(tmp_path / "b.parquet")["messages"].to_list()
    pl.DataFrame({"other": chats}).write_parquet(tmp_path / "b.parquet")
    assert study("a") == 4
    assert "left to its own job" in capfd.readouterr().err
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        study("b", sharing=False)

    def die(*_):
        raise KilledError

    monkeypatch.setattr(train_student, "_train", die)
    (tmp_path / "a.parquet").rename(tmp_path / "b.parquet")
    chats = pl.DataFrame({"messages": pl.read_parquet(tmp_path / "c.parquet")["messages"]})
    chats.write_parquet(tmp_path / "a.parquet")
    with pytest.raises(KilledError):
        study("c")
    assert not (tmp_path / "adapters/c").exists()
    assert study("c") == 0  # Its own training was done.


def test_damaged_data_of_another_student_are_left_to_its_own_job(study, tmp_path, capfd):
    (tmp_path / "b.parquet").write_bytes(b"PAR1 damaged")
    (tmp_path / "c.parquet").unlink()
    assert study("a") == 4
    assert (tmp_path / "adapters/a/training.json").is_file()
    assert "left to its own job" in capfd.readouterr().err


def test_long_trainings_are_left_to_their_own_jobs(study, monkeypatch):
    monkeypatch.setattr(train_student, "LEAST_START", 1e9)
    assert study("a") == 4
