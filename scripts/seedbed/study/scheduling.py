"""How often Snakemake looks for jobs to start."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snakemake.scheduling.job_scheduler import JobScheduler


def look_once_at_a_time(scheduler: JobScheduler) -> None:
    """Let a scheduler have one look ahead of it at a time.

    Each look of Snakemake 9.27 for jobs to start plans another, for the sake of
    `--max-jobs-per-timespan` as long after it as that says (a second by default); and so does the
    look at the end of each job. None of these chains ends while jobs are waiting, so that after a
    thousand jobs there are a thousand looks a second, each at all files that ready jobs read: the
    run's own process takes a whole core. The earliest look that is planned serves all of them: it
    plans the next.

    Args:
        scheduler: the scheduler of a run that has not begun.
    """
    changing = threading.Lock()
    planned: list[tuple[float, threading.Timer]] = []

    def look() -> None:
        with changing:
            planned.clear()
        scheduler._open_jobs.release()

    def look_later(delay: float) -> None:
        due = time.monotonic() + delay
        with changing:
            if planned and planned[0][0] <= due:
                return
            for _, later in planned:
                later.cancel()
            timer = threading.Timer(delay, look)
            # The end of a run need not wait for it.
            timer.daemon = True
            planned[:] = [(due, timer)]
            timer.start()

    scheduler._schedule_reevalutation = look_later
