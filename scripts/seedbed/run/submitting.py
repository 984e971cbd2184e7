"""Submission of jobs to SLURM where Snakemake's executor fails, waits silently, or guesses."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from seedbed.config.values import JsonObject
from seedbed.run.partitions import Partitions
from seedbed.run.requests import Site, gpu_option, view
from seedbed.run.slurm import (
    CONTROLLER_JOB,
    JOB_PREFIX,
    NoAnswerError,
    SlurmJob,
    jobs_of,
)
from seedbed.run.snakemake_internals import SlurmExecutor, Workflow, become

LOOK_SECONDS = 15.0
"""The time between two queries of pending jobs. The second one reports a reason that persists."""

FIRST_DELAY, LAST_DELAY = 3.0, 60.0
"""Seconds until a refused job is resubmitted; the delay doubles from the first to the last."""

SAY_SECONDS = 60.0
SAY_AGAIN_SECONDS = 1800.0

_LOST = re.compile(
    r"timed? ?out|Unable to (contact|connect)|temporarily un(available|able)"
    r"|Connection (refused|reset)|Zero Bytes|Communication connection failure|standby mode"
    r"|Transport endpoint|not available now|inactive or drain"
    r"|Unexpected message|slurm_persist|Unable to establish|not responding|Broken pipe"
    r"|Try again|[Mm]unge (encode|decode)|Cannot allocate memory|I/O error writing",
    re.IGNORECASE,
)
_PERMANENT = re.compile(r"[Ii]nvalid (account|partition|qos|feature|user)|not permitted")
_HINTS = (
    (r"account", "the account is slurm_account of default-resources"),
    (r"qos", "the QOS is slurm-qos"),
    (r"partition", "partitions are named in profiles/slurm/partitions.yaml"),
    (r"generic resource|gres", "gpu_model and gpu_request are in profiles/slurm/site.yaml"),
)


def passes(said: str, others: Callable[[], bool]) -> bool:
    """Return whether SLURM refuses a job for a reason that passes by itself.

    Args:
        said: the error message of sbatch.
        others: returns whether the user has other jobs pending or running, which may use up a
            limit. SLURM's message is the same for a job that is too large and for one job too many.
    """
    if _PERMANENT.search(said):
        return False
    if re.search(r"(Max|Grp)Submit|MaxJobCount", said):
        return True
    if re.search(r"job submit limit|violates accounting", said):
        named = re.search(r"\b(QOS|Assoc|Max)\w+(Limit|Per\w+)\b", said)
        return named is None and others()
    return _LOST.search(said) is not None


class PatientExecutor(SlurmExecutor):
    """A SLURM executor that waits when the cluster makes it wait, and says why.

    `become_patient` turns Snakemake's executor into this one.
    """

    partitions: Partitions
    site: Site

    def prepare(self, partitions: Partitions, site: Site) -> None:
        """Set the cluster's properties, and start the thread that watches pending jobs."""
        self.partitions, self.site = partitions, site
        if not self.run_uuid.startswith(JOB_PREFIX):
            self.run_uuid = f"{JOB_PREFIX}_{self.run_uuid}"
        self._ending = threading.Event()
        self._leave_running = False
        self._changing = threading.Lock()
        self._numbers: set[str] = set()
        self._refused: dict[Any, int] = {}
        self._unheard: dict[str | None, Any] = {}  # Active jobs that the current check lacks.
        self._said = -SAY_SECONDS
        # Refused jobs wait in timers, so that the executor's threads can submit other jobs.
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()

    # --- Sending

    def run_job(self, job: Any) -> None:
        """Submit a job, and resubmit it later if it is refused for a reason that passes."""
        if self._ending.is_set():
            return
        try:
            self._send(job)
        except Exception as error:
            said = str(error) or type(error).__name__
            if isinstance(error, OSError) and _LOST.search(said):
                self._send_later(job, said)
            else:
                self._refuse(job, said)

    def _send(self, job: Any) -> None:
        lost = self._refused.get(job) is not None
        words, log, comment = self._command(job)
        # sbatch's answer may have been lost although SLURM accepted the job.
        number = self._accepted(comment) if lost else None
        if number is None:
            done = subprocess.run(
                words, capture_output=True, text=True, input=self._script(job), check=False
            )
            said = done.stderr.strip()
            if done.returncode or "submission failed" in said:
                said = said or f"sbatch ended with {done.returncode}"
                if passes(said, self._others):
                    self._send_later(job, said)
                else:
                    self._refuse(job, said)
                return
            number = self.number_in(done.stdout)
        with self._changing:
            self._numbers.add(number)
            self._refused.pop(job, None)
        self.report_sent(job, number, log)

    def _command(self, job: Any) -> tuple[list[str], Path, str]:
        """Return the sbatch command for a job, its log (with %j), and its comment."""
        comment, log = self.label(job)
        asked = view(job.name, job.threads, job.resources, self.site)
        partition = self.partitions.choose(asked)
        call = self.call(
            asked,
            slurm_logfile=log,
            comment_str=comment,
            account=_account(asked.resources),
            partition=f"-p {shlex.quote(partition)}" if partition else "",
        )
        words = shlex.split(call) + gpu_option(asked.resources, self.site)
        words.append("/dev/stdin" if self.by_script else f"--wrap={self.format_job_exec(job)}")
        return words, log, comment

    def _script(self, job: Any) -> str:
        if not self.by_script:
            return ""
        return f"#!/bin/sh\n{self.format_job_exec(job)}"

    def _accepted(self, comment: str) -> str | None:
        """Return the id of a job that SLURM accepted although sbatch reported no id.

        Raises:
            OSError: if SLURM does not answer.
        """
        try:
            there = jobs_of(self.folder, [self.run_uuid], ended=True)
        except NoAnswerError as error:
            raise OSError(f"Unable to contact slurm controller: {error}") from None
        except FileNotFoundError:
            return None
        with self._changing:
            found = [job for job in there if job.number not in self._numbers]
        return next((job.number for job in found if job.comment == comment), None)

    def _others(self) -> bool:
        """Return whether the user has jobs pending or running."""
        words = ["squeue", "--noheader", f"--user={os.getuid()}"]
        done = subprocess.run(words, capture_output=True, text=True)
        return done.returncode != 0 or bool(done.stdout.strip())

    def _send_later(self, job: Any, said: str) -> None:
        with self._changing:
            tries = self._refused[job] = self._refused.get(job, 0) + 1
            waiting = len(self._refused)
            loud = time.monotonic() - self._said >= SAY_SECONDS
            if loud:
                self._said = time.monotonic()
        if loud:
            self.logger.warning(
                f"SLURM takes no job now: {_line(said)}. {waiting} wait to be submitted again, "
                "which does not count as an attempt."
            )
        delay = min(FIRST_DELAY * 2 ** (tries - 1), LAST_DELAY)
        timer = threading.Timer(delay, self._send_again, [job])
        timer.daemon = True
        timer.start()

    def _send_again(self, job: Any) -> None:
        if not self._ending.is_set():
            self.submit(job)

    def _refuse(self, job: Any, said: str) -> None:
        """Report a job that SLURM will never accept as failed, so that it is not retried."""
        hint = next((text for word, text in _HINTS if re.search(word, said, re.IGNORECASE)), None)
        with self._changing:
            self._refused.pop(job, None)
        self.report_refused(
            job,
            f"SLURM does not take a job of {job.name}: {_line(said)}."
            + (f" ({hint}.)" if hint else "")
            + "\n",
        )

    # --- Waiting

    async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncIterator[Any]:
        """Yield the jobs that have not ended.

        Snakemake's own executor drops all jobs if squeue fails a few times in a row, and the run
        then waits forever.
        """
        self._unheard = {job.external_jobid: job for job in active_jobs}
        async for job in super().check_active_jobs(active_jobs):
            self._unheard.pop(job.external_jobid, None)
            yield job
        for job in self._unheard.values():
            yield job

    def report_job_success(self, job_info: Any) -> None:
        """Report that a job succeeded."""
        self._unheard.pop(job_info.external_jobid, None)
        super().report_job_success(job_info)

    def report_job_error(self, job_info: Any, msg: str | None = None, **more: Any) -> None:
        """Report that a job failed, or could not be submitted."""
        self._unheard.pop(job_info.external_jobid, None)
        super().report_job_error(job_info, msg=msg, **more)

    async def sleep(self) -> None:
        """Wait until the next check of job states, or until the run ends."""
        end = time.monotonic() + (self.next_seconds_between_status_checks or 0)
        while self.wait and time.monotonic() < end:
            await asyncio.sleep(min(0.5, max(0.0, end - time.monotonic())))

    def _look(self) -> None:
        """Warn about pending jobs whose reasons do not pass, and if SLURM does not answer."""
        said: dict[str, float] = {}
        before: set[tuple[str, str]] = set()
        silent_since: float | None = None
        while not self._ending.wait(LOOK_SECONDS):
            try:
                jobs = jobs_of(self.folder, [self.run_uuid])
                silent_since = None
            except (NoAnswerError, OSError) as error:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since >= SAY_SECONDS:
                    self._say_once(said, "SLURM does not answer", f"it says: {_line(str(error))}")
                continue
            stuck = [job for job in jobs if job.stuck]
            now = {(job.number, job.reason) for job in stuck}
            lasting = [job for job in stuck if (job.number, job.reason) in before]
            before = now
            for reason in sorted({job.stuck or "" for job in lasting}):
                self._say_once(
                    said,
                    f"SLURM holds jobs back ({reason})",
                    _named([job for job in lasting if job.stuck == reason]),
                )

    def _say_once(self, said: dict[str, float], text: str, more: str) -> None:
        if time.monotonic() - said.get(text, -SAY_AGAIN_SECONDS) >= SAY_AGAIN_SECONDS:
            said[text] = time.monotonic()
            self.logger.warning(f"{text}: {more}")

    # --- Ending

    def leave(self) -> None:
        """Let running SLURM jobs continue when the run is cancelled."""
        self._leave_running = True

    def cancel(self) -> None:
        """Cancel all jobs of this run; after `leave`, only the pending ones."""
        self._ending.set()
        self.stop_sending()
        # By name, because the list of active jobs is empty while their states are checked.
        words = ["scancel", f"--name={self.run_uuid}"]
        words += ["--state=PENDING"] if self._leave_running else []
        words += ["--clusters=all"] if self.has_clusters else []
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=60)
            if done.returncode:
                self.logger.warning(f"jobs could not be cancelled: {_line(done.stderr)}")
        except (OSError, subprocess.TimeoutExpired) as error:
            self.logger.warning(f"jobs could not be cancelled: {error}")
        if self._leave_running:
            self.logger.info("Running SLURM jobs continue, and the next start takes them over.")
            self.keep_folder()
        self.shutdown()

    def shutdown(self) -> None:
        """Shut down, without submitting further jobs."""
        self._ending.set()
        super().shutdown()


