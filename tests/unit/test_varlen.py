"""Rows one after the other, without padding, give what padded rows give."""

import random
from dataclasses import replace

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

import families
from practice import assert_same, silent
from seedbed.training import varlen
from seedbed.training.micro_batches import Plan, share_out
from seedbed.training.settings import StudentTraining, Trainer
from seedbed.training.students import train_student
from seedbed.training.trainer import MicroBatchTrainer

SETTINGS = StudentTraining(
    epochs=2, learning_rate=1e-3, batch_size=6, lora_rank=4, lora_alpha=8, max_length=4096
)
WINDOW = {"sliding_window": 24}
CHANGED = {
    "Mistral": WINDOW,
    "Gemma 3 (text)": WINDOW | {"layer_types": ["sliding_attention", "full_attention"]},
}
"""Windows that are shorter than rows."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "dataset.parquet"
    chats = [
        [
            {"role": "user", "content": "How many? " + "apple " * (n % 5)},
            {"role": "assistant", "content": "There are " + "and one " * (n % 3) + f"{n}."},
        ]
        for n in range(12)
    ]
    pl.DataFrame({"messages": chats}).write_parquet(path)
    return path


def made(title, folder):
    (family,) = (one for one in families.FAMILIES if one.title == title)
    family = replace(family, more={**family.more, **CHANGED.get(title, {})})
    families.make(family, folder)
    return folder


def train(model, dataset, output, progress=silent, settings=SETTINGS, **how):
    trainer = Trainer(**how)
    counts = train_student(
        model, dataset, output, settings, lambda *_: None, progress, trainer=trainer
    )
    return counts.loss, load_file(output / "adapter_model.safetensors")


@pytest.fixture
def shapes(monkeypatch):
    """A list that grows by rows, width and real tokens of each micro-batch."""
    seen, loss = [], MicroBatchTrainer._loss

    def note(self, model, batch):
        tokens = sum(span.stop - span.start for _, span in batch.spans)
        seen.append((*batch.ids.shape, tokens, len(batch.spans)))
        return loss(self, model, batch)

    monkeypatch.setattr(MicroBatchTrainer, "_loss", note)
    return seen


@pytest.mark.parametrize(
    "title",
    ["Llama 3", "Mistral", "Qwen 2.5", "Qwen 3", "Gemma 3 (text)", "DeepSeek V3"],
)
def test_losses_and_adapters_are_those_of_padded_rows(title, dataset, tmp_path, shapes):
    model = made(title, tmp_path / "model")
    padded = train(model, dataset, tmp_path / "padded", padding_free=False)
    assert any(rows * width > tokens for rows, width, tokens, _ in shapes)
    shapes.clear()
    said = []
    found = train(
        *(model, dataset, tmp_path / "free", said.append), padding_free=True, micro_batch_tokens=600
    )
    assert said[0] == "rows lie one after the other, without padding"
    assert all(rows == 1 and width == tokens for rows, width, tokens, _ in shapes)
    assert max(count for *_, count in shapes) > 1
    assert_same(found, padded)


def test_the_noise_of_dropout_and_packed_rows_are_the_same(tiny_model, dataset, tmp_path):
    settings = SETTINGS.model_copy(
        update={"lora_dropout": 0.3, "packing": True, "batch_size": 2, "max_length": 200}
    )
    padded, free = (
        train(tiny_model, dataset, tmp_path / str(way), settings=settings, padding_free=way)
        for way in (False, True)
    )
    assert_same(free, padded)


@pytest.mark.parametrize(
    ("title", "reason"),
    [("Gemma 2", "attention softcaps"), ("LFM 2 (hybrid)", "a row sees the row before it")],
)
def test_models_that_cannot_are_padded_or_refused(title, reason, dataset, tmp_path, shapes):
    model = made(title, tmp_path / "model")
    with pytest.raises(ValueError, match=f"padding_free: true cannot work with this.*{reason}"):
        train(model, dataset, tmp_path / "free", padding_free=True)
    assert not shapes
    train(model, dataset, tmp_path / "padded")
    assert any(rows > 1 for rows, *_ in shapes)


def test_memory_that_does_not_suffice_is_met_by_smaller_micro_batches(
    tiny_model, dataset, tmp_path, monkeypatch, shapes
):
    whole = train(tiny_model, dataset, tmp_path / "whole", padding_free=True)
    largest = max(width for _, width, *_ in shapes)
    loss = MicroBatchTrainer._loss

    def fits(self, model, batch):
        if batch.ids.numel() > largest / 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(self, model, batch)

    monkeypatch.setattr(MicroBatchTrainer, "_loss", fits)
    assert_same(train(tiny_model, dataset, tmp_path / "halved", padding_free=True), whole)


@pytest.mark.parametrize("tokens", [1, 90, 500, 10**6])
def test_rows_are_shared_out_as_few_and_as_even_as_can_be(tokens):
    lengths = [random.Random(0).randint(5, 80) for _ in range(40)]
    batches = share_out(lengths, tokens)
    assert sorted(row for rows in batches for row in rows) == list(range(40))
    filled = [sum(lengths[row] for row in rows) for rows in batches]
    assert all(
        total <= tokens or len(rows) == 1 for total, rows in zip(filled, batches, strict=True)
    )
    if tokens >= 500:
        assert len(batches) == -(-sum(lengths) // tokens)
        assert max(filled) - min(filled) <= 80
    assert Plan(tokens, padding_free=True).cut(lengths) == batches


@pytest.mark.parametrize(("heads", "width", "out_width"), [(4, 32, 32), (2, 20, 20), (4, 48, 32)])
def test_what_a_kernel_is_given_has_the_shapes_that_it_takes(heads, width, out_width):
    # Tensors without data take the way of a GPU, and PyTorch's own check of the kernel's shapes.
    lengths = [5, 3, 9]
    query = torch.empty((1, 4, 17, width), device="meta", dtype=torch.bfloat16, requires_grad=True)
    key = torch.empty((1, heads, 17, width), device="meta", dtype=torch.bfloat16)
    value = torch.empty((1, heads, 17, out_width), device="meta", dtype=torch.bfloat16)
    borders = varlen.borders(lengths, torch.device("meta"))
    found, _ = varlen.attend(
        *(torch.nn.Module(), query, key, value, None), sliding_window=4, **borders
    )
    assert found.shape == (1, 17, 4, out_width)
    found.sum().backward()
    assert query.grad.shape == query.shape
    assert varlen.borders(lengths, torch.device("cpu"))["cu_seq_lens_q"].tolist() == [0, 5, 8, 17]
