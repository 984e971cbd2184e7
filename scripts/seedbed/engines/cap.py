"""The purse of a job: it books requests, and enforces the study's cap.

Every job enters its requests in its own book (see `seedbed.engines.books`). With a cap, it also
reserves room for them in a ledger that all jobs share, before it sends them. It reserves in leases
of many requests, and enters their real cost afterwards.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from seedbed.amounts import dollars
from seedbed.endings import ExpectedError
from seedbed.engines import Completion, Engine, Request
from seedbed.engines.books import Book, Spent, used_by
from seedbed.engines.ledger import Amount, Ledger, job_name
from seedbed.engines.settings import Cap

TOGETHER = 1024
"""Most requests that a local engine gets at a time, and so the most that are in doubt if it is
killed."""
LOOK_SECONDS = 0.1
"""Seconds between checks whether other jobs used less than they had reserved."""
PATIENCE_SECONDS = 600.0
"""Seconds that a request may be under way."""
ROLE_TOKENS = 16
"""Most tokens that a chat template puts around a message. Its text has at most one per byte."""


class CapReachedError(ExpectedError):
    """The next request would pass the cap."""


class Purse:
    """One job's room for requests: each attempt takes room, and is settled afterwards."""

    def __init__(self, cap: Cap) -> None:
        self._cap = cap
        self._ledger = Ledger(Path(cap.ledger)) if cap.limited else None
        self._book = Book(Path(cap.ledger), cap.stage, cap.model, cap.counts_queries)
        self._job = job_name()
        self._left: Amount = (0, 0.0)
        self._used: Amount = (0, 0.0)
        self._cost: Amount = (0, 0.0)
        self._taken: dict[str, Amount] = {}
        self._excess = 1.0
        self._seen: tuple[dict[str, Amount] | None, float] = (None, 0.0)

    def take(self, request: Request) -> bool:
        """Take the most room that a request can need; return False if there is not enough."""
        need = self._need(request)
        if self._ledger is not None and not self._reserve(self._ledger, need):
            return False
        self._taken[request.key] = need
        self._seen = None, 0.0
        self._book.begin(need[1])
        return True

    def _reserve(self, ledger: Ledger, need: Amount) -> bool:
        queries, usd = need
        short = (max(0, queries - self._left[0]), max(0.0, usd - self._left[1]))
        # The rest of a lease is a difference of many numbers, and so not exact.
        if short[0] or short[1] > usd * 1e-9:
            ledger.book(self._job, self._used, self._cost)
            self._used = self._cost = (0, 0.0)
            lease = ledger.lease(self._job, self._cap, short)
            if lease == (0, 0.0):
                # Another job may wait for this rest, as this one waits for the rests of others.
                ledger.book(self._job, self._left, (0, 0.0))
                self._left = (0, 0.0)
                return False
            self._left = _sum(self._left, lease)
        self._left = _sum(self._left, (-queries, -usd))
        return True

    def may_get_room(self) -> bool:
        """Return whether another attempt may find room, because others may return reservations.

        They may also have returned some since the last attempt. A job whose reservation stays the
        same for `PATIENCE_SECONDS` was probably killed. So was a job of this machine without a
        process.
        """
        if self._ledger is None:
            return False
        others = {job: held for job, held in self._ledger.leases().items() if job != self._job}
        seen, since = self._seen
        if others != seen:
            self._seen = others, time.monotonic()
            return True
        return bool(others) and time.monotonic() - since < PATIENCE_SECONDS

    def settle(
        self, request: Request, completion: Completion | None, refused: bool = False
    ) -> None:
        """Book the outcome of a request for which this or an earlier process took room.

        Args:
            request: the request.
            completion: its answer; None if there was none. It may have been billed nevertheless.
            refused: whether there was none because the request was refused, which costs nothing.
        """
        earlier = request.key not in self._taken
        queries, usd = need = self._taken.pop(request.key, self._need(request))
        if refused:
            queries, usd = 0, 0.0
            self._book.refused(need[1])
        elif completion is not None:
            price = self._cap.price
            cost = 0.0 if price is None else price.usd(used_by(completion), self._cap.batch)
            self._book.answered(need[1], completion, cost)
            usd = cost or 0.0
        # Otherwise it stays in doubt in the book, and counts towards the cap.
        if earlier:
            # It has counted as in doubt since the run started.
            self._cost = _sum(self._cost, (queries - need[0], usd - need[1]))
            return
        if usd > need[1] > 0:
            # More was billed than foreseen, e.g. for thinking beyond the limit. Expect that again.
            self._excess = max(self._excess, usd / self._foreseen(request))
            drawn = min(usd - need[1], max(0.0, self._left[1]))
            self._left = _sum(self._left, (0, -drawn))
            need = _sum(need, (0, drawn))
        self._used = _sum(self._used, need)
        self._cost = _sum(self._cost, (queries, usd))

    def close(self, under_way: bool = False) -> None:
        """Book the settled requests, and return the unused room.

        Args:
            under_way: whether the requests that took room and are not settled were sent, so that
                their outcome is unknown; otherwise they were not sent.
        """
        if not under_way:
            for _, usd in self._taken.values():
                self._book.refused(usd)
        self._taken.clear()
        self._book.close()
        if self._ledger is not None:
            self._ledger.book(self._job, self._used, self._cost, keep=False)
        self._left = self._used = self._cost = (0, 0.0)

    def reached(self, left: int) -> CapReachedError:
        """Return the error for a reached cap.

        Args:
            left: number of this job's requests that were not sent.
        """
        assert self._ledger is not None, "without a cap, none is reached"
        spent = self._ledger.spent()
        caps = []
        if self._cap.max_teacher_queries is not None:
            doubt = f", {spent.doubtful:,} of them under way or in doubt" if spent.doubtful else ""
            caps.append(
                f"max_teacher_queries is {self._cap.max_teacher_queries:,}, and "
                f"{spent.queries:,} were asked{doubt}"
            )
        if self._cap.max_usd is not None:
            caps.append(
                f"max_usd is {dollars(self._cap.max_usd)}, and {dollars(spent.usd)} were spent"
            )
        return CapReachedError(
            f"the cap is reached: {'; '.join(caps)}. All answers are kept, "
            f"and {left:,} queries of this job are left to ask. Raise the cap and start again; "
            "`snakemake quote` prints the remaining cost"
        )

    def _need(self, request: Request) -> Amount:
        return int(self._cap.counts_queries), self._foreseen(request) * self._excess

    def _foreseen(self, request: Request) -> float:
        """Return the most dollars that a request can cost within its token limits."""
        if self._cap.price is None:
            return 0.0
        text = sum(len(content.encode()) + ROLE_TOKENS for _, content in request.messages)
        return self._cap.price.most_usd(text + ROLE_TOKENS, request.max_tokens, self._cap.batch)


