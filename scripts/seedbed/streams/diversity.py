"""Diversity of questions, and their similarity to the seeds and the test split.

Words are runs of letters and digits; case is ignored. All questions together may not fit into
memory, so they are processed in batches, with words as numbers. Only the vocabulary stays in
memory; the runs of words seen so far move to disk when there are many.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import IO

import numpy as np
import polars as pl

DISTINCT = (1, 2, 3)
NEAR_GRAM = 3
NEAR_SIMILARITY = 0.6
"""Questions are nearly the same if their sets of three words in a row have at least this Jaccard
similarity. The two constants are ours: with them, a question of twenty words with one changed name
or number counts as a repeat, and a sentence in other words counts as new."""

_ROWS_AT_A_TIME = 2048
_KEYS_IN_MEMORY = 2**21
_PARTITIONS = 16


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"[^\W_]+", text.lower())


def grams(text: str, length: int) -> set[tuple[str, ...]]:
    """Return the runs of `length` words in a text; a shorter text is one run."""
    found = words(text)
    if len(found) <= length:
        return {tuple(found)} if found else set()
    return {tuple(found[i : i + length]) for i in range(len(found) - length + 1)}


class Vocabulary:
    """Numbers for words, from 1; 0 pads runs of texts with only one or two words."""

    def __init__(self) -> None:
        self._number = {"": 0}

    def __len__(self) -> int:
        return len(self._number) - 1

    def texts(self, texts: pl.Series) -> Texts:
        """Return texts as word numbers; new words get the next numbers."""
        found = _split(texts)
        bounds = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum(found.list.len().fill_null(0).to_numpy(), out=bounds[1:])
        each = found.explode().drop_nulls().rename("word")
        known = each.unique(maintain_order=True)
        number = self._number
        numbers = [number.setdefault(word, len(number)) for word in known.to_list()]
        table = pl.DataFrame({"word": known, "number": pl.Series(numbers, dtype=pl.UInt64)})
        joined = each.to_frame().join(table, on="word", how="left", maintain_order="left")
        return Texts(bounds, joined["number"].to_numpy())


def _split(texts: pl.Series) -> pl.Series:
    """Return the lists of `words` of the texts; null for a null text."""
    # Polars and Python agree on letters, digits and lower case in ASCII; Python splits other texts.
    plain = texts.str.len_bytes() == texts.str.len_chars()
    found = texts.str.to_lowercase().str.extract_all("[0-9a-z]+")
    if plain.all():
        return found
    asked = [
        words(text) if ascii is False else None for text, ascii in zip(texts, plain, strict=True)
    ]
    other = pl.Series("other", asked, dtype=pl.List(pl.String))
    frame = pl.DataFrame({"plain": plain, "found": found, "other": other})
    return frame.select(pl.when("plain").then("found").otherwise("other"))["found"]


@dataclass(frozen=True)
class Texts:
    """Texts as word numbers.

    Attributes:
        bounds: start of each text in `numbers`, and the end of the last text; shape (texts + 1,).
        numbers: numbers of the words of all texts, one text after the other; unsigned, shape
            (words,).
    """

    bounds: np.ndarray
    numbers: np.ndarray

    @cached_property
    def lengths(self) -> np.ndarray:
        """Number of words in each text, shape (texts,)."""
        return np.diff(self.bounds)

    @cached_property
    def grams(self) -> pl.DataFrame:
        """Runs of three words, in order: `text`, `pair` (two words' numbers in one), `third`.

        As in the function `grams`, a text with fewer words is one run, padded with 0.
        """
        counts = np.maximum(self.lengths - NEAR_GRAM + 1, np.minimum(self.lengths, 1))
        text = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(text)) - np.repeat(np.cumsum(counts) - counts, counts)
        at, end = self.bounds[text] + within, self.bounds[text + 1]
        first, second, third = (
            np.where(at + i < end, self.numbers[np.minimum(at + i, end - 1)], 0)
            for i in range(NEAR_GRAM)
        )
        pair = first.astype(np.uint64) << np.uint64(32) | second.astype(np.uint64)
        return pl.DataFrame({"text": text, "pair": pair, "third": third.astype(np.uint64)})

    @cached_property
    def different_grams(self) -> pl.DataFrame:
        """Runs of three words, each once per text, in order of the texts."""
        return self.grams.unique(maintain_order=True)


class Distinct:
    """Distinct-n: different runs of n words over all such runs (Li et al. 2016).

    It falls as texts are added, so only sets of the same size can be compared by it.
    """

    def __init__(self, length: int) -> None:
        if length not in DISTINCT:
            raise ValueError(f"runs of {length} words are not counted, only of {DISTINCT}")
        self._length = length
        self._total = 0
        self._seen = Different(columns=2 if length == 3 else 1)

    def add(self, texts: Texts, repeated: np.ndarray) -> None:
        """Add texts, each as often as `repeated` says."""
        n = self._length
        runs = np.maximum(texts.lengths - n + 1, 0)
        self._total += int((runs * repeated).sum())
        if n == 3:
            frame = texts.grams
            long = (texts.lengths >= n) & (repeated > 0)
            keys = frame.filter(pl.Series(long)[frame["text"]]).select("pair", "third")
        else:
            ends = np.repeat(texts.bounds[1:], runs)
            first = np.arange(len(ends)) - np.repeat(np.cumsum(runs) - runs, runs)
            at = np.repeat(texts.bounds[:-1], runs) + first
            at = at[np.repeat(repeated > 0, runs)]
            key = texts.numbers[at].astype(np.uint64)
            if n == 2:
                key = key << np.uint64(32) | texts.numbers[at + 1].astype(np.uint64)
            keys = pl.DataFrame({"pair": key})
        self._seen.add(keys)

    def share(self) -> float | None:
        """Return distinct-n of the added texts; None if they have no run."""
        return self._seen.count() / self._total if self._total else None


class Different:
    """Counts distinct keys of one or two 64-bit numbers, on disk if there are many.

    The files are unnamed, so they disappear with the process, even if it is killed.
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._held: list[pl.DataFrame] = []
        self._files: list[IO[bytes]] = []

    def add(self, keys: pl.DataFrame) -> None:
        """Add keys, one per row."""
        self._held.append(keys.unique())
        if sum(part.height for part in self._held) < _KEYS_IN_MEMORY:
            return
        held = pl.concat(self._held).unique()
        if held.height < _KEYS_IN_MEMORY // 2:
            self._held = [held]
            return
        self._spill(held)

    def count(self) -> int:
        """Return how many distinct keys were added."""
        if not self._files:
            return pl.concat(self._held).n_unique() if self._held else 0
        if self._held:
            self._spill(pl.concat(self._held).unique())
        different = 0
        for file in self._files:
            file.seek(0)
            keys = np.frombuffer(file.read(), dtype=np.uint64).reshape(-1, self._columns)
            different += pl.from_numpy(keys).n_unique()
        return different

    def _spill(self, keys: pl.DataFrame) -> None:
        self._held = []
        if not self._files:
            # The files stay open as long as this object exists.
            self._files = [tempfile.TemporaryFile() for _ in range(_PARTITIONS)]  # noqa: SIM115
        numbers = keys.to_numpy(order="c")
        # Fibonacci hashing: the upper bits of the product depend on all of the key.
        mixed = np.bitwise_xor.reduce(numbers, axis=1) * np.uint64(0x9E3779B97F4A7C15)
        part = (mixed >> np.uint64(60)).astype(np.uint8)
        numbers = numbers[np.argsort(part, kind="stable")]
        ends = np.cumsum(np.bincount(part, minlength=_PARTITIONS))
        for file, rows in zip(self._files, np.split(numbers, ends[:-1]), strict=True):
            file.write(rows.tobytes())


def overlap_test(
    contexts: Sequence[str], questions: Sequence[str], length: int | None
) -> Callable[[str, str], bool]:
    """Return a function that says whether a context and a question overlap with the given ones.

    They overlap if the question shares `length` consecutive words with one of the questions, or if
    question and context equal one of the given pairs except for case and punctuation. Contexts
    count only for equal questions: the same question may be asked about two databases.

    Args:
        contexts: of the questions that must not be overlapped, e.g. a database's schema for each.
        questions: the question for each context.
        length: consecutive words; None compares only whole questions.
    """
    whole = {
        (tuple(words(context)), tuple(words(question)))
        for context, question in zip(contexts, questions, strict=True)
    }
    runs: set[tuple[str, ...]] = set()
    if length is not None:
        # A shorter question has no such run: it counts only as a whole.
        runs = {gram for q in questions for gram in grams(q, length) if len(gram) == length}

    def overlaps(context: str, question: str) -> bool:
        if (tuple(words(context)), tuple(words(question))) in whole:
            return True
        return bool(runs) and not runs.isdisjoint(grams(question, length or 1))

    return overlaps


class Others:
    """Texts that questions are compared with: seeds, or the test split."""

    def __init__(self, texts: Sequence[str], vocabulary: Vocabulary) -> None:
        grams = vocabulary.texts(pl.Series(list(texts), dtype=pl.String)).different_grams
        self._texts = len(texts)
        self._sizes = np.bincount(grams["text"].to_numpy(), minlength=len(texts))
        keys = grams.select("pair", "third").unique(maintain_order=True)
        self._keys = keys.with_row_index("gram")
        numbered = grams.join(self._keys, on=["pair", "third"], how="left", maintain_order="left")
        self._rows = (numbered["text"].to_numpy(), numbered["gram"].to_numpy())

    def near(self, texts: Texts) -> np.ndarray:
        """Return for each text whether it is nearly the same as one of the other texts.

        Returns:
            Booleans, shape (texts,).
        """
        count = len(texts.lengths)
        result = np.zeros(count, dtype=bool)
        different = texts.different_grams
        own = np.bincount(different["text"].to_numpy(), minlength=count)
        shared = different.join(self._keys, on=["pair", "third"], maintain_order="left")
        known = np.bincount(shared["text"].to_numpy(), minlength=count)
        # Runs that the others lack count only in the union, so most texts can be excluded here.
        candidates = np.flatnonzero((known > 0) & (known >= NEAR_SIMILARITY * own))
        if not len(candidates):
            return result
        from scipy.sparse import csr_matrix

        place = np.full(count, -1)
        place[candidates] = np.arange(len(candidates))
        row = place[shared["text"].to_numpy()]
        column = shared["gram"].to_numpy()[row >= 0]
        row = row[row >= 0]
        width = self._keys.height
        ones = np.ones(len(row), dtype=np.int32)
        left = csr_matrix((ones, (row, column)), shape=(len(candidates), width))
        ones = np.ones(len(self._rows[0]), dtype=np.int32)
        right = csr_matrix((ones, self._rows), shape=(self._texts, width))
        for start in range(0, len(candidates), _ROWS_AT_A_TIME):
            both = (left[start : start + _ROWS_AT_A_TIME] @ right.T).tocoo()
            texts_of = candidates[start + both.row]
            union = own[texts_of] + self._sizes[both.col] - both.data
            result[texts_of[both.data >= NEAR_SIMILARITY * union]] = True
        return result

    def may_overlap(self, texts: Texts, length: int | None) -> np.ndarray:
        """Return which texts may overlap: a superset of the texts that `overlap_test` finds.

        A text that shares `length` consecutive words also shares each run of three of them; equal
        texts share all runs.

        Returns:
            Booleans, shape (texts,).
        """
        count = len(texts.lengths)
        if length is not None and length < NEAR_GRAM:
            return np.ones(count, dtype=bool)
        grams = texts.grams.join(
            self._keys, on=["pair", "third"], how="left", maintain_order="left"
        )
        text, known = grams["text"].to_numpy(), grams["gram"].is_not_null().to_numpy()
        unknown = np.bincount(text[~known], minlength=count)
        possible = unknown == 0
        if length is not None:
            # Number of consecutive known runs that end at each run, within its text.
            at = np.arange(len(text))
            first = np.searchsorted(text, text) - 1
            last = np.maximum.accumulate(np.where(known, -1, at)) if len(at) else at
            in_a_row = at - np.maximum(first, last)
            possible[text[in_a_row >= length - NEAR_GRAM + 1]] = True
        return possible