def _account(resources: JsonObject) -> str:
    """Return sbatch's option for the account; empty for SLURM's default account."""
    accounts = re.split(r"[,\s]+", str(resources.get("slurm_account") or ""))
    return f"-A {shlex.quote(accounts[0])}" if accounts[0] else ""


def _named(jobs: list[SlurmJob]) -> str:
    shown = ", ".join(f"{job.number} ({job.rule})" for job in jobs[:5])
    return f"{shown} and {len(jobs) - 5} more" if len(jobs) > 5 else shown


def _line(said: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"sbatch: (error: )?", "", said)).strip().rstrip(".")


def become_patient(workflow: Workflow, partitions: Partitions, site: Site) -> str:
    """Turn a run's SLURM executor into a `PatientExecutor`.

    Also handles SIGTERM, which SLURM sends to a run that is a SLURM job itself. The run then stops
    at once: its pending jobs are cancelled, and its running jobs continue.

    Args:
        workflow: a run that has not submitted a job yet.
        partitions: the partitions for its jobs.
        site: the site's form of resource requests.

    Returns:
        The name of its jobs on SLURM.
    """
    executor = become(workflow, PatientExecutor)
    executor.prepare(partitions, site)

    def end(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        executor.leave()
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
    return executor.run_uuid


def note_own_allocation() -> None:
    """Pass the id of the SLURM job in which this run runs, if any, to the run's jobs."""
    os.environ[CONTROLLER_JOB] = os.environ.get("SLURM_JOB_ID", "")


def leave_own_allocation() -> None:
    """Remove this run's own SLURM allocation from the environment that its jobs inherit.

    The executor would do so too, but would also remove the path of SLURM's configuration.
    """
    for name in list(os.environ):
        if name.startswith(("SLURM_", "SBATCH_", "SRUN_")) and name != "SLURM_CONF":
            del os.environ[name]
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
