"""Streams: numbered queries, their answers, and the datasets cut from them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

THINKING = "_thinking_tokens"
"""How the columns end that count thinking, which only rows of models that think have."""


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


def with_thinking(rows: pl.DataFrame, who: str, tokens: Sequence[int]) -> pl.DataFrame:
    """Return rows with a column of the tokens of thinking, if there were any.

    Args:
        rows: what a model wrote.
        who: whose tokens they are, for the column's name.
        tokens: of thinking, by row; they are part of the tokens written.
    """
    # Not above: the response cache alone, which a run with many queries uses, needs no tables.
    import polars as pl

    if not any(tokens):
        return rows
    return rows.with_columns(pl.Series(f"{who}{THINKING}", tokens, dtype=pl.Int64))
