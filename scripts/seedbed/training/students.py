"""Training of students: LoRA on a dataset, with loss on the answers only."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from seedbed.artifacts import replacing
from seedbed.chats import (
    Row,
    check_template,
    encode_rows,
    end_tokens,
    has_thinking,
    load_tokenizer,
)
from seedbed.imports import paused_collector
from seedbed.models import RECORD, fingerprint, load_model, positions, read_fingerprint
from seedbed.training.record import TRAINING_RECORD, TrainingCounts, TrainingRecord
from seedbed.training.saves import Saves, StoppedError, stopped_by_sigterm
from seedbed.training.settings import StudentTraining, Trainer
from seedbed.training.shards import Shards, adapter_state, joined, steady_environment, together

if TYPE_CHECKING:
    from seedbed.training.trainer import MicroBatchTrainer

STATE_SPACE_OUTPUT = r".*\.(?:mamba|mixer)\.out_proj"
"""Layers whose weights the kernels of state-space models read directly, so that an adapter would
have no effect. PEFT refuses most of them."""


def train_student(
    model: Path,
    dataset: Path,
    output: Path,
    settings: StudentTraining,
    describe: Callable[[Path, TrainingCounts, float], None],
    progress: Callable[[str], None],
    threads: int = 1,
    trainer: Trainer | None = None,
    code: str = "",
    *,
    ahead: bool = False,
    loading: Callable[[], None] = lambda: None,
    started: Callable[[], None] = lambda: None,
) -> TrainingCounts:
    """Train a LoRA adapter and write it to the folder `output` in PEFT's layout.

    The training saves its state from time to time next to `output`. A later call with the same
    settings, model, dataset and code resumes from the last save, with the same result as an
    uninterrupted training.

    If another process has already trained the adapter with the same settings, model, dataset and
    code, that adapter is used, and no model is loaded.

    A dataset without rows (e.g. because no question passed its self-check) gives the adapter's
    initial weights, which change nothing.

    Args:
        model: the student's folder, in the Transformers layout.
        dataset: a Parquet file with a `messages` column, the last message the answer, which may
            have thinking as `reasoning_content`.
        output: the folder to write; it appears whole or not at all.
        settings: epochs, rates and sizes.
        describe: writes the adapter's record. It is called before the folder gets its final name,
            with the folder, the counts, and the seconds that earlier processes have trained.
        progress: called with a line of text at least once a minute.
        threads: number of CPU threads.
        trainer: how the training is run.
        code: digest of the code that trains; saves of other code are not used.
        ahead: whether to leave the adapter in a hidden folder for a later call, and `output` as it
            is.
        loading: called before a model is loaded, if that is needed.
        started: called before the first optimiser step.

    Raises:
        ValueError: if the model's chat template is unsuitable for training (see `check_template`),
            or if `trainer.padding_free` is true and the model does not support it.
        StoppedError: if SIGTERM stopped the training. Its state is saved.
    """
    chats = pl.read_parquet(dataset, columns=["messages"])["messages"].to_list()
    about = {
        "settings": settings.content(),
        "model": read_fingerprint(model) if (model / RECORD).is_file() else fingerprint(model),
        "messages": hashlib.sha256(json.dumps(chats).encode()).hexdigest(),
        "code": code,
    }
    with Saves(output, about, progress) as saves:
        found = saves.ready / TRAINING_RECORD
        if found.is_file():
            counts = TrainingRecord.read(found).counts
            if not ahead:
                saves.take()
            return counts
        loading()
        with paused_collector():
            import torch
            from peft import get_peft_model

            from seedbed.training.trainer import MicroBatchTrainer  # noqa: F401, imports TRL

        torch.set_num_threads(threads)
        how = trainer or Trainer()
        whole = _Whole(model, dataset, settings, how, saves.folder, saves.last(), threads)
        with together(how.fsdp_size, _help, [whole]) as shards:
            tokenizer, student, rows, kept = whole.load()
            if kept:
                content = as_dataset(kept, settings)
                run = _run(*(student, tokenizer, content, whole, saves, progress, started, shards))
                student = run.model
                steps, loss, earlier_seconds = run.state.global_step, run.loss, run.earlier_seconds
                warmup = int(run.args.warmup_steps)
                epochs = steps / math.ceil(len(content) / settings.batch_size)
            else:
                progress("the dataset has no rows: the adapter changes nothing")
                student = get_peft_model(student, _lora(settings, student))
                steps, warmup, epochs, loss, earlier_seconds = 0, 0, 0.0, None, 0.0
            counts = TrainingCounts(
                training_rows=len(kept),
                training_tokens=sum(len(row.ids) for row in kept),
                too_long_rows=len(rows) - len(kept),
                steps=steps,
                warmup_steps=warmup,
                epochs=round(epochs, 4),
                loss=loss,
            )
            with replacing(saves.ready) as temporary:
                state = adapter_state(student) if shards.count > 1 else None
                student.save_pretrained(temporary, state_dict=state)
                describe(temporary, counts, earlier_seconds)
        if not ahead:
            saves.take()
    return counts


@dataclass(frozen=True)
class _Whole:
    """The arguments of a training for each of its processes.

    Attributes:
        model: the student's folder.
        dataset: Parquet file of the rows.
        settings: settings of the training.
        how: how the training is run.
        folder: output folder of the trainer, with its saves.
        save: the save from which the training resumes, if any.
        threads: number of CPU threads.
    """

    model: Path
    dataset: Path
    settings: StudentTraining
    how: Trainer
    folder: Path
    save: Path | None
    threads: int

    def load(self) -> tuple[Any, Any, list[Row], list[Row]]:
        """Return the tokenizer, the student, all rows, and the rows that are not too long."""
        from transformers import set_seed

        settings = self.settings
        set_seed(settings.seed)
        chats = pl.read_parquet(self.dataset, columns=["messages"])["messages"].to_list()
        tokenizer = load_tokenizer(self.model)
        ends = end_tokens(self.model, tokenizer)
        check_template(tokenizer, ends, settings.system, True, has_thinking(chats))
        rows = encode_rows(tokenizer, chats, settings.system)
        student = load_model(self.model, settings.quantization, self.how.fsdp_size)
        longest = min(settings.max_length, positions(student.config) or settings.max_length)
        return tokenizer, student, rows, [row for row in rows if len(row.ids) <= longest]


def _help(rank: int, count: int, meeting: str, whole: _Whole) -> None:
    """Help the job's own process to train. Only that one reports, saves and writes the adapter."""
    import torch

    # Imported before the process joins the group, because libraries set environment variables.
    from seedbed.training.trainer import MicroBatchTrainer  # noqa: F401

    torch.set_num_threads(whole.threads)
    with joined(rank, count, meeting) as shards:
        tokenizer, student, _, kept = whole.load()
        if kept:
            content = as_dataset(kept, whole.settings)
            with suppress(StoppedError):
                _run(
                    *(student, tokenizer, content, whole, None),
                    *(lambda _: None, lambda: None, shards),
                )


