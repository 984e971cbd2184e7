"""An engine's answers, by the keys of its requests."""

from __future__ import annotations

from seedbed.engines import Completion


def answers(engine, requests, adapter=None):
    """Return the answers to requests, one for each."""
    (found,) = in_turn([engine.complete(requests, adapter)])
    assert set(found) == {request.key for request in requests}
    return found


def in_turn(calls):
    """Return the answers of each call; calls are read one after the other."""
    found = [{} for _ in calls]
    under_way = dict(enumerate(calls))
    while under_way:
        for number in [*under_way]:
            completion = next(under_way[number], None)
            if completion is None:
                del under_way[number]
            else:
                assert isinstance(completion, Completion)
                assert completion.key not in found[number]
                found[number][completion.key] = completion
    return found
