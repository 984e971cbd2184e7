"""Shards of streams: parts that jobs make, with bounds that do not depend on the budget."""

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
    """The bounds of the shards of all streams.

    The bounds do not depend on the budget: after `first`, each is twice the previous one, until
    shards have the largest size, which all later shards keep. A larger budget therefore adds shards
    and leaves the others as they are; only the last shard is cut at the budget, and grows.

    Attributes:
        first: the first bounds, in ascending order.
        largest: most queries of a later shard; None for no limit.
    """

    first: tuple[int, ...]
    largest: int | None = None

    def of(self, budget: int) -> list[Shard]:
        """Return the shards with the first queries of a stream.

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
        """Return one past the last query that a shard can contain, whatever the budget."""
        return next(bound for place, bound in enumerate(self._bounds()) if place == index)

    def _bounds(self) -> Iterator[int]:
        yield from self.first
        bound = self.first[-1]
        while True:
            bound += min(bound, self.largest or bound)
            yield bound
