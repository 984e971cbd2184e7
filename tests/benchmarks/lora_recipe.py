"""A sweep of LoRA's learning rate and batch size with few rows, as a Markdown table.

`python tests/benchmarks/lora_recipe.py --model FOLDER --rows 96 --epochs 3 --answers 300` trains a
student once with each rate and batch size, and shows the optimiser steps, the loss on unseen rows,
and with --answers the share of right answers. Rows are from ARC-Challenge if SEEDBED_TEST_DATA
names a folder in the hub's layout, else word problems of the generated world.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import polars as pl
import torch

ARC = "Answer the multiple-choice question with a line `Answer: LABEL`.\n\n"


def pairs(count: int) -> list[tuple[str, str]]:
    """Return real questions and answers, or ones of the generated world."""
    data = os.environ.get("SEEDBED_TEST_DATA")
    if data is None:
        from seedbed.tasks.worlds import load_world

        return [(i.question, i.answer) for i in load_world("mini_math").items("train", count, 1)]
    rows = pl.read_parquet(Path(data) / "allenai/ai2_arc/ARC-Challenge/train.parquet").head(count)
    found = []
    for row in rows.iter_rows(named=True):
        listed = zip(row["choices"]["label"], row["choices"]["text"], strict=True)
        choices = "\n".join(f"{label}. {text}" for label, text in listed)
        found.append((f"{ARC}{row['question']}\n{choices}", f"Answer: {row['answerKey']}"))
    return found


def chats(some: list[tuple[str, str]]) -> list[list[dict[str, str]]]:
    """Return pairs as chats."""
    return [
        [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        for asked, answer in some
    ]


@torch.no_grad()
def unseen_loss(model: Path, adapter: Path | None, some: list[tuple[str, str]]) -> float:
    """Return the mean loss of a student on the tokens of some answers, in nats."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from seedbed.chats import encode_rows, load_tokenizer

    student: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    if adapter is not None:
        student = PeftModel.from_pretrained(student, adapter)
    student.eval()
    nats = count = 0.0
    for row in encode_rows(load_tokenizer(model), chats(some)):
        logits = student(torch.tensor([row.ids])).logits[0, row.prompt_tokens - 1 : -1]
        targets = torch.tensor(row.ids[row.prompt_tokens :])
        nats += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
        count += len(targets)
    return nats / count


def right(model: Path, adapter: Path | None, count: int) -> float:
    """Return the share of word problems that a student solves."""
    from seedbed.engines import EngineJob, load_engine
    from seedbed.evaluation.evaluation import evaluate, item_requests
    from seedbed.evaluation.scorers import make_scorer
    from seedbed.tasks.worlds import load_world

    items = load_world("mini_math").items("test", count, 1)
    requests = item_requests(items, "{question}", 96)
    found = load_engine(model, EngineJob.of(batch_size=256)).complete(requests, adapter)
    scorer = make_scorer("number", {}, Path())
    rows = evaluate(items, requests, found, scorer, "flexible", lambda _: None)
    return float(rows["correct"].mean())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the student")
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--unseen", type=int, default=32, help="rows to measure the loss on")
    parser.add_argument("--answers", type=int, default=0, help="word problems to answer")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[4e-5, 4e-4, 4e-3])
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 16])
    args = parser.parse_args()
    from seedbed.training.settings import StudentTraining
    from seedbed.training.students import train_student

    torch.set_num_threads(1)
    rows = pairs(args.rows + args.unseen)
    print("| Rate | Rows in a batch | Steps | Loss on unseen rows | Right |", flush=True)
    print("| ---: | ---: | ---: | ---: | ---: |", flush=True)

    def show(rate: str, batch: str, steps: int, adapter: Path | None) -> None:
        loss = unseen_loss(args.model, adapter, rows[args.rows :])
        share = f"{right(args.model, adapter, args.answers):.1%}" if args.answers else "-"
        print(f"| {rate} | {batch} | {steps} | {loss:.3f} | {share} |", flush=True)

    show("not trained", "-", 0, None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pl.DataFrame({"messages": chats(rows[: args.rows])}).write_parquet(folder / "rows.parquet")
        for batch, rate in product(args.batches, args.rates):
            adapter = folder / f"{batch} {rate}"
            settings = StudentTraining(
                epochs=args.epochs,
                learning_rate=rate,
                batch_size=batch,
                lora_rank=16,
                lora_alpha=32,
                max_length=1_536,
            )
            quiet: Any = lambda *_: None  # noqa: E731
            made = train_student(
                args.model, folder / "rows.parquet", adapter, settings, quiet, quiet
            )
            show(f"{rate:g}", str(batch), made.steps, adapter)


if __name__ == "__main__":
    main()
