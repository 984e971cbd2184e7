"""The ledger of a cap: what all jobs of a study have spent and reserved, in files without locks.

On clusters, file locks are often missing, or work on one node only. So the ledger is a sequence of
numbered pages, each with all amounts. To change them, a process writes the next page and gives it
its number by a hard link. The file system creates only one such link: a second process reads the
page of the first, and tries again. A killed process leaves nothing for which others must wait.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

from seedbed.artifacts import grant

if TYPE_CHECKING:
    from seedbed.engines.settings import Cap

LEASE = 64
"""Most requests that a lease reserves."""
SHARE = 8
"""Near the cap, a lease takes this fraction (1 / SHARE) of the remaining room, so that jobs share
it evenly."""
KEPT_PAGES = 64
"""Number of pages that are kept. Older ones are removed after `KEPT_SECONDS`, when no process can
still be about to write the page after them."""
KEPT_SECONDS = 600.0
WAIT_SECONDS = 0.02
"""Most seconds to wait before the next attempt to write a page."""
_PAGE = re.compile(r"(\d{10})\.json")
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK)
Amount = tuple[int, float]
"""Teacher queries, and dollars."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Spent:
    """Amounts that were spent or reserved.

    Attributes:
        queries: number of teacher queries.
        usd: dollars for teachers and augmenters.
        doubtful: number of queries that are reserved: under way, or in doubt after a kill.
    """

    queries: int
    usd: float
    doubtful: int


class _PageFile(TypedDict):
    """A page as JSON: see `_Page`."""

    spent: Amount
    leases: dict[str, Amount]
    name: str
    before: str


@dataclass
class _Page:
    """All amounts at one time.

    Attributes:
        spent: booked amount.
        leases: reserved amount by job.
        number: number of the page; 0 before the first.
        name: unique name, which distinguishes it from other pages written for this number.
        before: name of the page that it follows.
    """

    spent: Amount = (0, 0.0)
    leases: dict[str, Amount] = field(default_factory=dict)
    number: int = 0
    name: str = ""
    before: str = ""

    def total(self) -> Spent:
        reserved = sum(queries for queries, _ in self.leases.values())
        dollars = sum(usd for _, usd in self.leases.values())
        return Spent(self.spent[0] + reserved, self.spent[1] + dollars, reserved)

    def next(self) -> _Page:
        return _Page(
            self.spent, dict(self.leases), self.number + 1, uuid.uuid4().hex, before=self.name
        )


