"""How varied questions are, and how close they come to those of the seeds and of the test split.

Words are runs of letters and digits, without regard to case. Questions may be more than memory
holds: they are taken batch by batch, as numbers of words; what stays is the vocabulary, and runs of
words that were seen lie on disk once they are many.
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
similarity. The two constants are ours: they take one changed name or number in a question of
twenty words for a repeat, and other wording of a sentence for something new."""

_ROWS_AT_A_TIME = 2048
_KEYS_IN_MEMORY = 2**21
_PARTITIONS = 16


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"[^\W_]+", text.lower())


def grams(text: str, length: int) -> set[tuple[str, ...]]:
    """Return the runs of `length` words in a text; all its words if it has fewer."""
    found = words(text)
    if len(found) <= length:
        return {tuple(found)} if found else set()
    return {tuple(found[i : i + length]) for i in range(len(found) - length + 1)}


class Vocabulary:
    """Numbers for words, from 1 on; 0 stands where a text of one or two words has no more."""

    def __init__(self) -> None:
        self._number = {"": 0}

    def __len__(self) -> int:
        return len(self._number) - 1

    def texts(self, texts: pl.Series) -> Texts:
        """Return texts as the numbers of their words; words that are new get the next ones."""
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
    """Return the lists of `words` of the texts, null where the text is."""
    # Polars and Python agree on letters, digits and lower case in ASCII; beyond, Python is asked.
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
    """Texts as numbers of words.

    Attributes:
        bounds: where in `numbers` each text begins, and the last one ends; shape (texts + 1,).
        numbers: of the words of all texts, one text after the other; unsigned, shape (words,).
    """

    bounds: np.ndarray
    numbers: np.ndarray

    @cached_property
    def lengths(self) -> np.ndarray:
        """Words of each text, shape (texts,)."""
        return np.diff(self.bounds)

    @cached_property
    def grams(self) -> pl.DataFrame:
        """Runs of three words, in order: `text`, `pair` (two words' numbers in one), `third`.

        As with `grams`, a text of fewer words is one run; 0 fills it up.
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
        """Runs of three words, each once a text, in order of the texts."""
        return self.grams.unique(maintain_order=True)


class Distinct:
    """Distinct-n: different runs of n words over all such runs (Li et al. 2016).

    It falls as texts are added, so it compares sets of the same size.
    """

    def __init__(self, length: int) -> None:
        if length not in DISTINCT:
            raise ValueError(f"runs of {length} words are not counted, only of {DISTINCT}")
        self._length = length
        self._total = 0
        self._seen = Different(columns=2 if length == 3 else 1)

    def add(self, texts: Texts, repeated: np.ndarray) -> None:
        """Add texts, each as many times as `repeated` says."""
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
        """Return distinct-n of what was added; None if there is no run."""
        return self._seen.count() / self._total if self._total else None


class Different:
    """Counts different keys of one or two 64-bit numbers; many of them lie on disk.

    The files have no name: they are gone when the process is, however it ends.
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._held: list[pl.DataFrame] = []
        self._files: list[IO[bytes]] = []

    def add(self, keys: pl.DataFrame) -> None:
        """Add keys: one row each."""
        self._held.append(keys.unique())
        if sum(part.height for part in self._held) < _KEYS_IN_MEMORY:
            return
        held = pl.concat(self._held).unique()
        if held.height < _KEYS_IN_MEMORY // 2:
            self._held = [held]
            return
        self._spill(held)

    def count(self) -> int:
        """Return how many different keys were added."""
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
            # They are open as long as this object lives.
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
    """Return what tells of a context and a question whether they overlap with the given ones.

    They do if the question shares `length` words in a row with one of the questions, or if
    question and context are one of them but for case and punctuation. Questions alone are compared
    run by run: what is asked about one database may well be asked about another.

    Args:
        contexts: of the questions to keep away from, e.g. a database's schema each.
        questions: as many questions.
        length: words in a row; None compares whole questions alone.
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
    """Texts that questions are held against: seeds, or the test split."""

    def __init__(self, texts: Sequence[str], vocabulary: Vocabulary) -> None:
        grams = vocabulary.texts(pl.Series(list(texts), dtype=pl.String)).different_grams
        self._texts = len(texts)
        self._sizes = np.bincount(grams["text"].to_numpy(), minlength=len(texts))
        keys = grams.select("pair", "third").unique(maintain_order=True)
        self._keys = keys.with_row_index("gram")
        numbered = grams.join(self._keys, on=["pair", "third"], how="left", maintain_order="left")
        self._rows = (numbered["text"].to_numpy(), numbered["gram"].to_numpy())

    def near(self, texts: Texts) -> np.ndarray:
        """Return for each text whether it is nearly the same as one of these.

        Returns:
            Booleans, shape (texts,).
        """
        count = len(texts.lengths)
        result = np.zeros(count, dtype=bool)
        different = texts.different_grams
        own = np.bincount(different["text"].to_numpy(), minlength=count)
        shared = different.join(self._keys, on=["pair", "third"], maintain_order="left")
        known = np.bincount(shared["text"].to_numpy(), minlength=count)
        # Runs that all the others lack count in the union: that decides for most texts.
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
        """Return which texts `overlap_test` must look at: those that it would find, and some more.

        A text that shares `length` words in a row shares each three in a row of them; equal
        texts share all.

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
            # How many known runs end at each: back to the last unknown one, or the text's first.
            at = np.arange(len(text))
            first = np.searchsorted(text, text) - 1
            last = np.maximum.accumulate(np.where(known, -1, at)) if len(at) else at
            in_a_row = at - np.maximum(first, last)
            possible[text[in_a_row >= length - NEAR_GRAM + 1]] = True
        return possible
