"""Tiny models and adapters for benchmarks, made on the spot."""

from __future__ import annotations

import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

PROMPTS = {
    "answer": "{question}",
    "question_rephrase": "Rephrase: {question}",
    "new_question": "New: {question}",
    "self_check": "Check: {question}",
}


def make_model(folder: Path, width: int, layers: int, steps: int) -> Path:
    """Train a model of word problems, and return its folder.

    Args:
        folder: the folder to write.
        width: size of its hidden states; heads have 32.
        layers: number of layers.
        steps: number of training steps.
    """
    from seedbed.tasks.worlds import load_world
    from seedbed.training.pretraining import pretrain
    from seedbed.training.settings import Pretrain

    settings = Pretrain(
        role="teacher",
        steps=steps,
        batch_size=16,
        learning_rate=2e-3,
        hidden_size=width,
        layers=layers,
        heads=width // 32,
        intermediate_size=3 * width,
    )
    pretrain(settings, load_world("mini_math"), PROMPTS, folder, {}, lambda text: None, threads=2)
    return folder / "final"


def make_adapters(model: Path, folder: Path, count: int) -> list[Path]:
    """Write LoRA adapters that each change a model's output, and return their folders."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from seedbed.artifacts import write_json

    folders = [folder / str(number) for number in range(count)]
    for number, adapter in enumerate(folders):
        torch.manual_seed(number)
        lora = LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False)
        get_peft_model(AutoModelForCausalLM.from_pretrained(model), lora).save_pretrained(adapter)
        write_json(adapter / "training.json", {"counts": {}, "seconds": {}})
    return folders
