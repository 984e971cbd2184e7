"""Compare the planning of a large finished study with a bare workflow of the same shape.

Makes a study of about the given number of jobs, all its files (with meaningless content, which
planning does not read) and the manifest of a finished run. Then makes the same, with Snakemake's
own metadata, for a Snakefile with the same rules, jobs and files, whose inputs are looked up in a
dictionary, and without settings, digests or resources. Then plans both alternately (`snakemake
--dry-run`), and compares processor time, which other work on the machine affects less than elapsed
time. The first plan of each does not count, because Python compiles the project's modules then.

    python tests/benchmarks/planning.py 1000 10000 50000
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from project import copy_project

STUDY = "wide"
# Plans, records the jobs, and makes their files and Snakemake's metadata of a finished run.
FINISH = """
import json, os, sys
from pathlib import Path
from snakemake.cli import main
from seedbed.run.snakemake_internals import Jobs, note_finished, when_planned

def finish(workflow):
    jobs = list(Jobs(workflow).all())
    named = [[j.rule.name, list(map(str, j.input)), list(map(str, j.output))] for j in jobs]
    Path("jobs.json").write_text(json.dumps(named))
    for job in jobs:
        for path in map(Path, job.output):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, (1_700_000_000, 1_700_000_000))
    note_finished(workflow, jobs)
    os._exit(0)

when_planned(finish)
main(sys.argv[1:])
"""
# The libraries are compiled anyway.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}
CELLS_PER_REPLICATE = 36
JOBS_PER_CELL = 4.3


def write_study(folder: Path, jobs: int) -> None:
    """Write a study of about `jobs` jobs: more replicates, and beyond a hundred, more seed sets."""
    content = yaml.safe_load((folder / "config/studies/demo.yaml").read_text())
    replicates = max(1, round(jobs / JOBS_PER_CELL / CELLS_PER_REPLICATE))
    block = content["blocks"][0] | {"seeds": [64, 96, 128], "budget_ratios": [1, 4, 16, 64]}
    block["replicates"] = replicates
    content |= {"description": "A large study.", "blocks": [block], "shard_size": 1024}
    # Of another block.
    del content["mixtures"]
    (folder / f"config/studies/{STUDY}.yaml").write_text(yaml.safe_dump(content))


def run(folder: Path, *words: str) -> tuple[float, float]:
    """Run Snakemake in a folder, and return its processor seconds and MB of memory."""
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *words],
            cwd=folder,
            stdout=said,
            stderr=said,
            env=ENVIRONMENT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit((folder / "said.txt").read_text()[-3000:])
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def finish(folder: Path, *words: str) -> list[tuple[str, list[str], list[str]]]:
    """Make a workflow look finished; return the rule, inputs and outputs of all its jobs."""
    call = [sys.executable, "-c", FINISH, "--dry-run", *words]
    library = {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "scripts")}
    done = subprocess.run(
        call, cwd=folder, env=os.environ | library, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return json.loads((folder / "jobs.json").read_text())


def fabricate(folder: Path, *words: str) -> list[tuple[str, list[str], list[str]]]:
    """Make a study look finished; return the rule, inputs and outputs of all its jobs."""
    script = Path(__file__).resolve().parents[1] / "fabricated.py"
    call = [sys.executable, script, *words]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return json.loads((folder / "jobs.json").read_text())


def write_bare(folder: Path, jobs: list[tuple[str, list[str], list[str]]]) -> None:
    """Write a Snakefile with the same rules, jobs and files, and nothing else."""
    by_rule = defaultdict(list)
    for rule, inputs, outputs in jobs:
        by_rule[rule].append((inputs, outputs))
    looked_up: dict[str, dict[str, list[str]]] = {}
    text = ["import json", "INPUTS = json.load(open('inputs.json'))"]
    for rule, found in by_rule.items():
        if len(found) == 1:
            inputs, outputs = found[0]
            looked_up[rule] = {"": inputs}
            asked, made = f"INPUTS['{rule}']['']", json.dumps(outputs)
        else:
            looked_up[rule], names = {}, set()
            stem = os.path.commonpath([output for _, outputs in found for output in outputs])
            for inputs, outputs in found:
                key = os.path.commonpath([str(Path(output).parent) for output in outputs])
                looked_up[rule][os.path.relpath(key, stem)] = inputs
                names |= {os.path.relpath(output, key) for output in outputs}
            asked = f"lambda wc: INPUTS['{rule}'][wc.key]"
            made = json.dumps([f"{stem}/{{key}}/{name}" for name in sorted(names)])
        first = "    default_target: True\n" if rule == "all" else ""
        output = "" if rule == "all" else f"    output: *{made}\n"
        command = "" if rule == "all" else "    shell: 'true'\n"
        text.append(f"rule {rule}:\n{first}    input: {asked}\n{output}{command}")
    (folder / "inputs.json").write_text(json.dumps(looked_up))
    (folder / "Snakefile").write_text("\n".join(text))


def measure(jobs: int, rounds: int, folder: Path) -> str:
    """Return a row of the table for a study of about `jobs` jobs."""
    ours, bare = folder / "ours", folder / "bare"
    copy_project(ours)
    write_study(ours, jobs)
    settings = ["--config", f"study={STUDY}"]
    found = fabricate(ours, *settings)
    bare.mkdir()
    write_bare(bare, found)
    finish(bare, "--scheduler", "greedy")
    plans = {
        "ours": lambda: run(ours, "--dry-run", *settings),
        "bare": lambda: run(bare, "--dry-run", "--scheduler", "greedy"),
    }
    for plan in plans.values():
        plan()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in plans}
    for _ in range(rounds):
        for name, plan in plans.items():
            taken[name].append(plan())
            said = (folder / name / "said.txt").read_text()
            if "Nothing to be done" not in said:
                raise SystemExit(f"{name} is not finished:\n{said[-3000:]}")
    seconds = {name: [second for second, _ in taken[name]] for name in plans}
    memory = {name: max(megabytes for _, megabytes in taken[name]) for name in plans}
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["bare"], strict=True)]
    return (
        f"| {len(found):,} | {statistics.median(seconds['ours']):.1f} | "
        f"{statistics.median(seconds['bare']):.1f} | {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f}) | {memory['ours']:.0f} | {memory['bare']:.0f} |"
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", type=int, nargs="*", default=[1_000, 10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print("| Jobs | Ours, s | Bare, s | Ratio | Ours, MB | Bare, MB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for jobs in args.jobs:
        with tempfile.TemporaryDirectory() as name:
            print(measure(jobs, args.rounds, Path(name)), flush=True)


if __name__ == "__main__":
    main()