def _sum(one: Amount, other: Amount) -> Amount:
    return one[0] + other[0], one[1] + other[1]


class CappedEngine:
    """An engine in this process whose requests are booked and kept within the cap."""

    def __init__(self, engine: Engine, cap: Cap) -> None:
        self._engine = engine
        self._cap = cap

    def complete(
        self, requests: Iterable[Request], adapter: Path | None = None
    ) -> Iterator[Completion]:
        """Yield a completion for each request that the cap has room for.

        Raises:
            CapReachedError: if requests are left, after all that were sent are answered.
        """
        if self._cap.limited:
            return self._within(requests, adapter)
        return self._booked(requests, adapter)

    def _booked(self, requests: Iterable[Request], adapter: Path | None) -> Iterator[Completion]:
        cap = self._cap
        book = Book(Path(cap.ledger), cap.stage, cap.model, cap.counts_queries)
        try:
            for completion in self._engine.complete(requests, adapter):
                book.add(Spent(used_by(completion), queries=int(cap.counts_queries)))
                yield completion
        finally:
            book.close()

    def _within(self, requests: Iterable[Request], adapter: Path | None) -> Iterator[Completion]:
        purse = Purse(self._cap)
        coming = deque(requests)
        try:
            while coming:
                asked: dict[str, Request] = {}
                while coming and len(asked) < TOGETHER and purse.take(coming[0]):
                    request = coming.popleft()
                    asked[request.key] = request
                if not asked:
                    if not purse.may_get_room():
                        break
                    time.sleep(LOOK_SECONDS)
                    continue
                for completion in self._engine.complete(asked.values(), adapter):
                    purse.settle(asked[completion.key], completion)
                    yield completion
        finally:
            purse.close()
        if coming:
            raise purse.reached(len(coming))
