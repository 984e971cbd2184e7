"""Verdicts: whether refusals that do not say so are about single items, or about all of them.

A refused request is a suspect until an answer arrives to another one that was sent after it was
refused: then the account was well, and the refusal was about the item. Where suspects gather and no
such answer comes, it is about all. Meanwhile no more are sent than it takes to find out.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from dataclasses import dataclass

from seedbed.engines import Request
from seedbed.engines.refusals import Meaning, Refusal

SPOKEN = 2
"""Refusals whose words are of what all requests share, without an answer in between: so many are
about all."""
FORBIDDEN = 3
"""The same for an address that is not there, and for what is forbidden without a reason."""
REJECTIONS = 10
"""The same for all others."""
INTERLEAVED = 3
"""So many requests that were sent after a suspect and answered show that it was about the item."""
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
        """Those that count together."""
        if self.about_all:
            return self.refusal.meaning.value
        return "forbidden" if self.refusal.forbidden else "other"

    @property
    def about_all(self) -> bool:
        """Whether its words are of what every request shares."""
        return self.refusal.meaning in ABOUT_ALL

    @property
    def most(self) -> int:
        """How many of its group are about all."""
        if self.refusal.forbidden or self.refusal.meaning is Meaning.MISSING:
            return FORBIDDEN
        return SPOKEN if self.about_all else REJECTIONS


class Verdicts:
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
        """Wait while suspects are looked into: one request at a time is sent then."""
        while self._held() and self._under_way and not over.is_set():
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            await place
        self._under_way += 1

    def leave(self) -> None:
        """Note that a request is no longer under way."""
        self._under_way -= 1
        waiting, self._waiting = self._waiting, []
        for place in waiting:
            if not place.done():
                place.set_result(None)

    def well(self, sent: float) -> list[Suspect]:
        """Take note of an answer, and return the suspects that were refused for themselves.

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

    def last(self) -> list[Suspect]:
        """Return the open suspects that speak for all, after which there is nothing more to send.

        Those are left out after which others were sent and answered, and groups that are too small
        unless nothing was answered or their words are of what all requests share.
        """
        tail = self.suspects
        if len(self._latest) == INTERLEAVED:
            tail = [one for one in tail if one.sent > self._latest[0]]
        counts = Counter(one.group for one in tail)
        enough = [one for one in tail if one.about_all or counts[one.group] >= one.most]
        return enough if self.answered else tail

    def refused(self, suspect: Suspect) -> bool:
        """Take note of a refusal, and return whether it is about all requests.

        It is not known while others are under way. Where requests were answered before, the last
        suspect must have been sent after the others were refused.
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
