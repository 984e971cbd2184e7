"""Micro-batches: how the rows of a step are cut, and that the cut changes nothing."""

import math
import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from practice import assert_same, silent
from seedbed.tasks.worlds import load_world
from seedbed.training import micro_batches
from seedbed.training.micro_batches import (
    ENOUGH_TOKENS,
    Plan,
    activation_bytes,
    cut,
    halved,
    plan,
)
from seedbed.training.settings import StudentTraining, Trainer
from seedbed.training.students import as_dataset, train_student
from seedbed.training.trainer import MicroBatchTrainer

SETTINGS = StudentTraining(
    epochs=2, learning_rate=1e-3, batch_size=8, lora_rank=4, lora_alpha=8, max_length=128
)
DATA = os.environ.get("SEEDBED_TEST_DATA")


# --- the cut


@pytest.mark.parametrize("tokens", [1, 100, 1_000, 10**9])
@pytest.mark.parametrize("start_tokens", [0, 64, 10**9])
def test_each_row_is_in_one_micro_batch_and_all_fit(tokens, start_tokens):
    lengths = [random.Random(5).randint(1, 300) for _ in range(100)]
    batches = cut(lengths, tokens, start_tokens)
    assert sorted(row for rows in batches for row in rows) == list(range(100))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= tokens
    longest = [max(lengths[row] for row in rows) for rows in batches]
    assert longest == sorted(longest, reverse=True)


def test_few_micro_batches_where_starts_are_dear_and_little_padding_where_they_are_not():
    lengths = [10] * 8 + [100] * 8
    assert len(cut(lengths, 10**6, start_tokens=10**6)) == 1
    parts = cut(lengths, 10**6, start_tokens=10)
    assert sorted([lengths[row] for row in rows] for rows in parts) == [[10] * 8, [100] * 8]


def answers(task):
    """Questions and answers of a task's training split, as a student is trained on them."""
    folder = Path(DATA)
    if task == "gsm8k":
        rows = pl.read_parquet(folder / "openai/gsm8k/main/train.parquet")
        return list(zip(rows["question"], rows["answer"], strict=True))
    if task == "arc":
        rows = pl.read_parquet(folder / "allenai/ai2_arc/ARC-Challenge/train.parquet").to_dicts()
        asked = [f"{r['question']} {' '.join(r['choices']['text'])}" for r in rows]
        return list(zip(asked, [r["answerKey"] for r in rows], strict=True))
    rows = pl.read_parquet(folder / "xlangai/spider/spider/train.parquet")
    schemas = {name: schema(folder, name) for name in rows["db_id"].unique()}
    rows = rows.filter(pl.col("db_id").is_in([name for name, text in schemas.items() if text]))
    asked = [schemas[name] + text for name, text in rows.select("db_id", "question").rows()]
    return list(zip(asked, rows["query"], strict=True))


def schema(folder, name):
    """The statements that made a database, which a prompt has; "" if it is not there."""
    file = folder / f"xlangai/spider/spider/database/{name}/{name}.sqlite"
    if not file.is_file():
        return ""
    with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as base:
        made = base.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
    return "\n".join(sql for (sql,) in made)


