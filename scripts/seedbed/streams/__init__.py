"""Streams: numbered queries, their answers, and the datasets cut from them."""

from __future__ import annotations

import hashlib


def sampling_seed(stream: str, query: int, purpose: str, attempt: int = 0) -> int:
    """Return the seed of one query's sampling, below 2**63, from its coordinates alone.

    Args:
        stream: the stream's key.
        query: the query's number in it.
        purpose: what is sampled ("answer", "question", "self_check").
        attempt: which try at it.
    """
    text = f"{stream}|{query}|{purpose}|{attempt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