class Ledger:
    """A folder that records what all jobs have spent and reserved.

    Its file system must offer hard links, as all but FAT and object stores do. It needs no locks.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = 0

    def former(self) -> Amount:
        """Return what an earlier version without books noted here as spent or reserved."""
        pages = self._newest(first=True).total()
        database = _former(self._folder.with_name(f"{self._folder.name}.sqlite"))
        return max(pages.queries, database[0]), max(pages.usd, database[1])

    def open(self, paid: Amount) -> None:
        """Start a run: create the ledger, or drop the reservations that the last run left in it.

        Args:
            paid: queries and dollars according to the books, including those in doubt. Room that
                killed jobs had reserved for requests that they did not send is not part of it.

        Raises:
            RuntimeError: if the file system has no hard links.
        """
        self._folder.mkdir(parents=True, exist_ok=True)

        def close(page: _Page) -> None:
            page.spent = paid
            page.leases = {}

        self._change(close, first=True)

    def spent(self) -> Spent:
        """Return the sum of spent and reserved amounts."""
        return self._newest().total()

    def leases(self) -> dict[str, Amount]:
        """Return the reserved amounts by job, without jobs of this machine that have ended."""
        return {
            job: held
            for job, held in self._newest().leases.items()
            if (held[0] > 0 or held[1] > 1e-9) and not _has_ended(job)
        }

    def book(self, job: str, used: Amount, cost: Amount, keep: bool = True) -> None:
        """Enter the part of its lease that a job has used.

        Args:
            job: name of the job.
            used: amount that was reserved for the settled requests.
            cost: amount that they cost.
            keep: whether the job keeps the rest of the lease.
        """

        def enter(page: _Page) -> None:
            page.spent = (page.spent[0] + cost[0], page.spent[1] + cost[1])
            left = page.leases.pop(job, None)
            if keep and left is not None:
                page.leases[job] = (left[0] - used[0], left[1] - used[1])

        self._change(enter)

    def lease(self, job: str, cap: Cap, need: Amount) -> Amount:
        """Reserve room for up to `LEASE` requests like the next one.

        Args:
            job: name of the job.
            cap: the cap.
            need: the most that the next request can take.

        Returns:
            The reserved amount; zero if there is no room for one request.
        """
        queries, usd = need

        def reserve(page: _Page) -> Amount:
            spent = page.total()
            count = LEASE
            if cap.max_teacher_queries is not None and queries:
                count = min(count, _part(cap.max_teacher_queries - spent.queries))
            if cap.max_usd is not None and usd > 0:
                # A little less, because sums of many small numbers are not exact.
                count = min(count, _part(int((cap.max_usd - spent.usd) * (1 - 1e-9) / usd)))
            held = page.leases.get(job, (0, 0.0))
            page.leases[job] = (held[0] + count * queries, held[1] + count * usd)
            return (count * queries, count * usd) if count else (0, 0.0)

        return self._change(reserve)

    def _change(self, change: Callable[[_Page], Result], first: bool = False) -> Result:
        """Write the next page with a change, and return the result of `change`."""
        while True:
            page = self._newest(first).next()
            result = change(page)
            if self._write(page):
                return result
            time.sleep(random.uniform(0, WAIT_SECONDS))

    def _newest(self, first: bool = False) -> _Page:
        """Return the newest page; with `first`, an empty page 0 if there is none yet."""
        number = self._known
        page = self._read(number) if number else None
        if page is None:
            numbers = self._numbers()
            if not numbers:
                if first:
                    return _Page()
                raise FileNotFoundError(f"no ledger {self._folder}: a run with a cap creates it")
            # A process that wrote many more pages may have removed it meanwhile.
            page = self._read(max(numbers))
            if page is None:
                return self._newest(first)
        # The list alone is not enough: network file systems may cache it for a while.
        while (after := self._read(page.number + 1)) is not None:
            page = after
        self._known = page.number
        return page

    def _numbers(self) -> list[int]:
        with suppress(FileNotFoundError):
            found = (_PAGE.fullmatch(path.name) for path in self._folder.iterdir())
            return sorted(int(match[1]) for match in found if match)
        return []

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:010}.json"

    def _read(self, number: int) -> _Page | None:
        file = self._file(number)
        try:
            content: _PageFile = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise RuntimeError(
                f"{file} is broken ({error}): delete it to continue from the page before it, with "
                "max_teacher_queries and max_usd lowered by the possible spending since then"
            ) from None
        leases = {job: (int(held[0]), float(held[1])) for job, held in content["leases"].items()}
        queries, usd = content["spent"]
        return _Page((queries, usd), leases, number, content["name"], content["before"])

    def _write(self, page: _Page) -> bool:
        """Write a page, and return whether it became the page with its number."""
        file = self._file(page.number)
        temporary = self._folder / f".{page.name}"
        temporary.write_text(
            json.dumps(
                {
                    "spent": page.spent,
                    "leases": page.leases,
                    "name": page.name,
                    "before": page.before,
                }
            ),
            encoding="utf-8",
        )
        grant(temporary)
        try:
            os.link(temporary, file)
        except FileExistsError:
            # Over a network, the link was made if only its confirmation was lost.
            if temporary.stat().st_nlink == 1:
                return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise RuntimeError(
                f"the file system of {self._folder} has no hard links ({error.strerror}), which "
                "jobs need to share a cap: put results on another one (the folder may be a link), "
                "or run without max_teacher_queries and max_usd"
            ) from None
        finally:
            temporary.unlink(missing_ok=True)
        if not self._follows(page):
            file.unlink(missing_ok=True)
            self._known = 0
            return False
        self._known = page.number
        if page.number % KEPT_PAGES == 0:
            self._remove_old(page.number)
        return True

    def _follows(self, page: _Page) -> bool:
        """Return whether a written page's number is new, and not that of a removed page."""
        if page.number == 1:
            return not any(number > 1 for number in self._numbers()) or self._continued(page)
        # Pages are removed in order: while the page before exists, so does its successor.
        return self._file(page.number - 1).exists() or self._continued(page)

    def _continued(self, page: _Page) -> bool:
        after = self._read(page.number + 1)
        return after is not None and after.before == page.name

    def _remove_old(self, newest: int) -> None:
        oldest = time.time() - KEPT_SECONDS
        for left in self._folder.glob(".*"):  # left by killed jobs
            with suppress(FileNotFoundError):
                if left.stat().st_mtime <= oldest:
                    left.unlink()
        for number in self._numbers():
            file = self._file(number)
            with suppress(FileNotFoundError):
                if number > newest - KEPT_PAGES or file.stat().st_mtime > oldest:
                    return
                file.unlink()


def job_name() -> str:
    """Return a name for a job of this process, from which others can tell whether it runs."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"


def _has_ended(job: str) -> bool:
    """Return whether a job ran on this machine and its process is gone."""
    host, process, *_ = [*job.split(":"), ""]
    if host != socket.gethostname() or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _part(room: int) -> int:
    return max(0, min(room, max(1, room // SHARE)))


def _former(file: Path) -> Amount:
    """Return the amounts in an earlier version's ledger, a database."""
    if not file.is_file():
        return (0, 0.0)
    # No process writes it any more, and the file system may have no locks.
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?immutable=1", uri=True)) as opened:
        spent, leases = (
            opened.execute(
                f"SELECT COALESCE(SUM(queries), 0), COALESCE(SUM(usd), 0) FROM {table}"
            ).fetchone()
            for table in ("spent", "leases")
        )
    return spent[0] + leases[0], spent[1] + leases[1]
