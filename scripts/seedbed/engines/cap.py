"""The purse of a job: it books what is asked, and keeps to the cap of the study.

Every job books what it asks, in its own book (see `seedbed.engines.books`). With a cap, what it is
about to ask is also reserved in a ledger that all jobs share before it is sent, in leases of many
requests, and what it cost is entered there afterwards.
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
"""Requests that an engine in this process is given at a time: so many, at most, are in doubt if it
is killed."""
LOOK_SECONDS = 0.1
"""Between looks whether other jobs have used less than they had reserved."""
PATIENCE_SECONDS = 600.0
"""As long as a request may be under way."""
ROLE_TOKENS = 16
"""Tokens that a chat template puts around a message, at most; the text has one a byte, at most."""


class CapReachedError(ExpectedError):
    """The next request would pass the cap."""


class Purse:
    """What one job may ask: each try at a request is taken from it first, and then settled."""

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
        """Take the room that a request needs at most; False if there is none."""
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
        # What is left of a lease is a difference of many numbers, and so not exact.
        if short[0] or short[1] > usd * 1e-9:
            ledger.book(self._job, self._used, self._cost)
            self._used = self._cost = (0, 0.0)
            lease = ledger.lease(self._job, self._cap, short)
            if lease == (0, 0.0):
                # Another job may wait for the rest, as this one for what others do not use.
                ledger.book(self._job, self._left, (0, 0.0))
                self._left = (0, 0.0)
                return False
            self._left = _sum(self._left, lease)
        self._left = _sum(self._left, (-queries, -usd))
        return True

    def may_get_room(self) -> bool:
        """Return whether it may help to try again: other jobs may use less than they reserved.

        They may also have given it back since the last try. A job that reserves the same for
        `PATIENCE_SECONDS` has probably been killed, as has one of this machine without a process.
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
        """Book a request that room was taken for, by this process or an earlier one.

        Args:
            request: the request.
            completion: its answer; None if there was none, though it may have been paid for.
            refused: whether there was none as it was refused, which costs nothing.
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
        # Otherwise it stays in doubt, in the book and below the cap.
        if earlier:
            # As in doubt it has counted from the start of the run.
            self._cost = _sum(self._cost, (queries - need[0], usd - need[1]))
            return
        if usd > need[1] > 0:
            # More was billed than foreseen, as for thinking beyond the limit: so it will be again.
            self._excess = max(self._excess, usd / self._foreseen(request))
            drawn = min(usd - need[1], max(0.0, self._left[1]))
            self._left = _sum(self._left, (0, -drawn))
            need = _sum(need, (0, drawn))
        self._used = _sum(self._used, need)
        self._cost = _sum(self._cost, (queries, usd))

    def close(self, under_way: bool = False) -> None:
        """Book what was settled, and give back what was not used.

        Args:
            under_way: whether what was taken and not settled was sent, and its fate is not known;
                otherwise it was not asked.
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
        """Return the error that says so.

        Args:
            left: requests of this job that were not asked.
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
            f"the cap is reached: {'; '.join(caps)}. Everything that was answered is kept, and "
            f"{left:,} queries of this job are left to ask. Raise the cap and start again; "
            "`snakemake quote` says what is still to pay"
        )

    def _need(self, request: Request) -> Amount:
        return int(self._cap.counts_queries), self._foreseen(request) * self._excess

    def _foreseen(self, request: Request) -> float:
        """Return the most dollars that a request can cost by its limits."""
        if self._cap.price is None:
            return 0.0
        text = sum(len(content.encode()) + ROLE_TOKENS for _, content in request.messages)
        return self._cap.price.most_usd(text + ROLE_TOKENS, request.max_tokens, self._cap.batch)


def _sum(one: Amount, other: Amount) -> Amount:
    return one[0] + other[0], one[1] + other[1]


class CappedEngine:
    """An engine that runs in this process; what it is asked is booked, and keeps to the cap."""

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
