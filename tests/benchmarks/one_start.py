"""Compare evaluations of adapters with one engine start each and with one start for all.

Runs the rule's script, a process for each adapter, one after the other or as SLURM jobs: first
alone, then with the list of the other jobs, as in the workflow. Checks that answers and scores are
the same.

    python tests/benchmarks/one_start.py --engine vllm --adapters 8
    python tests/benchmarks/one_start.py --engine vllm --adapters 8 --slurm
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tiny import SCRIPTS, make_adapters, make_model

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from cluster import cluster, run_jobs


def command(folder: Path, run: str, adapter: Path, engine: str, others: list[Path]) -> list[str]:
    """Return the command that evaluates one adapter."""

    def paths(adapter: Path) -> dict[str, object]:
        return {
            "output": str(folder / run / adapter.name / "evaluation.json"),
            "cache": str(folder / run / "journal" / adapter.name),
            "inputs": [str(adapter / "training.json")],
            "adapter": str(adapter),
        }

    settings = {
        "kind": "number",
        "scorer": {},
        "score": "strict",
        "prompt": "{question}",
        "answer_tokens": 32,
        "test_items": None,
    }
    own = paths(adapter)
    sharing = folder / run / f"{adapter.name}.jsonl"
    sharing.parent.mkdir(exist_ok=True)
    sharing.write_text("".join(json.dumps(paths(other)) + "\n" for other in others))
    words = {
        "--cell": json.dumps({"adapter": adapter.name}),
        "--test": folder / "test.parquet",
        "--task-folder": folder,
        "--settings": json.dumps(settings),
        "--model": folder / "model" / "final",
        "--engine": json.dumps({"kind": engine}),
        "--threads": 2,
        "--cache": own["cache"],
        "--pending": sharing,
        "--predictions": Path(str(own["output"])).with_name("predictions.parquet"),
        "--output": own["output"],
    }
    files = [str(adapter / name) for name in ("adapter_model.safetensors", "training.json")]
    given = [str(part) for pair in words.items() for part in pair]
    return [sys.executable, str(SCRIPTS / "evaluate_student.py"), *given, "--adapter", *files]


def run_here(commands: list[list[str]]) -> float:
    """Run one command after the other, and return the seconds that they take."""
    start = time.monotonic()
    for words in commands:
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
    return time.monotonic() - start


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="vllm")
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument(
        "--slurm",
        action="store_true",
        help="as jobs of a real SLURM on this machine, two at a time, with a stand-in GPU each",
    )
    args = parser.parse_args()

    import polars as pl

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = make_model(folder / "model", 64, 2, 100)
        adapters = make_adapters(model, folder / "adapters", args.adapters)
        from seedbed.engines.pending_jobs import write_plan
        from seedbed.tasks.items import to_frame
        from seedbed.tasks.worlds import load_world

        to_frame(load_world("mini_math").items("test", args.items, 1)).write_parquet(
            folder / "test.parquet"
        )
        seconds = {}
        for run in ("alone", "shared"):
            evaluations = [folder / run / a.name / "evaluation.json" for a in adapters]
            write_plan(folder / run / "plan.txt", evaluations if run == "shared" else [])
            commands = []
            for adapter in adapters:
                others = [other for other in adapters if other != adapter]
                commands.append(command(folder, run, adapter, args.engine, others))
            if args.slurm:
                with cluster(folder / run / "slurm") as slurm:
                    seconds[run] = run_jobs(slurm, list(map(shlex.join, commands)), folder / run)
            else:
                seconds[run] = run_here(commands)
            print(f"{run}: {seconds[run]:.1f} s", flush=True)
        outputs = []
        for adapter in adapters:
            tables = [
                pl.read_parquet(folder / run / adapter.name / "predictions.parquet")
                for run in seconds
            ]
            if not tables[0].equals(tables[1]):
                raise SystemExit(f"adapter {adapter.name}: not the same item by item")
            outputs.append(tuple(tables[0]["output"].to_list()))
        print(
            f"{args.engine}, {args.adapters} adapters ({len(set(outputs))} different in what they "
            f"say), {args.items} items each, the same item by item: "
            f"a start each / one start = {seconds['alone'] / seconds['shared']:.2f}"
        )


if __name__ == "__main__":
    main()
