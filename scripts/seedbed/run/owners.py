"""Which runs are alive in a folder, and whose results they write.

Snakemake's own locks are files that say nothing of who made them, and the system's locks may reach
no further than one machine. So a run that holds Snakemake's lock keeps a file of its own, beside
the locks and beside the results, with a number in it that counts up while the run lives.
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
"""Of the files of the runs in a working directory."""

RESULTS_FOLDER = Path(STATE, "owners")
"""Of the files of the runs that write a study's results, in these results."""

BEAT_SECONDS = 5.0
SILENT_SECONDS = 20.0
"""Without a sign for so long, a run on another machine is dead."""

STALE_SECONDS = 60.0


@dataclass(frozen=True)
class Owner:
    """A run that holds Snakemake's lock.

    Attributes:
        number: of the run.
        study: its study.
        host: name of its machine.
        boot: of its machine, since its last start.
        process: its number there, among those of `space`.
        ticks: when the process started, so that no later one with the same number is taken for it.
        since: seconds since the epoch.
        folder: its working directory.
        inode: of that directory.
        locks: names of Snakemake's lock files that it made, with the time of their making (ns).
        slurm: the name of its SLURM jobs; None if it sends none.
        beat: counts up.
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
        """Who it is, for a person."""
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
        """Return whether its working directory is a folder, be it by another path."""
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
    """Return the runs, dead or alive, that have a file in one of some folders."""
    found = {}
    for folder in folders:
        for file in sorted(folder.glob("*.json")):
            if (owner := _read(file)) is not None:
                found[owner.number] = owner
    return [*found.values()]


def living(runs: Sequence[Owner], *folders: Path) -> list[Owner]:
    """Return which of some runs are alive.

    On this machine the process tells. From another machine a run is watched for 20 seconds, by
    changes alone, as clocks may differ.

    Args:
        runs: from `owners`.
        folders: where their files are.
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
    """Return whether a run is alive that has a file in one of some folders, without waiting."""
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
    """Remove the files of dead runs."""
    for run in runs:
        for folder in folders:
            with suppress(OSError):
                (folder / f"{run.number}.json").unlink()


def lift_locks(folder: Path, runs: Iterable[Owner], others: Iterable[Owner]) -> int:
    """Remove the lock files that dead runs left to Snakemake, and no others.

    Args:
        folder: the working directory.
        runs: that are dead.
        others: that are alive.

    Returns:
        How many there were.
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
    """The files of this run, whose number counts up until the end.

    Args:
        run: this run.
        folders: where the files are to be; those that cannot be written are left out.
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
    # In place: another machine sees what is in a file when it opens it, but a new one later.
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
    """Return when a file was written (ns), None if it is not there."""
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _space() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


def _ticks(process: int) -> int | None:
    """Return when a process of this machine started; None if there is none that lives."""
    try:
        state, *facts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else int(facts[18])
