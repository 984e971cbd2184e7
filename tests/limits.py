"""Rate limits of requests, reported in each of the forms that endpoints use."""

import time
from datetime import UTC, datetime

from endpoint import error

FORMS = {
    "seconds": lambda seconds: error(429, **{"Retry-After": f"{seconds:.3f}"}),
    "milliseconds": lambda seconds: error(429, **{"retry-after-ms": f"{1000 * seconds:.0f}"}),
    "requests": lambda seconds: error(429, **{"x-ratelimit-remaining-requests": "0",
     "x-ratelimit-reset-requests": f"{1000 * seconds:.0f}ms", "x-ratelimit-remaining-tokens":
     "5000", "x-ratelimit-reset-tokens": "1h"}),
    "tokens": lambda seconds: error(429, **{"anthropic-ratelimit-tokens-remaining": "0",
     "anthropic-ratelimit-tokens-reset": datetime.fromtimestamp(time.time() + seconds,
     UTC).isoformat()}),
    "epoch": lambda seconds: error(429, **{"X-RateLimit-Reset":
     f"{1000 * (time.time() + seconds):.0f}"}),
    "RetryInfo": lambda seconds: error(429, "quota", code=429, details=[{"retryDelay":
     f"{seconds:.3f}s"}]),
    "words": lambda seconds: error(429, f"Please try again in {seconds:.3f}s."),
    "nothing": lambda seconds: error(429),
}  # fmt: skip
"""Functions that return a refused request's response for the seconds to wait, by form."""


class Window:
    """A limit on the requests in each time window, which starts with the first request in it."""

    def __init__(self, most, seconds, form):
        self.most, self.seconds, self.form = most, seconds, form
        self.since, self.taken, self.refused = 0.0, 0, 0

    def __call__(self, body, before):
        now = time.monotonic()
        if now - self.since >= self.seconds:
            self.since, self.taken = now, 0
        if self.taken < self.most:
            self.taken += 1
            return None
        self.refused += 1
        return FORMS[self.form](self.since + self.seconds - now)

    def best(self, requests):
        """Return the minimum seconds for a number of requests."""
        return (requests - 1) // self.most * self.seconds


class Bucket(Window):
    """A token bucket of requests, which fills at a steady rate."""

    def __init__(self, most, seconds, form):
        super().__init__(most, seconds, form)
        self.room = float(most)
        self.since = time.monotonic()

    def __call__(self, body, before):
        now = time.monotonic()
        pace = self.most / self.seconds
        self.room = min(self.most, self.room + (now - self.since) * pace)
        self.since = now
        if self.room >= 1:
            self.room -= 1
            return None
        self.refused += 1
        return FORMS[self.form]((1 - self.room) / pace)

    def best(self, requests):
        """Return the minimum seconds for a number of requests."""
        return max(0, requests - self.most) * self.seconds / self.most
