"""Shards of streams: the parts that jobs make, whose bounds do not depend on the budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shard:
    """The queries `start` to `stop - 1` of a stream."""

    index: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class ShardBounds:
    """Where the shards of all streams end.

    The bounds are fixed, whatever the budget is: `first`, and then twice the one before, until a
    shard has the largest size, as all after it. So a larger budget adds shards and leaves the
    others as they are; only the last is cut at the budget, and grows.

    Attributes:
        first: the first bounds, in ascending order.
        largest: most queries of a shard after those; None for no limit.
    """

    first: tuple[int, ...]
    largest: int | None = None

    def of(self, budget: int) -> list[Shard]:
        """Return the shards that hold the first queries of a stream.

        Args:
            budget: how many queries.

        Raises:
            ValueError: if the budget or the first bound is below 1.
        """
        if budget < 1 or self.first[0] < 1:
            said = f"budget ({budget}) and shard size ({self.first[0]}) must be at least 1"
            raise ValueError(said)
        found: list[Shard] = []
        start = 0
        for bound in self._bounds():
            found.append(Shard(len(found), start, min(bound, budget)))
            if bound >= budget:
                return found
            start = bound
        raise AssertionError("bounds have no end")

    def end(self, index: int) -> int:
        """Return one past the last query that a shard can hold, whatever the budget is."""
        return next(bound for place, bound in enumerate(self._bounds()) if place == index)

    def _bounds(self) -> Iterator[int]:
        yield from self.first
        bound = self.first[-1]
        while True:
            bound += min(bound, self.largest or bound)
            yield bound
