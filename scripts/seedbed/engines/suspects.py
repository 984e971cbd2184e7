"""Suspects: refusals that do not say whether they concern one request or all requests.

A refused request is a suspect until a request that was sent after the refusal is answered. Then the
account is in order, and the refusal concerned that one request. If suspects accumulate without an
answer, the refusal concerns all requests. Meanwhile the engine sends only the requests that it
needs to find out.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from dataclasses import dataclass

from seedbed.engines import Request
from seedbed.engines.refusals import Meaning, Refusal

SPOKEN = 2
"""Number of refusals without an answer in between that are taken to concern all requests, if their
words name something that all requests share."""
FORBIDDEN = 3
"""The same for missing addresses or models, and for requests forbidden without a reason."""
REJECTIONS = 10
"""The same for all other refusals."""
INTERLEAVED = 3
"""Number of answers to requests sent after a suspect that show that its refusal concerned it alone,
when no requests are left."""
ABOUT_ALL = (Meaning.ACCOUNT, Meaning.PARAMETER, Meaning.MISSING)


@dataclass(frozen=True)
class Suspect:
    """A request that was refused.

    Attributes:
        request: the request.
        refusal: the endpoint's refusal.
        sent: time at which the request was sent.
        at: time at which it was refused.
    """

    request: Request
    refusal: Refusal
    sent: float
    at: float

    @property
    def group(self) -> str:
        """The group of suspects with which it is counted."""
        if self.about_all:
            return self.refusal.meaning.value
        return "forbidden" if self.refusal.forbidden else "other"

    @property
    def about_all(self) -> bool:
        """Whether the refusal names something that all requests share."""
        return self.refusal.meaning in ABOUT_ALL

    @property
    def most(self) -> int:
        """The number of suspects in its group from which all requests count as refused."""
        if self.refusal.forbidden or self.refusal.meaning is Meaning.MISSING:
            return FORBIDDEN
        return SPOKEN if self.about_all else REJECTIONS


class Suspects:
    """The suspects of a call.

    Attributes:
        suspects: the open suspects.
        answered: number of answered requests.
    """

    def __init__(self) -> None:
        self.suspects: list[Suspect] = []
        self.answered = 0
        self._latest: list[float] = []
        self._under_way = 0
        self._waiting: list[asyncio.Future[None]] = []

    async def enter(self, over: asyncio.Event) -> None:
        """Wait for a request's turn: while there are suspects, only one is sent at a time."""
        while self._held() and self._under_way and not over.is_set():
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            await place
        self._under_way += 1

    def leave(self) -> None:
        """Note that a request has ended."""
        self._under_way -= 1
        waiting, self._waiting = self._waiting, []
        for place in waiting:
            if not place.done():
                place.set_result(None)

    def well(self, sent: float) -> list[Suspect]:
        """Note an answer, and return the suspects that it clears.

        Their refusals concerned only their own requests.

        Args:
            sent: time at which the answered request was sent.
        """
        self.answered += 1
        heapq.heappush(self._latest, sent)
        if len(self._latest) > INTERLEAVED:
            heapq.heappop(self._latest)
        cleared = [suspect for suspect in self.suspects if suspect.at <= sent]
        if cleared:
            self.suspects = [suspect for suspect in self.suspects if suspect.at > sent]
        return cleared

    def answered_since(self, moment: float) -> bool:
        """Return whether a request sent at or after a time was answered."""
        return bool(self._latest) and max(self._latest) >= moment

    def last(self) -> list[Suspect]:
        """Return the open suspects that suggest, after the last request, that all are refused.

        A suspect counts only if fewer than `INTERLEAVED` later requests were answered. In addition,
        its group must be large enough, or its refusal must name something that all requests share,
        unless no request was answered at all.
        """
        tail = self.suspects
        if len(self._latest) == INTERLEAVED:
            tail = [one for one in tail if one.sent > self._latest[0]]
        counts = Counter(one.group for one in tail)
        enough = [one for one in tail if one.about_all or counts[one.group] >= one.most]
        return enough if self.answered else tail

    def refused(self, suspect: Suspect) -> bool:
        """Note a refusal, and return whether it concerns all requests.

        This is undecided while other requests are under way. If requests were answered before, the
        last suspect must have been sent after the refusals of the others.
        """
        self.suspects.append(suspect)
        if self._under_way > 1:
            return False
        others = [one for one in self.suspects[:-1] if one.group == suspect.group]
        if len(others) + 1 < suspect.most:
            return False
        return not self.answered or all(one.at <= suspect.sent for one in others)

    def _held(self) -> bool:
        counts = Counter(suspect.group for suspect in self.suspects)
        return any(group != "other" or count >= REJECTIONS for group, count in counts.items())