@pytest.mark.skipif(DATA is None, reason="SEEDBED_TEST_DATA names no folder with the data sets")
@pytest.mark.parametrize("task", ["gsm8k", "arc", "spider"])
def test_padding_is_a_tenth_at_most_on_real_lengths(task):
    # A token is four characters, and the prompt has 60 more: lengths as of a real tokenizer.
    lengths = [60 + len(asked + answer) // 4 for asked, answer in answers(task)]
    random.Random(0).shuffle(lengths)
    steps = [lengths[start : start + 128] for start in range(0, len(lengths) - 128, 128)]
    real = computed = together = 0
    for step in steps:
        for rows in cut(step, 16_384):
            computed += len(rows) * max(step[row] for row in rows)
        real += sum(step)
        together += len(step) * max(step)
    assert 1 - real / computed <= 0.10
    assert 1 - real / together > 0.30  # what it was, with all rows as long as the longest


# --- the plan


class Llama2:
    """The shape of Llama 2 7B."""

    hidden_size, intermediate_size, num_hidden_layers = 4096, 11_008, 32
    num_attention_heads = num_key_value_heads = 32
    vocab_size = 32_000

    def get_text_config(self):
        return self


def test_memory_of_llama_2_is_as_computed_with_fake_tensors():
    # 546 KiB a token with checkpointing at batches of 128 rows, of which the logits of all tokens
    # are 250 KiB; here, logits of half of the tokens at most are in memory at once.
    bytes_a_token = activation_bytes(Llama2(), checkpointing=True, element=2)
    assert 0.8 * 546 < bytes_a_token / 1024 < 1.6 * 546
    assert activation_bytes(Llama2(), checkpointing=False, element=2) > 5 * bytes_a_token


def kept_for_backward(layers, dtype, tokens=256):
    """Bytes that a token of Llama 2 7B with some layers and LoRA keeps, by tensors without data."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {name: value for name, value in vars(Llama2).items() if isinstance(value, int)}
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**shape | {"num_hidden_layers": layers})).to(dtype)
        lora = LoraConfig(r=64, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(model, lora).train()
    weights = {part.untyped_storage()._cdata for part in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        # Kept until its storages are counted, as others might come to lie where they lay.
        _output = model.get_base_model().model(
            input_ids=torch.zeros((1, tokens), dtype=torch.long, device="meta"),
            # To make one looks at data.
            attention_mask=torch.zeros((1, 1, tokens, tokens), dtype=dtype, device="meta"),
            use_cache=False,
        )
    return sum(storage.nbytes() for storage in kept.values()) / tokens


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_memory_of_a_layer_is_what_a_tracker_finds(dtype):
    found = kept_for_backward(2, dtype) - kept_for_backward(1, dtype)
    all_layers = activation_bytes(Llama2(), checkpointing=False, element=dtype.itemsize)
    estimated = (all_layers - 8 * Llama2.vocab_size) / Llama2.num_hidden_layers
    assert found <= estimated <= 1.2 * found


def test_the_plan_follows_the_memory():
    def tokens(gib, stated=None, longest=1_500):
        return plan(Llama2(), gib * 2**30, 2, longest, stated)

    # 80 GB less the weights; 24 GB less the weights.
    large, small = tokens(62), tokens(8)
    assert large.tokens >= ENOUGH_TOKENS
    assert small.checkpointing
    assert 1_500 < small.tokens < large.tokens * 62
    assert not tokens(400).checkpointing
    assert tokens(62, stated=999).tokens == 999
    assert tokens(1).tokens >= 1
    # On a CPU it depends on nothing but the model.
    assert plan(Llama2(), None, 4, 1_500, None) == plan(Llama2(), None, 4, 100, None)


def test_what_does_not_fit_is_halved_down_to_the_longest_row():
    seen, now = [], Plan(4_000)
    while now is not None:
        seen.append((now.tokens, now.checkpointing))
        now = halved(now, longest=900)
    assert seen == [(4_000, False), (2_000, False), (1_000, False), (900, False), (900, True)]


# --- nothing depends on the cut


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    items = load_world("mini_math").items("train", 20, seed=1)
    chats = [
        [{"role": "user", "content": item.question}, {"role": "assistant", "content": item.answer}]
        for item in items
    ]
    path = tmp_path_factory.mktemp("data") / "dataset.parquet"
    pl.DataFrame({"messages": chats}).write_parquet(path)
    return path


def train(model, dataset, output, tokens, settings=SETTINGS, progress=silent):
    how = Trainer(micro_batch_tokens=tokens)
    counts = train_student(model, dataset, output, settings, lambda *_: None, progress, trainer=how)
    return counts.loss, load_file(output / "adapter_model.safetensors")


@pytest.fixture
def sizes(monkeypatch):
    """A list that grows by rows and width of each micro-batch."""
    seen, loss = [], MicroBatchTrainer._loss

    def note(self, model, batch):
        seen.append(tuple(batch.ids.shape))
        return loss(self, model, batch)

    monkeypatch.setattr(MicroBatchTrainer, "_loss", note)
    return seen


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_losses_and_adapters_do_not_depend_on_the_cut(
    tiny_model, dataset, tmp_path, sizes, dropout
):
    settings = SETTINGS.model_copy(update={"lora_dropout": dropout})
    whole = train(tiny_model, dataset, tmp_path / "whole", 10**6, settings)
    assert {rows for rows, _ in sizes} == {8, 4}
    sizes.clear()
    single = train(tiny_model, dataset, tmp_path / "single", 1, settings)
    assert {rows for rows, _ in sizes} == {1}
    some = train(tiny_model, dataset, tmp_path / "some", 130, settings)
    assert_same(single, whole)
    assert_same(some, whole)
    other = train(
        tiny_model, dataset, tmp_path / "other", 10**6, settings.model_copy(update={"seed": 1})
    )
    assert other[0] != pytest.approx(whole[0], rel=1e-5)


def trained_by_trl(tiny_model, folder, rows, steps, batch_size, **settings):
    """Train on rows by TRL's own trainer; return the losses of its steps and the adapter."""
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    from seedbed.chats import load_tokenizer

    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32),
        args=SFTConfig(
            output_dir=str(folder),
            max_steps=steps,
            per_device_train_batch_size=batch_size,
            learning_rate=SETTINGS.learning_rate,
            lr_scheduler_type="cosine",
            gradient_checkpointing=False,
            logging_steps=1,
            bf16=False,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=0,
            **settings,
        ),
        train_dataset=rows,
        processing_class=load_tokenizer(tiny_model),
        peft_config=LoraConfig(
            r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    trainer.train()
    trainer.model.save_pretrained(folder)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses, load_file(folder / "adapter_model.safetensors")


def test_losses_and_adapters_are_those_of_trl(tiny_model, dataset, tmp_path):
    from datasets import Dataset

    loss, weights = train(tiny_model, dataset, tmp_path / "ours", 130)
    chats = pl.read_parquet(dataset)["messages"].to_list()
    rows = Dataset.from_list([{"prompt": chat[:-1], "completion": chat[-1:]} for chat in chats])
    losses, theirs = trained_by_trl(tiny_model, tmp_path / "theirs", rows, 6, 8, max_length=None)
    # Ours is the mean over tokens, theirs over steps.
    assert loss == pytest.approx(sum(losses[3:]) / 3, rel=0.05)
    assert_same((loss, weights), (loss, theirs))


def test_packing_makes_steps_of_blocks_as_trl_does(tiny_model, dataset, tmp_path):
    from seedbed.chats import encode_rows, load_tokenizer

    packed = SETTINGS.model_copy(update={"packing": True, "batch_size": 2, "max_length": 200})
    counts = train_student(tiny_model, dataset, tmp_path / "ours", packed, lambda *_: None, silent)
    loss, weights = counts.loss, load_file(tmp_path / "ours/adapter_model.safetensors")
    # However they are cut: rows of a block do not see each other.
    assert_same((loss, weights), train(tiny_model, dataset, tmp_path / "single", 1, packed))
    apart = train(
        *(tiny_model, dataset, tmp_path / "apart", 130),
        packed.model_copy(update={"packing": False}),
    )
    assert apart[0] != pytest.approx(loss, rel=1e-3)

    chats = pl.read_parquet(dataset)["messages"].to_list()
    rows = encode_rows(load_tokenizer(tiny_model), chats)
    blocks = as_dataset(rows, packed)
    assert sorted(n for lengths in blocks["seq_lengths"] for n in lengths) == sorted(
        len(row.ids) for row in rows
    )
    assert all(sum(lengths) <= 200 for lengths in blocks["seq_lengths"])
    assert max(len(lengths) for lengths in blocks["seq_lengths"]) > 1
    steps = packed.epochs * math.ceil(len(blocks) / 2)
    assert (counts.steps, counts.epochs, counts.training_rows) == (steps, packed.epochs, len(rows))

    unpacked = as_dataset(rows, packed.model_copy(update={"packing": False}))
    _, theirs = trained_by_trl(
        *(tiny_model, tmp_path / "theirs", unpacked, steps, 2), packing=True, max_length=200
    )
    assert_same((loss, weights), (loss, theirs))


def test_memory_that_does_not_suffice_is_met_by_smaller_micro_batches(
    tiny_model, dataset, tmp_path, monkeypatch
):
    whole = train(tiny_model, dataset, tmp_path / "whole", 10**6)
    seen, loss, said = [], MicroBatchTrainer._loss, []

    def fits(self, model, batch):
        found = loss(self, model, batch)
        if batch.ids.numel() > 150:
            # After some of the work, so that a part of the gradient is there already.
            seen.append(batch.ids.numel())
            found.backward()
            raise torch.OutOfMemoryError("CUDA out of memory")
        return found

    monkeypatch.setattr(MicroBatchTrainer, "_loss", fits)
    halved = train(tiny_model, dataset, tmp_path / "halved", 10**6, progress=said.append)
    assert_same(halved, whole)
    # Found out once, and not again in each step, nor for sizes that no micro-batch has.
    assert 1 <= len(seen) <= 3
    met = [text for text in said if text.startswith("memory did not suffice")]
    assert met == said[: len(seen)]


def test_where_one_row_is_too_much_activations_are_computed_twice_and_then_it_fails(
    tiny_model, dataset, tmp_path, monkeypatch
):
    whole = train(tiny_model, dataset, tmp_path / "whole", 10**6)
    loss = MicroBatchTrainer._loss

    def fits(self, model, batch):
        if not self.plan.checkpointing:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate")
        return loss(self, model, batch)

    monkeypatch.setattr(MicroBatchTrainer, "_loss", fits)
    assert_same(train(tiny_model, dataset, tmp_path / "twice", 500), whole)

    def never(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(MicroBatchTrainer, "_loss", never)
    with pytest.raises(torch.OutOfMemoryError):
        train(tiny_model, dataset, tmp_path / "never", 500)


def test_other_errors_are_not_taken_for_want_of_memory(tiny_model, dataset, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(MicroBatchTrainer, "_loss", fail)
    with pytest.raises(RuntimeError, match="no such kernel"):
        train(tiny_model, dataset, tmp_path / "adapter", None)


def test_a_loss_that_is_no_number_is_an_error_that_says_what_to_do(
    tiny_model, dataset, tmp_path, monkeypatch
):
    loss = MicroBatchTrainer._loss
    monkeypatch.setattr(MicroBatchTrainer, "_loss", lambda *a: loss(*a) * math.nan)
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        train(tiny_model, dataset, tmp_path / "adapter", None)


def test_logits_are_computed_for_answers_alone(tiny_model, dataset, tmp_path, monkeypatch):
    heads, head = [], torch.nn.functional.cross_entropy

    def note(logits, targets, **options):
        heads.append(len(logits))
        return head(logits, targets, **options)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", note)
    train(
        tiny_model, dataset, tmp_path / "adapter", None, SETTINGS.model_copy(update={"epochs": 1})
    )
    from seedbed.chats import encode_rows, load_tokenizer

    rows = encode_rows(load_tokenizer(tiny_model), pl.read_parquet(dataset)["messages"].to_list())
    assert sum(heads) == sum(len(row.ids) - row.prompt_tokens for row in rows)


def test_a_slow_training_is_heard_of_in_the_middle_of_a_step(
    tiny_model, dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr("seedbed.training.trainer.REPORT_SECONDS", 0.0)
    said = []
    train(tiny_model, dataset, tmp_path / "adapter", 100, progress=said.append)
    assert any("micro-batches done" in text for text in said)
    assert any("tokens/s" in text and " left" in text and "loss" in text for text in said)
    assert micro_batches.START_TOKENS > 0
