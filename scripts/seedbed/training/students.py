"""Training a student: LoRA on a dataset, with loss on the answers only."""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from seedbed.artifacts import replacing
from seedbed.chats import load_tokenizer
from seedbed.imports import paused_collector


@dataclass(frozen=True)
class TrainingSettings:
    """How a student is trained; see `training` in config/README.md, and `system` of a model."""

    epochs: int
    learning_rate: float
    batch_size: int
    lora_rank: int
    lora_alpha: float
    max_length: int
    max_steps: int | None = None
    lora_dropout: float = 0.0
    warmup_fraction: float = 0.03
    schedule: str = "cosine"
    weight_decay: float = 0.0
    seed: int = 0
    system: str | None = None


def train_student(
    model: Path,
    dataset: Path,
    output: Path,
    settings: TrainingSettings,
    describe: Callable[[Path, dict[str, Any]], None],
    progress: Callable[[str], None],
    threads: int = 1,
) -> dict[str, Any]:
    """Train a LoRA adapter and write it to the folder `output` in PEFT's layout.

    A dataset without rows (no question passed its self-check, say) gives an adapter that changes
    nothing, as LoRA starts from one.

    Args:
        model: the student's folder, in the Transformers layout.
        dataset: a Parquet file with a `messages` column, the last message the answer.
        output: the folder to write; it appears whole or not at all.
        settings: epochs, rates and sizes.
        describe: called with the folder and the counts before the folder gets its name, to add
            what the adapter says of itself.
        progress: called with a line of text now and then.
        threads: CPU threads.

    Returns:
        `training_rows`, `training_tokens` (of one epoch), `too_long_rows` (left out, as longer
        than `max_length`), `steps`, and `loss` (mean of the last epoch, nats an answer token; None
        if there were no steps).
    """
    with paused_collector():
        import torch
        from datasets import Dataset
        from peft import LoraConfig, get_peft_model
        from transformers import (
            AutoModelForCausalLM,
            PrinterCallback,
            TrainerCallback,
            set_seed,
        )
        from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(threads)
    set_seed(settings.seed)
    tokenizer = load_tokenizer(model)
    chats = pl.read_parquet(dataset, columns=["messages"])["messages"].to_list()
    if settings.system is not None:
        chats = [[{"role": "system", "content": settings.system}, *chat] for chat in chats]
    lengths = (
        [len(ids) for ids in tokenizer.apply_chat_template(chats, return_dict=True)["input_ids"]]
        if chats
        else []
    )
    kept = [
        chat for chat, length in zip(chats, lengths, strict=True) if length <= settings.max_length
    ]
    on_gpu = torch.cuda.is_available()
    student = AutoModelForCausalLM.from_pretrained(
        model, dtype=torch.bfloat16 if on_gpu else torch.float32
    )
    lora = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    counts: dict[str, Any] = {
        "training_rows": len(kept),
        "training_tokens": sum(length for length in lengths if length <= settings.max_length),
        "too_long_rows": len(chats) - len(kept),
    }
    if not kept:
        progress("the dataset has no rows: the adapter changes nothing")
        counts |= {"steps": 0, "loss": None}
        with replacing(output) as temporary:
            get_peft_model(student, lora).save_pretrained(temporary)
            describe(temporary, counts)
        return counts

    class Follow(TrainerCallback):
        """Reports the loss."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                progress(f"step {state.global_step} of {state.max_steps}: loss {logs['loss']}")

    steps = math.ceil(len(kept) / settings.batch_size) * settings.epochs
    steps = min(steps, settings.max_steps or steps)
    reached = steps * settings.batch_size
    if reached < len(kept):
        # Steps that end within the first epoch see a random part of the rows: only these are made
        # ready, which on a CPU takes as long as some of the steps.
        kept = random.Random(settings.seed).sample(kept, reached)
    with replacing(output) as temporary:
        trainer = SFTTrainer(
            model=student,
            args=SFTConfig(
                output_dir=str(temporary / "work"),
                max_steps=steps,
                per_device_train_batch_size=settings.batch_size,
                learning_rate=settings.learning_rate,
                lr_scheduler_type=settings.schedule,
                warmup_steps=round(settings.warmup_fraction * steps),
                weight_decay=settings.weight_decay,
                max_length=None,  # What is longer was left out; nothing is to be cut.
                completion_only_loss=True,
                bf16=on_gpu,
                gradient_checkpointing=on_gpu,
                dataloader_pin_memory=on_gpu,
                logging_strategy="epoch",
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                seed=settings.seed,
            ),
            # As prompt and completion, the loss is on the completion only, whatever the template.
            train_dataset=Dataset.from_list(
                [{"prompt": chat[:-1], "completion": chat[-1:]} for chat in kept]
            ),
            processing_class=tokenizer,
            peft_config=lora,
            callbacks=[Follow()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
        trainer.model.save_pretrained(temporary)
        shutil.rmtree(temporary / "work", ignore_errors=True)
        counts |= {"steps": trainer.state.global_step, "loss": losses[-1]}
        describe(temporary, counts)
    return counts
