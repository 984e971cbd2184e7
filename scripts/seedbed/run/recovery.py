"""What a run of Snakemake that was killed leaves behind: its lock, and its jobs on a cluster.

A run that ends by itself, or by Ctrl-C, takes back its lock and its jobs. A run that is killed by
force cannot: Snakemake then asks for `--unlock`, and starts again what SLURM may still be working
on. Here the next run does both by itself, where it is safe: it lifts the lock, and takes over what
the jobs finish.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.artifacts import write_text
from seedbed.run.owners import (
    FOLDER,
    RESULTS_FOLDER,
    Owner,
    Sign,
    forget,
    lift_locks,
    living,
    owners,
    this_run,
)
from seedbed.run.planning import Planner
from seedbed.run.slurm import await_jobs
from seedbed.snakemake_folder import LOCKS, NOTES, TEMPORARY

if TYPE_CHECKING:
    from snakemake.jobs import Job


class Tenancy:
    """This run among others in its folder, and among those that write the same results.

    Args:
        root: the working directory.
        study: the study's name.
        results: its results.
        progress: called with lines of text.
    """

    def __init__(
        self, root: Path, study: str, results: Path, progress: Callable[[str], None]
    ) -> None:
        self._root, self._study, self._progress = root.resolve(), study, progress
        self._folders = (root / FOLDER, results / RESULTS_FOLDER)
        self._signs: list[Sign] = []

    def take_over(self, sends: bool) -> None:
        """Clear up after runs that were killed here, before anything is planned.

        Their jobs on a cluster are looked for, whether or not they left a lock: those that run are
        waited for, as hours of work may stand behind them, and those that only wait are cancelled.
        Then their locks are lifted. Nothing is done to a run that is alive, on this machine or on
        another.

        Args:
            sends: whether this run sends jobs to SLURM.

        Raises:
            RuntimeError: if a run that is alive in another folder writes the same results.
        """
        known = owners(*self._folders)
        alive = living(known, *self._folders)
        self._refuse_other_folders(alive)
        for run in alive:
            self._progress(f"a run of {run.study} is under way: {run.title}")
        if self._locked_by_others(known):
            return  # Nothing says whether that run is alive: Snakemake asks for --unlock.
        dead = [run for run in known if run not in alive]
        names = {run.slurm for run in dead if run.slurm is not None}
        spared = {run.slurm for run in alive if run.slurm is not None}
        await_jobs(self._root, self._progress, names, spared, patient=sends or bool(names))
        # Meanwhile another run may have come.
        alive = living([run for run in owners(*self._folders) if run not in dead], *self._folders)
        if lift_locks(self._root, dead, alive):
            self._progress("an earlier run was killed: its lock on this folder is lifted")
        forget(dead, *self._folders)
        if not alive:
            for folder in (self._root / NOTES).glob(f"{TEMPORARY}*"):
                shutil.rmtree(folder, ignore_errors=True)

    def locked(self, locks: Iterable[Path]) -> None:
        """Say that this run holds Snakemake's lock, before it is known which jobs it sends.

        Args:
            locks: the lock's files.
        """
        self._signs.append(Sign(this_run(self._study, self._root, locks, None), *self._folders))

    def begin(self, locks: Iterable[Path], slurm: str | None) -> None:
        """Say that this run, which holds Snakemake's lock, is alive.

        Args:
            locks: the lock's files.
            slurm: the name that its jobs have on SLURM; None if it sends none.

        Raises:
            RuntimeError: if another run is alive that writes the same results, and no lock keeps
                the two apart; or if jobs of another run have come meanwhile.
        """
        run = this_run(self._study, self._root, locks, slurm)
        sign = Sign(run, *self._folders)
        self.end()
        self._signs.append(sign)
        others = [other for other in owners(*self._folders) if other.number != run.number]
        alive = living(others, *self._folders)
        self._refuse_other_folders(alive)
        for other in alive:
            if other.study == self._study and not (run.locks and other.locked(self._root)):
                raise RuntimeError(
                    f"a run of {self._study} is alive, though nothing locks its files: "
                    f"{other.title}. Wait for its end, or end it"
                )
        spared = {name for name in (slurm, *(other.slurm for other in alive)) if name}
        if slurm is not None and await_jobs(self._root, self._progress, spared=spared):
            raise RuntimeError(
                "jobs of an earlier run have ended while this one was planned: start it again"
            )

    def end(self) -> None:
        """Take back what this run said of itself."""
        while self._signs:
            self._signs.pop().take_back()

    def check_unlock(self) -> None:
        """Raise an error if a run is alive whose lock would be lifted.

        Raises:
            RuntimeError: naming the run.
        """
        alive = living(owners(*self._folders), *self._folders)
        here = [run for run in alive if run.at(self._root)]
        if here:
            raise RuntimeError(
                f"the folder stays locked, as a run is alive: {here[0].title}. Wait for its end, "
                "or end it there; the next start then lifts its lock by itself"
            )

    def _locked_by_others(self, known: Iterable[Owner]) -> bool:
        """Return whether there are lock files of a run that says nothing of itself."""
        made = {item for run in known for item in run.locks.items()}
        files = (self._root / LOCKS).glob("*.lock")
        return any((path.name, path.stat().st_mtime_ns) not in made for path in files)

    def _refuse_other_folders(self, alive: Iterable[Owner]) -> None:
        for run in alive:
            if run.study == self._study and not run.at(self._root):
                raise RuntimeError(
                    f"another copy of the project writes the results of {self._study}: "
                    f"{run.title}. Wait for its end, or end it"
                )


def note_begun(file: Path, planner: Planner, jobs: Iterable[Job]) -> None:
    """Write down by what settings a run makes its files.

    The manifest notes it for each job when it ends. If the run is killed before a job on a cluster
    ends, the job's files are made all the same.

    Args:
        file: the file to write.
        planner: of the run.
        jobs: what the run is to make.
    """
    write_text(file, planner.begun(job for job in jobs if job.output))


def note_ended(
    file: Path, planner: Planner, jobs: Iterable[Job], progress: Callable[[str], None]
) -> None:
    """Note in the manifest what jobs made after their run was killed: nothing is made twice.

    Args:
        file: what that run wrote by `note_begun`.
        planner: of the present run.
        jobs: all jobs of the present run.
        progress: called with a line of text, if there is something.
    """
    try:
        noted = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    count = planner.ended(noted, jobs)
    if count:
        progress(f"{count} jobs of a run that was killed had ended well: nothing is made twice")
