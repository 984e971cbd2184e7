"""Recovery from killed runs of Snakemake, which leave a lock and jobs on a cluster.

A run that ends normally, or by Ctrl-C, removes its lock and cancels its jobs. A killed run cannot.
Snakemake then asks for `--unlock`, and reruns jobs that SLURM may still be running. Here the next
run recovers by itself if that is safe: it lifts the lock, and takes over the results of the jobs.
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
    """Coordinates this run with others in the same folder or with the same results.

    Args:
        root: the working directory.
        study: the study's name.
        results: the folder of its results.
        progress: called with lines of text.
    """

    def __init__(
        self, root: Path, study: str, results: Path, progress: Callable[[str], None]
    ) -> None:
        self._root, self._study, self._progress = root.resolve(), study, progress
        self._folders = (root / FOLDER, results / RESULTS_FOLDER)
        self._signs: list[Sign] = []

    def take_over(self, sends: bool) -> None:
        """Clean up after runs that were killed here, before planning.

        Finds the SLURM jobs of killed runs, even if these left no lock. Waits for running jobs,
        which may have hours of work behind them, and cancels pending jobs. Then lifts the locks of
        these runs. Runs that are alive, on this machine or another, are left alone.

        Args:
            sends: whether this run submits jobs to SLURM.

        Raises:
            RuntimeError: if a run that is alive in another folder writes the same results.
        """
        known = owners(*self._folders)
        alive = living(known, *self._folders)
        self._refuse_other_folders(alive)
        for run in alive:
            self._progress(f"a run of {run.study} is under way: {run.title}")
        if self._locked_by_others(known):
            return  # It is unknown whether that run is alive: Snakemake asks for --unlock.
        dead = [run for run in known if run not in alive]
        names = {run.slurm for run in dead if run.slurm is not None}
        spared = {run.slurm for run in alive if run.slurm is not None}
        await_jobs(self._root, self._progress, names, spared, patient=sends or bool(names))
        # Another run may have started meanwhile.
        alive = living([run for run in owners(*self._folders) if run not in dead], *self._folders)
        if lift_locks(self._root, dead, alive):
            self._progress("an earlier run was killed: its lock on this folder is lifted")
        forget(dead, *self._folders)
        if not alive:
            for folder in (self._root / NOTES).glob(f"{TEMPORARY}*"):
                shutil.rmtree(folder, ignore_errors=True)

    def locked(self, locks: Iterable[Path]) -> None:
        """Leave a sign that this run holds Snakemake's lock, before its SLURM jobs have a name.

        Args:
            locks: the lock's files.
        """
        self._signs.append(Sign(this_run(self._study, self._root, locks, None), *self._folders))

    def begin(self, locks: Iterable[Path], slurm: str | None) -> None:
        """Leave a sign that this run is alive, holds Snakemake's lock, and has jobs on SLURM.

        Args:
            locks: the lock's files.
            slurm: the name of its jobs on SLURM; None if it submits none.

        Raises:
            RuntimeError: if another living run writes the same results, and no lock separates the
                two; or if SLURM jobs of a dead run were found only now.
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
                "jobs of an earlier run ended while this run was planned: start it again"
            )

    def end(self) -> None:
        """Remove this run's signs."""
        while self._signs:
            self._signs.pop().take_back()

    def check_unlock(self) -> None:
        """Check that no run in this folder is alive.

        Raises:
            RuntimeError: naming the run that is.
        """
        alive = living(owners(*self._folders), *self._folders)
        here = [run for run in alive if run.at(self._root)]
        if here:
            raise RuntimeError(
                f"the folder stays locked, as a run is alive: {here[0].title}. Wait for its end, "
                "or end it there; the next start then lifts its lock by itself"
            )

    def _locked_by_others(self, known: Iterable[Owner]) -> bool:
        """Return whether there are lock files of a run that left no sign."""
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
    """Write the settings with which a run's jobs make their files.

    The manifest records them when a job ends. If the run is killed, its jobs on a cluster may still
    finish, and the next run needs these settings to record their results.

    Args:
        file: the file to write.
        planner: the run's planner.
        jobs: the jobs that are to run.
    """
    write_text(file, planner.begun(job for job in jobs if job.output))


def note_ended(
    file: Path, planner: Planner, jobs: Iterable[Job], progress: Callable[[str], None]
) -> None:
    """Record in the manifest what jobs made after their run was killed, so that they do not rerun.

    Args:
        file: the file that `note_begun` wrote in that run.
        planner: the present run's planner.
        jobs: all jobs of the present run.
        progress: called with a line of text if there were such jobs.
    """
    try:
        noted = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    count = planner.ended(noted, jobs)
    if count:
        progress(f"{count} jobs of a run that was killed had ended well: nothing is made twice")
