"""Copies of the project, and ways to run and to plan in them."""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import warm_jobs

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
FAST_SNAKEMAKE = [sys.executable, ROOT / "tests/fast_snakemake.py"]
"""Command of a Snakemake that checks its SLURM jobs every second."""
PATIENCE = 300.0
"""Seconds that a run may take to reach a condition."""
# Snakemake is called by its path, as by a user who has not activated the environment.
WITHOUT_ENVIRONMENT = os.pathsep.join(
    part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != BIN
)
WITHOUT_RIGHTS = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-chown,-fowner"]
    if os.getuid() == 0
    else []
)
"""Command prefix for a process that obeys file modes, even if root runs the tests."""


@dataclass(frozen=True)
class Clone:
    """A copy of the project, with or without results.

    Attributes:
        folder: where it is.
        said: Snakemake's output when it made the results.
    """

    folder: Path
    said: str = ""

    def copy(self, folder: Path) -> Clone:
        """Copy it, with Snakemake's metadata."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Clone(folder)

    def without(self, *patterns: str) -> Clone:
        """Delete the study's results that match these patterns, and return the copy."""
        for pattern in patterns:
            paths = self.results(pattern)
            assert paths, pattern
            for path in paths:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return self

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file."""
        path = self.folder / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))

    @contextmanager
    def edited(self, name: str, old: str = "", new: str = "", whole: str = "") -> Iterator[None]:
        """Replace a text in a file, or all of it, until the end of the block."""
        path = self.folder / name
        before = path.read_text()
        try:
            path.write_text(whole) if whole else self.edit(name, old, new)
            yield
        finally:
            path.write_text(before)

    def status(self, *words: str, study: str = "micro", **variables: str) -> str:
        """Return the output of `make status` for a study."""
        done = subprocess.run(
            [sys.executable, "scripts/status.py", "--study", study, *words],
            cwd=self.folder,
            env=os.environ | variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def asked(self, *words: str) -> str:
        """Return the output of a target that answers a question."""
        done = self.snakemake(*words, "--quiet", "all")
        assert done.returncode == 0, done.stdout
        return done.stdout

    def snakemake(
        self, *arguments: str, study: str = "micro", **config: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in the copy, and return its output (both streams in `stdout`)."""
        return warm(self.folder, *_typed(arguments, study, config))

    def snakemake_from_a_shell(
        self, *arguments: str, study: str = "micro", **config: str
    ) -> subprocess.CompletedProcess[str]:
        """Do the same in a new process, like a user."""
        return subprocess.run(
            [BIN / "snakemake", *_typed(arguments, study, config)],
            cwd=self.folder,
            env=os.environ | {"PATH": WITHOUT_ENVIRONMENT},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextmanager
    def started(
        self,
        *arguments: str,
        output: Any = subprocess.PIPE,
        cold: bool = False,
        study: str = "micro",
        **config: str,
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a run in its own process group; it is killed at the end of the block.

        Jobs are not warm if a test needs jobs that start slowly.
        """
        environment = os.environ | {"PATH": WITHOUT_ENVIRONMENT} if cold else warm_environment()
        process = subprocess.Popen(
            [BIN / "snakemake", *_typed(arguments, study, config)],
            cwd=self.folder,
            env=environment | {"PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def killed_when(self, condition: Callable[[str], object], *arguments: str, **config: str):
        """Start a run, and kill it with all its jobs as soon as a condition is true.

        Args:
            condition: called with the run's output so far.
            arguments: for Snakemake, in addition to the study and the configuration.
        """
        end = time.monotonic() + PATIENCE
        with (
            tempfile.NamedTemporaryFile() as log,
            self.started(*arguments, output=log, **config) as process,
        ):
            while not condition(said := Path(log.name).read_text()):
                assert process.poll() is None and time.monotonic() < end, said
                time.sleep(0.02)

    def plan(self, *arguments: str, study: str = "micro") -> dict[str, int]:
        """Return the number of jobs that would run, by rule, without `all`; {} if none would."""
        said = planned(self.folder, "--dry-run", *arguments, "--config", f"study={study}")
        if "Nothing to be done" in said:
            return {}
        table = re.search(r"^Job stats:\n(.*?)^total ", said, re.MULTILINE | re.DOTALL)
        assert table is not None, said
        counts = Counter(
            {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table[1], re.MULTILINE)}
        )
        del counts["all"]
        return dict(counts)

    def results(self, pattern: str) -> list[Path]:
        """Return the files of the study's results that match a pattern."""
        return sorted((self.folder / "results/micro").glob(pattern))


def _typed(arguments: tuple[str, ...], study: str, config: dict[str, str]) -> list[str]:
    settings = [f"{name}={value}" for name, value in config.items()]
    return [*arguments, "--config", f"study={study}", *settings]


def planned(folder: Path, *words: str) -> str:
    """Return Snakemake's output in a folder.

    Raises:
        AssertionError: if it fails.
    """
    done = warm(folder, *words)
    assert done.returncode == 0, done.stdout
    return done.stdout


def warm(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a folder, in a process that has already imported it.

    Both output streams are in `stdout`.
    """
    process = _warm_snakemake()
    request = [str(folder), words, warm_environment()]
    print(json.dumps(request), file=process.stdin, flush=True)
    status = json.loads(process.stdout.readline())
    said = Path(process.args[-1]).read_text(errors="replace")
    return subprocess.CompletedProcess(["snakemake", *words], status, said)


def warm_environment() -> dict[str, str]:
    """Return the environment of a Snakemake whose jobs are forks of a warm process."""
    return os.environ | {"PATH": WITHOUT_ENVIRONMENT, "BASH_ENV": str(_warm_jobs())}


@cache
def _warm_snakemake() -> subprocess.Popen[str]:
    file, output = tempfile.mkstemp(suffix=".log")
    os.close(file)
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("warm_snakemake.py"), output],
        env=os.environ | {"PATH": WITHOUT_ENVIRONMENT, "PYTHONPATH": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def end() -> None:
        process.stdin.close()
        process.wait()
        Path(output).unlink()

    atexit.register(end)
    return process


@cache
def _warm_jobs() -> Path:
    """Start the server that runs jobs' scripts, and return the file that makes shells use it."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    process = subprocess.Popen(
        [sys.executable, Path(warm_jobs.__file__), folder / "socket"],
        env=os.environ | {"PATH": WITHOUT_ENVIRONMENT},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def end() -> None:
        process.stdin.close()
        process.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    assert process.stdout.readline() == "ready\n"
    asks = folder / "asks.py"
    asks.write_text(warm_jobs.ASKS)
    shell = folder / "bash"
    shell.write_text(warm_jobs.BASH % {"asks": asks, "socket": folder / "socket"})
    return shell


def copy_project(folder: Path) -> Clone:
    """Copy the files that a clone of the project would have, with their dates."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return Clone(folder)


def in_image() -> set[str]:
    """Return the top-level names that the image of `envs/Dockerfile` has."""
    lines = (ROOT / "envs/Dockerfile.dockerignore").read_text().splitlines()
    return {line.removeprefix("!/") for line in lines if line.startswith("!/")}


def copy_image(folder: Path) -> Clone:
    """Copy the files of a clone that the image would have."""
    clone = copy_project(folder)
    for path in folder.iterdir():
        if path.name not in in_image():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return clone
