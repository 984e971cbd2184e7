"""How varied texts are, and which are alike, all at once where a job counts part by part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from seedbed.streams.diversity import Distinct, Others, Vocabulary


def distinct(texts: Iterable[str], length: int) -> float | None:
    """Return distinct-n of texts; None if there is no run of `length` words."""
    counted = Distinct(length)
    numbered = Vocabulary().texts(pl.Series(list(texts), dtype=pl.String))
    counted.add(numbered, np.ones(len(numbered.lengths), dtype=np.int64))
    return counted.share()


def near(questions: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Return for each question whether it is nearly the same as one of the others.

    Returns:
        Booleans, shape (len(questions),).
    """
    vocabulary = Vocabulary()
    held = Others(others, vocabulary)
    return held.near(vocabulary.texts(pl.Series(list(questions), dtype=pl.String)))
