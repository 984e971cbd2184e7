"""A finished `micro` study, run once for all tests of the workflow, and ways to plan on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# Snakemake is called by its path, as by somebody who has not activated the environment.
WITHOUT_ENVIRONMENT = os.pathsep.join(
    part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != BIN
)


@dataclass(frozen=True)
class Clone:
    """A copy of the project, with or without results."""

    folder: Path

    def snakemake(
        self, *arguments: str, study: str = "micro", **config: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in the copy, and return its output (both streams in `stdout`)."""
        settings = [f"{name}={value}" for name, value in config.items()]
        return subprocess.run(
            [BIN / "snakemake", *arguments, "--config", f"study={study}", *settings],
            cwd=self.folder,
            env=os.environ | {"PATH": WITHOUT_ENVIRONMENT},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def plan(self, *arguments: str, study: str = "micro") -> dict[str, int]:
        """Return how many jobs of each rule would run, without `all`; {} if none would."""
        done = self.snakemake("--dry-run", *arguments, study=study)
        assert done.returncode == 0, done.stdout
        if "Nothing to be done" in done.stdout:
            return {}
        table = re.search(r"^Job stats:\n(.*?)^total ", done.stdout, re.MULTILINE | re.DOTALL)
        assert table is not None, done.stdout
        counts = Counter(
            {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table[1], re.MULTILINE)}
        )
        del counts["all"]
        return dict(counts)

    def results(self, pattern: str) -> list[Path]:
        """Return the files of the study's results that fit a pattern."""
        return sorted((self.folder / "results/micro").glob(pattern))


def copy_project(folder: Path) -> Clone:
    """Copy what a clone of the project would hold, dates included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return Clone(folder)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the project without results."""
    return copy_project(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The `micro` study, run to the end in a copy of the project."""
    clone = copy_project(tmp_path_factory.mktemp("project"))
    done = clone.snakemake()
    assert done.returncode == 0, done.stdout
    return clone
