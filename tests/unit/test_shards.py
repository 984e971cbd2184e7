"""A student whose weights are divided over two processes, against one in a single process."""

import os
import signal
from functools import partial

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from practice import silent
from seedbed.training.saves import StoppedError
from seedbed.training.settings import StudentTraining, Trainer
from seedbed.training.shards import Shards
from seedbed.training.students import train_student
from seedbed.training.trainer import MicroBatchTrainer

SETTINGS = StudentTraining(
    epochs=2, learning_rate=1e-3, batch_size=8, lora_rank=4, lora_alpha=8, max_length=128
)


def test_each_micro_batch_is_one_process_s_and_all_have_as_many():
    batches = [[0, 1], [2], [3, 4]]
    first, second = (Shards(rank, 2).share(batches) for rank in (0, 1))
    assert first == [([0, 1], True), ([3, 4], True)]
    # Weights come together in all processes at once: it repeats a row that does not count.
    assert second == [([2], True), ([3], False)]
    assert Shards().share(batches) == [(rows, True) for rows in batches]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    file = tmp_path_factory.mktemp("rows") / "rows.parquet"
    chats = [
        [
            {"role": "user", "content": "How many apples? " * (1 + n % 5)},
            {"role": "assistant", "content": f"#### {n}"},
        ]
        for n in range(19)
    ]
    pl.DataFrame({"messages": chats}).write_parquet(file)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("more", [{"lora_dropout": 0.1}, {"packing": True}])
def test_two_processes_train_what_one_does(tiny_model, rows, tmp_path, monkeypatch, more):
    settings = SETTINGS.model_copy(update=more)
    # Threads of the processes' group read the environment: a change would end the process at times.
    changed = []
    putenv, unsetenv = os.putenv, os.unsetenv

    def noted(change, *words):
        # Another value of a variable that is there does no harm.
        added = len(words) == 1 or os.fsdecode(words[0]) not in os.environ
        changed.extend([words] * (added and torch.distributed.is_initialized()))
        change(*words)

    monkeypatch.setattr(os, "putenv", partial(noted, putenv))
    monkeypatch.setattr(os, "unsetenv", partial(noted, unsetenv))
    if more.get("packing"):
        # A node is taken away: all of them stop, and go on from the save.
        with monkeypatch.context() as patch:
            write = MicroBatchTrainer._write_save

            def stop(trainer):
                write(trainer)
                os.kill(os.getpid(), signal.SIGTERM)

            patch.setattr(MicroBatchTrainer, "_write_save", stop)
            often = Trainer(fsdp_size=2, save_minutes=1e-6)
            with pytest.raises(StoppedError):
                train_student(
                    *(tiny_model, rows, tmp_path / "two", settings, lambda *_: None, silent, 1),
                    often,
                )
        assert list(tmp_path.glob(".two.unfinished/checkpoint-*"))
    found = []
    # A save is good for both ways, with padding and without.
    free = bool(more.get("packing"))
    ways = {"one": Trainer(), "two": Trainer(fsdp_size=2, padding_free=free)}
    for name, trainer in ways.items():
        counts = train_student(
            *(tiny_model, rows, tmp_path / name, settings, lambda *_: None, silent, 1, trainer)
        )
        found.append((counts, load_file(tmp_path / name / "adapter_model.safetensors")))
    (one, alone), (two, shared) = found
    assert not changed
    assert two.steps == one.steps
    assert two.loss == pytest.approx(one.loss, rel=1e-5)
    assert alone.keys() == shared.keys()
    for name, part in alone.items():
        torch.testing.assert_close(shared[name], part, rtol=1e-3, atol=1e-5)
