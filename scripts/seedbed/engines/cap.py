"""The cap: how much all jobs of a study together may ask of paid models, and never more.

A ledger, which the jobs share, holds what was spent. What a job is about to ask is reserved there
before it is sent, in leases of many requests, and what it cost is booked afterwards. A lease that
its job left behind, as it was killed, stays reserved: what was under way may have been paid for.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from seedbed.endings import ExpectedError
from seedbed.engines import Cap, Completion, Engine, Request

LEASE = 64
"""Requests that are reserved at a time, at most."""
SHARE = 8
"""Near the cap, a lease takes one part in so many of what is left, so that it comes out even."""
TOGETHER = 1024
"""Requests that an engine in this process is given at a time: so many, at most, are in doubt if it
is killed."""
PATIENCE = 60.0
"""Seconds to wait for another job's hold on the ledger."""
ROLE_TOKENS = 16
"""Tokens that a chat template puts around a message, at most; the text has one a byte, at most."""
TABLES = """
CREATE TABLE spent (queries INTEGER, usd REAL);
CREATE TABLE leases (job TEXT PRIMARY KEY, queries INTEGER, usd REAL);
INSERT INTO spent VALUES (0, 0);
"""
Amount = tuple[int, float]
"""Queries of teachers, and dollars."""


class CapReachedError(ExpectedError):
    """The next request would pass the cap."""


@dataclass(frozen=True)
class Spent:
    """What was spent.

    Attributes:
        queries: of teachers.
        usd: dollars, of teachers and augmenters.
        doubtful: of the queries, those that are reserved: under way, or in doubt after a kill.
    """

    queries: int
    usd: float
    doubtful: int


