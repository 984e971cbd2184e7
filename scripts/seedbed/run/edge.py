"""The edge of Snakemake 9.27: which errors it shows, and where it may write.

It hides all errors under `--quiet all`, names no target that a mistyped one may stand for, and
needs a `.snakemake` folder that it can write to for a question as well as for a run. What replaces
these parts uses private names of Snakemake, which are checked here when a workflow starts.
"""

from __future__ import annotations

import atexit
import difflib
import errno
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import snakemake.workflow as parts
from snakemake.exceptions import WorkflowError
from snakemake.jobs import Job
from snakemake.logging import DefaultFilter
from snakemake.persistence.file import FilePersistence

if TYPE_CHECKING:
    from snakemake.workflow import Workflow as Snakemake

EXPLAIN = "explain"
"""The rule that is asked why others would run."""

OWN = Path(".snakemake")
"""Where Snakemake keeps its notes."""

# That a file may not be written, that there is no room, and that the disk may only be read.
_FILE_SYSTEM = (errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_FRAMES = re.compile(r"(\n *File \"[^\n]*\", line \d+, in [^\n]*)+\s*\Z")
# Other files of the same stage that a mistyped one is compared with.
_MOST_COMPARED = 5_000

for _owner, _name in (
    (parts.Workflow, "_prepare_dag"),
    (parts, "FilePersistence"),
    (FilePersistence, "_io_read"),
    (Job, "check_protected_output"),
):
    if not hasattr(_owner, _name):
        raise ImportError(f"this Snakemake has no {_owner.__name__}.{_name}: use version 9.27")


# --- errors


def show_errors(logger: logging.Logger) -> None:
    """Let errors be shown under `--quiet all`, which hides them from those who ask a question."""
    for handler in logger.handlers:
        for own in [*handler.filters]:
            if isinstance(own, DefaultFilter):
                handler.removeFilter(own)
                handler.addFilter(lambda record, own=own: _shown(record) or own.filter(record))


def _shown(record: logging.LogRecord) -> bool:
    """Return whether a record is an error; of one of the file system, only its last line stays."""
    if record.levelno < logging.ERROR:
        return False
    if getattr(record, "exception", None) in ("PermissionError", "OSError"):
        lines = record.getMessage().strip().splitlines()
        said = lines[-1] if lines else ""
        if any(f"[Errno {number}]" in said for number in _FILE_SYSTEM):
            record.msg, record.args = said, None
    elif getattr(record, "exception", None) == "WorkflowError":
        # What is wrong is said in the message: not where in this project it was found.
        record.msg, record.args = _FRAMES.sub("", record.getMessage()), None
    return True


def guard(snakemake: Snakemake, files: Callable[[], Iterable[str]]) -> None:
    """Have a workflow check its targets before it plans, and plan where it may only read.

    Args:
        snakemake: the workflow, whose rules need not be known yet.
        files: returns files that rules with wildcards can make.
    """
    prepare = snakemake._prepare_dag

    def checked(*args: Any, **kwargs: Any) -> None:
        settings = snakemake.dag_settings
        targets = [*map(str, (settings and settings.targets) or ())]
        for target in targets:
            if (said := _unknown(snakemake, target, files)) is not None:
                raise WorkflowError(said)
        if not can_write(OWN / "locks"):
            parts.FilePersistence = _borrowing(parts.FilePersistence)
        if EXPLAIN in targets or not can_write(OWN / "locks"):
            # Nothing will be written, so it need not be possible: `onstart` sees to that.
            Job.check_protected_output = _nothing_protected
        prepare(*args, **kwargs)

    snakemake._prepare_dag = checked


async def _nothing_protected(job: Job) -> None:
    pass


def _unknown(snakemake: Snakemake, target: str, files: Callable[[], Iterable[str]]) -> str | None:
    """Return what to say of a target that nothing makes; None if it is there or can be made."""
    if snakemake.is_rule(target) or Path(target).exists():
        return None
    if any(rule.is_producer(target) for rule in snakemake.rules):
        return None
    whole = [rule for rule in snakemake.rules if not rule.has_wildcards()]
    fixed = [str(file) for rule in whole for file in rule.output]
    names = [rule.name for rule in whole]
    if "/" not in target:
        close = difflib.get_close_matches(target, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"targets: {', '.join(sorted(names))}"
        return f"there is no target {target!r}; {hint}"
    # The same stage of the same study first: paths are long, and much alike.
    stage = "/".join(target.split("/")[:3])
    alike = [path for path in (*fixed, *files()) if path.startswith(stage)][:_MOST_COMPARED]
    close = difflib.get_close_matches(target, alike or fixed, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "`snakemake --list` shows the targets"
    return f"no rule of this study makes the file {target!r}; {hint}"


# --- where one may only read


def can_write(path: str | os.PathLike[str]) -> bool:
    """Return whether a file or folder can be written, or made where there is none yet."""
    path = Path(path).absolute()
    while not os.path.lexists(path):
        path = path.parent
    return os.access(path, os.W_OK | os.X_OK if path.is_dir() else os.W_OK)


def answer_folder(results: str, *files: str) -> str:
    """Return where questions leave their logs and answers.

    Args:
        results: folder of the study's results, which is the place if it can be written.
        files: what is written there, relative to it.

    Returns:
        It, or a temporary folder that is removed when this process ends.
    """
    if all(can_write(f"{results}/{file}") for file in files):
        return results
    return _temporary()


def _temporary() -> str:
    folder = tempfile.mkdtemp(prefix="seedbed-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _borrowing(persistence: type[FilePersistence]) -> type[FilePersistence]:
    """Return Snakemake's notes with a place of their own for all that is written."""

    class Borrowing(persistence):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            place = Path(_temporary())
            for name in ("metadata", "incomplete"):
                if os.access(OWN / name, os.R_OK | os.X_OK):
                    (place / name).symlink_to((OWN / name).resolve())
                else:
                    (place / name).mkdir()
            super().__init__(*args, **kwargs | {"path": place, "nolock": True})

        def _io_read(self, *args: Any, **kwargs: Any) -> Any:
            # Snakemake lets the group read its notes, and nobody else.
            with suppress(PermissionError):
                return super()._io_read(*args, **kwargs)
            return None

    return Borrowing


# --- jobs elsewhere


def follow_submissions(snakemake: Snakemake, note: Callable[[int, str | None], None]) -> None:
    """Learn by which number a cluster knows each job that a run sends there.

    Args:
        snakemake: the run, which has a scheduler.
        note: called with the job's number in the run and in the cluster (None on this machine).
    """
    executor = snakemake.scheduler._executor
    report = executor.report_job_submission

    def reported(job_info: Any, *args: Any, **kwargs: Any) -> None:
        report(job_info, *args, **kwargs)
        for job in getattr(job_info.job, "jobs", None) or [job_info.job]:
            note(snakemake.dag.jobid(job), job_info.external_jobid)

    executor.report_job_submission = reported
