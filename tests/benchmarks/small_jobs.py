"""Measure the overhead of small jobs, now and at another commit, and of Snakemake's schedulers.

Runs the study `micro` alternately in a copy of the project and in a copy of another commit, and
prints the minimum seconds that Snakemake measured for a job of each rule: the start of Python,
imports, and little else. Then runs a number of empty jobs with each of Snakemake's schedulers.

    python tests/benchmarks/small_jobs.py --before 10e7b43 --jobs 1000
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from project import ROOT, Clone, copy_project

ROUNDS = 2
SCHEDULERS = {
    "Snakemake's choice (ilp)": ["--scheduler", "ilp"],
    "greedy": ["--scheduler", "greedy"],
    "greedy, 50 at a time": ["--scheduler", "greedy", "--scheduler-subsample", "50"],
}
LONGEST = 1800
SNAKEFILE = """
rule all:
    input: expand("made/{{n}}", n=range({jobs}))
rule make:
    output: touch("made/{{n}}")
    shell: "true"
"""


def checkout(commit: str, folder: Path) -> Clone:
    """Write the files of a commit to a folder."""
    archive = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return Clone(folder)


def run(clone: Clone) -> tuple[float, dict[str, float]]:
    """Run the study, and return its seconds and the minimum seconds of a job of each rule."""
    start = time.monotonic()
    done = clone.snakemake_from_a_shell()
    if done.returncode:
        raise SystemExit(done.stdout[-3000:])
    seconds = time.monotonic() - start
    found = defaultdict(list)
    for file in clone.results("benchmarks/**/*.tsv"):
        rule = file.relative_to(clone.folder / "results/micro/benchmarks").parts[0]
        took = float(file.read_text().splitlines()[1].split("\t")[0])
        found[rule.removesuffix(".tsv")].append(took)
    return seconds, {rule: min(took) for rule, took in found.items()}


def compare(commit: str) -> None:
    """Print the seconds of each rule's jobs, before and now."""
    taken = defaultdict(lambda: defaultdict(list))
    for _ in range(ROUNDS):
        for name in ("before", "now"):
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                clone = copy_project(folder) if name == "now" else checkout(commit, folder)
                whole, rules = run(clone)
            for rule, seconds in [*rules.items(), ("the whole study", whole)]:
                taken[rule][name].append(seconds)
    print(f"| Rule | Before ({commit}), s | Now, s | Ratio |\n| --- | ---: | ---: | ---: |")
    for rule, by_name in sorted(taken.items()):
        if len(by_name) == 2:
            before, now = (statistics.median(by_name[name]) for name in ("before", "now"))
            print(f"| {rule} | {before:.2f} | {now:.2f} | {now / before:.2f} |")


def schedule(jobs: int) -> None:
    """Print the seconds of a number of empty jobs with each scheduler."""
    print(f"\n| Scheduler | {jobs:,} jobs of no work, s |\n| --- | ---: |")
    for name, options in SCHEDULERS.items():
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / "Snakefile").write_text(SNAKEFILE.format(jobs=jobs))
            words = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all", *options]
            start = time.monotonic()
            try:
                subprocess.run(words, cwd=place, check=True, capture_output=True, timeout=LONGEST)
                said = f"{time.monotonic() - start:.0f}"
            except subprocess.TimeoutExpired:
                said = f"more than {LONGEST}"
        print(f"| {name} | {said} |", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", required=True, help="the commit to compare with")
    parser.add_argument("--jobs", type=int, default=1000, help="jobs for the schedulers")
    args = parser.parse_args()
    compare(args.before)
    schedule(args.jobs)


if __name__ == "__main__":
    main()
