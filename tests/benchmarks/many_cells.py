"""Measure a study with many cells: files, and the time and memory of the steps around its jobs.

Run by hand: `python tests/benchmarks/many_cells.py 10000 60000`. Makes a study of about that number
of cells with all its evaluations, of 20 test items each, and nothing else. Then reads the study,
plans the collection (`snakemake -n -p collect_results`), collects, asks for the status, and prints
the length of the longest command line. Seconds are processor time. Jobs that run models are left
out; `tests/benchmarks/planning.py` plans them too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

sys.path[:0] = [
    str(Path(__file__).resolve().parents[n]) + part for n, part in ((1, ""), (1, "/unit"))
]
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from generated_shards import write_evaluations  # noqa: E402

from project import BIN, copy_project  # noqa: E402
from seedbed.study.cells import Grid, grid  # noqa: E402
from seedbed.study.loading import Study, load_study  # noqa: E402

STUDY = "wide"
TEST_ITEMS = 20
PER_REPLICATE = 30


def write_study(folder: Path, cells: int) -> None:
    """Write a study of about `cells` cells, with more replicates of the same ones."""
    content = yaml.safe_load((folder / "config/studies/demo.yaml").read_text())
    block = content["blocks"][0] | {"seeds": [64, 128], "budget_ratios": [1, 2, 4, 8, 16]}
    block["replicates"] = max(1, round(cells / PER_REPLICATE))
    content |= {"description": "A wide study.", "blocks": [block]}
    # Of another block.
    del content["mixtures"]
    (folder / f"config/studies/{STUDY}.yaml").write_text(yaml.safe_dump(content))


def write_results(folder: Path, found: Grid) -> int:
    """Write the evaluations of all cells, and return the number of files."""
    (sample,) = write_evaluations(folder / "sample", 1, TEST_ITEMS)
    scores = json.loads(sample.read_text())
    predictions = sample.with_name("predictions.parquet").read_bytes()
    for cell in found.cells:
        place = folder / f"results/{STUDY}/evaluations/{cell.key}"
        place.mkdir(parents=True)
        (place / "evaluation.json").write_text(json.dumps(scores | {"cell": cell.coordinates}))
        (place / "predictions.parquet").write_bytes(predictions)
    return 2 * len(found.cells)


def load(folder: Path) -> tuple[Study, Grid]:
    """Read the study and make its grid."""
    study = load_study(STUDY, folder / "config")
    return study, grid(study)


def spent(folder: Path, *words: str) -> tuple[float, float, str]:
    """Run a command in a folder; return its processor seconds, peak memory in MiB and output."""
    said = folder / "said.txt"
    with said.open("w") as file:
        process = subprocess.Popen(words, cwd=folder, stdout=file, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(said.read_text()[-3000:])
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said.read_text()


def measure(cells: int, folder: Path) -> str:
    """Return a row of the table for a study of about `cells` cells."""
    copy_project(folder)
    write_study(folder, cells)
    start = time.process_time()
    _, found = load(folder)
    reading = time.process_time() - start
    files = write_results(folder, found)
    asked = [BIN / "snakemake", "collect_results", "--config", f"study={STUDY}", "partial=true"]
    plan = spent(folder, *asked, "--dry-run", "--printshellcmds")
    longest = max(len(line) for line in plan[2].splitlines() if "/scripts/" in line)
    collected = spent(folder, *asked)
    status = spent(folder, BIN / "python", "scripts/status.py", "--study", STUDY)
    measured = (f"{seconds:.1f} | {memory:.0f}" for seconds, memory, _ in (plan, collected, status))
    return (
        f"| {len(found.cells):,} | {files:,} | {longest:,} | {reading:.1f} | "
        f"{' | '.join(measured)} |"
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", type=int, nargs="*", default=[10_000, 60_000])
    args = parser.parse_args()
    heads = ["Cells", "Files", "Longest command, bytes", "Reading, s"]
    for step in ("Plan", "Collection", "Status"):
        heads += [f"{step}, s", f"{step}, MiB"]
    print(f"| {' | '.join(heads)} |")
    print(f"|{' ---: |' * len(heads)}")
    for cells in args.cells:
        with tempfile.TemporaryDirectory() as name:
            print(measure(cells, Path(name)), flush=True)


if __name__ == "__main__":
    main()
