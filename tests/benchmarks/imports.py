"""Measure the imports of the training libraries, with and without Python's garbage collector.

Run by hand: `python tests/benchmarks/imports.py`. Prints the CPU seconds of both, alternating in
new processes, and the median of their ratios.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

TURNS = 7
PROGRAM = """
import sys, time
sys.path.insert(0, {scripts!r})
from contextlib import nullcontext
from seedbed.imports import paused_collector
start = time.process_time()
with {manager}():
    import torch
    from datasets import Dataset
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForCausalLM, LlamaForCausalLM
    from trl import SFTTrainer
print(time.process_time() - start)
"""


def cpu_seconds(manager: str) -> float:
    """Return the CPU seconds of the imports in a new process, under a context manager."""
    scripts = str(Path(__file__).resolve().parents[2] / "scripts")
    program = PROGRAM.format(scripts=scripts, manager=manager)
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def main() -> None:
    """Measure, and print."""
    ratios = []
    for turn in range(TURNS):
        usual, paused = cpu_seconds("nullcontext"), cpu_seconds("paused_collector")
        ratios.append(paused / usual)
        print(f"turn {turn + 1}: {usual:.2f} s as usual, {paused:.2f} s with the collector paused")
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
