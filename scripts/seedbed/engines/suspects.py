"""Suspects: refusals that may concern one item or all of them, and do not say which.

A refused request is a suspect until a request that was sent after the refusal is answered: then the
account is well, and the refusal concerned the item. Where suspects gather and no answer comes, the
refusal concerns all requests. Meanwhile only as many requests are sent as are needed to find out.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from dataclasses import dataclass

from seedbed.engines import Request
from seedbed.engines.refusals import Meaning, Refusal

SPOKEN = 2
"""So many refusals without an answer in between concern all requests, if their words name what all
requests share."""
FORBIDDEN = 3
"""The same for an address that does not exist, and for requests forbidden without a reason."""
REJECTIONS = 10
"""The same for all other refusals."""
INTERLEAVED = 3
"""So many answers to requests sent after a suspect show that its refusal concerned the item."""
ABOUT_ALL = (Meaning.ACCOUNT, Meaning.PARAMETER, Meaning.MISSING)


@dataclass(frozen=True)
class Suspect:
    """A request that was refused.

    Attributes:
        request: the request.
        refusal: what was said.
        sent: when it was sent.
        at: when it was refused.
    """

    request: Request
    refusal: Refusal
    sent: float
    at: float

    @property
    def group(self) -> str:
        """The suspects that it counts with."""
        if self.about_all:
            return self.refusal.meaning.value
        return "forbidden" if self.refusal.forbidden else "other"

    @property
    def about_all(self) -> bool:
        """Whether its words name something that all requests share."""
        return self.refusal.meaning in ABOUT_ALL

    @property
    def most(self) -> int:
        """How many suspects of its group show that all requests are refused."""
        if self.refusal.forbidden or self.refusal.meaning is Meaning.MISSING:
            return FORBIDDEN
        return SPOKEN if self.about_all else REJECTIONS


class Suspects:
    """The suspects of a call.

    Attributes:
        suspects: those that are open.
        answered: how many requests were answered.
    """

    def __init__(self) -> None:
        self.suspects: list[Suspect] = []
        self.answered = 0
        self._latest: list[float] = []
        self._under_way = 0
        self._waiting: list[asyncio.Future[None]] = []

    async def enter(self, over: asyncio.Event) -> None:
        """Wait while there are suspects: then only one request at a time is sent."""
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
        """Note an answer, and return the suspects that it clears: only they were refused.

        Args:
            sent: when its request was sent.
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
        """Return whether a request that was sent since a moment was answered."""
        return bool(self._latest) and max(self._latest) >= moment

    def last(self) -> list[Suspect]:
        """Return the open suspects that show that all requests are refused, once all were sent.

        Suspects count only if too few later requests were answered, and if their group is large
        enough, or nothing was answered, or their words name something that all requests share.
        """
        tail = self.suspects
        if len(self._latest) == INTERLEAVED:
            tail = [one for one in tail if one.sent > self._latest[0]]
        counts = Counter(one.group for one in tail)
        enough = [one for one in tail if one.about_all or counts[one.group] >= one.most]
        return enough if self.answered else tail

    def refused(self, suspect: Suspect) -> bool:
        """Note a refusal, and return whether it concerns all requests.

        Nobody knows while other requests are under way. If requests were answered before, the last
        suspect must have been sent after the refusal of the others.
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
