"""Measure Snakemake's checks for jobs, with and without `look_once_at_a_time`.

Runs jobs that only wait, and read the same 20 files, two at a time, alternating with and without.
Prints the processor seconds of all processes, and their ratio.

    python tests/benchmarks/looks.py --jobs 400
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from project import ROOT

ROUNDS = 2
SNAKEFILE = """
from seedbed.run.snakemake_internals import look_once_at_a_time

onstart:
    if {once}:
        look_once_at_a_time(workflow)
rule all:
    input: expand("made/{{n}}", n=range({jobs}))
rule make:
    input: expand("read/{{m}}", m=range(20))
    output: touch("made/{{n}}")
    shell: "sleep 0.15"
"""


def seconds(jobs: int, once: bool) -> float:
    """Run the jobs in an empty folder, and return the processor seconds of all processes."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Snakefile").write_text(SNAKEFILE.format(jobs=jobs, once=once))
        (Path(folder) / "read").mkdir()
        for number in range(20):
            (Path(folder) / "read" / str(number)).touch()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        words = ["--cores", "2", "--quiet", "all", "--scheduler", "greedy"]
        subprocess.run(
            [sys.executable, "-m", "snakemake", *words, "--scheduler-subsample", "50"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
            check=True,
            capture_output=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=400)
    args = parser.parse_args()
    found = [[seconds(args.jobs, once) for once in (True, False)] for _ in range(ROUNDS)]
    once, plain = (statistics.median(column) for column in zip(*found, strict=True))
    print(f"{args.jobs} jobs: {once:.1f} s, Snakemake's own way {plain:.1f} s")
    print(f"ratio {once / plain:.2f}; of each round {[round(a / b, 2) for a, b in found]}")


if __name__ == "__main__":
    main()