class Ledger:
    """A file with what all jobs have spent and reserved."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def open(self, answered: Amount) -> None:
        """Begin a run: make the ledger, or close what the run before left open in it.

        Leases that killed jobs left behind count as spent: what was under way may have been paid
        for.

        Args:
            answered: what the answers that are there took, with those from runs without a cap.
        """
        if not self._file.is_file():
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_name(f".{uuid.uuid4().hex}.{self._file.name}")
            with closing(sqlite3.connect(temporary)) as file:
                file.executescript(TABLES)
            temporary.replace(self._file)
        with self._writing() as file:
            before = _spent(file)
            queries, usd = max(before.queries, answered[0]), max(before.usd, answered[1])
            file.execute("UPDATE spent SET queries = ?, usd = ?", (queries, usd))
            file.execute("DELETE FROM leases")

    def spent(self) -> Spent:
        """Return what was spent and what is reserved, together."""
        with self._writing() as file:
            return _spent(file)

    def book(self, job: str, used: Amount, cost: Amount, keep: bool = True) -> None:
        """Enter what a job has used of its lease.

        Args:
            job: the job.
            used: what was reserved for it.
            cost: what it cost.
            keep: whether the rest of the lease stays.
        """
        with self._writing() as file:
            file.execute("UPDATE spent SET queries = queries + ?, usd = usd + ?", cost)
            if keep:
                file.execute(
                    "UPDATE leases SET queries = queries - ?, usd = usd - ? WHERE job = ?",
                    (*used, job),
                )
            else:
                file.execute("DELETE FROM leases WHERE job = ?", (job,))

    def lease(self, job: str, cap: Cap, need: Amount) -> Amount:
        """Reserve room for many requests like one, or for as many as there is room for.

        Args:
            job: the job.
            cap: the cap.
            need: what the one request takes at most.

        Returns:
            What is reserved, which is nothing if there is no room for one.
        """
        queries, usd = need
        with self._writing() as file:
            spent = _spent(file)
            count = LEASE
            if cap.max_teacher_queries is not None and queries:
                count = min(count, _part(cap.max_teacher_queries - spent.queries))
            if cap.max_usd is not None and usd > 0:
                # A little less, as sums of many small numbers are not exact.
                count = min(count, _part(int((cap.max_usd - spent.usd) * (1 - 1e-9) / usd)))
            lease = (count * queries, count * usd)
            file.execute(
                "INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (job) DO UPDATE SET "
                "queries = queries + excluded.queries, usd = usd + excluded.usd",
                (job, *lease),
            )
        return lease if count else (0, 0.0)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        if not self._file.is_file():
            raise FileNotFoundError(f"no ledger {self._file}: the run that has a cap makes it")
        with closing(sqlite3.connect(self._file, timeout=PATIENCE, isolation_level=None)) as file:
            # What a killed process wrote is in the system's hands, which is enough.
            file.execute("PRAGMA synchronous = OFF")
            file.execute("BEGIN IMMEDIATE")
            yield file
            file.execute("COMMIT")


def _part(room: int) -> int:
    return max(0, min(room, max(1, room // SHARE)))


def _spent(file: sqlite3.Connection) -> Spent:
    queries, usd = file.execute("SELECT queries, usd FROM spent").fetchone()
    reserved, dollars = file.execute(
        "SELECT COALESCE(SUM(queries), 0), COALESCE(SUM(usd), 0) FROM leases"
    ).fetchone()
    return Spent(queries + reserved, usd + dollars, reserved)


class Purse:
    """What one job may ask: each try at a request is taken from it first, and then settled."""

    def __init__(self, cap: Cap) -> None:
        self._cap = cap
        self._ledger = Ledger(Path(cap.ledger))
        self._job = f"{os.getpid()}-{uuid.uuid4().hex}"
        self._left: Amount = (0, 0.0)
        self._used: Amount = (0, 0.0)
        self._cost: Amount = (0, 0.0)
        self._taken: dict[str, Amount] = {}
        self._excess = 1.0

    def take(self, request: Request) -> bool:
        """Take the room that a request needs at most; False if there is none."""
        queries, usd = need = self._need(request)
        short = (max(0, queries - self._left[0]), max(0.0, usd - self._left[1]))
        # What is left of a lease is a difference of many numbers, and so not exact.
        if short[0] or short[1] > usd * 1e-9:
            self._ledger.book(self._job, self._used, self._cost)
            self._used = self._cost = (0, 0.0)
            lease = self._ledger.lease(self._job, self._cap, short)
            if lease == (0, 0.0):
                return False
            self._left = _sum(self._left, lease)
        self._left = _sum(self._left, (-queries, -usd))
        self._taken[request.key] = need
        return True

    def settle(
        self, request: Request, completion: Completion | None, refused: bool = False
    ) -> None:
        """Book a request that room was taken for.

        Args:
            request: the request.
            completion: its answer; None if there was none, though it may have been paid for.
            refused: whether there was none as it was refused, which costs nothing.
        """
        queries, usd = need = self._taken.pop(request.key, self._need(request))
        if refused:
            queries, usd = 0, 0.0
        elif completion is not None and completion.prompt_tokens:
            usd = self._price(completion.prompt_tokens, completion.completion_tokens)
        if usd > need[1] > 0:
            # More was billed than foreseen, as for thinking beyond the limit: so it will be again.
            self._excess = max(self._excess, usd / self._foreseen(request))
            drawn = min(usd - need[1], max(0.0, self._left[1]))
            self._left = _sum(self._left, (0, -drawn))
            need = _sum(need, (0, drawn))
        self._used = _sum(self._used, need)
        self._cost = _sum(self._cost, (queries, usd))

    def close(self) -> None:
        """Book what was settled, and give back what was not used."""
        self._ledger.book(self._job, self._used, self._cost, keep=False)
        self._left = self._used = self._cost = (0, 0.0)

    def reached(self, left: int) -> CapReachedError:
        """Return the error that says so.

        Args:
            left: requests of this job that were not asked.
        """
        spent = self._ledger.spent()
        caps = []
        if self._cap.max_teacher_queries is not None:
            doubt = f", {spent.doubtful:,} of them under way or in doubt" if spent.doubtful else ""
            caps.append(
                f"max_teacher_queries is {self._cap.max_teacher_queries:,}, and "
                f"{spent.queries:,} were asked{doubt}"
            )
        if self._cap.max_usd is not None:
            caps.append(f"max_usd is {self._cap.max_usd:,.2f}, and {spent.usd:,.2f} were spent")
        return CapReachedError(
            f"the cap is reached: {'; '.join(caps)}. Everything that was answered is kept, and "
            f"{left:,} queries of this job are left to ask. Raise the cap and start again; "
            "`snakemake quote` says what is still to pay"
        )

    def _need(self, request: Request) -> Amount:
        return int(self._cap.counts_queries), self._foreseen(request) * self._excess

    def _foreseen(self, request: Request) -> float:
        """Return the dollars that a request costs at most, as far as its limits say."""
        text = sum(len(content.encode()) + ROLE_TOKENS for _, content in request.messages)
        return self._price(text + ROLE_TOKENS, request.max_tokens)

    def _price(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (
            prompt_tokens * self._cap.usd_per_million_prompt_tokens
            + completion_tokens * self._cap.usd_per_million_completion_tokens
        ) / 1e6


def _sum(one: Amount, other: Amount) -> Amount:
    return one[0] + other[0], one[1] + other[1]


class CappedEngine:
    """An engine that runs in this process, and is asked no more than the cap allows."""

    def __init__(self, engine: Engine, cap: Cap) -> None:
        self._engine = engine
        self._cap = cap

    def complete(
        self, requests: Iterable[Request], adapter: Path | None = None
    ) -> Iterator[Completion]:
        """Yield a completion for each request that there is room for.

        Raises:
            CapReachedError: if there are more, after all that were asked are answered.
        """
        purse = Purse(self._cap)
        coming = deque(requests)
        try:
            while coming:
                asked: dict[str, Request] = {}
                while coming and len(asked) < TOGETHER and purse.take(coming[0]):
                    request = coming.popleft()
                    asked[request.key] = request
                if not asked:
                    break
                for completion in self._engine.complete(asked.values(), adapter):
                    purse.settle(asked[completion.key], completion)
                    yield completion
        finally:
            purse.close()
        if coming:
            raise purse.reached(len(coming))
