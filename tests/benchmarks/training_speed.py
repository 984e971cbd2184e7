"""Compare the training speed of students with TRL's `SFTTrainer`, with the same settings.

`python tests/benchmarks/training_speed.py --model FOLDER --rows 64` trains a model on rows of GSM8K
(SEEDBED_TEST_DATA names a folder in the hub's layout) or, without them, of the generated world; a
.gguf file is first converted to a folder in the benchmark's cache. Tokens are row tokens without
padding; seconds are for the steps after the first, which warms up. On a busy machine, `--cpu-time
--threads 1` measures the processor time of this process alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import torch

from pretrained import convert

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "seedbed"


def folder_of(model: Path) -> Path:
    """Return a model's folder; convert a GGUF file to one (needs the package `gguf`)."""
    if model.suffix != ".gguf":
        return model
    folder = CACHE / model.stem
    if not (folder / "config.json").is_file():
        convert(model, folder)
    return folder


def chats(count: int) -> list[list[dict[str, str]]]:
    """Return chats of GSM8K, or of the generated word problems."""
    data = os.environ.get("SEEDBED_TEST_DATA")
    if data is not None:
        import polars as pl

        file = Path(data) / "openai/gsm8k/main/train.parquet"
        rows = pl.read_parquet(file).head(count)
        pairs = list(zip(rows["question"], rows["answer"], strict=True))
    else:
        from seedbed.tasks.worlds import load_world

        pairs = [(i.question, i.answer) for i in load_world("mini_math").items("train", count, 1)]
    return [
        [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        for asked, answer in pairs
    ]


class Clock:
    """Measures the seconds of all optimiser steps but the first."""

    now = staticmethod(time.perf_counter)

    def __init__(self) -> None:
        self.ends: list[float] = []

    def callback(self) -> Any:
        """Return the trainer callback."""
        from transformers import TrainerCallback

        ends = self.ends

        class Steps(TrainerCallback):
            def on_step_end(self, *_: Any, **__: Any) -> None:
                ends.append(Clock.now())

        return Steps()

    @property
    def seconds(self) -> float:
        """Seconds of the steps after the first."""
        return self.ends[-1] - self.ends[0]


def plain(model: Path, rows: list[Any], settings: dict[str, Any]) -> tuple[float, list[float]]:
    """Train with TRL alone; return the seconds, and the loss of each step."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    from seedbed.chats import load_tokenizer

    on_gpu, clock = torch.cuda.is_available(), Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(
                model, dtype=torch.bfloat16 if on_gpu else torch.float32
            ),
            args=SFTConfig(
                output_dir=folder,
                max_steps=settings["max_steps"],
                per_device_train_batch_size=settings["batch_size"],
                learning_rate=settings["learning_rate"],
                lr_scheduler_type="cosine",
                max_length=None,
                bf16=on_gpu,
                gradient_checkpointing=on_gpu,
                logging_steps=1,
                seed=0,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list(
                [{"prompt": chat[:-1], "completion": chat[-1:]} for chat in rows]
            ),
            processing_class=load_tokenizer(model),
            peft_config=LoraConfig(
                r=settings["lora_rank"],
                lora_alpha=settings["lora_alpha"],
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            ),
            callbacks=[clock.callback()],
        )
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return clock.seconds, losses


def ours(
    model: Path, rows: list[Any], settings: dict[str, Any], tokens: int | None
) -> tuple[float, list[float]]:
    """Train with this project; return the seconds, and the loss of each step."""
    import polars as pl

    from seedbed.training import trainer as module
    from seedbed.training.settings import StudentTraining, Trainer
    from seedbed.training.students import train_student

    clock, losses = Clock(), []
    init, step = module.MicroBatchTrainer.__init__, module.MicroBatchTrainer.training_step

    def with_clock(self: Any, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        self.add_callback(clock.callback())

    def noting(self: Any, *args: Any) -> Any:
        losses.append(step(self, *args))
        return losses[-1]

    module.MicroBatchTrainer.__init__, module.MicroBatchTrainer.training_step = with_clock, noting
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            pl.DataFrame({"messages": rows}).write_parquet(folder / "rows.parquet")
            train_student(
                model,
                folder / "rows.parquet",
                folder / "adapter",
                StudentTraining(epochs=1000, max_length=10**6, warmup_fraction=0.0, **settings),
                lambda *_: None,
                print,
                torch.get_num_threads(),
                Trainer(micro_batch_tokens=tokens),
            )
    finally:
        module.MicroBatchTrainer.__init__, module.MicroBatchTrainer.training_step = init, step
    return clock.seconds, [float(loss) for loss in losses]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder, or a GGUF file")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1, help="of both, one after the other")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--micro-batch-tokens", type=int)
    parser.add_argument("--cpu-time", action="store_true", help="of this process, on one thread")
    args = parser.parse_args()
    if args.cpu_time:
        Clock.now = staticmethod(time.process_time)
    torch.set_num_threads(args.threads)
    # No more rows than the steps use; with more, the two would train on different rows.
    count = min(args.rows, args.steps * args.batch_size)
    model, rows = folder_of(args.model), chats(count)
    from seedbed.chats import encode_rows, load_tokenizer

    lengths = [len(row.ids) for row in encode_rows(load_tokenizer(model), rows)]
    settings = {
        "max_steps": args.steps,
        "batch_size": args.batch_size,
        "learning_rate": 1e-4,
        "lora_rank": 16,
        "lora_alpha": 32,
    }
    tokens = sum(lengths) / len(lengths) * args.batch_size * (args.steps - 1)
    for _ in range(args.rounds):
        theirs, their_losses = plain(model, rows, settings)
        seconds, losses = ours(model, rows, settings, args.micro_batch_tokens)
        print(f"SFTTrainer: {tokens / theirs:,.0f} tokens/s, losses {their_losses}")
        print(f"seedbed:    {tokens / seconds:,.0f} tokens/s, losses {losses}")
        print(f"{theirs / seconds:.2f} times as fast")


if __name__ == "__main__":
    main()
