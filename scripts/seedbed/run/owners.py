"""Which runs are alive in a folder, and which results they write.

Snakemake's lock files do not record their owner, and locks of the operating system may be limited
to one machine. Therefore each run that holds Snakemake's lock keeps a sign: a file next to the
locks and one in the results, with a counter that increases while the run is alive.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from seedbed.snakemake_folder import LOCKS, NOTES
from seedbed.study.paths import STATE

FOLDER = NOTES / "seedbed"
"""The folder with the signs of the runs in a working directory."""

RESULTS_FOLDER = Path(STATE, "owners")
"""The folder of a study's results with the signs of the runs that write them."""

BEAT_SECONDS = 5.0
SILENT_SECONDS = 20.0
"""A run on another machine is dead if its counter does not change for that long."""

STALE_SECONDS = 60.0


@dataclass(frozen=True)
class Owner:
    """A run that holds Snakemake's lock.

    Attributes:
        number: a unique id of the run.
        study: its study.
        host: name of its machine.
        boot: boot id of its machine.
        space: PID namespace of its process.
        process: its process id in that namespace.
        ticks: when the process started (clock ticks), to tell it from a later process with its id.
        since: when the run began (seconds since the epoch).
        folder: its working directory.
        inode: inode of that directory.
        locks: names of the Snakemake lock files that it made, with their modification times (ns).
        slurm: the name of its SLURM jobs; None if it submits none.
        beat: the counter.
    """

    number: str
    study: str
    host: str
    boot: str
    space: str
    process: int
    ticks: int
    since: float
    folder: str
    inode: int
    locks: dict[str, int] = field(default_factory=dict)
    slurm: str | None = None
    beat: int = 0

    @property
    def title(self) -> str:
        """The run in words: its process, machine, start and folder."""
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since))
        return f"process {self.process} on {self.host}, since {at}, in {self.folder}"

    def here(self) -> bool:
        """Return whether its process can be looked up on this machine."""
        return (self.boot, self.space) == (_boot(), _space())

    def locked(self, folder: Path) -> bool:
        """Return whether the lock files that it made are still in its working directory."""
        return bool(self.locks) and all(
            _made(folder / LOCKS / name) == made for name, made in self.locks.items()
        )

    def at(self, folder: Path) -> bool:
        """Return whether its working directory is a folder, possibly by another path."""
        with suppress(OSError):
            if Path(self.folder).exists():
                return Path(self.folder).samefile(folder)
        return self.inode == folder.stat().st_ino


def this_run(study: str, folder: Path, locks: Iterable[Path], slurm: str | None) -> Owner:
    """Return this process as an owner."""
    return Owner(
        number=uuid.uuid4().hex,
        study=study,
        host=socket.gethostname(),
        boot=_boot(),
        space=_space(),
        process=os.getpid(),
        ticks=_ticks(os.getpid()) or 0,
        since=time.time(),
        folder=str(folder.resolve()),
        inode=folder.stat().st_ino,
        locks={path.name: path.stat().st_mtime_ns for path in locks},
        slurm=slurm,
    )


def owners(*folders: Path) -> list[Owner]:
    """Return the runs, dead or alive, that have a sign in one of some folders."""
    found = {}
    for folder in folders:
        for file in sorted(folder.glob("*.json")):
            if (owner := _read(file)) is not None:
                found[owner.number] = owner
    return [*found.values()]


def living(runs: Sequence[Owner], *folders: Path) -> list[Owner]:
    """Return the runs that are alive.

    For runs on this machine, looks up their processes. For runs on other machines, watches their
    counters for up to 20 seconds. Clocks may differ, so the files' times are not used.

    Args:
        runs: runs that `owners` returned.
        folders: the folders of their signs.
    """
    alive = [run for run in runs if run.here() and _ticks(run.process) == run.ticks]
    watched = {run.number: run for run in runs if not run.here()}
    end = time.monotonic() + SILENT_SECONDS
    while watched and time.monotonic() < end:
        time.sleep(0.5)
        now = {run.number: run for run in owners(*folders)}
        for number, before in list(watched.items()):
            if number not in now:
                del watched[number]
            elif now[number].beat != before.beat:
                alive.append(watched.pop(number))
    return alive


def seems_alive(*folders: Path) -> bool:
    """Return whether a run with a sign in one of some folders is alive, without waiting."""
    for folder in folders:
        for file in folder.glob("*.json"):
            run = _read(file)
            if run is None:
                continue
            with suppress(OSError):
                if run.here():
                    if _ticks(run.process) == run.ticks:
                        return True
                elif time.time() - file.stat().st_mtime < STALE_SECONDS:
                    return True
    return False


def forget(runs: Iterable[Owner], *folders: Path) -> None:
    """Remove the signs of dead runs."""
    for run in runs:
        for folder in folders:
            with suppress(OSError):
                (folder / f"{run.number}.json").unlink()


def lift_locks(folder: Path, runs: Iterable[Owner], others: Iterable[Owner]) -> int:
    """Remove the Snakemake lock files that dead runs left, and no others.

    Args:
        folder: the working directory.
        runs: the dead runs.
        others: the living runs.

    Returns:
        How many files were removed.
    """
    kept = {item for run in others if run.at(folder) for item in run.locks.items()}
    lifted = 0
    for run in runs:
        for name, made in run.locks.items() if run.at(folder) else ():
            path = folder / LOCKS / name
            if (name, made) not in kept and _made(path) == made:
                path.unlink(missing_ok=True)
                lifted += 1
    return lifted


class Sign:
    """The sign of this run: files with a counter that increases until the end.

    Args:
        run: this run.
        folders: the folders for the files; read-only folders are left out.
    """

    def __init__(self, run: Owner, *folders: Path) -> None:
        self._run = run
        self._files = []
        for folder in folders:
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                file = folder / f"{run.number}.json"
                _write(file, run)
                self._files.append(file)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        beat = 0
        while not self._over.wait(BEAT_SECONDS):
            beat += 1
            for file in self._files:
                with suppress(OSError):
                    _write(file, replace(self._run, beat=beat))

    def take_back(self) -> None:
        """Remove the files: the run is over."""
        self._over.set()
        self._thread.join()
        for file in self._files:
            file.unlink(missing_ok=True)


def _write(file: Path, run: Owner) -> None:
    # In place: other machines see a file's new content when they open it, but new files only later.
    text = json.dumps(asdict(run)).encode()
    handle = os.open(file, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        os.ftruncate(handle, os.pwrite(handle, text, 0))
    finally:
        os.close(handle)


def _read(file: Path) -> Owner | None:
    for _ in range(3):
        try:
            return Owner(**json.loads(file.read_text()))
        except (OSError, TypeError):
            return None
        except ValueError:
            time.sleep(0.05)  # It is being written.
    return None


def _made(path: Path) -> int | None:
    """Return a file's modification time (ns); None if it does not exist."""
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _space() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


def _ticks(process: int) -> int | None:
    """Return when a process of this machine started (clock ticks); None if it is not alive."""
    try:
        state, *facts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else int(facts[18])
