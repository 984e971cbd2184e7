"""An engine for tests of streams: it answers by rule, and keeps a record of what it was asked."""

import random
from dataclasses import replace

from seedbed.engines import Completion


class KilledError(Exception):
    """Stands for the end of a process."""


class RecordingEngine:
    """Answers with a function of the request, in a shuffled order, and can die on the way.

    Attributes:
        asked: requests answered so far, over all calls.
    """

    def __init__(self, answer, die_after=None):
        self._answer = answer
        self._die_after = die_after
        self.asked = []

    def complete(self, requests, adapter=None):
        requests = list(requests)
        random.Random(len(requests)).shuffle(requests)
        for request in requests:
            if self._die_after is not None and len(self.asked) >= self._die_after:
                raise KilledError
            self.asked.append(request)
            text, finish_reason = self._answer(request)
            yield Completion(
                key=request.key,
                text=text,
                finish_reason=finish_reason,
                prompt_tokens=len(request.messages[0][1].split()),
                completion_tokens=len(text.split()) + 1,
            )


def echo(request):
    """Answer with what must determine an answer: the question and the sampling seed."""
    return f"{request.messages[0][1]} / {request.seed}", "stop"


def no_engine():
    raise AssertionError("an engine was loaded though there is nothing to ask")


def timeless(found):
    """Return completions by key, or a table of them, without the seconds that they took."""
    if isinstance(found, dict):
        return {key: replace(completion, seconds=0.0) for key, completion in found.items()}
    return found.drop(column for column in found.columns if column.endswith("_seconds"))
