"""How often Snakemake looks for jobs to start."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snakemake.scheduling.job_scheduler import JobScheduler


def look_once_at_a_time(scheduler: JobScheduler) -> None:
    """Let a scheduler have one look ahead of it at a time.

    Each look of Snakemake 9.27 for jobs to start plans another, a second later, for the sake of
    `--max-jobs-per-timespan`; and so does the look at the end of each job. None of these chains
    ends while jobs are waiting, so that after a thousand jobs there are a thousand looks a second,
    each at all files that ready jobs read: the run's own process takes a whole core. One look
    that is to come serves all of them.

    Args:
        scheduler: the scheduler of a run that has not begun.
    """
    waiting = threading.Lock()

    def look_later(delay: float) -> None:
        if not waiting.acquire(blocking=False):
            return

        def look() -> None:
            waiting.release()
            scheduler._open_jobs.release()

        timer = threading.Timer(delay, look)
        # The end of a run need not wait for it.
        timer.daemon = True
        timer.start()

    scheduler._schedule_reevalutation = look_later
