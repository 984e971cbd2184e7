"""Training tiny Llama-architecture models from scratch on a generated world.

They replace the study's teacher, augmenters and students where there is no GPU and no network. They
are real models with real errors, and train in minutes.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedbed.artifacts import read_json, replacing, write_text
from seedbed.models import RECORD, ModelRecord, fingerprint
from seedbed.tasks.worlds import SKILLS, World
from seedbed.training.settings import Pretrain
from seedbed.training.tokenizer import PIECES, build_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Share of each skill in training. Answers are longest and hardest, and rephrasing takes more
# practice than writing new questions.
SKILL_SHARES = {"answer": 0.45, "question_rephrase": 0.3, "new_question": 0.15, "self_check": 0.1}
# Share of a student's texts that are of all forms: questions without answers, and answers without
# questions. From them it knows every word and sum, as a pretrained model does, but not which
# answer belongs to which question.
READING_SHARE = 0.35
IGNORED = -100  # the label that torch's cross entropy leaves out
SAVE_EVERY_STEPS = 250
_BATCHES_SORTED_TOGETHER = 20
# Llama's 0.02 is for widths of thousands; at a width of 128, attention would start nearly uniform.
INITIALIZER_RANGE = 0.06


def training_messages(
    world: World, prompts: Mapping[str, str], role: str, count: int, seed: int
) -> list[list[dict[str, str]]]:
    """Return `count` chats: of all skills for a teacher; answers and single texts for a student."""
    rng = random.Random(f"pretraining/{role}/{seed}")
    skills = SKILLS if role == "teacher" else ("answer",)
    weights = [SKILL_SHARES[skill] for skill in skills]
    chats = []
    for skill in rng.choices(skills, weights, k=count):
        reads = role != "teacher" and rng.random() < READING_SHARE
        fields, response = world.example(skill, "teacher" if reads else role, rng)
        chat = [
            {"role": "user", "content": prompts[skill].format(**fields)},
            {"role": "assistant", "content": response},
        ]
        chats.append([rng.choice(chat)] if reads else chat)
    return chats


def words_of(world: World, prompts: Mapping[str, str]) -> list[str]:
    """Return the world's vocabulary and the words of the prompts around its texts."""
    import regex

    pieces = [piece.strip() for text in prompts.values() for piece in regex.findall(PIECES, text)]
    return list(dict.fromkeys([*world.vocabulary(), *(piece for piece in pieces if piece)]))


def encode(
    tokenizer: PreTrainedTokenizerFast, chats: list[list[dict[str, str]]]
) -> list[dict[str, list[int]]]:
    """Return token ids and labels.

    Every token has a label, including the user's. A small model learns last to copy names and
    numbers from the text before, and the questions offer much practice.
    """
    texts = tokenizer.apply_chat_template(chats, tokenize=False)
    rows = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [{"input_ids": ids, "labels": ids} for ids in rows]


def in_batches(
    rows: list[dict[str, list[int]]], batch_size: int, seed: int
) -> list[dict[str, list[int]]]:
    """Return the rows ordered into batches of similar lengths, with the batches in random order.

    Similar lengths need little padding. The batches must not go from long to short, as they do
    with a sampler that only groups by length: a small model then forgets one skill while it
    practises another (a student reached 17% instead of 43%).
    """
    rng = random.Random(f"batches/{seed}")
    stretch = batch_size * _BATCHES_SORTED_TOGETHER
    ordered = []
    for start in range(0, len(rows), stretch):
        part = sorted(rows[start : start + stretch], key=lambda row: len(row["input_ids"]))
        batches = [part[k : k + batch_size] for k in range(0, len(part), batch_size)]
        rng.shuffle(batches)
        ordered += [row for batch in batches for row in batch]
    return ordered


