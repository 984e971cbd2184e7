"""Streams: numbered queries, their answers, and the datasets cut from them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

THINKING = "_thinking_tokens"
"""Ending of the columns that count thinking tokens. Only rows of models that think have them."""


def sampling_seed(stream: str, query: int, purpose: str, attempt: int = 0) -> int:
    """Return the seed of one query's sampling, below 2**63, from its coordinates alone.

    Args:
        stream: the stream's key.
        query: the query's number in it.
        purpose: the kind of text to sample ("answer", "question", "self_check").
        attempt: number of the attempt.
    """
    text = f"{stream}|{query}|{purpose}|{attempt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def with_thinking(rows: pl.DataFrame, who: str, tokens: Sequence[int]) -> pl.DataFrame:
    """Return rows with a column of thinking tokens, if there were any.

    Args:
        rows: a model's outputs.
        who: the part of the model, e.g. `teacher`: the column's name begins with it.
        tokens: thinking tokens of each row; they are included in its completion tokens.
    """
    # Imported here because the response cache imports this module and needs no tables.
    import polars as pl

    if not any(tokens):
        return rows
    return rows.with_columns(pl.Series(f"{who}{THINKING}", tokens, dtype=pl.Int64))