def _run(
    student: Any,
    tokenizer: Any,
    dataset: Any,
    whole: _Whole,
    saves: Saves | None,
    progress: Callable[[str], None],
    started: Callable[[], None],
    shards: Shards,
) -> MicroBatchTrainer:
    """Train a student on a dataset of `as_dataset`, and return its trainer."""
    settings, how = whole.settings, whole.how
    import torch
    from trl import SFTConfig

    from seedbed.training.trainer import MicroBatchTrainer

    steps = math.ceil(len(dataset) / settings.batch_size) * settings.epochs
    steps = min(steps, settings.max_steps or steps)
    reached = steps * settings.batch_size
    if reached < len(dataset):
        # A training that ends within its first epoch uses a random sample of the rows.
        dataset = dataset.select(random.Random(settings.seed).sample(range(len(dataset)), reached))
    on_gpu = torch.cuda.is_available()
    with stopped_by_sigterm() as stop, steady_environment():
        trainer = MicroBatchTrainer(
            model=student,
            args=SFTConfig(
                output_dir=str(whole.folder),
                max_steps=steps,
                per_device_train_batch_size=settings.batch_size,
                learning_rate=settings.learning_rate,
                lr_scheduler_type=settings.schedule,
                warmup_steps=round(settings.warmup_fraction * steps),
                weight_decay=settings.weight_decay,
                max_length=None,  # Longer rows were left out, so none must be cut.
                bf16=on_gpu,
                gradient_checkpointing=False,  # The trainer decides by the available memory.
                # The auxiliary loss would depend on how rows are cut into micro-batches, and the
                # routers that it trains have no adapters.
                router_aux_loss_coef=0.0,
                dataloader_pin_memory=on_gpu,
                logging_strategy="no",
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                seed=settings.seed,
            ),
            train_dataset=dataset,
            processing_class=tokenizer,
            peft_config=_lora(settings, student),
            lengths=_lengths(dataset),
            micro_batch_tokens=how.micro_batch_tokens,
            padding_free=how.padding_free,
            saves=saves,
            save_seconds=60 * how.save_minutes,
            stop=stop,
            progress=progress,
            shards=shards,
        )
        started()
        trainer.go_on(whole.save)
    return trainer


def as_dataset(rows: Sequence[Row], settings: StudentTraining) -> Any:
    """Return the rows, or blocks of rows with `packing`, as a dataset for TRL's trainer."""
    from datasets import Dataset
    from trl import pack_dataset

    from seedbed.training.trainer import IGNORED

    labels = [[IGNORED] * row.prompt_tokens + row.ids[row.prompt_tokens :] for row in rows]
    found = Dataset.from_dict({"input_ids": [row.ids for row in rows], "labels": labels})
    return pack_dataset(found, settings.max_length, "bfd") if settings.packing else found


def _lengths(dataset: Any) -> list[int]:
    """Return the number of tokens of each row of a dataset, packed or not."""
    from seedbed.training.trainer import BLOCKS

    if BLOCKS in dataset.column_names:
        return [length for block in dataset[BLOCKS] for length in block]
    return [len(ids) for ids in dataset["input_ids"]]


def _lora(settings: StudentTraining, student: Any) -> Any:
    from peft import LoraConfig
    from torch import nn

    text = next(name for name, part in student.named_modules() if part is student.get_decoder())
    linear = [name for name, part in student.named_modules() if isinstance(part, nn.Linear)]
    excluded = []
    # In a model that also reads images, only the text decoder gets adapters.
    if any(not name.startswith(f"{text}.") and "lm_head" not in name for name in linear):
        excluded.append(rf"(?!{re.escape(text)}\.).*")
    if any(re.fullmatch(STATE_SPACE_OUTPUT, name) for name in linear):
        excluded.append(STATE_SPACE_OUTPUT)
    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,  # a float, which PEFT accepts
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
        exclude_modules="|".join(excluded) or None,
        task_type="CAUSAL_LM",
    )