def pretrain(
    settings: Pretrain,
    world: World,
    prompts: Mapping[str, str],
    output: Path,
    about: Mapping[str, Any],
    progress: Callable[[str], None],
    threads: int = 1,
) -> None:
    """Train a model and write it to `output/final`, and its checkpoints to `output/step=N`.

    Each of these folders is in the Transformers layout and contains `model.json`: `about`, a
    fingerprint of the weights, the step, the training loss of the last logged steps (nats per
    token), and the number of parameters.

    After a kill, a training with the same settings and the same `about` resumes from the last save,
    which is in a hidden folder next to `output`.

    Args:
        settings: sizes, steps and rates.
        world: source of the examples.
        prompts: skill -> template of the user's message.
        output: the folder to write, whole or not at all.
        about: further fields of `model.json`.
        progress: called with a line of text now and then.
        threads: number of CPU threads.
    """
    work = output.with_name(f".{output.name}.unfinished")
    task = json.dumps(
        {"settings": settings.model_dump(mode="json"), "about": dict(about)}, sort_keys=True
    )
    started = work / "started.json"
    if not started.is_file() or started.read_text(encoding="utf-8") != task:
        # The saves are of another model.
        shutil.rmtree(work, ignore_errors=True)
        write_text(started, task)
    if not (work / "final").is_dir():
        _train(settings, world, prompts, work, about, progress, threads)
    for leftover in work.iterdir():
        if leftover.name != "final" and not leftover.name.startswith("step="):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    with replacing(output) as temporary:
        work.rename(temporary)


def _train(
    settings: Pretrain,
    world: World,
    prompts: Mapping[str, str],
    work: Path,
    about: Mapping[str, Any],
    progress: Callable[[str], None],
    threads: int,
) -> None:
    import torch
    from transformers import (
        DataCollatorForSeq2Seq,
        LlamaConfig,
        LlamaForCausalLM,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        set_seed,
    )
    from transformers.utils import logging as transformers_logging

    torch.set_num_threads(threads)
    set_seed(settings.seed)
    transformers_logging.disable_progress_bar()
    progress(f"writing {settings.steps * settings.batch_size} examples")
    tokenizer = build_tokenizer(words_of(world, prompts))
    chats = training_messages(
        world, prompts, settings.role, settings.steps * settings.batch_size, settings.seed
    )
    rows = in_batches(encode(tokenizer, chats), settings.batch_size, settings.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.hidden_size,
            intermediate_size=settings.intermediate_size,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            num_key_value_heads=settings.heads,
            max_position_embeddings=tokenizer.model_max_length,
            tie_word_embeddings=True,
            initializer_range=INITIALIZER_RANGE,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )

    class Follow(TrainerCallback):
        """Reports the loss, and saves the checkpoints named in the settings."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                progress(f"step {state.global_step} of {state.max_steps}: loss {logs['loss']}")

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step in settings.checkpoints:
                save(f"step={state.global_step}", state)

    def save(name: str, state: Any) -> None:
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        with replacing(work / name) as temporary:
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
            record = ModelRecord(
                step=state.global_step,
                loss=float(losses[-1]) if losses else None,
                parameters=model.num_parameters(),
                vocabulary=len(tokenizer),
                fingerprint=fingerprint(temporary),
                **about,
            )
            record.write(temporary / RECORD)

    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(work),
            max_steps=settings.steps,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, settings.steps // 20),
            weight_decay=0.01,
            adam_beta2=0.98,
            max_grad_norm=1.0,
            train_sampling_strategy="sequential",
            logging_steps=50,
            save_steps=SAVE_EVERY_STEPS,
            save_total_limit=1,
            seed=settings.seed,
            report_to=[],
            disable_tqdm=True,
            dataloader_num_workers=0,
            dataloader_pin_memory=False,
        ),
        train_dataset=rows,
        data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True, label_pad_token_id=IGNORED),
        callbacks=[Follow()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=_last_save(work))
    save("final", trainer.state)


def _last_save(work: Path) -> str | None:
    """Return the newest complete save, and remove incomplete ones of killed processes."""
    whole = {}
    for folder in work.glob("checkpoint-*"):
        try:
            # The trainer writes this file last.
            whole[read_json(folder / "trainer_state.json")["global_step"]] = folder
        except (FileNotFoundError, ValueError):
            shutil.rmtree(folder)
    return str(whole[max(whole)]) if whole else None
