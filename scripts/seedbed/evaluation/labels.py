"""Hand-graded answers, and a judge's agreement with their grades."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seedbed.evaluation.judge import Posed
from seedbed.evaluation.record import Agreement
from seedbed.evaluation.scorers.settings import JudgeOptions
from seedbed.tasks.rows import read_file

SAMPLES = 2_000
"""Number of bootstrap samples for the interval of kappa."""

CONFIDENCE = 0.95


def read_labels(file: Path, options: JudgeOptions) -> tuple[list[Posed], list[float]]:
    """Read hand-graded answers and their grades, scaled to 0 to 1.

    Args:
        file: rows with the columns `question`, `answer`, `grade`, and `reference` if the judge
            sees it. Grades are on the judge's scale. If the judge compares, the grade is 1 for an
            answer that is better than the reference, 0 for a worse one, 0.5 for a tie.
        options: the judge's options.

    Raises:
        ValueError: if a row is invalid. The message names the row.
    """
    rows = read_file(file)
    shown = options.compare is not None or options.reference
    wanted = ["question", "answer", "grade", *(["reference"] if shown else [])]
    missing = [name for name in wanted if name not in rows.columns]
    if missing:
        raise ValueError(f"{file} has no column {missing[0]!r}; a judge's labels need {wanted}")
    if not rows.values:
        raise ValueError(f"{file} has no rows")
    low, high = (0, 1) if options.compare else (options.lowest, options.highest)
    posed, grades = [], []
    for number, row in enumerate(rows.values):
        texts = [row.get(name) for name in wanted if name != "grade"]
        place = rows.place(number)
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise ValueError(f"{place}: question, answer and reference must be texts")
        try:
            grade = float(str(row["grade"]))
        except (KeyError, ValueError):
            grade = math.nan
        if not low <= grade <= high:
            raise ValueError(f"{place}: grade is {row.get('grade')!r}, not {low} to {high}")
        reference = str(row["reference"]) if shown else ""
        posed.append(Posed(f"label-{number + 1}", str(texts[0]), reference, str(texts[1])))
        grades.append((grade - low) / (high - low))
    return posed, grades


def agreement(given: Sequence[float], judged: Sequence[float | None]) -> Agreement:
    """Return the agreement of a judge's grades with grades given by hand.

    Args:
        given: grades given by hand, from 0 to 1.
        judged: the judge's grades of the same answers; None for an unreadable verdict, which
            counts only in `unreadable`.
    """
    pairs = [(one, other) for one, other in zip(given, judged, strict=True) if other is not None]
    found = Agreement(labels=len(given), unreadable=len(given) - len(pairs))
    if not pairs:
        return found
    hand, model = np.array(pairs).T
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, len(pairs), (SAMPLES, len(pairs)))
    drawn_kappas = (weighted_kappa(hand[rows], model[rows]) for rows in drawn)
    kappas = [kappa for kappa in drawn_kappas if kappa is not None]
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(kappas, [tail, 100 - tail]) if kappas else (None, None)
    return found.model_copy(
        update={
            "same": float(np.mean(np.isclose(hand, model))),
            "difference": float(np.mean(model - hand)),
            "kappa": weighted_kappa(hand, model),
            "kappa_low": None if low is None else float(low),
            "kappa_high": None if high is None else float(high),
        }
    )


def weighted_kappa(first: np.ndarray, second: np.ndarray) -> float | None:
    """Return Cohen's kappa with quadratic weights of two raters' grades, shape (answers,) each.

    Kappa is 1 minus the mean squared difference of the grades, divided by its expectation if the
    raters' grades were paired at random (Cohen 1968, Psychological Bulletin 70(4), 213). It is None
    if the expectation is 0: both raters gave one and the same grade to all answers.
    """
    expected = float(np.mean((first[:, None] - second[None, :]) ** 2))
    return None if expected == 0 else 1 - float(np.mean((first - second) ** 2)) / expected
