"""How varied questions are, and how close they come to those of the seeds and of the test split.

Words are runs of letters and digits, without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DISTINCT = (1, 2, 3)
NEAR_GRAM = 3
NEAR_SIMILARITY = 0.6
"""Questions are nearly the same if their sets of three words in a row have at least this Jaccard
similarity. The two constants are ours: they take one changed name or number in a question of
twenty words for a repeat, and other wording of a sentence for something new."""

_ROWS_AT_A_TIME = 2048


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"[^\W_]+", text.lower())


def grams(text: str, length: int) -> set[tuple[str, ...]]:
    """Return the runs of `length` words in a text; all its words if it has fewer."""
    found = words(text)
    if len(found) <= length:
        return {tuple(found)} if found else set()
    return {tuple(found[i : i + length]) for i in range(len(found) - length + 1)}


def distinct(texts: Iterable[str], length: int) -> float | None:
    """Return distinct-n: different runs of `length` words over all such runs (Li et al. 2016).

    It falls as texts are added, so it compares sets of the same size. None if there is no run.
    """
    seen: set[tuple[str, ...]] = set()
    total = 0
    for text in texts:
        found = words(text)
        runs = [tuple(found[i : i + length]) for i in range(len(found) - length + 1)]
        seen.update(runs)
        total += len(runs)
    return len(seen) / total if total else None


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


def near(questions: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Return for each question whether it is nearly the same as one of the others.

    Returns:
        Booleans, shape (len(questions),).
    """
    number: dict[tuple[str, ...], int] = {}
    left, right = _incidence(questions, number), _incidence(others, number)
    width = len(number)
    result = np.zeros(len(questions), dtype=bool)
    if not width or not len(others):
        return result
    left.resize((len(questions), width))
    right.resize((len(others), width))
    sizes = np.asarray(right.sum(axis=1)).ravel()
    own = np.asarray(left.sum(axis=1)).ravel()
    for start in range(0, len(questions), _ROWS_AT_A_TIME):
        shared = (left[start : start + _ROWS_AT_A_TIME] @ right.T).tocoo()
        union = own[start + shared.row] + sizes[shared.col] - shared.data
        result[start + shared.row[shared.data >= NEAR_SIMILARITY * union]] = True
    return result


def _incidence(texts: Sequence[str], number: dict[tuple[str, ...], int]) -> csr_matrix:
    """Return which text has which run of words, and give each new run a number."""
    from scipy.sparse import csr_matrix

    columns: list[int] = []
    bounds = [0]
    for text in texts:
        columns += [number.setdefault(gram, len(number)) for gram in grams(text, NEAR_GRAM)]
        bounds.append(len(columns))
    return csr_matrix(
        (np.ones(len(columns), dtype=np.int32), columns, bounds), shape=(len(texts), len(number))
    )
